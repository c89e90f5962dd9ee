//! Half messages: stored by the broker, and shown to nobody before their transaction is committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mq_core::{Endpoint, ErrorKind, Outcome, Retry};

use super::ending::{Payload, Stored};
use super::operation::Plan;
use super::pack::{MAX_PROPERTIES, Packed, pack_one};
use super::send::{lane, lost, one_error, prepare, start};
use super::shared::ProducerShared;
use super::{Durability, Receipt};
use crate::Message;
use crate::conn::unreadable;
use crate::error::{Error, Result, SendError, invalid};
use crate::message::PRODUCER_GROUP;
use crate::proto::message::properties::{decode, encode_pairs};
use crate::proto::message::{OffsetMessageId, SysFlag};
use crate::schedule::{DELAY, START_DELIVER, TIMER_DELAY, TIMER_DELIVER};

/// A half message that is stored.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) message: Message,
    /// Where it goes when it is committed; the offset is that of the half message.
    pub(super) receipt: Receipt,
    pub(super) physical_offset: i64,
}

/// Sends a half message. It stays with one broker: what may be stored is not sent again.
pub(super) async fn send_half(
    shared: &Arc<ProducerShared>,
    mut message: Message,
    first_check: Option<Duration>,
    deadline: Instant,
) -> Result<Half, SendError> {
    let topic = shared.client.namespace.wrap(message.topic()).into();
    let ready = prepare(shared, &mut message).and_then(|()| {
        // A key says in which queue the message is to be when it is committed.
        let lane = lane(&topic, &message, None)?;
        let packed = as_half(pack_one(shared, &message)?, &shared.group, first_check)?;
        Ok((lane, packed))
    });
    let (lane, packed) = match ready {
        Ok(ready) => ready,
        Err(error) => return Err(SendError::new(in_begin(error), message)),
    };
    let plan = Plan {
        topic,
        payload: Payload::One(Box::new(message)),
        packed,
        deadline,
        oneway: false,
        lane,
    };
    let begun = start(shared, plan).await;
    let (_place, hearing) = begun.map_err(one_error).map_err(failed)?;
    let stored = match hearing.end.await {
        Ok(Ok(Some(stored))) => stored,
        Ok(Err(refused)) => return Err(failed(one_error(refused))),
        Ok(Ok(None)) | Err(_) => return Err(failed(lost())),
    };
    half(shared, stored)
}

/// Makes what is to be sent a half message of `group`.
// apache/rocketmq: DefaultMQProducerImpl.sendMessageInTransaction
fn as_half(packed: Packed, group: &str, first_check: Option<Duration>) -> Result<Packed> {
    let mut packed = packed;
    if let Some((name, _)) = decode(&packed.properties)
        .iter()
        .find(|(name, _)| SCHEDULED.contains(name))
    {
        // Java's client drops the time without a word (delay levels) or lets it pass, for the broker to deliver at any time.
        return Err(invalid(
            "begin",
            format!("a message can't be both scheduled ({name}) and in a transaction"),
        ));
    }
    let seconds = first_check.map(|after| whole_seconds(after).to_string());
    let added = [
        (PREPARED, Some("true")),
        (PRODUCER_GROUP, Some(group)),
        (FIRST_CHECK, seconds.as_deref()),
    ];
    let added = added
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    packed.properties.push_str(&encode_pairs(added));
    if packed.properties.len() > MAX_PROPERTIES {
        let found = packed.properties.len();
        return Err(invalid(
            "begin",
            format!("the properties have {found} bytes, the limit is {MAX_PROPERTIES}"),
        ));
    }
    packed.sys_flag = packed.sys_flag.with(SysFlag::PREPARED);
    Ok(packed)
}

/// The broker counts in seconds; a part of one counts as a whole, and 0 would mean "at once".
fn whole_seconds(time: Duration) -> u64 {
    let up = u64::from(time.subsec_nanos() > 0);
    time.as_secs().saturating_add(up).max(1)
}

/// Whether a half message that failed so can be tried again: it is not stored for sure, and the same broker may think better of it.
pub(super) fn is_absent(error: &Error) -> bool {
    error.outcome() != Outcome::Unknown && error.retry() == Retry::Later
}

