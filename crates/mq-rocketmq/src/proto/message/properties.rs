//! Properties as text: `key \u{1} value \u{2}`, again and again.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use mq_core::Properties;

use crate::proto::Malformed;

/// Stands between a key and its value.
pub const KEY_END: char = '\u{1}';
/// Stands after a value.
pub const VALUE_END: char = '\u{2}';

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

/// The properties of a text. The last end may be missing; pieces without a key are left out, as Java does.
pub fn decode(text: &str) -> Properties {
    // Java drops empty values as well; here they are kept.
    text.split(VALUE_END)
        .filter_map(|pair| pair.split_once(KEY_END))
        .filter(|(key, _)| !key.is_empty())
        .collect()
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
