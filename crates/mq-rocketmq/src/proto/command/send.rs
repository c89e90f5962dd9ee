//! Sending: 310 with one-letter field names, 320 for batches, and 10 with the long names, for one reply.

use std::sync::Arc;

use bytes::Bytes;

use super::{Request, ext_reply, ext_struct};
use crate::proto::{ExtFields, Field, FieldSink, Fields, Malformed, RequestCode};

ext_struct! {
    /// One message to be stored (310).
    // apache/rocketmq: SendMessageRequestHeaderV2
    struct SendMessage {
        /// The producer's group.
        producer_group: Arc<str> = "a",
        /// The topic, with its namespace.
        topic: Arc<str> = "b",
        /// The topic whose settings a new topic takes over (`TBW102`).
        default_topic: Arc<str> = "c",
        /// How many queues a new topic gets.
        default_queue_count: i32 = "d",
        /// The queue; negative leaves the choice to the broker.
        queue_id: i32 = "e",
        /// [`SysFlag`](crate::proto::message::SysFlag) bits.
        sys_flag: i32 = "f",
        /// When the message was made, in ms since 1970.
        born_at_ms: i64 = "g",
        /// The user's own flag bits.
        flag: i32 = "h",
        /// The properties as [`message::properties`](crate::proto::message::properties) writes them.
        properties: Option<String> = "i",
        /// How often it was delivered before.
        reconsume_times: Option<i32> = "j",
        /// Unit mode, Alibaba's own; false elsewhere.
        unit_mode: Option<bool> = "k",
        /// For a retry: how many deliveries before the dead-letter queue.
        max_reconsume_times: Option<i32> = "l",
        /// Whether the body is a batch.
        batch: Option<bool> = "m",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "n",
    }
    /// The message's body, or the batch.
    body: body
}

impl Request for SendMessage {
    const CODE: RequestCode = RequestCode::SEND_MESSAGE_V2;
    type Reply = SendReply;

    fn body(&self) -> Bytes {
        self.raw_body()
    }

    fn parse(ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        Self::read(ext, body)
    }
}

/// Several messages for one queue, in one body (320); the fields are those of [`SendMessage`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendBatch(pub SendMessage);

impl Fields for SendBatch {
    fn fields(&self, sink: &mut dyn FieldSink) {
        self.0.fields(sink);
    }
}

impl Request for SendBatch {
    const CODE: RequestCode = RequestCode::SEND_BATCH_MESSAGE;
    type Reply = SendReply;

    fn body(&self) -> Bytes {
        self.0.raw_body()
    }

    fn parse(ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        SendMessage::read(ext, body).map(Self)
    }
}

/// One message, with the field names of old (10); Go's client sends it still.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendMessageLong(pub SendMessage);

impl Fields for SendMessageLong {
    fn fields(&self, sink: &mut dyn FieldSink) {
        let send = &self.0;
        // apache/rocketmq: SendMessageRequestHeader
        send.producer_group.write("producerGroup", sink);
        send.topic.write("topic", sink);
        send.default_topic.write("defaultTopic", sink);
        send.default_queue_count
            .write("defaultTopicQueueNums", sink);
        send.queue_id.write("queueId", sink);
        send.sys_flag.write("sysFlag", sink);
        send.born_at_ms.write("bornTimestamp", sink);
        send.flag.write("flag", sink);
        send.properties.write("properties", sink);
        send.reconsume_times.write("reconsumeTimes", sink);
        send.unit_mode.write("unitMode", sink);
        send.max_reconsume_times.write("maxReconsumeTimes", sink);
        send.batch.write("batch", sink);
        send.broker_name.write("bname", sink);
    }
}

impl Request for SendMessageLong {
    const CODE: RequestCode = RequestCode::SEND_MESSAGE;
    type Reply = SendReply;

    fn body(&self) -> Bytes {
        self.0.raw_body()
    }

    fn parse(ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        Ok(Self(SendMessage {
            producer_group: Field::read(ext, "producerGroup")?,
            topic: Field::read(ext, "topic")?,
            default_topic: Field::read(ext, "defaultTopic")?,
            default_queue_count: Field::read(ext, "defaultTopicQueueNums")?,
            queue_id: Field::read(ext, "queueId")?,
            sys_flag: Field::read(ext, "sysFlag")?,
            born_at_ms: Field::read(ext, "bornTimestamp")?,
            flag: Field::read(ext, "flag")?,
            properties: Field::read(ext, "properties")?,
            reconsume_times: Field::read(ext, "reconsumeTimes")?,
            unit_mode: Field::read(ext, "unitMode")?,
            max_reconsume_times: Field::read(ext, "maxReconsumeTimes")?,
            batch: Field::read(ext, "batch")?,
            broker_name: Field::read(ext, "bname")?,
            body: body.clone(),
        }))
    }
}

ext_struct! {
    /// Where a message was stored.
    // apache/rocketmq: SendMessageResponseHeader
    struct SendReply {
        /// The id made of the broker's address and the physical offset; of a batch, one for each message, with commas.
        message_id: String = "msgId",
        /// The queue it went to.
        queue_id: i32 = "queueId",
        /// Its offset there; of a batch, the first one's.
        queue_offset: i64 = "queueOffset",
        /// The transaction's id, if it is a half message.
        transaction_id: Option<String> = "transactionId",
        /// The id of an inner batch.
        batch_id: Option<String> = "batchUniqId",
        /// What recalls a scheduled message (5.3.2 and later).
        recall_handle: Option<String> = "recallHandle",
        /// The broker's region, for traces.
        region: Option<String> = "MSG_REGION",
        /// Whether the broker wants traces.
        trace_on: Option<bool> = "TRACE_ON",
    }
}

ext_reply!(SendReply);