fn half(shared: &ProducerShared, stored: Stored) -> Result<Half, SendError> {
    let Stored {
        reply,
        code,
        queue,
        payload,
        ..
    } = stored;
    let Payload::One(message) = payload else {
        return Err(failed(lost()));
    };
    // apache/rocketmq: DefaultMQProducerImpl.endTransaction takes the place in the log out of the id.
    let id = match reply.message_id.parse::<OffsetMessageId>() {
        Ok(id) => id,
        Err(malformed) => {
            let from = master(shared, &queue.topic, &queue.broker);
            let from = from.unwrap_or_else(|| Endpoint::new(&*queue.broker, 0));
            return Err(SendError::new(
                unreadable("begin", &from, malformed),
                *message,
            ));
        }
    };
    let durability = Durability::of(code).unwrap_or(Durability::AsConfigured);
    let unique_id = message.unique_id().unwrap_or_default().to_owned();
    Ok(Half {
        receipt: Receipt::new(
            unique_id,
            reply.message_id,
            queue,
            reply.queue_offset,
            durability,
        ),
        physical_offset: id.physical_offset,
        message: *message,
    })
}

/// Where the broker's master is, as the topic's route or any other has it.
pub(super) fn master(shared: &ProducerShared, topic: &str, broker: &str) -> Option<Endpoint> {
    let routes = &shared.client.routes;
    if let Some(master) = routes
        .cached_for_publishing(topic)
        .and_then(|route| route.master(broker).cloned())
    {
        return Some(master);
    }
    let known = routes.known_brokers();
    known.get(broker)?.get(&0).cloned()
}

/// What a half message that is not stored as safely as it was to be tells: Java rolls it back, and so do we.
// apache/rocketmq: DefaultMQProducerImpl.sendMessageInTransaction, FLUSH_DISK_TIMEOUT and its like
pub(super) fn not_durable(durability: Durability, rolled_back: Result<()>) -> Error {
    let why = match durability {
        Durability::AsConfigured | Durability::FlushTimedOut => {
            "the half message was not flushed to disk in time"
        }
        Durability::ReplicaTimedOut => "the half message was not replicated in time",
        Durability::NoReplica => "there is no replica for the half message",
    };
    let error = Error::builder(ErrorKind::Timeout, why).operation("begin");
    match rolled_back {
        Ok(()) => error
            .outcome(Outcome::Rejected)
            .hint("it is rolled back: begin again")
            .build(),
        Err(cause) => error
            .outcome(Outcome::Unknown)
            .source(cause)
            .hint("it could not be rolled back: the broker will ask the checker about it")
            .build(),
    }
}

fn failed(mut failed: SendError) -> SendError {
    failed.error = in_begin(failed.error);
    failed
}

fn in_begin(error: Error) -> Error {
    let unknown = error.outcome() == Outcome::Unknown;
    let error = error.into_builder().operation("begin");
    if !unknown {
        return error.build();
    }
    error
        .hint("the half message may be stored: then the broker will ask the checker about it")
        .build()
}

// apache/rocketmq: MessageConst
const PREPARED: &str = "TRAN_MSG";
const FIRST_CHECK: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
/// What makes a message a scheduled one, in any dialect.
const SCHEDULED: [&str; 5] = [
    DELAY,
    "TIMER_DELAY_SEC",
    TIMER_DELAY,
    TIMER_DELIVER,
    START_DELIVER,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(properties: &str) -> Packed {
        Packed {
            body: bytes::Bytes::new(),
            properties: properties.to_owned(),
            sys_flag: SysFlag::COMPRESSED,
            flag: 0,
            plan: None,
        }
    }

    #[test]
    fn a_half_message_says_whose_it_is_and_when_to_ask() {
        let text = encode_pairs([("TAGS", "A")].into_iter());
        let half = as_half(packed(&text), "ns%g", Some(Duration::from_millis(1500))).unwrap();
        let all = decode(&half.properties);
        let get = |name| all.get(name);
        assert_eq!((get("TAGS"), get(PREPARED)), (Some("A"), Some("true")));
        assert_eq!(
            (get(PRODUCER_GROUP), get(FIRST_CHECK)),
            (Some("ns%g"), Some("2"))
        );
        assert!(half.sys_flag.contains(SysFlag::PREPARED));
        assert!(half.sys_flag.contains(SysFlag::COMPRESSED));
        let half = as_half(packed(&text), "g", None).unwrap();
        assert_eq!(decode(&half.properties).get(FIRST_CHECK), None);
        assert_eq!(whole_seconds(Duration::ZERO), 1);
    }

    #[test]
    fn scheduled_and_transactional_is_an_error() {
        for name in SCHEDULED {
            let text = encode_pairs([("TAGS", "A"), (name, "3")].into_iter());
            let error = as_half(packed(&text), "g", None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn what_is_added_counts_towards_the_limit() {
        let text = encode_pairs([("a", "x".repeat(MAX_PROPERTIES - 10).as_str())].into_iter());
        let error = as_half(packed(&text), "g", None).unwrap_err();
        assert!(error.to_string().contains("the limit is"), "{error}");
    }
}
