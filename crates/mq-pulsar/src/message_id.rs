//! Where a message is stored.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use prost::Message as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result, invalid};
use crate::proto::api::MessageIdData;

/// Where a message is stored: its entry, and inside of a batch its index. Ids of one partition are ordered as its messages are.
///
/// ```
/// use mq_pulsar::MessageId;
///
/// let id: MessageId = "12:5:0:3".parse()?;
/// assert_eq!((id.ledger(), id.entry(), id.partition(), id.batch_index()), (12, 5, Some(0), Some(3)));
/// assert_eq!(MessageId::from_bytes(&id.to_bytes())?, id);
/// # Ok::<_, mq_pulsar::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId {
    ledger: u64,
    entry: u64,
    partition: i32,
    batch_index: i32,
}

impl MessageId {
    /// Before the first message of every topic.
    // apache/pulsar: MessageId.earliest, which is -1:-1
    pub const EARLIEST: Self = Self::at(u64::MAX, u64::MAX, -1, -1);

    /// Behind the last message of every topic.
    // apache/pulsar: MessageId.latest
    pub const LATEST: Self = Self::at(i64::MAX as u64, i64::MAX as u64, -1, -1);

    pub(crate) const fn at(ledger: u64, entry: u64, partition: i32, batch_index: i32) -> Self {
        Self {
            ledger,
            entry,
            partition,
            batch_index,
        }
    }

    /// As Java compares them: −1 is before everything.
    const fn order(&self) -> (i64, i64, i32, i32) {
        let (ledger, entry) = (self.ledger.cast_signed(), self.entry.cast_signed());
        (ledger, entry, self.partition, self.batch_index)
    }

    /// The ledger.
    pub const fn ledger(&self) -> u64 {
        self.ledger
    }

    /// The entry inside the ledger.
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// The partition, of a topic that has some.
    pub fn partition(&self) -> Option<u32> {
        u32::try_from(self.partition).ok()
    }

    /// The index inside the batch, if the entry is one.
    pub fn batch_index(&self) -> Option<u32> {
        u32::try_from(self.batch_index).ok()
    }

    /// As Pulsar's clients store ids (`MessageIdData`).
    pub fn to_bytes(&self) -> Vec<u8> {
        let known = |number: i32| (number >= 0).then_some(number);
        let data = MessageIdData {
            ledger_id: self.ledger,
            entry_id: self.entry,
            partition: known(self.partition),
            batch_index: known(self.batch_index),
            ..MessageIdData::default()
        };
        data.encode_to_vec()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) or another client wrote.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let data = MessageIdData::decode(bytes).map_err(|cause| {
            let error = invalid("message id", "these bytes are no message id").into_builder();
            error.source(cause).build()
        })?;
        Ok(Self::at(
            data.ledger_id,
            data.entry_id,
            data.partition().max(-1),
            data.batch_index().max(-1),
        ))
    }
}

impl Ord for MessageId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for MessageId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `ledger:entry:partition`, with `:index` for a message of a batch; −1 for no partition. As Java shows it.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ledger, entry) = (self.ledger.cast_signed(), self.entry.cast_signed());
        write!(f, "{ledger}:{entry}:{}", self.partition)?;
        match self.batch_index() {
            Some(index) => write!(f, ":{index}"),
            None => Ok(()),
        }
    }
}

impl FromStr for MessageId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            invalid(
                "message id",
                "a message id is ledger:entry:partition[:index]",
            )
        };
        let parts: Vec<_> = text.split(':').collect();
        let (ledger, entry, partition, index) = match *parts.as_slice() {
            [ledger, entry, partition] => (ledger, entry, partition, "-1"),
            [ledger, entry, partition, index] => (ledger, entry, partition, index),
            _ => return Err(wrong()),
        };
        let long = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= -1);
        let short = |text: &str| text.parse::<i32>().ok().filter(|number| *number >= -1);
        Ok(Self::at(
            long(ledger).ok_or_else(wrong)?.cast_unsigned(),
            long(entry).ok_or_else(wrong)?.cast_unsigned(),
            short(partition).ok_or_else(wrong)?,
            short(index).ok_or_else(wrong)?,
        ))
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_javas_and_read_again() {
        for (text, bytes) in [
            ("12:5:-1", vec![8, 12, 16, 5]),
            ("12:5:0", vec![8, 12, 16, 5, 24, 0]),
            ("300:5:-1:3", vec![8, 172, 2, 16, 5, 32, 3]),
        ] {
            let id: MessageId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(id.to_bytes(), bytes);
            assert_eq!(MessageId::from_bytes(&bytes).unwrap(), id);
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<MessageId>(&json).unwrap(), id);
        }
        assert_eq!(MessageId::EARLIEST.to_string(), "-1:-1:-1");
        for wrong in ["", "1:2", "1:2:3:4:5", "a:2:3", "1:2:-2", "-2:1:1"] {
            assert!(wrong.parse::<MessageId>().is_err(), "{wrong}");
        }
        assert!(MessageId::from_bytes(&[1, 2, 3]).is_err());
    }

    #[test]
    fn ids_are_ordered_as_messages_are() {
        let ids = ["1:9:0:1", "2:1:0:0", "2:1:0:1", "2:2:0"];
        let ids = ids.iter().map(|id| id.parse().unwrap());
        let first = std::iter::once(MessageId::EARLIEST);
        let ids: Vec<_> = first.chain(ids).chain([MessageId::LATEST]).collect();
        assert!(ids.is_sorted() && ids[0] < ids[1]);
    }
}
