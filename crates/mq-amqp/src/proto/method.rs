//! The methods of the protocol, each with its fields in the order of the wire.
// amqp-rpc-reference and amqp0-9-1.extended.xml of rabbitmq.com: the classes that a client of RabbitMQ needs, RabbitMQ's extensions included

#[macro_use]
mod define;
mod field;

pub use self::field::{Hidden, LongStr};
use super::value::Table;

impl Method {
    /// Whether this is what answers a method with such an id.
    // AMQP 0-9-1, 4.3: an answer has the number behind its method's; but for two
    pub const fn answers(&self, asked: (u16, u16)) -> bool {
        match (asked, self.id()) {
            ((40, 40), told) => told.0 == 40 && told.1 == 51,
            ((60, 70), told) => told.0 == 60 && (told.1 == 71 || told.1 == 72),
            ((class, method), told) => told.0 == class && told.1 == method + 1,
        }
    }
}

methods! {
    connection = 10 {
        /// The server begins.
        ConnectionStart = 10 {
            version_major: u8, version_minor: u8, server_properties: Table, mechanisms: LongStr, locales: LongStr,
        }
        /// The client says who it is.
        ConnectionStartOk = 11 { client_properties: Table, mechanism: ByteString, response: Hidden, locale: ByteString }
        /// The server wants to hear more of who it is.
        ConnectionSecure = 20 { challenge: Hidden }
        /// The client says more of who it is.
        ConnectionSecureOk = 21 { response: Hidden }
        /// The server proposes limits; 0 is no limit.
        ConnectionTune = 30 { channel_max: u16, frame_max: u32, heartbeat: u16 }
        /// The client settles limits.
        ConnectionTuneOk = 31 { channel_max: u16, frame_max: u32, heartbeat: u16 }
        /// The client chooses a virtual host.
        ConnectionOpen = 40 { virtual_host: ByteString, reserved_1: ByteString, reserved_2: bool }
        /// It is open.
        ConnectionOpenOk = 41 { reserved_1: ByteString }
        /// One side ends the connection.
        ConnectionClose = 50 { reply_code: u16, reply_text: ByteString, class_id: u16, method_id: u16 }
        /// The other side has heard.
        ConnectionCloseOk = 51 {}
        /// The server reads nothing more from who publishes.
        ConnectionBlocked = 60 { reason: ByteString }
        /// The server reads on.
        ConnectionUnblocked = 61 {}
        /// The client has a new password or token.
        ConnectionUpdateSecret = 70 { new_secret: Hidden, reason: ByteString }
        /// The server has taken it.
        ConnectionUpdateSecretOk = 71 {}
    }
    channel = 20 {
        /// Opens a channel.
        ChannelOpen = 10 { reserved_1: ByteString }
        /// It is open.
        ChannelOpenOk = 11 { reserved_1: LongStr }
        /// Asks for a pause of contents, or for its end.
        ChannelFlow = 20 { active: bool }
        /// It is so.
        ChannelFlowOk = 21 { active: bool }
        /// One side ends the channel.
        ChannelClose = 40 { reply_code: u16, reply_text: ByteString, class_id: u16, method_id: u16 }
        /// The other side has heard.
        ChannelCloseOk = 41 {}
    }
    exchange = 40 {
        /// Makes an exchange, or looks whether it is there.
        ExchangeDeclare = 10 {
            reserved_1: u16, exchange: ByteString, kind: ByteString, passive: bool, durable: bool, auto_delete: bool, internal: bool, nowait: bool,
            arguments: Table,
        }
        /// It is there.
        ExchangeDeclareOk = 11 {}
        /// Deletes an exchange.
        ExchangeDelete = 20 { reserved_1: u16, exchange: ByteString, if_unused: bool, nowait: bool }
        /// It is gone.
        ExchangeDeleteOk = 21 {}
        /// Binds an exchange to another.
        ExchangeBind = 30 {
            reserved_1: u16, destination: ByteString, source: ByteString, routing_key: ByteString, nowait: bool, arguments: Table,
        }
        /// It is bound.
        ExchangeBindOk = 31 {}
        /// Takes a binding between exchanges away.
        ExchangeUnbind = 40 {
            reserved_1: u16, destination: ByteString, source: ByteString, routing_key: ByteString, nowait: bool, arguments: Table,
        }
        /// It is gone.
        ExchangeUnbindOk = 51 {}
    }
    queue = 50 {
        /// Makes a queue, or looks whether it is there.
        QueueDeclare = 10 {
            reserved_1: u16, queue: ByteString, passive: bool, durable: bool, exclusive: bool, auto_delete: bool, nowait: bool, arguments: Table,
        }
        /// It is there.
        QueueDeclareOk = 11 { queue: ByteString, message_count: u32, consumer_count: u32 }
        /// Binds a queue to an exchange.
        QueueBind = 20 { reserved_1: u16, queue: ByteString, exchange: ByteString, routing_key: ByteString, nowait: bool, arguments: Table }
        /// It is bound.
        QueueBindOk = 21 {}
        /// Empties a queue.
        QueuePurge = 30 { reserved_1: u16, queue: ByteString, nowait: bool }
        /// It is empty.
        QueuePurgeOk = 31 { message_count: u32 }
        /// Deletes a queue.
        QueueDelete = 40 { reserved_1: u16, queue: ByteString, if_unused: bool, if_empty: bool, nowait: bool }
        /// It is gone.
        QueueDeleteOk = 41 { message_count: u32 }
        /// Takes a binding of a queue away.
        QueueUnbind = 50 { reserved_1: u16, queue: ByteString, exchange: ByteString, routing_key: ByteString, arguments: Table }
        /// It is gone.
        QueueUnbindOk = 51 {}
    }
    basic = 60 {
        /// Limits how many messages may be unsettled.
        BasicQos = 10 { prefetch_size: u32, prefetch_count: u16, global: bool }
        /// It is so.
        BasicQosOk = 11 {}
        /// Begins to receive.
        BasicConsume = 20 {
            reserved_1: u16, queue: ByteString, consumer_tag: ByteString, no_local: bool, no_ack: bool, exclusive: bool, nowait: bool,
            arguments: Table,
        }
        /// It begins.
        BasicConsumeOk = 21 { consumer_tag: ByteString }
        /// Ends a consumer; from the server: it has ended.
        BasicCancel = 30 { consumer_tag: ByteString, nowait: bool }
        /// It has ended.
        BasicCancelOk = 31 { consumer_tag: ByteString }
        /// A message follows.
        BasicPublish = 40 { reserved_1: u16, exchange: ByteString, routing_key: ByteString, mandatory: bool, immediate: bool }
        /// A message comes back that no queue took.
        BasicReturn = 50 { reply_code: u16, reply_text: ByteString, exchange: ByteString, routing_key: ByteString }
        /// A message for a consumer.
        BasicDeliver = 60 {
            consumer_tag: ByteString, delivery_tag: u64, redelivered: bool, exchange: ByteString, routing_key: ByteString,
        }
        /// Asks for one message.
        BasicGet = 70 { reserved_1: u16, queue: ByteString, no_ack: bool }
        /// Here it is.
        BasicGetOk = 71 {
            delivery_tag: u64, redelivered: bool, exchange: ByteString, routing_key: ByteString, message_count: u32,
        }
        /// There is none.
        BasicGetEmpty = 72 { reserved_1: ByteString }
        /// From a client: done with a message. From the server: a published one is confirmed.
        BasicAck = 80 { delivery_tag: u64, multiple: bool }
        /// Refuses a message.
        BasicReject = 90 { delivery_tag: u64, requeue: bool }
        /// Gives all unsettled messages back.
        BasicRecover = 110 { requeue: bool }
        /// It is done.
        BasicRecoverOk = 111 {}
        /// Refuses messages; from the server: a published one is not confirmed.
        BasicNack = 120 { delivery_tag: u64, multiple: bool, requeue: bool }
    }
    confirm = 85 {
        /// From now on what is published on the channel is confirmed.
        ConfirmSelect = 10 { nowait: bool }
        /// It is so.
        ConfirmSelectOk = 11 {}
    }
    tx = 90 {
        /// From now on the channel is transactional.
        TxSelect = 10 {}
        /// It is so.
        TxSelectOk = 11 {}
        /// Ends a transaction.
        TxCommit = 20 {}
        /// It is done.
        TxCommitOk = 21 {}
        /// Throws a transaction away.
        TxRollback = 30 {}
        /// It is done.
        TxRollbackOk = 31 {}
    }
}
