//! What a scheduled message is cancelled by, as a value and as a token.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result, invalid};

/// A message that is scheduled: when it is due, and what [`Scheduler::cancel`](crate::Scheduler::cancel) needs.
///
/// `Display` writes it as one token of letters and digits, which `parse` reads; serde writes and reads the same text. It holds no secret, but
/// whoever has it and may delete queues can cancel the message.
///
/// ```
/// use mq_amqp::ScheduledHandle;
///
/// assert!("junk".parse::<ScheduledHandle>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScheduledHandle(Made);

/// What a handle is made of. Its names in the token are short: it travels in URLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Made {
    /// The queue that it is for.
    #[serde(rename = "t")]
    pub(super) target: String,
    #[serde(rename = "u")]
    pub(super) unique_id: String,
    #[serde(rename = "d")]
    pub(super) due_ms: u64,
    #[serde(rename = "w")]
    pub(super) way: Way,
}

/// What it waits in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Way {
    /// In nothing: its time was past.
    #[serde(rename = "n")]
    AtOnce,
    #[serde(rename = "l")]
    Ladder,
    /// A queue of its own, of this name.
    #[serde(rename = "q")]
    Timer(String),
    /// The exchange of the plugin.
    #[serde(rename = "x")]
    Exchange,
}

impl ScheduledHandle {
    pub(super) const fn new(made: Made) -> Self {
        Self(made)
    }

    pub(super) const fn made(&self) -> &Made {
        &self.0
    }

    /// The time that was asked for, in whole milliseconds, rounded up, by this client's clock.
    pub fn due(&self) -> SystemTime {
        let due = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.0.due_ms));
        due.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Whether it was delivered at once, since its time was past.
    pub const fn is_past(&self) -> bool {
        matches!(self.0.way, Way::AtOnce)
    }

    /// Whether [`Scheduler::cancel`](crate::Scheduler::cancel) can do anything about it.
    pub const fn is_cancellable(&self) -> bool {
        matches!(self.0.way, Way::Timer(_))
    }

    /// The message's id.
    pub fn unique_id(&self) -> &str {
        &self.0.unique_id
    }

    /// The queue that it is for.
    pub fn queue(&self) -> &str {
        &self.0.target
    }
}

impl fmt::Display for ScheduledHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing in it can fail to be written.
        let json = serde_json::to_vec(&self.0).map_err(|_| fmt::Error)?;
        write!(f, "{VERSION}{:08x}", checksum(&json))?;
        json.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ScheduledHandle {
    type Err = Error;

    /// # Errors
    ///
    /// Kind `Invalid`: it is no handle, a part of one, or one of a newer version. Not retryable.
    fn from_str(token: &str) -> Result<Self> {
        let read = |token: &str| {
            let rest = token.trim().strip_prefix(VERSION)?;
            let (sum, rest) = rest.split_at_checked(8)?;
            let json = (rest.len() <= LONGEST).then(|| bytes(rest)).flatten()?;
            // Else a character that got changed would cancel another message, or none and say so of this one.
            if u32::from_str_radix(sum, 16).ok()? != checksum(&json) {
                return None;
            }
            serde_json::from_slice(&json).ok()
        };
        read(token).map(Self).ok_or_else(no_handle)
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    let pairs = digits.chunks_exact(2).map(|pair| {
        let (high, low) = (value(*pair.first()?)?, value(*pair.last()?)?);
        u8::try_from(high << 4 | low).ok()
    });
    pairs.collect()
}

/// FNV-1a of 32 bits.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

fn no_handle() -> Error {
    invalid("read handle", "this is no handle of a scheduled message")
        .into_builder()
        .hint("it is the text of receipt.scheduled(), whole and unchanged")
        .build()
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

const VERSION: &str = "1";
/// Names and ids have at most 255 bytes, which JSON may write as six each.
const LONGEST: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn handle() -> ScheduledHandle {
        ScheduledHandle(Made {
            target: "invoices.due".into(),
            unique_id: "order-1".into(),
            due_ms: 1_800_000_000_001,
            way: Way::Timer("mq.timer.v1.1".into()),
        })
    }

    #[test]
    fn a_token_is_url_safe_and_comes_back() {
        let token = handle().to_string();
        assert!(token.chars().all(|c| c.is_ascii_alphanumeric()), "{token}");
        assert_eq!(token.parse::<ScheduledHandle>().unwrap(), handle());
        let json = serde_json::to_string(&handle()).unwrap();
        assert_eq!(json, format!("\"{token}\""));
        let read: ScheduledHandle = serde_json::from_str(&json).unwrap();
        assert_eq!(read, handle());
        let since = read.due().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_millis(), 1_800_000_000_001);
        assert!(read.is_cancellable() && !read.is_past());
    }

    #[test]
    fn junk_is_a_typed_error() {
        let token = handle().to_string();
        let half = token.get(..token.len() / 2).unwrap().to_owned();
        let long = format!("1{}", "0".repeat(LONGEST + 10));
        for junk in ["", "1", "junk", "2aaaaaaaa", "1ßßßßßßß", &half, &long] {
            let error = junk.parse::<ScheduledHandle>().unwrap_err();
            assert_eq!(error.kind(), mq_core::ErrorKind::Invalid, "{junk}");
            assert!(error.hint().is_some());
        }
    }

    proptest! {
        #[test]
        fn any_changed_character_is_noticed(at in 0..1000_usize, to in "[a-z0-9]") {
            let token = handle().to_string();
            let at = at % token.len();
            let mut changed = token.clone();
            changed.replace_range(at..=at, &to);
            prop_assert!(changed == token || changed.parse::<ScheduledHandle>().is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = text.parse::<ScheduledHandle>();
        }
    }
}
