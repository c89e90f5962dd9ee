//! A message as the bytes that a channel writes, but for what depends on the connection.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::Message;
use crate::error::{Result, invalid};
use crate::proto::{BasicPublish, Method, Properties, Table};

/// The payloads of the method frame and of the content header's.
#[derive(Debug)]
pub(crate) struct Head {
    bytes: Bytes,
    split: usize,
    mandatory: bool,
}

impl Head {
    pub(crate) fn method(&self) -> &[u8] {
        self.bytes.get(..self.split).unwrap_or_default()
    }

    pub(crate) fn header(&self) -> &[u8] {
        self.bytes.get(self.split..).unwrap_or_default()
    }

    /// The header's flags and properties.
    pub(crate) fn properties(&self) -> &[u8] {
        self.header().get(BEFORE_PROPERTIES..).unwrap_or_default()
    }

    /// Where it is published to.
    pub(crate) fn exchange(&self) -> &[u8] {
        let rest = self.bytes.get(BEFORE_EXCHANGE..).unwrap_or_default();
        let (length, rest) = rest.split_first().unwrap_or((&0, &[]));
        rest.get(..usize::from(*length)).unwrap_or_default()
    }

    pub(crate) const fn mandatory(&self) -> bool {
        self.mandatory
    }
}

/// Checks what the wire can't carry, and encodes.
pub(crate) fn head(message: &Message, exchange: &str, mandatory: bool) -> Result<Head> {
    check(message)?;
    let mut out = BytesMut::with_capacity(160);
    let publish = BasicPublish {
        reserved_1: 0,
        exchange: exchange.into(),
        routing_key: message.routing_key().into(),
        mandatory,
        immediate: false,
    };
    Method::from(publish).encode(&mut out);
    let split = out.len();
    out.put_u16(BASIC);
    out.put_u16(0);
    out.put_u64(message.body().len() as u64);
    message.properties().encode(&mut out);
    Ok(Head {
        bytes: out.freeze(),
        split,
        mandatory,
    })
}

const BASIC: u16 = 60;
/// Class, method and a reserved field.
const BEFORE_EXCHANGE: usize = 2 + 2 + 2;
/// Class, weight and the body's size.
const BEFORE_PROPERTIES: usize = 2 + 2 + 8;

fn check(message: &Message) -> Result<()> {
    short("routing key", message.routing_key())?;
    let Properties {
        content_type,
        content_encoding,
        headers,
        correlation_id,
        reply_to,
        expiration,
        message_id,
        kind,
        user_id,
        app_id,
        cluster_id,
        ..
    } = message.properties();
    let texts = [
        ("content type", content_type),
        ("content encoding", content_encoding),
        ("correlation id", correlation_id),
        ("reply-to", reply_to),
        ("expiration", expiration),
        ("message id", message_id),
        ("type", kind),
        ("user id", user_id),
        ("app id", app_id),
        ("cluster id", cluster_id),
    ];
    for (name, text) in texts {
        short(name, text.as_deref().unwrap_or_default())?;
    }
    let long = headers.as_ref().and_then(Table::too_long_name);
    short("header's name", long.unwrap_or_default())
}

/// What the wire writes with one byte of length.
fn short(what: &str, text: &str) -> Result<()> {
    if text.len() > 255 {
        let message = format!("the {what} has {} bytes, where 255 may be", text.len());
        return Err(invalid("send", message));
    }
    Ok(())
}
