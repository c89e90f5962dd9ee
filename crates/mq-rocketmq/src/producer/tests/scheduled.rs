//! Exact times go to no broker that is not known to keep them; and the words of DMS are those of Huawei's own programs.

use std::path::Path;

use mq_core::Properties;

use super::*;
use crate::{Cancel, Dialect, Receipt, ScheduledHandle};

const V4: i32 = 407;
const V5: i32 = 513;

fn later() -> Message {
    message().deliver_after(Duration::from_secs(60))
}

/// What two sends differ in although they say the same.
fn comparable(mut send: SendMessage, sent_by: &str) -> (SendMessage, Properties) {
    let text = send.properties.take().unwrap();
    // The end of the last property is Java's to leave out.
    let mut properties = properties::decode(&text);
    // Made anew for each message; longer where the machine's address is an IPv6 one.
    let id = properties.get("UNIQ_KEY").map(str::len);
    assert!(matches!(id, Some(32 | 56)), "{sent_by}: {id:?}");
    properties.set("UNIQ_KEY", "made anew");
    // The fixture's are of the day it was recorded.
    for time in ["__STARTDELIVERTIME", "__CANCEL_SCHEDULED_MSG"] {
        if properties.get(time).is_some() {
            properties.set(time, "another");
        }
    }
    send.born_at_ms = 0;
    // As the clusters are: which queue's turn it is, and what the broker is called.
    send.queue_id = 0;
    send.broker_name = send.broker_name.map(|_| "b".into());
    let mut sorted: Vec<_> = properties.into_iter().collect();
    sorted.sort();
    (send, sorted.into_iter().collect())
}

fn recorded(name: &str) -> Frame {
    let path = format!("tests/fixtures/java-4.9.8/310-dms-{name}-request.hex");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: String = lines.collect();
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    let mut buffer = BytesMut::from(&*bytes);
    FrameDecoder::default()
        .decode(&mut buffer)
        .unwrap()
        .unwrap()
}

/// The programs of section 3.4 of Huawei's developer guide, recorded with the client that it recommends.
#[tokio::test]
async fn under_dms_our_frames_are_those_of_huaweis_programs() {
    let server = Server::start(&[Step::Store, Step::Store]).await;
    let url = format!("rocketmq://{}?dialect=dms", server.address);
    let client = Client::from_url(&url).unwrap().connect().await.unwrap();
    let producer = client.producer("ProducerGroupName").build().await.unwrap();
    let message = Message::new("ScheduledTopic", "scheduled message");
    let message = message.tag("TagA").key("KEY");
    let message = message.deliver_after(Duration::from_secs(10));
    let receipt = producer.send(message).await.unwrap();
    let handle = receipt.scheduled().unwrap();
    assert_eq!(producer.cancel(handle).await.unwrap(), Cancel::Requested);

    let sends = server.sends.lock().unwrap().clone();
    let headers = server.headers.lock().unwrap().clone();
    for ((name, ours), header) in ["send", "cancel"].into_iter().zip(&sends).zip(headers) {
        let theirs = recorded(name);
        // Not the same: language (JAVA), version (409, 4.9.8) and opaque.
        assert_eq!(header.code, theirs.header.code);
        assert_eq!(header.flags, theirs.header.flags);
        assert_eq!(header.codec, theirs.header.codec);
        let keys = |ext: &ExtFields| {
            let mut keys: Vec<_> = ext.iter().map(|(key, _)| key.to_owned()).collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&header.ext), keys(&theirs.header.ext), "{name}");
        let theirs = SendMessage::parse(&theirs.header.ext, &theirs.body).unwrap();
        let (theirs, ours) = (comparable(theirs, "Java"), comparable(ours.clone(), "us"));
        assert_eq!(ours, theirs, "{name}");
    }
    let text = |at: usize, name| {
        let all = properties::decode(sends.get(at).unwrap().properties.as_deref().unwrap());
        all.get(name).map(str::to_owned)
    };
    let time = text(0, "__STARTDELIVERTIME");
    assert!(time.is_some() && time == text(1, "__STARTDELIVERTIME"));
    assert_eq!(
        text(1, "__CANCEL_SCHEDULED_MSG").unwrap(),
        receipt.unique_id()
    );
    assert_eq!(
        sends.first().unwrap().queue_id,
        sends.last().unwrap().queue_id
    );
}

async fn send(server: &Server) -> Result<Receipt, crate::SendError> {
    let client = server.client().await;
    let producer = client.producer("g").build().await.unwrap();
    let timeout = Duration::from_millis(1500);
    producer.send(later()).timeout(timeout).await
}

#[tokio::test]
async fn of_two_brokers_only_the_one_with_timers_gets_it_also_when_tried_again() {
    let busy = Step::Refuse(ResponseCode::SYSTEM_BUSY);
    let [old, new] = Server::pair(&[], &[busy, busy, Step::Store]).await;
    old.version.store(V4, Ordering::Release);
    new.version.store(V5, Ordering::Release);
    let receipt = send(&old).await.unwrap();
    assert_eq!((old.count(), new.count()), (0, 3));
    assert_eq!(receipt.broker(), "c");
}

