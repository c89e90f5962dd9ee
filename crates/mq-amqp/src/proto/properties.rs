//! What travels with a message's body.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::Malformed;
use super::reader::Reader;
use super::value::Table;
use super::writer::Writer;

/// A message's properties, as the protocol has them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties {
    /// Which kind of content the body is.
    pub content_type: Option<ByteString>,
    /// How the body is encoded.
    pub content_encoding: Option<ByteString>,
    /// Whatever an application or the server says besides.
    pub headers: Option<Table>,
    /// 1: may be lost with the server; 2: is stored.
    pub delivery_mode: Option<u8>,
    /// 0 to 9, or to 255 where a queue has more.
    pub priority: Option<u8>,
    /// Which request it answers.
    pub correlation_id: Option<ByteString>,
    /// Where answers go.
    pub reply_to: Option<ByteString>,
    /// After how many milliseconds it expires, as a text.
    pub expiration: Option<ByteString>,
    /// The message's id.
    pub message_id: Option<ByteString>,
    /// When it was made, in seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// What kind of message it is.
    pub kind: Option<ByteString>,
    /// Who sends it; the server checks it.
    pub user_id: Option<ByteString>,
    /// Which application sends it.
    pub app_id: Option<ByteString>,
    /// Reserved.
    pub cluster_id: Option<ByteString>,
}

const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;
const TIMESTAMP: u16 = 1 << 6;
const KIND: u16 = 1 << 5;
const USER_ID: u16 = 1 << 4;
const APP_ID: u16 = 1 << 3;
const CLUSTER_ID: u16 = 1 << 2;
const CONTINUED: u16 = 1;

impl Properties {
    /// Reads flags and properties, which are the rest of a content header.
    ///
    /// # Errors
    /// [`Malformed`] for a property that does not fit, and for flags that no property has.
    pub fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u16("property flags")?;
        if flags & CONTINUED != 0 {
            return Err(Malformed::new(
                "property flags",
                "there are more than are known",
            ));
        }
        let mut read = Fields { reader, flags };
        Ok(Self {
            content_type: read.text(CONTENT_TYPE, "content-type")?,
            content_encoding: read.text(CONTENT_ENCODING, "content-encoding")?,
            headers: read.one(HEADERS, Table::decode)?,
            delivery_mode: read.one(DELIVERY_MODE, |reader| reader.u8("delivery-mode"))?,
            priority: read.one(PRIORITY, |reader| reader.u8("priority"))?,
            correlation_id: read.text(CORRELATION_ID, "correlation-id")?,
            reply_to: read.text(REPLY_TO, "reply-to")?,
            expiration: read.text(EXPIRATION, "expiration")?,
            message_id: read.text(MESSAGE_ID, "message-id")?,
            timestamp: read.one(TIMESTAMP, |reader| reader.u64("timestamp"))?,
            kind: read.text(KIND, "type")?,
            user_id: read.text(USER_ID, "user-id")?,
            app_id: read.text(APP_ID, "app-id")?,
            cluster_id: read.text(CLUSTER_ID, "cluster-id")?,
        })
    }

    /// Appends flags and properties.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        writer.u16(self.flags());
        let texts = |writer: &mut Writer<'_>, texts: &[&Option<ByteString>]| {
            for text in texts.iter().copied().flatten() {
                writer.short_string(text);
            }
        };
        texts(&mut writer, &[&self.content_type, &self.content_encoding]);
        if let Some(headers) = &self.headers {
            headers.encode(&mut writer);
        }
        for octet in [self.delivery_mode, self.priority].into_iter().flatten() {
            writer.u8(octet);
        }
        texts(
            &mut writer,
            &[
                &self.correlation_id,
                &self.reply_to,
                &self.expiration,
                &self.message_id,
            ],
        );
        if let Some(timestamp) = self.timestamp {
            writer.u64(timestamp);
        }
        texts(
            &mut writer,
            &[&self.kind, &self.user_id, &self.app_id, &self.cluster_id],
        );
    }

    fn flags(&self) -> u16 {
        let texts = [
            (&self.content_type, CONTENT_TYPE),
            (&self.content_encoding, CONTENT_ENCODING),
            (&self.correlation_id, CORRELATION_ID),
            (&self.reply_to, REPLY_TO),
            (&self.expiration, EXPIRATION),
            (&self.message_id, MESSAGE_ID),
            (&self.kind, KIND),
            (&self.user_id, USER_ID),
            (&self.app_id, APP_ID),
            (&self.cluster_id, CLUSTER_ID),
        ];
        let there = texts.iter().filter(|(text, _)| text.is_some());
        let others = [
            (self.headers.is_some(), HEADERS),
            (self.delivery_mode.is_some(), DELIVERY_MODE),
            (self.priority.is_some(), PRIORITY),
            (self.timestamp.is_some(), TIMESTAMP),
        ];
        let others = others.iter().filter(|(there, _)| *there);
        let flags = there
            .map(|(_, flag)| flag)
            .chain(others.map(|(_, flag)| flag));
        flags.fold(0, |all, flag| all | flag)
    }
}

/// Reads the properties whose flags are set.
struct Fields {
    reader: Reader,
    flags: u16,
}

impl Fields {
    fn one<T>(
        &mut self,
        flag: u16,
        read: impl FnOnce(&mut Reader) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        (self.flags & flag != 0)
            .then(|| read(&mut self.reader))
            .transpose()
    }

    fn text(&mut self, flag: u16, name: &'static str) -> Result<Option<ByteString>, Malformed> {
        self.one(flag, |reader| reader.short_string(name))
    }
}
