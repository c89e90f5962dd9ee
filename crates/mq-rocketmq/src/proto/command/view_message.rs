//! Reading a message by its place in a broker's log (33).

use std::sync::Arc;

use bytes::Bytes;

use super::{Reply, ext_request, ext_struct};
use crate::proto::{ExtFields, FieldSink, Fields, Malformed};

ext_struct! {
    /// Asks for the message that begins there.
    // apache/rocketmq: ViewMessageRequestHeader
    struct ViewMessage {
        /// The topic, with its namespace (5.x).
        topic: Option<Arc<str>> = "topic",
        /// The place in the broker's log.
        physical_offset: i64 = "offset",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(ViewMessage, VIEW_MESSAGE_BY_ID -> ViewedMessage);

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ViewedMessage {
    /// What [`decode_messages`](crate::proto::message::decode_messages) reads.
    pub message: Bytes,
}

impl Fields for ViewedMessage {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Reply for ViewedMessage {
    fn body(&self) -> Bytes {
        self.message.clone()
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        Ok(Self {
            message: body.clone(),
        })
    }
}
