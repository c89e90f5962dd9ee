//! Recalling a scheduled message (370), and what the broker gave to do it by.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{ext_reply, ext_request, ext_struct};
use crate::proto::Malformed;

ext_struct! {
    /// Asks the broker that has a scheduled message not to deliver it (5.3.2 and later).
    // apache/rocketmq: RecallMessageRequestHeader
    struct RecallMessage {
        /// The producer's group.
        producer_group: Option<Arc<str>> = "producerGroup",
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// What the broker gave when it stored the message: [`SendReply::recall_handle`](super::SendReply).
        recall_handle: String = "recallHandle",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(RecallMessage, RECALL_MESSAGE -> RecallReply);

ext_struct! {
    /// A message that is recalled.
    // apache/rocketmq: RecallMessageResponseHeader
    struct RecallReply {
        /// Its unique id.
        message_id: String = "msgId",
        /// The broker's region, for traces.
        region: Option<String> = "MSG_REGION",
    }
}

ext_reply!(RecallReply);

/// What a broker's own handle says.
// apache/rocketmq: RecallMessageHandle.HandleV1
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallHandle {
    /// The topic, with its namespace.
    pub topic: String,
    /// The broker's name.
    pub broker: String,
    /// The message's slot in the broker's timer wheel and 1 ms, in ms since 1970.
    pub slot_ms: i64,
    /// The message's unique id.
    pub unique_id: String,
}

impl RecallHandle {
    /// Reads a handle.
    ///
    /// # Errors
    /// [`Malformed`] if it is not of the first version, or can't be read.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let wrong = |why: &'static str| Malformed::new("recallHandle", 0, why);
        let any_padding =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let bytes = GeneralPurpose::new(&URL_SAFE, any_padding)
            .decode(text)
            .map_err(|_| wrong("not base64"))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8"))?;
        let mut words = text.split(' ');
        if words.next() != Some("v1") {
            return Err(wrong("another version"));
        }
        let mut word = || words.next().filter(|word| !word.is_empty());
        let (Some(topic), Some(broker), Some(slot), Some(unique_id)) =
            (word(), word(), word(), word())
        else {
            return Err(wrong("too short"));
        };
        Ok(Self {
            topic: topic.to_owned(),
            broker: broker.to_owned(),
            slot_ms: slot
                .parse()
                .map_err(|_| wrong("a time that is no number"))?,
            unique_id: unique_id.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokers_handle_is_read() {
        // "v1 t broker-a 1800000000001 ID"
        let text = "djEgdCBicm9rZXItYSAxODAwMDAwMDAwMDAxIElE";
        let handle = RecallHandle::parse(text).unwrap();
        assert_eq!((&*handle.topic, &*handle.broker), ("t", "broker-a"));
        assert_eq!(handle.slot_ms, 1_800_000_000_001);
        assert_eq!(handle.unique_id, "ID");
        for junk in ["", "%", "djIgdA", "djEgdA"] {
            assert!(RecallHandle::parse(junk).is_err(), "{junk}");
        }
    }
}
