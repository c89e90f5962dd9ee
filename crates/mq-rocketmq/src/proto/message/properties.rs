//! Properties as text: `key \u{1} value \u{2}`, again and again.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
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
    encode_pairs(properties.iter())
}

/// As [`encode`], of keys and values.
pub fn encode_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    encode_with_room(pairs, 0)
}

/// The same, with room for so many bytes that come behind.
pub fn encode_with_room<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    room: usize,
) -> String {
    let len: usize = pairs
        .clone()
        .map(|(key, value)| key.len() + value.len() + 2)
        .sum();
    let mut text = String::with_capacity(len + room);
    for (key, value) in pairs {
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
    for (key, value) in pairs(text) {
        // 4.x brokers append the properties of a batch to those of each message in it (MessageExtBatchEncoder): by the last unique id
        // all messages of a batch would be one, by the first they are what their sender was told.
        let named_already = key == UNIQUE_ID && properties.get(key).is_some();
        // Java drops empty values as well; here they are kept.
        if !named_already {
            properties.set(key, value);
        }
    }
    properties
}

/// Whether `text` can be a key or a value: it holds neither of the two separators.
pub fn is_allowed(text: &str) -> bool {
    !text.contains([KEY_END, VALUE_END])
}

/// The properties of a message as they travel: text, of which a part is read when it is asked for. A view of the buffer it was decoded
/// from. Whatever its form is (ends that are missing, keys given twice), writing it gives the same bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct PropertyText(ByteString);

impl PropertyText {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key, as [`decode`] would have it.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut values = pairs(&self.0).filter(|(name, _)| *name == key);
        let found = if key == UNIQUE_ID {
            values.next()
        } else {
            values.last()
        };
        found.map(|(_, value)| value)
    }

    /// All of them, as a map.
    pub fn to_properties(&self) -> Properties {
        decode(&self.0)
    }

    pub(super) fn read(bytes: Bytes) -> Result<Self, Malformed> {
        ByteString::try_from(bytes)
            .map(Self)
            .map_err(|_| Malformed::new("properties", 0, "not UTF-8"))
    }

    /// Appends length and text.
    pub(super) fn put(&self, buf: &mut BytesMut) {
        buf.put_u16(u16::try_from(self.0.len()).unwrap_or(u16::MAX));
        buf.put_slice(self.0.as_bytes());
    }
}

impl From<&Properties> for PropertyText {
    fn from(properties: &Properties) -> Self {
        Self(encode(properties).into())
    }
}

/// Text that was made by [`encode`], or is of that form.
impl From<String> for PropertyText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for PropertyText {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        Self::from(&Properties::from_iter(iter))
    }
}

impl std::fmt::Debug for PropertyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(pairs(&self.0)).finish()
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(VALUE_END)
        .filter_map(|pair| pair.split_once(KEY_END))
        .filter(|(key, _)| !key.is_empty())
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
