//! JSON lines: field names and shapes that scripts rely on.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use mq_core::{Properties, Retry};
use serde::{Serialize, Serializer};

use crate::adapter::{
    Error, Incoming, QueueCount, QueueEnd, QueueLag, QueueRange, QueueReady, Sent, Topic,
};

/// One line, without the line feed.
pub(crate) fn line(value: &impl Serialize) -> String {
    // Only maps whose keys are no texts could fail, and there are none.
    serde_json::to_string(value).unwrap_or_default()
}

/// A message that is stored.
#[derive(Debug, Serialize)]
pub(crate) struct SentLine<'a> {
    id: &'a str,
    topic: &'a str,
    queue: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<&'a str>,
    /// Only where it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_once: bool,
    elapsed_us: u64,
}

/// A message that is not stored, or perhaps.
#[derive(Debug, Serialize)]
pub(crate) struct FailedLine {
    error: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    outcome: &'static str,
    retryable: bool,
}

/// A message that was received.
#[derive(Debug, Serialize)]
pub(crate) struct ReceivedLine<'a> {
    id: &'a str,
    topic: &'a str,
    queue: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    #[serde(serialize_with = "map")]
    properties: &'a Properties,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    born_at: Option<String>,
    received_at: String,
    redelivery_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecoded: Option<&'a str>,
}

/// A topic.
#[derive(Debug, Serialize)]
pub(crate) struct TopicLine<'a> {
    topic: &'a str,
}

/// A consumer group.
#[derive(Debug, Serialize)]
pub(crate) struct GroupLine<'a> {
    group: &'a str,
}

/// A queue of a topic.
#[derive(Debug, Serialize)]
pub(crate) struct RangeLine<'a> {
    topic: &'a str,
    queue: &'a str,
    first_offset: i64,
    next_offset: i64,
    messages: i64,
    readable: bool,
    writable: bool,
}

/// A queue without offsets.
#[derive(Debug, Serialize)]
pub(crate) struct CountLine<'a> {
    queue: &'a str,
    visible: u64,
    held: u64,
    delayed: u64,
}

/// A queue of which is known what can be received.
#[derive(Debug, Serialize)]
pub(crate) struct ReadyLine<'a> {
    queue: &'a str,
    visible: u32,
    consumers: u32,
}

/// A queue of which is known where it ends.
#[derive(Debug, Serialize)]
pub(crate) struct EndLine<'a> {
    topic: &'a str,
    queue: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_id: Option<&'a str>,
}

/// A queue that a group reads.
#[derive(Debug, Serialize)]
pub(crate) struct LagLine<'a> {
    group: &'a str,
    topic: &'a str,
    queue: &'a str,
    committed_offset: i64,
    next_offset: i64,
    lag: i64,
}

impl<'a> CountLine<'a> {
    pub(crate) fn new(count: &'a QueueCount) -> Self {
        Self {
            queue: &count.queue,
            visible: count.visible,
            held: count.held,
            delayed: count.delayed,
        }
    }
}

impl<'a> ReadyLine<'a> {
    pub(crate) fn new(ready: &'a QueueReady) -> Self {
        Self {
            queue: &ready.queue,
            visible: ready.visible,
            consumers: ready.consumers,
        }
    }
}

impl<'a> EndLine<'a> {
    pub(crate) fn new(topic: &'a str, end: &'a QueueEnd) -> Self {
        Self {
            topic,
            queue: &end.queue,
            last_id: end.last.as_deref(),
        }
    }
}

