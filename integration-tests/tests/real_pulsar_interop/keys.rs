//! A key has one partition, whoever sends.

use std::collections::{BTreeMap, BTreeSet};

use integration_tests::foreign::pulsar::{Content, Peer};
use mq_pulsar::proto::hash::java_string;
use mq_pulsar::{Hashing, ProducerBuilder, Routing};

use crate::world::{World, some};

/// Of 4 only a hash's last bits count; of 5 its sign does as well.
const PARTITIONS: [u32; 2] = [4, 5];

fn plain_keys() -> Vec<String> {
    (0..40).map(|number| format!("key-{number}")).collect()
}

/// Beyond ASCII: two bytes each in UTF-8, three, four; the last two units of UTF-16.
fn other_keys() -> Vec<String> {
    ["München", "größer", "東京", "大阪市", "🦀", "🦀 crab 🦀"]
        .map(str::to_owned)
        .into()
}

type Places = BTreeMap<String, u32>;

/// Where theirs put them, as the broker tells them.
async fn theirs_put(world: &World, topic: &str, keys: &[String], murmur3: bool) -> Places {
    let contents: Vec<_> = keys
        .iter()
        .map(|key| Content::new("theirs").key(key))
        .collect();
    let mut call = world.theirs(topic);
    if murmur3 {
        call = call.murmur3();
    }
    let places = call.send(&contents).await.unwrap();
    let partitions = places.iter().map(|place| place.partition.cast_unsigned());
    keys.iter().cloned().zip(partitions).collect()
}

/// Where ours puts them, as theirs receive them.
async fn ours_puts(
    world: &World,
    topic: &str,
    keys: &[String],
    options: ProducerBuilder,
) -> Places {
    let contents: Vec<_> = keys
        .iter()
        .map(|key| Content::new("ours").key(key))
        .collect();
    world.we_send(options, &contents).await;
    // Theirs of before are there as well.
    let all = world
        .theirs(topic)
        .recv("theirs", keys.len() * 2)
        .await
        .unwrap();
    let ours = all.into_iter().filter(|seen| seen.content.text() == "ours");
    ours.map(|seen| {
        let partition = seen.place.partition.cast_unsigned();
        (seen.content.key.unwrap(), partition)
    })
    .collect()
}

