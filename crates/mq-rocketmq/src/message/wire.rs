//! A message's tag, keys, id and properties as one text, and back.

use bytes::Bytes;
use mq_core::Properties;

use super::Message;
use crate::proto::message::properties::{PropertyText, encode_with_room};

impl Message {
    /// A message that came from a broker, and the properties that are the protocol's own. `topic` has no namespace.
    pub(crate) fn received(
        topic: &str,
        body: Bytes,
        flag: i32,
        wire: &PropertyText,
    ) -> (Self, Properties) {
        let mut message = Self::new(topic, body).flag(flag);
        let mut system = Properties::new();
        for (name, value) in wire.to_properties() {
            match &*name {
                TAGS => message.tag = Some(value),
                KEYS => {
                    message.keys = value
                        .split(' ')
                        .filter(|key| !key.is_empty())
                        .map(str::to_owned)
                        .collect();
                }
                UNIQUE_ID => message.unique_id = Some(value),
                ORDERING_KEY => message.ordering_key = Some(value),
                _ if is_system(&name) => drop(system.set(name, value)),
                _ => drop(message.properties.set(name, value)),
            }
        }
        (message, system)
    }

    /// The properties as they travel. A message that [`check`](Message::check) takes has no name twice.
    pub(crate) fn wire_text(&self) -> String {
        self.wire_text_with_room(0)
    }

    /// The same, with room for so many bytes that come behind.
    pub(crate) fn wire_text_with_room(&self, room: usize) -> String {
        let keys = (!self.keys.is_empty()).then(|| self.keys.join(" "));
        let named = [
            (TAGS, self.tag.as_deref()),
            (UNIQUE_ID, self.unique_id.as_deref()),
            (KEYS, keys.as_deref()),
            (ORDERING_KEY, self.ordering_key.as_deref()),
            // apache/rocketmq: Message sets WAIT=true by default: the answer waits for flush and replica as the broker is configured.
            (WAIT_STORED, Some("true")),
        ];
        let named = named
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        encode_with_room(self.properties.iter().chain(named), room)
    }
}

pub(super) fn is_system(name: &str) -> bool {
    SYSTEM.contains(&name) || name.starts_with("TIMER_")
}

/// The tag.
pub(crate) const TAGS: &str = "TAGS";
/// The keys, separated by spaces.
pub(crate) const KEYS: &str = "KEYS";
/// The unique id.
pub(crate) const UNIQUE_ID: &str = "UNIQ_KEY";
/// The ordering key. C++ and the gRPC clients use it too; Go has a name of its own.
// apache/rocketmq: MessageConst.PROPERTY_SHARDING_KEY
pub(crate) const ORDERING_KEY: &str = "__SHARDINGKEY";
/// The group of producers that a broker asks about a half message.
// apache/rocketmq: MessageConst.PROPERTY_PRODUCER_GROUP
pub(crate) const PRODUCER_GROUP: &str = "PGROUP";
const WAIT_STORED: &str = "WAIT";

// apache/rocketmq: MessageConst; __STARTDELIVERTIME and __CANCEL_SCHEDULED_MSG are Huawei DMS's. Names that start with TIMER_ count too.
const SYSTEM: &[&str] = &[
    TAGS,
    KEYS,
    UNIQUE_ID,
    WAIT_STORED,
    "DELAY",
    "RETRY_TOPIC",
    "REAL_TOPIC",
    "REAL_QID",
    "TRAN_MSG",
    PRODUCER_GROUP,
    "MIN_OFFSET",
    "MAX_OFFSET",
    "BUYER_ID",
    "ORIGIN_MESSAGE_ID",
    "TRANSFER_FLAG",
    "CORRECTION_FLAG",
    "MQ2_FLAG",
    "RECONSUME_TIME",
    "MSG_REGION",
    "TRACE_ON",
    "EXTEND_UNIQ_INFO",
    "MAX_RECONSUME_TIMES",
    "CONSUME_START_TIME",
    "INNER_NUM",
    "INNER_BASE",
    "DUP_INFO",
    "CHECK_IMMUNITY_TIME_IN_SECONDS",
    "TRAN_PREPARED_QUEUE_OFFSET",
    "__transactionId__",
    "TRANSACTION_CHECK_TIMES",
    "INSTANCE_ID",
    "CORRELATION_ID",
    "REPLY_TO_CLIENT",
    "TTL",
    "ARRIVE_TIME",
    "PUSH_REPLY_TIME",
    "CLUSTER",
    "MSG_TYPE",
    "POP_CK",
    "POP_CK_OFFSET",
    "1ST_POP_TIME",
    ORDERING_KEY,
    "PROPERTY_FORWARD_QUEUE_ID",
    "REDIRECT",
    "INNER_MULTI_DISPATCH",
    "INNER_MULTI_QUEUE_OFFSET",
    "TRACE_CONTEXT",
    "__BORNHOST",
    "BORN_TIMESTAMP",
    "TOPIC_SYS_FLAG",
    "GROUP_SYS_FLAG",
    "DLQ_ORIGIN_TOPIC",
    "DLQ_ORIGIN_MESSAGE_ID",
    "__CRC32#",
    "__STARTDELIVERTIME",
    "__CANCEL_SCHEDULED_MSG",
    "__LITE_TOPIC",
    "_SYS_MSG_PRIORITY_",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_travel_and_come_back() {
        let mut sent = Message::new("t", "b")
            .tag("A")
            .key("k1")
            .key("k2")
            .ordering_key("o")
            .property("p", "v");
        sent.unique_id_or(|| "ID".into());
        let wire = PropertyText::from(&crate::proto::message::properties::decode(
            &sent.wire_text(),
        ));
        assert_eq!(wire.as_str(), sent.wire_text());
        let (received, system) = Message::received("t", Bytes::from_static(b"b"), 0, &wire);
        assert_eq!(received, sent);
        assert_eq!(system.get("WAIT"), Some("true"));
    }
}