impl<'a> SentLine<'a> {
    pub(crate) fn new(sent: &'a Sent, elapsed: Duration) -> Self {
        Self {
            id: &sent.id,
            topic: &sent.topic,
            queue: &sent.queue,
            offset: sent.offset,
            handle: sent.handle.as_deref(),
            at_once: sent.at_once,
            elapsed_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

impl FailedLine {
    pub(crate) fn new(error: &Error) -> Self {
        Self {
            error: format!("{error:#}"),
            kind: error.kind().as_str(),
            code: error.code(),
            outcome: error.outcome().as_str(),
            retryable: error.retry() == Retry::Later,
        }
    }
}

impl<'a> ReceivedLine<'a> {
    pub(crate) fn new(message: &'a Incoming) -> Self {
        let body = std::str::from_utf8(&message.body).ok();
        Self {
            id: &message.id,
            topic: &message.topic,
            queue: &message.queue,
            offset: message.offset,
            key: message.key.as_deref(),
            tag: message.tag.as_deref(),
            properties: &message.properties,
            body,
            body_base64: body.is_none().then(|| STANDARD.encode(&message.body)),
            born_at: message.born_at.map(time),
            received_at: time(message.received_at),
            redelivery_count: message.redelivery_count,
            undecoded: message.undecoded.as_deref(),
        }
    }
}

impl<'a> TopicLine<'a> {
    pub(crate) fn new(topic: &'a Topic) -> Self {
        Self { topic: &topic.name }
    }
}

impl<'a> GroupLine<'a> {
    pub(crate) const fn new(group: &'a str) -> Self {
        Self { group }
    }
}

impl<'a> RangeLine<'a> {
    pub(crate) fn new(topic: &'a str, range: &'a QueueRange) -> Self {
        Self {
            topic,
            queue: &range.queue,
            first_offset: range.first,
            next_offset: range.next,
            messages: range.messages(),
            readable: range.readable,
            writable: range.writable,
        }
    }
}

impl<'a> LagLine<'a> {
    pub(crate) fn new(group: &'a str, lag: &'a QueueLag) -> Self {
        Self {
            group,
            topic: &lag.topic,
            queue: &lag.queue,
            committed_offset: lag.committed,
            next_offset: lag.next,
            lag: lag.behind,
        }
    }
}

/// RFC 3339 with milliseconds.
fn time(time: SystemTime) -> String {
    let stamp = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn map<S: Serializer>(properties: &&Properties, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(properties.iter())
}

#[cfg(test)]
pub(crate) mod tests {
    use mq_core::{ErrorKind, Outcome};

    use super::*;

    pub(crate) fn message() -> Incoming {
        let born_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_007);
        Incoming {
            id: "ID".into(),
            topic: "orders".into(),
            queue: "broker-a/3".into(),
            offset: Some(42),
            key: Some("k1 k2".into()),
            tag: Some("TagA".into()),
            properties: [("b", "2"), ("a", "1")].into_iter().collect(),
            body: "hello".into(),
            born_at: Some(born_at),
            received_at: born_at + Duration::from_millis(993),
            redelivery_count: 1,
            undecoded: None,
        }
    }

    #[test]
    fn a_received_message() {
        assert_eq!(
            line(&ReceivedLine::new(&message())),
            r#"{"id":"ID","topic":"orders","queue":"broker-a/3","offset":42,"key":"k1 k2","tag":"TagA","properties":{"b":"2","a":"1"},"body":"hello","born_at":"2023-11-14T22:13:20.007Z","received_at":"2023-11-14T22:13:21.000Z","redelivery_count":1}"#
        );
    }

    #[test]
    fn a_body_that_is_no_text_goes_as_base64_and_what_is_absent_is_left_out() {
        let mut bare = message();
        bare.key = None;
        bare.tag = None;
        bare.born_at = None;
        bare.properties = Properties::new();
        bare.body = vec![0xff, 0].into();
        bare.undecoded = Some("zstd: broken".into());
        assert_eq!(
            line(&ReceivedLine::new(&bare)),
            r#"{"id":"ID","topic":"orders","queue":"broker-a/3","offset":42,"properties":{},"body_base64":"/wA=","received_at":"2023-11-14T22:13:21.000Z","redelivery_count":1,"undecoded":"zstd: broken"}"#
        );
    }

    #[test]
    fn sends() {
        let mut sent = Sent {
            id: "ID".into(),
            topic: "orders".into(),
            queue: "broker-a/3".into(),
            offset: Some(42),
            durable: true,
            handle: None,
            at_once: false,
        };
        assert_eq!(
            line(&SentLine::new(&sent, Duration::from_millis(3))),
            r#"{"id":"ID","topic":"orders","queue":"broker-a/3","offset":42,"elapsed_us":3000}"#
        );
        sent.at_once = true;
        let told = line(&SentLine::new(&sent, Duration::from_millis(3)));
        assert!(told.contains(r#""at_once":true"#), "{told}");
        sent.at_once = false;
        sent.handle = Some("AQ".into());
        let told = line(&SentLine::new(&sent, Duration::from_millis(3)));
        assert!(
            told.contains(r#""offset":42,"handle":"AQ","elapsed_us""#),
            "{told}"
        );
        let error = mq_rocketmq::Error::builder(ErrorKind::Timeout, "no answer within 3 s")
            .outcome(Outcome::Unknown)
            .build();
        assert_eq!(
            line(&FailedLine::new(&error.into())),
            r#"{"error":"no answer within 3 s","kind":"timeout","outcome":"unknown","retryable":true}"#
        );
        let error = mq_rocketmq::Error::builder(ErrorKind::Rejected, "no")
            .code(mq_rocketmq::ResponseCode(13))
            .outcome(Outcome::Rejected)
            .build();
        let told = line(&FailedLine::new(&error.into()));
        assert!(told.contains(r#""code":13,"outcome":"rejected","retryable":false"#));
    }
}
