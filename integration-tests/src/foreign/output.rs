//! The JSON lines that the foreign programs print.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, de::Error};

/// A message that a foreign client sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sent {
    /// The unique id; empty in a batch of the Go client, which gives none.
    pub id: String,
    /// The id made of store address and commit log offset.
    pub offset_id: String,
    /// The broker that has it.
    pub broker: String,
    /// The queue.
    pub queue: u32,
    /// The offset in the queue.
    pub offset: u64,
    /// `SEND_OK`, or what the broker said of its disk and replica.
    pub status: String,
    /// When it is to be delivered, in ms since 1970, if it is scheduled.
    #[serde(default)]
    pub due_ms: Option<i64>,
}

/// A message as a foreign client's listener got it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Received {
    /// The unique id, or the offset id if the sender gave none.
    pub id: String,
    /// The keys.
    pub key: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The broker it came from.
    pub broker: String,
    /// The queue.
    pub queue: u32,
    /// The offset in the queue.
    pub offset: u64,
    /// How often it was given back before.
    pub reconsume: u32,
    /// Whether the listener took it, or answered "reconsume later".
    pub acked: bool,
    /// When this copy was stored, by the broker's clock, in ms since 1970.
    #[serde(default)]
    pub stored_ms: i64,
    /// When the listener got it, by this machine's clock, in ms since 1970.
    #[serde(default)]
    pub at_ms: i64,
    /// All properties, system ones included.
    pub properties: BTreeMap<String, String>,
    /// The body, decompressed.
    #[serde(rename = "body_base64", deserialize_with = "base64_body")]
    pub body: Vec<u8>,
}

impl Received {
    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a foreign client that sends in transactions has done.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Transacted {
    /// `sent`, or `checked` for a half message that a broker asked about.
    pub what: String,
    /// The transaction's id.
    pub id: String,
    /// The body.
    #[serde(rename = "body_base64", deserialize_with = "base64_body")]
    pub body: Vec<u8>,
}

impl Transacted {
    /// What, and the body as text.
    pub fn text(&self) -> (&str, String) {
        (&self.what, String::from_utf8_lossy(&self.body).into_owned())
    }
}

/// The last line of a client that failed.
#[derive(Debug, Deserialize)]
pub(super) struct Reported {
    pub(super) error: String,
    pub(super) code: i32,
}

fn base64_body<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    BASE64_STANDARD
        .decode(String::deserialize(from)?)
        .map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_clients() {
        let sent =
            r#"{"id":"A1","offset_id":"7F","broker":"b","queue":2,"offset":7,"status":"SEND_OK"}"#;
        let sent: Sent = serde_json::from_str(sent).unwrap();
        assert_eq!((sent.id.as_str(), sent.queue, sent.offset), ("A1", 2, 7));

        let received = r#"{"id":"A1","key":null,"tag":"T","broker":"b","queue":0,"offset":0,"reconsume":1,
            "acked":false,"properties":{"from":"München"},"body_base64":"aGk="}"#;
        let received: Received = serde_json::from_str(received).unwrap();
        assert_eq!(
            (received.text().as_str(), received.key, received.acked),
            ("hi", None, false)
        );
        assert_eq!(received.properties.get("from").unwrap(), "München");
    }
}
