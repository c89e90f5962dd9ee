//! What a scheduled message is cancelled by, as a value and as a token.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mq_core::Endpoint;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Plan;
use crate::conn::QueueId;
use crate::error::{Error, Result, invalid};

/// A message that is scheduled: when it is due, and what [`Producer::cancel`](crate::Producer::cancel) needs.
///
/// `Display` writes it as one token of letters, digits, `-` and `_`, which `parse` reads; serde writes and reads the same text. It holds
/// no secret, but whoever has it and may write to the topic can cancel the message.
///
/// ```
/// use mq_rocketmq::ScheduledHandle;
///
/// assert!("junk".parse::<ScheduledHandle>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScheduledHandle(Made);

/// What a handle is made of. Its names in the token are short: it travels in URLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Made {
    /// With the namespace.
    #[serde(rename = "t", with = "text")]
    pub(crate) topic: Arc<str>,
    #[serde(rename = "b", with = "text")]
    pub(crate) broker: Arc<str>,
    /// Where that broker was.
    #[serde(rename = "a", with = "address")]
    pub(crate) endpoint: Endpoint,
    #[serde(rename = "q")]
    pub(crate) queue: i32,
    #[serde(rename = "u")]
    pub(crate) unique_id: String,
    /// Where the broker has stored it: the id that the broker gave.
    #[serde(rename = "m")]
    pub(crate) message_id: String,
    #[serde(rename = "w")]
    pub(crate) way: Way,
    #[serde(rename = "d", skip_serializing_if = "Option::is_none", default)]
    pub(crate) due_ms: Option<i64>,
    #[serde(rename = "l", skip_serializing_if = "Option::is_none", default)]
    pub(crate) level: Option<u8>,
    #[serde(rename = "r", skip_serializing_if = "Option::is_none", default)]
    pub(crate) recall: Option<String>,
    /// Whether the broker counted the time from its own clock, so that `due_ms` names no slot of its wheel.
    #[serde(rename = "c", skip_serializing_if = "is_false", default)]
    pub(crate) relative: bool,
    #[serde(rename = "p", skip_serializing_if = "is_false", default)]
    pub(crate) at_once: bool,
    /// Whether an earlier attempt may have stored the message a second time, which nothing here cancels.
    #[serde(rename = "x", skip_serializing_if = "is_false", default)]
    pub(crate) doubtful: bool,
}

/// How the time travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Way {
    #[serde(rename = "l")]
    Level,
    #[serde(rename = "t")]
    Timer,
    #[serde(rename = "s")]
    Start,
}

impl ScheduledHandle {
    pub(crate) const fn new(made: Made) -> Self {
        Self(made)
    }

    pub(crate) const fn made(&self) -> &Made {
        &self.0
    }

    /// The time that was sent, in whole milliseconds; `None` for a level, whose length is the broker's setting.
    ///
    /// For [`deliver_after`](crate::Message::deliver_after) it is that time by this client's clock; brokers of 5.x count from their own.
    pub fn due(&self) -> Option<SystemTime> {
        let ms = u64::try_from(self.0.due_ms?).unwrap_or_default();
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))
    }

    /// The level that was sent, if it was one.
    pub const fn level(&self) -> Option<u8> {
        self.0.level
    }

    /// Whether the message was delivered at once, since its time was past.
    ///
    /// Brokers from 5.3.2 on have said so themselves; for others it is what this client's clock said.
    pub const fn is_past(&self) -> bool {
        self.0.at_once
    }

    /// The message's unique id.
    pub fn unique_id(&self) -> &str {
        &self.0.unique_id
    }

    /// The topic's full name, with the namespace.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The broker that has the message.
    pub fn broker(&self) -> &str {
        &self.0.broker
    }
}

impl Made {
    /// A handle to a message that was sent by this plan and is stored there.
    pub(crate) fn new(plan: &Plan, queue: &QueueId, endpoint: Endpoint) -> Self {
        Self {
            topic: Arc::clone(&queue.topic),
            broker: Arc::clone(&queue.broker),
            endpoint,
            queue: queue.id,
            unique_id: String::new(),
            message_id: String::new(),
            way: plan.way,
            due_ms: plan.due_ms,
            level: plan.level_number(),
            recall: None,
            relative: plan.is_relative(),
            at_once: false,
            doubtful: false,
        }
    }
}

