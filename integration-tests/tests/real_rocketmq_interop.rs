//! Ours and the official clients on one broker, both ways: Java 5.5.0 and Go v2.1.2, on the shared brokers of either version.
//!
//! ```text
//!   theirs ──► recording proxy ──► broker ──► ours      what passed the proxy is what was meant to: codec, batch, compression
//!   ours   ──► recording proxy ──► broker ──► theirs
//! ```
//!
//! Last of all the official clients among themselves: where that fails, the fault is not ours.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::{Call, Failure, Foreign, Received, Sent};
use integration_tests::harness::{
    Wire, broker_version, committed, connect, nameserver, next, text, topic, unique,
};
use mq_core::decompress::Compression as Kind;
use mq_dev::proxy::{Direction, Proxy, Recorded};
use mq_rocketmq::proto::message::SysFlag;
use mq_rocketmq::{Client, Compression, ConsumeFrom, HeaderCodec, Message, Receipt};

/// A way for messages to travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    /// `json` or `binary`.
    header: &'static str,
    /// `plain`, `batch`, or the name of a compression.
    how: &'static str,
}

const EACH: usize = 3;
const SIZE: usize = 300;
const PROPERTY: (&str, &str) = ("from", "München 東京");

/// All of `hows` with headers in JSON, and in binary those of `binary`.
fn forms(hows: &[&'static str], binary: &[&'static str]) -> Vec<Form> {
    let with = |header| move |how: &&'static str| Form { header, how };
    let json = hows.iter().map(with("json"));
    json.chain(binary.iter().map(with("binary"))).collect()
}

impl Form {
    fn prefix(self) -> String {
        format!("{}-{}", self.how, self.header)
    }

    /// As the foreign clients make it.
    fn body(self, number: usize) -> String {
        format!("{:.<SIZE$}", format!("{}-{number}", self.prefix()))
    }

    async fn sent_by(self, client: Foreign, nameserver: &str, topic: &str) -> Vec<Sent> {
        let mut call = described(client.call(nameserver, topic, &unique("producer")))
            .prefix(&self.prefix())
            .count(EACH)
            .size(SIZE);
        if self.header == "binary" {
            call = call.jvm("rocketmq.serialize.type=ROCKETMQ");
        }
        call = match self.how {
            "plain" => call,
            "batch" => call.batch(),
            compression => call.compress(compression),
        };
        let sent = call.send().await;
        sent.unwrap_or_else(|failure| panic!("{self:?} by {client:?}: {failure}"))
    }

    async fn sent_by_ours(self, nameserver: &str, topic: &str) -> Vec<Receipt> {
        let codec = match self.header {
            "json" => HeaderCodec::Json,
            _ => HeaderCodec::Binary,
        };
        let client = Client::builder().nameserver(nameserver).header_codec(codec);
        let client = client.connect().await.unwrap();
        let mut builder = client.producer(&unique("producer"));
        let compression = match self.how {
            "zlib" => Some(Compression::zlib()),
            "lz4" => Some(Compression::lz4()),
            "zstd" => Some(Compression::zstd()),
            _ => None,
        };
        if let Some(compression) = compression {
            builder = builder.compression(compression.threshold(1));
        }
        let producer = builder.build().await.unwrap();
        let messages = (0..EACH).map(|number| ours(topic, &self.body(number), number));
        let results = if self.how == "batch" {
            producer.send_batch(messages).await
        } else {
            let sends = messages.map(|message| producer.send(message).into_future());
            futures_util::future::join_all(sends).await
        };
        client.close().await.unwrap();
        results.into_iter().map(Result::unwrap).collect()
    }

