//! Everything on a message, alone and in batches, and each compression, both ways.

use integration_tests::foreign::pulsar::{Content, Peer};
use mq_pulsar::Compression;

use crate::world::{World, contents, some};

/// One with everything, one with nothing, an empty body, and no value at all.
fn everything() -> Vec<Content> {
    let full = Content {
        value: Some("a body with 東".into()),
        key: Some("customer-1".to_owned()),
        ordering_key: Some(b"order/7".to_vec()),
        properties: [("empty", ""), ("from", "München 東京 🦀"), ("名", "値")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        event_time: 1_700_000_000_123,
    };
    let null = Content::default().key("gone");
    let empty = Content::new("").key("empty");
    vec![full, Content::new("hello"), empty, null]
}

/// What a peer makes of it that has no null values.
fn as_it_knows(peer: Peer, mut contents: Vec<Content>) -> Vec<Content> {
    if peer == Peer::Go {
        for content in &mut contents {
            content.value.get_or_insert_default();
        }
    }
    contents
}

async fn ours_reads_all_of_it(world: &World) {
    let topic = world.manage.topic("theirs").await;
    let consumer = world.consumer(&topic, "s").await;
    let expected = as_it_knows(world.peer, everything());
    for batch in [0, 4] {
        let mut call = world.theirs(&topic);
        if batch > 0 {
            call = call.batch(batch);
        }
        let places = call.send(&everything()).await.unwrap();
        let got = some(&consumer, 4).await;
        assert_eq!(contents(&got), expected, "batches of {batch}");
        for (at, (place, got)) in places.iter().zip(&got).enumerate() {
            let id = got.id();
            assert_eq!((id.ledger(), id.entry()), (place.ledger, place.entry));
            let index = (batch > 0).then(|| u32::try_from(at).unwrap());
            assert_eq!(id.batch_index(), index);
        }
        for delivery in got {
            delivery.ack().await.unwrap();
        }
    }
    consumer.close().await;
    world.acked(&topic, "s").await;
}

/// Go takes what is empty for corrupt, acknowledges and drops it, unless it is in a batch or has properties (pulsar/internal/commands.go,
/// `MessageReader.ReadMessage`).
fn seen_alone(peer: Peer, mut contents: Vec<Content>) -> Vec<Content> {
    let is_lost = |content: &Content| content.text().is_empty() && content.properties.is_empty();
    contents.retain(|content| peer != Peer::Go || !is_lost(content));
    contents
}

async fn theirs_read_all_of_it(world: &World) {
    for batch in [1, 4] {
        let topic = world.manage.topic("ours").await;
        world.manage.subscribe(&topic, "s").await;
        let options = || world.ours.producer(&topic).batch_messages(batch);
        // The first goes at once and alone: enough of them, so that there are whole batches behind it.
        let sent = vec![everything(); 10].concat();
        world.we_send(options(), &sent).await;
        let mut expected = as_it_knows(world.peer, sent);
        if batch == 1 {
            expected = seen_alone(world.peer, expected);
        }
        let theirs = world.theirs(&topic);
        let got = theirs.recv("s", expected.len()).await.unwrap();
        let batched = got.iter().any(|seen| seen.place.batch_index == 3);
        assert_eq!(batched, batch == 4, "{got:?}");
        let got: Vec<_> = got.into_iter().map(|seen| seen.content).collect();
        assert_eq!(got, expected, "batches of {batch}");
        world.acked(&topic, "s").await;
    }
}

/// Compresses to next to nothing.
fn long(number: usize) -> Content {
    Content::new(format!("{number} {}", "compressed, 圧縮 ".repeat(300))).key("k")
}

const COMPRESSIONS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("lz4", Compression::Lz4),
    ("zlib", Compression::Zlib),
    ("zstd", Compression::Zstd),
    ("snappy", Compression::Snappy),
];