impl fmt::Display for ScheduledHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing in it can fail to be written.
        let json = serde_json::to_vec(&self.0).map_err(|_| fmt::Error)?;
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&checksum(&json).to_be_bytes());
        bytes.extend_from_slice(&json);
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for ScheduledHandle {
    type Err = Error;

    /// # Errors
    ///
    /// Kind `Invalid`: it is no handle, a part of one, or one of a newer version. Not retryable.
    fn from_str(token: &str) -> Result<Self> {
        let token = token.trim();
        if token.len() > LONGEST {
            return Err(no_handle());
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| no_handle())?;
        let (&version, rest) = bytes.split_first().ok_or_else(no_handle)?;
        let (sum, json) = rest.split_first_chunk().ok_or_else(no_handle)?;
        // Else a character that got changed would cancel another message, or none and say so of this one.
        if version != VERSION || u32::from_be_bytes(*sum) != checksum(json) {
            return Err(no_handle());
        }
        let made = serde_json::from_slice(json).map_err(|_| no_handle())?;
        Ok(Self(made))
    }
}

impl Serialize for ScheduledHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScheduledHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let token = String::deserialize(deserializer)?;
        token.parse().map_err(serde::de::Error::custom)
    }
}

/// Shared text, without serde's feature for it.
mod text {
    use super::{Arc, Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        text: &Arc<str>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}

mod address {
    use super::{Deserialize as _, Deserializer, Endpoint, Serializer};

    pub(super) fn serialize<S: Serializer>(
        endpoint: &Endpoint,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(endpoint)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Endpoint, D::Error> {
        let text = String::deserialize(deserializer)?;
        Endpoint::parse(&text, None).map_err(serde::de::Error::custom)
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn no_handle() -> Error {
    invalid("read handle", "this is no handle of a scheduled message")
        .into_builder()
        .hint("it is the text of receipt.scheduled(), or \"handle\" of mq send --json, whole and unchanged")
        .build()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(value: &bool) -> bool {
    !*value
}

const VERSION: u8 = 1;
/// Topics and groups have at most 255 characters, a broker's own handle is made of the same things.
const LONGEST: usize = 8192;

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn handle() -> ScheduledHandle {
        ScheduledHandle(Made {
            topic: "ns%orders".into(),
            broker: "broker-a".into(),
            endpoint: Endpoint::new("127.0.0.1", 10911),
            queue: 3,
            unique_id: "7F0000010000000000000000000A0001".into(),
            message_id: "7F00000100002A9F0000000000000001".into(),
            way: Way::Timer,
            due_ms: Some(1_800_000_000_001),
            level: None,
            recall: Some("djEgdA==".into()),
            relative: false,
            at_once: false,
            doubtful: true,
        })
    }

    #[test]
    fn a_token_is_url_safe_and_comes_back() {
        let token = handle().to_string();
        let safe = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        assert!(token.chars().all(safe), "{token}");
        assert_eq!(token.parse::<ScheduledHandle>().unwrap(), handle());
        let json = serde_json::to_string(&handle()).unwrap();
        assert_eq!(json, format!("\"{token}\""));
        assert_eq!(
            serde_json::from_str::<ScheduledHandle>(&json).unwrap(),
            handle()
        );
        let due = handle().due().unwrap();
        assert_eq!(super::super::to_ms(due), Some(1_800_000_000_001));
    }

    #[test]
    fn junk_is_a_typed_error() {
        let token = handle().to_string();
        let half = token.get(..token.len() / 2).unwrap().to_owned();
        for junk in ["", "junk", "AAAA", "{}", &half, &"A".repeat(LONGEST + 1)] {
            let error = junk.parse::<ScheduledHandle>().unwrap_err();
            assert_eq!(error.kind(), mq_core::ErrorKind::Invalid, "{junk}");
            assert!(error.hint().is_some());
        }
    }

    proptest! {
        #[test]
        fn any_changed_character_is_noticed(at in 0..1000_usize, to in "[A-Za-z0-9_-]") {
            let token = handle().to_string();
            let at = at % token.len();
            let mut changed = token.clone();
            changed.replace_range(at..=at, &to);
            let read = changed.parse::<ScheduledHandle>();
            // The last character has bits that mean nothing.
            prop_assert!(changed == token || read.is_err() || read.is_ok_and(|same| same == handle()));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = text.parse::<ScheduledHandle>();
        }
    }
}