/// As we receive what both have sent: each key in one partition, and in which.
async fn as_we_see(world: &World, topic: &str, keys: &[String]) -> Places {
    let consumer = world.consumer(topic, "ours").await;
    let mut places: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for delivery in some(&consumer, keys.len() * 2).await {
        let key = delivery.key_text().unwrap().to_owned();
        let partition = delivery.id().partition().unwrap();
        assert!(
            delivery
                .topic()
                .ends_with(&format!("-partition-{partition}"))
        );
        places.entry(key).or_default().insert(partition);
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
    let one = |(key, all): (String, BTreeSet<u32>)| {
        assert_eq!(all.len(), 1, "{key} is in the partitions {all:?}");
        (key, *all.first().unwrap())
    };
    places.into_iter().map(one).collect()
}

/// They put keys where we put them, of so many partitions.
async fn same_places(world: &World, keys: &[String], hashing: Hashing, count: u32) -> Places {
    let murmur3 = hashing == Hashing::Murmur3;
    let set = |options: ProducerBuilder| options.hashing(hashing);
    same_places_by(world, keys, murmur3, set, count).await
}

async fn same_places_by(
    world: &World,
    keys: &[String],
    murmur3: bool,
    set: impl Fn(ProducerBuilder) -> ProducerBuilder,
    count: u32,
) -> Places {
    let topic = world.manage.partitioned("keys", count).await;
    let theirs = theirs_put(world, &topic, keys, murmur3).await;
    assert_eq!(theirs.len(), keys.len());
    let options = set(world.ours.producer(&topic));
    assert_eq!(ours_puts(world, &topic, keys, options).await, theirs);
    assert_eq!(as_we_see(world, &topic, keys).await, theirs);
    let used: BTreeSet<_> = theirs.values().copied().collect();
    assert_eq!(used.len(), count as usize, "a hash that spreads");
    theirs
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), JDK 17 and Maven"]
async fn real_pulsar_interop_a_key_has_the_same_partition_with_java() {
    let world = World::start(Peer::Java).await;
    let keys = [plain_keys(), other_keys()].concat();
    for count in PARTITIONS {
        let default = same_places(&world, &keys, Hashing::default(), count).await;
        let murmur3 = same_places(&world, &keys, Hashing::Murmur3, count).await;
        assert_ne!(default, murmur3);
    }
    world.ours.close().await;
}

/// Python's client is C++'s, whose hash of a key is Boost's (that of 1.81 and later), which nobody can change from Python, and which is neither Java's nor
/// Go's. Who sends with it and with another one needs a router for either; here ours has one.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), Python 3 with venv"]
async fn real_pulsar_interop_a_key_has_the_same_partition_with_python() {
    let world = World::start(Peer::Python).await;
    let keys = [plain_keys(), other_keys()].concat();
    let as_boost = Routing::custom(|message, _| boost(message.key_text().unwrap_or_default()));
    let set = |options: ProducerBuilder| options.routing(as_boost.clone());
    for count in PARTITIONS {
        let places = same_places_by(&world, &keys, false, set, count).await;
        let is_java = |(key, place): (&String, &u32)| java_string(key) % count == *place;
        assert!(
            !places.iter().all(is_java),
            "it is Java's: say so in the documentation"
        );
    }
    world.ours.close().await;
}

/// `boostorg/container_hash`: `detail/hash_range.hpp`, `detail/mulx.hpp`, of 64 bits; pulsar-client-cpp takes 31 of them.
#[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
fn boost(key: &str) -> u32 {
    const Q: u64 = 0x9e37_79b9_7f4a_7c15;
    const K: u64 = Q.wrapping_mul(Q);
    let mulx = |x: u64| {
        let product = u128::from(x) * u128::from(K);
        (product as u64) ^ (product >> 64) as u64
    };
    let bytes = key.as_bytes();
    let (words, rest) = bytes.as_chunks::<8>();
    let mut w = mulx(Q);
    let mut hash = w ^ bytes.len() as u64;
    for word in words {
        w = w.wrapping_add(Q);
        hash ^= mulx(u64::from_le_bytes(*word).wrapping_add(w));
    }
    let four = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
    let last = match rest.len() {
        0 => 0,
        n @ 4.. => u64::from(four(n - 4)) << ((n - 4) * 8) | u64::from(four(0)),
        n => {
            let (x1, x2) = ((n - 1) & 2, n >> 1);
            let byte = |at: usize| u64::from(rest[at]);
            byte(x1) << (x1 * 8) | byte(x2) << (x2 * 8) | byte(0)
        }
    };
    w = w.wrapping_add(Q);
    hash ^= mulx(last.wrapping_add(w));
    (mulx(hash.wrapping_add(w)) as u32) & 0x7fff_ffff
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), Go"]
async fn real_pulsar_interop_a_key_has_the_same_partition_with_go() {
    let world = World::start(Peer::Go).await;
    let default = same_places(&world, &plain_keys(), Hashing::default(), 4).await;
    let all = [plain_keys(), other_keys()].concat();
    for count in PARTITIONS {
        let murmur3 = same_places(&world, &all, Hashing::Murmur3, count).await;
        assert!(default.iter().any(|(key, place)| murmur3[key] != *place));

        // Go hashes bytes where Java, and so ours, hashes units of UTF-16, and keeps the sign, which Java takes off: keys beyond ASCII, and of topics whose
        // partitions are no power of two also others, have two partitions with Java's client already.
        let topic = world.manage.partitioned("keys", count).await;
        for (key, place) in theirs_put(&world, &topic, &all, false).await {
            let hash = key.bytes().fold(0_u32, |hash, byte| {
                hash.wrapping_mul(31).wrapping_add(u32::from(byte))
            });
            assert_eq!(place, hash % count, "{key}");
        }
    }
    world.ours.close().await;
}
