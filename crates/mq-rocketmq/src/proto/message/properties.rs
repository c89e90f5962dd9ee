//! Properties as text: `key \u{1} value \u{2}`, again and again.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use mq_core::Properties;

use crate::proto::Malformed;

/// Stands between a key and its value.
pub const KEY_END: char = '\u{1}';
/// Stands after a value.
pub const VALUE_END: char = '\u{2}';
/// The key of the id that a producer gives (apache/rocketmq: `MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX`).
const UNIQUE_ID: &str = "UNIQ_KEY";

/// The text of properties.
pub fn encode(properties: &Properties) -> String {
    let len = properties
        .iter()
        .map(|(key, value)| key.len() + value.len() + 2)
        .sum();
    let mut text = String::with_capacity(len);
    for (key, value) in properties.iter() {
        text.push_str(key);
        text.push(KEY_END);
        text.push_str(value);
        text.push(VALUE_END);
    }
    text
}

/// The properties of a text. The last end may be missing; pieces without a key are left out, as Java does. Of several values for a key
/// the last counts, of several unique ids the first.
pub fn decode(text: &str) -> Properties {
    let mut properties = Properties::new();
    let pairs = text
        .split(VALUE_END)
        .filter_map(|pair| pair.split_once(KEY_END));
    for (key, value) in pairs {
        // 4.x brokers append the properties of a batch to those of each message in it (MessageExtBatchEncoder): by the last unique id
        // all messages of a batch would be one, by the first they are what their sender was told.
        let named_already = key == UNIQUE_ID && properties.get(key).is_some();
        // Java drops empty values as well; here they are kept.
        if !key.is_empty() && !named_already {
            properties.set(key, value);
        }
    }
    properties
}

/// Whether `text` can be a key or a value: it holds neither of the two separators.
pub fn is_allowed(text: &str) -> bool {
    !text.contains([KEY_END, VALUE_END])
}

/// The properties of a message, and their bytes if encoding them does not give the same.
pub(super) fn read(bytes: &Bytes) -> Result<(Properties, Option<Bytes>), Malformed> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| Malformed::new("properties", 0, "not UTF-8"))?;
    let properties = decode(text);
    let verbatim = (encode(&properties) != text).then(|| bytes.clone());
    Ok((properties, verbatim))
}

/// Appends length and text.
pub(super) fn put(buf: &mut BytesMut, properties: &Properties, verbatim: Option<&Bytes>) {
    let text: Cow<'_, [u8]> = match verbatim.filter(|bytes| means(bytes, properties)) {
        Some(bytes) => Cow::Borrowed(bytes),
        None => Cow::Owned(encode(properties).into_bytes()),
    };
    buf.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    buf.put_slice(&text);
}

fn means(bytes: &[u8], properties: &Properties) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| decode(text) == *properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 4.9.7 stores a message of a batch: its own properties, then the batch's.
    #[test]
    fn the_first_unique_id_counts_and_otherwise_the_last_value() {
        let text = "UNIQ_KEY\u{1}own\u{2}a\u{1}1\u{2}UNIQ_KEY\u{1}batch\u{2}a\u{1}2\u{2}";
        let properties = decode(text);
        assert_eq!(properties.get("UNIQ_KEY"), Some("own"));
        assert_eq!(properties.get("a"), Some("2"));
    }
}
