//! What stands in a letter: the message as it was, and where it came from.

use std::time::Duration;

use super::line::Why;
use super::{Policy, Received};
use crate::Message;
use crate::proto::SingleMetadata;
use crate::topic::TopicName;

/// The letter, and the topic that it goes to. `wall` is the time, since 1970.
// apache/pulsar: ConsumerImpl.getPropertiesMap, copyMessageKeysIfNeeded, copyMessageEventTime
pub(super) fn letter(
    received: &Received,
    policy: &Policy,
    why: Why,
    wall: Duration,
) -> (String, Message) {
    let mut message = copy(received);
    // Java says the partition of what died by itself, and its topic of what was put off.
    let topic = match (why, TopicName::parse(received.topic())) {
        (Why::Later(_), Ok(topic)) => topic.unpartitioned().as_str().to_owned(),
        _ => received.topic().to_owned(),
    };
    let id = received.id().to_string();
    // A letter that fails again keeps what it was first.
    let origin = [
        (REAL_TOPIC, topic),
        (ORIGIN_MESSAGE_ID_BEFORE, id.clone()),
        (ORIGIN_MESSAGE_ID, id),
        (REAL_SUBSCRIPTION, policy.subscription.clone()),
    ];
    for (name, value) in origin {
        if message.property_text(name).is_none() {
            message.set_property(name.into(), value.into());
        }
    }
    let dead = || policy.dead_topic(received.topic());
    let (Why::Later(delay), Some(retry)) = (why, &policy.retry) else {
        return (dead(), message);
    };
    let times = message.property_text(RECONSUMETIMES);
    let times: u32 = times.and_then(|times| times.parse().ok()).unwrap_or(0);
    let times = times.saturating_add(1);
    message.set_property(RECONSUMETIMES.into(), times.to_string().into());
    let millis = delay.as_millis().to_string();
    message.set_property(DELAY_TIME.into(), millis.into());
    if times > policy.most {
        return (dead(), message);
    }
    if !delay.is_zero() {
        let at = wall.saturating_add(delay).as_millis();
        message.deliver_at = Some(i64::try_from(at).unwrap_or(i64::MAX));
    }
    (retry.as_str().to_owned(), message)
}

/// The message, as if it were sent now: without what its producer counted.
fn copy(received: &Received) -> Message {
    let arrival = &received.0;
    let head = if let Some(single) = &arrival.single {
        SingleMetadata {
            sequence_id: None,
            ..single.metadata.clone()
        }
    } else {
        let head = arrival.head.metadata.clone();
        SingleMetadata {
            properties: head.properties,
            partition_key: head.partition_key,
            key_is_base64: head.key_is_base64,
            ordering_key: head.ordering_key,
            event_time: head.event_time,
            null_value: head.null_value,
            ..SingleMetadata::default()
        }
    };
    let mut message = Message::new(arrival.payload.clone());
    message.head = head;
    message
}

const REAL_TOPIC: &str = "REAL_TOPIC";
const REAL_SUBSCRIPTION: &str = "REAL_SUBSCRIPTION";
const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
/// What older clients look for.
const ORIGIN_MESSAGE_ID_BEFORE: &str = "ORIGIN_MESSAGE_IDY_TIME";
const RECONSUMETIMES: &str = "RECONSUMETIMES";
const DELAY_TIME: &str = "DELAY_TIME";