    /// What a recorded frame is, if it is a send.
    fn of(frame: &Recorded) -> Option<Self> {
        let sends = [Some(10), Some(310), Some(320)];
        if frame.direction != Direction::ToServer || !sends.contains(&frame.request) {
            return None;
        }
        let field = |short, long| {
            frame
                .header
                .ext
                .text(short)
                .or_else(|| frame.header.ext.text(long))
        };
        let flag = SysFlag(field("f", "sysFlag").unwrap().parse().unwrap());
        let how = match flag.compression().unwrap() {
            _ if frame.request == Some(320) || field("m", "batch") == Some("true") => "batch",
            None => "plain",
            Some(Kind::Zlib) => "zlib",
            Some(Kind::Lz4) => "lz4",
            Some(Kind::Zstd) => "zstd",
            Some(other) => panic!("{other:?}"),
        };
        let header = match frame.header.codec {
            HeaderCodec::Json => "json",
            _ => "binary",
        };
        Some(Self { header, how })
    }
}

/// For `docs/flows.md`.
fn record(test: &str, promise: &str, client: &str) -> Record {
    Record::begin(test, "mq-rocketmq", "send, receive", promise)
        .tier(Tier::Foreign)
        .version(&format!("{client} on {}", broker_version()))
}

/// The description of messages that foreign clients send.
fn described(call: Call) -> Call {
    call.tag("A")
        .key("key-{i}")
        .property(PROPERTY.0, PROPERTY.1)
}

fn ours(topic: &str, body: &str, number: usize) -> Message {
    Message::new(topic, body.to_owned())
        .tag("标签")
        .key(format!("key-{number}"))
        .key("键")
        .property(PROPERTY.0, PROPERTY.1)
}

async fn recording() -> Proxy {
    let proxy = Proxy::builder(nameserver()).record(true).start().await;
    proxy.unwrap()
}