#[tokio::test]
async fn brokers_of_4x_get_nothing() {
    let [one, other] = Server::pair(&[], &[]).await;
    one.version.store(V4, Ordering::Release);
    other.version.store(V4, Ordering::Release);
    let failed = send(&one).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unsupported, "{failed}");
    assert_eq!(failed.outcome(), Outcome::NotSent);
    assert!(failed.message.schedule().is_some());
    assert_eq!((one.count(), other.count()), (0, 0));
}

#[tokio::test]
async fn a_broker_that_does_not_say_its_version_is_sent_nothing() {
    let server = Server::start(&[]).await;
    let client = server.client().await;
    let producer = client.producer("g").build().await.unwrap();
    // Its route is known by now, and it falls silent.
    client.shared().routes.topic("t").await.unwrap();
    server.frozen.store(true, Ordering::Release);
    let sent = producer.send(later()).timeout(Duration::from_millis(300));
    let failed = sent.await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Timeout, "{failed}");
    assert_eq!(failed.outcome(), Outcome::NotSent);
    assert_eq!(server.count(), 0);
}

/// Exchanged for an older one between the question and the message: stored and delivered at once, which is said.
#[tokio::test]
async fn a_broker_that_has_become_old_is_noticed() {
    let server = Server::start(&[Step::Store]).await;
    let client = server.client().await;
    server.version.store(V4, Ordering::Release);
    let broker = mq_core::Endpoint::parse(&server.address, None).unwrap();
    client.shared().versions.learn(&broker, V5);
    let producer = client.producer("g").build().await.unwrap();
    let failed = producer.send(later()).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unsupported, "{failed}");
    assert_eq!(failed.outcome(), Outcome::Unknown);
    assert_eq!(server.count(), 1, "and not tried again");
}

/// The first copy may be in another slot, or at another broker: what cancels the second is no more than a request.
#[tokio::test]
async fn a_message_that_may_be_stored_twice_is_not_said_to_be_cancelled() {
    let server = Server::start(&[Step::Cut, Step::Store]).await;
    let receipt = send(&server).await.unwrap();
    let handle = receipt.scheduled().unwrap();
    assert!(handle.made().doubtful);
    // The broker recalls the copy that it has; the other one may lie elsewhere.
    let client = server.client().await;
    let producer = client.producer("g").build().await.unwrap();
    let cancelled = producer.cancel(&with_recall(handle)).await.unwrap();
    assert_eq!(cancelled, Cancel::Requested);
    let server = Server::start(&[Step::Store]).await;
    let receipt = send(&server).await.unwrap();
    let handle = receipt.scheduled().unwrap();
    assert!(!handle.made().doubtful);
    let client = server.client().await;
    let producer = client.producer("g").build().await.unwrap();
    let cancelled = producer.cancel(&with_recall(handle)).await.unwrap();
    assert_eq!(cancelled, Cancel::Cancelled);
}

/// As if the broker had given something to recall it by; the scripted one says yes to whatever it does not know.
fn with_recall(handle: &ScheduledHandle) -> ScheduledHandle {
    let mut made = handle.made().clone();
    made.recall = Some("djEgdA==".to_owned());
    made.at_once = false;
    ScheduledHandle::new(made)
}

/// A dialect that is said wrongly is noticed at the first answer, and nothing more is sent.
#[tokio::test]
async fn a_broker_of_4x_is_noticed_under_a_dialect_of_5x() {
    let server = Server::start(&[Step::Store, Step::Store]).await;
    server.version.store(V4, Ordering::Release);
    let url = format!("rocketmq://{}?dialect=apache5", server.address);
    let client = Client::from_url(&url).unwrap().connect().await.unwrap();
    let producer = client.producer("g").build().await.unwrap();
    let failed = producer.send(later()).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unsupported, "{failed}");
    assert_eq!(failed.outcome(), Outcome::Unknown);
    let failed = producer.send(later()).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unsupported, "{failed}");
    assert_eq!(failed.outcome(), Outcome::NotSent);
    assert_eq!(server.count(), 1);
    producer.send(message().delay_level(1)).await.unwrap();
}

#[tokio::test]
async fn a_said_dialect_asks_nobody() {
    let server = Server::start(&[Step::Store; 2]).await;
    for (dialect, version) in [(Dialect::Apache5, V5), (Dialect::Tdmq, V4)] {
        server.version.store(version, Ordering::Release);
        let url = format!("rocketmq://{}?dialect={dialect}", server.address);
        let client = Client::from_url(&url).unwrap().connect().await.unwrap();
        let producer = client.producer("g").build().await.unwrap();
        producer.send(later()).await.unwrap();
        let broker = mq_core::Endpoint::parse(&server.address, None).unwrap();
        assert_eq!(client.shared().versions.of(&broker), None, "{dialect}");
    }
}
