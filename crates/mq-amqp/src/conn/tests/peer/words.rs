//! What a scripted server says.

use bytes::{BufMut as _, Bytes, BytesMut};
use bytestring::ByteString;

use super::Said;
use crate::proto::*;

/// What a broker answers.
pub(super) fn usual(said: &Said) -> BytesMut {
    let name = |given: &ByteString| match &**given {
        "" => ByteString::from(format!("amq.gen-{}", said.connection)),
        _ => given.clone(),
    };
    let reply: Method = match &said.incoming {
        None if said.name == "header" => start("PLAIN AMQPLAIN"),
        None => return BytesMut::new(),
        // Nothing is confirmed in a transaction.
        Some(Incoming::Content(..)) if said.tag == 0 => return BytesMut::new(),
        Some(Incoming::Content(..)) => BasicAck {
            delivery_tag: said.tag,
            multiple: false,
        }
        .into(),
        Some(Incoming::Method(method)) => match method {
            Method::ConnectionStartOk(_) => tune(2047, 131_072, 0),
            Method::ConnectionOpen(_) => ConnectionOpenOk {
                reserved_1: ByteString::new(),
            }
            .into(),
            Method::ConnectionClose(_) => ConnectionCloseOk {}.into(),
            Method::ConnectionUpdateSecret(_) => ConnectionUpdateSecretOk {}.into(),
            Method::ChannelOpen(_) => ChannelOpenOk {
                reserved_1: LongStr::default(),
            }
            .into(),
            Method::ChannelClose(_) => ChannelCloseOk {}.into(),
            Method::ExchangeDeclare(_) => ExchangeDeclareOk {}.into(),
            Method::ExchangeDelete(_) => ExchangeDeleteOk {}.into(),
            Method::ExchangeBind(_) => ExchangeBindOk {}.into(),
            Method::ExchangeUnbind(_) => ExchangeUnbindOk {}.into(),
            Method::QueueDeclare(declare) => QueueDeclareOk {
                queue: name(&declare.queue),
                message_count: 0,
                consumer_count: 0,
            }
            .into(),
            Method::QueueBind(_) => QueueBindOk {}.into(),
            Method::QueueUnbind(_) => QueueUnbindOk {}.into(),
            Method::QueuePurge(_) => QueuePurgeOk { message_count: 0 }.into(),
            Method::QueueDelete(_) => QueueDeleteOk { message_count: 0 }.into(),
            Method::BasicQos(_) => BasicQosOk {}.into(),
            Method::BasicConsume(_) => BasicConsumeOk {
                consumer_tag: CONSUMER.into(),
            }
            .into(),
            Method::BasicCancel(cancel) => BasicCancelOk {
                consumer_tag: cancel.consumer_tag.clone(),
            }
            .into(),
            Method::BasicRecover(_) => BasicRecoverOk {}.into(),
            Method::ConfirmSelect(_) => ConfirmSelectOk {}.into(),
            Method::TxSelect(_) => TxSelectOk {}.into(),
            Method::TxCommit(_) => TxCommitOk {}.into(),
            Method::TxRollback(_) => TxRollbackOk {}.into(),
            _ => return BytesMut::new(),
        },
    };
    frame(said.channel, reply)
}

pub(crate) fn start(mechanisms: &'static str) -> Method {
    ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: Table::new(),
        mechanisms: LongStr(Bytes::from_static(mechanisms.as_bytes())),
        locales: LongStr(Bytes::from_static(b"en_US")),
    }
    .into()
}

pub(crate) fn tune(channel_max: u16, frame_max: u32, heartbeat: u16) -> Method {
    ConnectionTune {
        channel_max,
        frame_max,
        heartbeat,
    }
    .into()
}

pub(crate) fn frame(channel: u16, method: impl Into<Method>) -> BytesMut {
    let (mut out, method) = (BytesMut::new(), method.into());
    put_frame(&mut out, Kind::Method, channel, |out| method.encode(out));
    out
}

/// A method with its content, announced as `size` bytes.
pub(crate) fn content(
    channel: u16,
    method: impl Into<Method>,
    properties: &Properties,
    size: u64,
    body: &[u8],
) -> BytesMut {
    let mut out = frame(channel, method);
    put_frame(&mut out, Kind::Header, channel, |out| {
        out.put_u16(60);
        out.put_u16(0);
        out.put_u64(size);
        properties.encode(out);
    });
    if !body.is_empty() {
        put_frame(&mut out, Kind::Body, channel, |out| out.put_slice(body));
    }
    out
}

pub(crate) fn deliver(channel: u16, consumer: &'static str, tag: u64, body: &str) -> BytesMut {
    let method = BasicDeliver {
        consumer_tag: consumer.into(),
        delivery_tag: tag,
        redelivered: false,
        exchange: ByteString::new(),
        routing_key: "q".into(),
    };
    content(
        channel,
        method,
        &Properties::default(),
        body.len() as u64,
        body.as_bytes(),
    )
}

pub(crate) fn ack(channel: u16, tag: u64, multiple: bool) -> BytesMut {
    frame(
        channel,
        BasicAck {
            delivery_tag: tag,
            multiple,
        },
    )
}

pub(crate) fn nack(channel: u16, tag: u64, multiple: bool) -> BytesMut {
    let method = BasicNack {
        delivery_tag: tag,
        multiple,
        requeue: false,
    };
    frame(channel, method)
}

pub(crate) fn channel_close(channel: u16, code: u16) -> BytesMut {
    channel_close_for(channel, code, (0, 0))
}

/// Because of a method of the client's.
pub(crate) fn channel_close_for(channel: u16, code: u16, method: (u16, u16)) -> BytesMut {
    let method = ChannelClose {
        reply_code: code,
        reply_text: "a test".into(),
        class_id: method.0,
        method_id: method.1,
    };
    frame(channel, method)
}

pub(crate) fn connection_close(code: u16) -> BytesMut {
    let method = ConnectionClose {
        reply_code: code,
        reply_text: "a test".into(),
        class_id: 0,
        method_id: 0,
    };
    frame(0, method)
}

pub(crate) fn blocked(yes: bool) -> BytesMut {
    if yes {
        frame(
            0,
            ConnectionBlocked {
                reason: "low on memory".into(),
            },
        )
    } else {
        frame(0, ConnectionUnblocked {})
    }
}

/// What the server calls each consumer.
pub(crate) const CONSUMER: &str = "consumer";