fn passed(proxy: &Proxy) -> BTreeSet<Form> {
    assert!(proxy.is_complete());
    proxy.transcript().iter().filter_map(Form::of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL), JDK 17 and Maven"]
async fn real_rocketmq_interop_ours_receives_every_form_that_java_sends() {
    let test = "real_rocketmq_interop_ours_receives_every_form_that_java_sends";
    let record = record(
        test,
        "ours receives every form that theirs sends",
        "Java 5.5.0",
    );
    let hows = ["plain", "batch", "zlib", "lz4", "zstd"];
    ours_receives(Foreign::Java, &forms(&hows, &["plain", "batch"])).await;
    record.passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL) and Go"]
async fn real_rocketmq_interop_ours_receives_every_form_that_go_sends() {
    let test = "real_rocketmq_interop_ours_receives_every_form_that_go_sends";
    let record = record(
        test,
        "ours receives every form that theirs sends",
        "Go v2.1.2",
    );
    ours_receives(Foreign::Go, &forms(&["plain", "batch", "zlib"], &[])).await;
    record.passed();
}

/// Every message once, with all that it was sent with; the one that is given back comes again as attempt 2.
async fn ours_receives(sender: Foreign, forms: &[Form]) {
    let (topic, group) = (topic("interop", 2).await, unique("group"));
    let client = connect().await;
    let consumer = client
        .consumer(&group)
        .subscribe(&topic, "A")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    let proxy = recording().await;
    let through = proxy.addr().to_string();
    let sends = forms.iter().map(|form| {
        let (topic, through) = (&topic, &through);
        async move { (*form, form.sent_by(sender, through, topic).await) }
    });
    let sent: Vec<(Form, Vec<Sent>)> = stream::iter(sends).buffered(AT_ONCE).collect().await;
    assert_eq!(passed(&proxy), forms.iter().copied().collect());

    let given_back = forms[0].body(0);
    let (mut first, mut again) = (BTreeMap::new(), Vec::new());
    while first.len() < forms.len() * EACH || again.is_empty() {
        let (received, acker) = next(&consumer).await.into_parts();
        if received.attempt() > 1 {
            acker.ack().await.unwrap();
            again.push(received);
            continue;
        }
        if text(&received) == given_back {
            acker.nack().await.unwrap();
        } else {
            acker.ack().await.unwrap();
        }
        let duplicate = first.insert(text(&received), received);
        assert!(duplicate.is_none(), "{duplicate:?}");
    }
    for (form, sent) in sent {
        assert_eq!(sent.len(), EACH, "{form:?}");
        for (number, sent) in sent.iter().enumerate() {
            let received = first.get(&form.body(number));
            as_sent(received.unwrap(), sent, number);
        }
    }
    let original = &first[&given_back];
    assert_eq!(again.len(), 1);
    assert_eq!((text(&again[0]), again[0].attempt()), (given_back, 2));
    assert_eq!(again[0].unique_id(), original.unique_id());
    assert_eq!(again[0].topic(), topic);
    described_alike(&again[0], 0);
    consumer.close().await;
    client.close().await.unwrap();
}

fn as_sent(received: &mq_rocketmq::Received, sent: &Sent, number: usize) {
    assert_eq!(received.undecoded(), None);
    // Go gives the messages of a batch no id, see `Sent::id`.
    let id = Some(sent.id.as_str()).filter(|id| !id.is_empty());
    assert_eq!(received.unique_id(), id, "{}", text(received));
    assert_eq!(
        received.message_id().unwrap_or_default(),
        sent.offset_id,
        "{}",
        text(received)
    );
    assert_eq!(received.broker(), sent.broker);
    assert_eq!(u32::try_from(received.queue()).unwrap(), sent.queue);
    assert_eq!(u64::try_from(received.offset()).unwrap(), sent.offset);
    described_alike(received, number);
}

fn described_alike(received: &mq_rocketmq::Received, number: usize) {
    assert_eq!(received.tag_text(), Some("A"));
    assert_eq!(received.keys(), [format!("key-{number}")]);
    let properties: Vec<_> = received.properties().iter().collect();
    assert_eq!(properties, [PROPERTY], "{}", text(received));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL), JDK 17 and Maven"]
async fn real_rocketmq_interop_java_receives_every_form_that_ours_sends() {
    let test = "real_rocketmq_interop_java_receives_every_form_that_ours_sends";
    let record = record(
        test,
        "theirs receives every form that ours sends",
        "Java 5.5.0",
    );
    let hows = ["plain", "batch", "zlib", "lz4", "zstd"];
    // Given back once: Java sends it to the broker again, and the broker to Java.
    ours_sends(Foreign::Java, &forms(&hows, &hows), 1).await;
    record.passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL) and Go"]
async fn real_rocketmq_interop_go_receives_every_form_that_ours_sends() {
    let test = "real_rocketmq_interop_go_receives_every_form_that_ours_sends";
    let record = record(
        test,
        "theirs receives every form that ours sends",
        "Go v2.1.2",
    );
    let hows = ["plain", "batch", "zlib"];
    // Not given back: its retry topic is looked for every 30 s.
    ours_sends(Foreign::Go, &forms(&hows, &hows), 0).await;
    record.passed();
}

async fn ours_sends(receiver: Foreign, forms: &[Form], fail_first: usize) {
    let topic = topic("interop", 2).await;
    let count = forms.len() * EACH;
    let mut call = receiver.call(&nameserver(), &topic, &unique("group"));
    // Go hashes bytes where brokers hash UTF-16: it could not subscribe to this tag.
    if receiver == Foreign::Java {
        call = call.tag("标签");
    }
    let receiving = call
        .count(count)
        .fail_first(fail_first)
        .linger(STRAYS)
        .start_recv()
        .await
        .unwrap();
    let proxy = recording().await;
    let through = proxy.addr().to_string();
    let mut sent = BTreeMap::new();
    for form in forms {
        let receipts = form.sent_by_ours(&through, &topic).await;
        assert_eq!(receipts.len(), EACH);
        for (number, receipt) in receipts.into_iter().enumerate() {
            sent.insert(form.body(number), (number, form, receipt));
        }
    }
    assert_eq!(passed(&proxy), forms.iter().copied().collect());

    let received = receiving.finish().await.unwrap();
    assert_eq!(received.len(), count + fail_first, "strays or duplicates");
    let mut ids_of_batches = BTreeSet::new();
    for message in &received {
        let (number, form, receipt) = &sent[&message.text()];
        if form.how == "batch" && broker_version().starts_with("4.") {
            ids_of_batches.insert((form.header, &message.id));
        } else {
            assert_eq!(message.id, receipt.unique_id(), "{}", message.text());
        }
        assert_eq!(message.tag.as_deref(), Some("标签"));
        assert_eq!(message.key, Some(format!("key-{number} 键")));
        assert_eq!(message.properties[PROPERTY.0], PROPERTY.1);
        if message.reconsume == 0 {
            assert_eq!(message.broker, receipt.broker());
            assert_eq!(i64::from(message.queue), i64::from(receipt.queue()));
            assert_eq!(i64::try_from(message.offset).unwrap(), receipt.offset());
        }
    }
    // apache/rocketmq 4.x: MessageExtBatchEncoder appends the batch's id to each message's own, and of two these clients know the last.
    let of_batches = if broker_version().starts_with("4.") {
        2
    } else {
        0
    };
    assert_eq!(ids_of_batches.len(), of_batches, "{ids_of_batches:?}");
    let taken = received.iter().filter(|message| message.acked);
    let taken: BTreeSet<String> = taken.map(Received::text).collect();
    assert_eq!(taken, sent.into_keys().collect());
    let again = received.iter().filter(|message| message.reconsume == 1);
    let again: Vec<_> = again.map(|message| &message.id).collect();
    let failed = received.iter().filter(|message| !message.acked);
    assert_eq!(again, failed.map(|message| &message.id).collect::<Vec<_>>());
    assert_eq!(again.len(), fail_first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL), JDK 17, Maven and Go"]
async fn real_rocketmq_interop_one_namespace_is_the_same_to_all() {
    let test = "real_rocketmq_interop_one_namespace_is_the_same_to_all";
    let record = record(
        test,
        "one namespace is the same to all",
        "Java 5.5.0, Go v2.1.2",
    );
    tokio::join!(
        shares_a_namespace(Foreign::Java),
        shares_a_namespace(Foreign::Go)
    );
    record.passed();
}

/// As Tencent's consoles show it: cluster, bar, namespace.
const NAMESPACE: &str = "rocketmq-xxx|ns";

async fn shares_a_namespace(with: Foreign) {
    let full = topic(&format!("{NAMESPACE}%interop"), 1).await;
    let name = full.split_once('%').unwrap().1;
    let call = |group| {
        with.call(&nameserver(), name, group)
            .namespace(NAMESPACE)
            .count(2)
    };
    let client = Client::builder()
        .nameserver(nameserver())
        .namespace(NAMESPACE)
        .connect()
        .await
        .unwrap();
    let sent = described(call("theirs").prefix("theirs")).send().await;
    let sent = sent.unwrap();
    let producer = client.producer("ours").build().await.unwrap();
    let mut ids: Vec<String> = sent.into_iter().map(|sent| sent.id).collect();
    for number in 0..2 {
        let message = ours(name, &format!("ours-{number}"), number);
        let receipt = producer.send(message).await.unwrap();
        assert_eq!(receipt.topic(), full);
        ids.push(receipt.unique_id().to_owned());
    }

    let group = unique("group");
    let theirs = call(&unique("group")).count(4).recv().await.unwrap();
    // In any order: they hand messages to many threads.
    let got: BTreeSet<String> = theirs.into_iter().map(|message| message.id).collect();
    assert_eq!(got, ids.iter().cloned().collect(), "{with:?}");

    let consumer = client
        .consumer(&group)
        .subscribe(name, "*")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    let mut got = Vec::new();
    for number in 0..4 {
        let delivery = next(&consumer).await;
        assert_eq!((delivery.topic(), delivery.attempt()), (name, 1));
        got.push(delivery.unique_id().unwrap().to_owned());
        if number == 0 {
            delivery.nack().await.unwrap();
        } else {
            delivery.ack().await.unwrap();
        }
    }
    assert_eq!(got, ids, "{with:?}");
    let again = next(&consumer).await;
    assert_eq!((again.topic(), again.attempt()), (name, 2));
    assert_eq!(again.unique_id(), Some(ids[0].as_str()));
    again.ack().await.unwrap();
    consumer.close().await;
    // Under the names with the namespace, and nowhere else.
    let group = format!("{NAMESPACE}%{group}");
    assert_eq!(committed(&group, &full, 0).await, Some(4));
    let mut wire = Wire::connect(&nameserver()).await.unwrap();
    assert!(!wire.has_route(name).await);
    client.close().await.unwrap();
}

/// A topic and group that no other test and no earlier run uses.
fn call(client: Foreign, name: &str) -> Call {
    client.call(
        &nameserver(),
        &format!("interop_{name}"),
        &format!("interop_group_{name}"),
    )
}

fn bodies(received: &[Received]) -> BTreeSet<String> {
    received
        .iter()
        .filter(|message| message.acked)
        .map(Received::text)
        .collect()
}

fn expected(prefix: &str, count: usize) -> BTreeSet<String> {
    (0..count).map(|i| format!("{prefix}-{i}")).collect()
}

#[tokio::test]
#[ignore = "needs a real RocketMQ, JDK 17, Maven and Go"]
async fn real_rocketmq_interop_foreign_clients_understand_each_other() {
    for (from, to) in [(Foreign::Java, Foreign::Go), (Foreign::Go, Foreign::Java)] {
        let name = unique("foreign");
        let sending = || {
            call(from, &name)
                .tag("A")
                .key("key-{i}")
                .property("from", "München 東京")
        };
        sending().prefix("plain").count(3).send().await.unwrap();
        sending()
            .prefix("batch")
            .count(3)
            .batch()
            .send()
            .await
            .unwrap();
        sending()
            .prefix("zlib")
            .compress("zlib")
            .count(2)
            .send()
            .await
            .unwrap();

        let received = call(to, &name).count(8).recv().await.unwrap();
        let mut wanted = expected("plain", 3);
        wanted.extend(expected("batch", 3));
        wanted.extend(expected("zlib", 2));
        assert_eq!(bodies(&received), wanted, "{from:?} to {to:?}");
        for message in &received {
            assert_eq!(message.tag.as_deref(), Some("A"));
            assert!(
                message
                    .key
                    .as_deref()
                    .is_some_and(|key| key.starts_with("key-"))
            );
            assert_eq!(message.properties.get("from").unwrap(), "München 東京");
        }
    }
}

#[tokio::test]
#[ignore = "needs a real RocketMQ, JDK 17 and Maven"]
async fn real_rocketmq_interop_foreign_java_compresses_redelivers_and_times_out() {
    let name = unique("foreign_java");
    for compression in ["lz4", "zstd"] {
        let sending = call(Foreign::Java, &name)
            .prefix(compression)
            .compress(compression);
        sending.size(200).send().await.unwrap();
    }
    let received = call(Foreign::Java, &name)
        .count(2)
        .fail_first(1)
        .recv()
        .await
        .unwrap();
    assert_eq!(received.iter().filter(|message| !message.acked).count(), 1);
    assert_eq!(
        received.iter().map(|message| message.reconsume).max(),
        Some(1)
    );
    assert!(received.iter().all(|message| message.body.len() == 200));

    // Of a topic that nobody sends to: of the one above something may come again, since Java's
    // shutdown sends its offsets one way, and closes.
    let idle = unique("foreign_java_idle");
    let waiting = call(Foreign::Java, &idle).deadline(Duration::from_secs(3));
    let waited = waiting.recv().await;
    assert!(
        matches!(waited, Err(Failure::TimedOut { .. })),
        "{waited:?}"
    );
}

#[tokio::test]
#[ignore = "needs JDK 17, Maven and Go"]
async fn real_rocketmq_interop_foreign_failures_are_failures() {
    for client in [Foreign::Java, Foreign::Go] {
        let failure = client
            .call("127.0.0.1:1", "topic", "group")
            .send()
            .await
            .unwrap_err();
        assert!(
            matches!(failure, Failure::Failed { code: -1, .. }),
            "{failure}"
        );
    }
}

/// How many foreign processes send at a time: more only wait for each other on two cores.
const AT_ONCE: usize = 3;
/// How long a consumer stays after the last message that it wants.
const STRAYS: Duration = Duration::from_secs(1);