/// What was sent took the bytes that it takes when it is compressed, or when it is not.
fn check_size(name: &str, bytes: u64, contents: &[Content]) {
    let lengths = contents.iter().map(|content| content.text().len() as u64);
    let whole = lengths.sum::<u64>();
    if name == "none" {
        assert!(bytes > whole, "{bytes} of {whole}");
    } else {
        assert!(bytes < whole / 4, "{name}: {bytes} of {whole}");
    }
}

async fn ours_decompresses(world: &World) {
    let topic = world.manage.topic("theirs").await;
    let consumer = world.consumer(&topic, "s").await;
    for (name, _) in COMPRESSIONS {
        for batch in [None, Some(3)] {
            let sent: Vec<_> = (0..3).map(long).collect();
            let before = world.bytes(&topic).await;
            let mut call = world.theirs(&topic).compression(name);
            if let Some(batch) = batch {
                call = call.batch(batch);
            }
            call.send(&sent).await.unwrap();
            let got = some(&consumer, 3).await;
            assert_eq!(contents(&got), sent, "{name}");
            check_size(name, world.bytes(&topic).await - before, &sent);
            for delivery in got {
                assert_eq!(delivery.id().batch_index().is_some(), batch.is_some());
                delivery.ack().await.unwrap();
            }
        }
    }
    consumer.close().await;
}

async fn theirs_decompress(world: &World) {
    let topic = world.manage.topic("ours").await;
    world.manage.subscribe(&topic, "s").await;
    let mut all = Vec::new();
    for (name, compression) in COMPRESSIONS {
        for batch in [1, 3] {
            let sent: Vec<_> = (0..7).map(long).collect();
            let before = world.bytes(&topic).await;
            let options = world.ours.producer(&topic).compression(compression);
            world.we_send(options.batch_messages(batch), &sent).await;
            check_size(name, world.bytes(&topic).await - before, &sent);
            all.extend(sent);
        }
    }
    let got = world.theirs(&topic).recv("s", all.len()).await.unwrap();
    assert!(got.iter().any(|seen| seen.place.batch_index == 2));
    let got: Vec<_> = got.into_iter().map(|seen| seen.content).collect();
    assert!(got == all, "{} of {}", got.len(), all.len());
    world.acked(&topic, "s").await;
}

/// It is not ours that Go can't read: of its own empty messages it drops the same ones.
async fn go_drops_its_own(world: &World) {
    let topic = world.manage.topic("own").await;
    world.manage.subscribe(&topic, "s").await;
    let sent = [Content::new(""), Content::new("last")];
    world.theirs(&topic).send(&sent).await.unwrap();
    let got = world.theirs(&topic).recv("s", 1).await.unwrap();
    assert_eq!(got[0].content, sent[1]);
    world.acked(&topic, "s").await;
}

async fn everything_both_ways(peer: Peer) {
    let world = World::start(peer).await;
    ours_reads_all_of_it(&world).await;
    theirs_read_all_of_it(&world).await;
    if peer == Peer::Go {
        go_drops_its_own(&world).await;
    }
    world.ours.close().await;
}

async fn compressed_both_ways(peer: Peer) {
    let world = World::start(peer).await;
    ours_decompresses(&world).await;
    theirs_decompress(&world).await;
    world.ours.close().await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), JDK 17 and Maven"]
async fn real_pulsar_interop_everything_on_a_message_with_java() {
    everything_both_ways(Peer::Java).await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), Python 3 with venv"]
async fn real_pulsar_interop_everything_on_a_message_with_python() {
    everything_both_ways(Peer::Python).await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), Go"]
async fn real_pulsar_interop_everything_on_a_message_with_go() {
    everything_both_ways(Peer::Go).await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), JDK 17 and Maven"]
async fn real_pulsar_interop_every_compression_with_java() {
    compressed_both_ways(Peer::Java).await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), Python 3 with venv"]
async fn real_pulsar_interop_every_compression_with_python() {
    compressed_both_ways(Peer::Python).await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), Go"]
async fn real_pulsar_interop_every_compression_with_go() {
    compressed_both_ways(Peer::Go).await;
}
