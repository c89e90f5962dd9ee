//! Queues.

use std::time::Duration;

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::{self, Refusal};
use serde::{Deserialize, Serialize};

use super::within;

/// A queue: its name and its attributes, with the service's defaults and ranges.
///
/// In a seed file the fields of this struct are the keys of a `[[queue]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct QueueSpec {
    /// A letter, then letters, digits, `-` and `_`; up to 64 of them. Whatever the case of its letters it is one name.
    pub name: String,
    /// How many messages it holds, 1 to 1 000 000 000; default 10 000 000. The service begins at a million.
    #[serde(default = "max_messages")]
    pub max_messages: u64,
    /// How long a receive waits that does not say, 0 to 30; default 0.
    #[serde(default)]
    pub wait_seconds: u32,
    /// How long a received message is invisible, 1 to 43 200; default 30.
    #[serde(default = "visibility_seconds")]
    pub visibility_seconds: u32,
    /// The largest body in bytes, 1024 to 1 048 576; default 65 536.
    #[serde(default = "max_body")]
    pub max_body: u32,
    /// How long messages are kept, from when they are sent, 30 to 1 296 000; default 345 600 (4 days).
    #[serde(default = "retention_seconds")]
    pub retention_seconds: u32,
    /// For how long deleted messages can be had again, 0 to 43 200 and no longer than they are kept; default 0.
    #[serde(default)]
    pub rewind_seconds: u32,
    /// Where messages go that can't be consumed; nowhere by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetterSpec>,
    /// Whether it takes half messages; not by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionSpec>,
}

/// When the senders of half messages are asked what became of them.
///
/// In a seed file: `transaction = { first_query_seconds = 5, max_queries = 15 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionSpec {
    /// How long after a half message was sent, and then between two questions, 1 to 43 200. A sender can choose another time for the first.
    pub first_query_seconds: u32,
    /// How often, 1 to 1000: as long after the last question again it is rolled back.
    pub max_queries: u32,
}

/// Where messages go that can't be consumed, and when.
///
/// In a seed file: `dead_letter = { queue = "dead", max_receives = 3 }`, or `max_age_seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterSpec {
    /// The name of another queue, which has to exist.
    pub queue: String,
    /// When.
    #[serde(flatten)]
    pub policy: DeadLetterPolicy,
}

/// When a message can't be consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadLetterPolicy {
    /// Received so often without being deleted, 1 to 1000 times: it goes when it would be visible again. Policy 0.
    #[serde(rename = "max_receives")]
    Receives(u32),
    /// Not deleted for so many seconds, 300 to 43 200: it goes when the time is over, or later when it would be visible again. Policy 1.
    #[serde(rename = "max_age_seconds")]
    Age(u32),
}

impl QueueSpec {
    /// A queue with the defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            max_messages: max_messages(),
            wait_seconds: 0,
            visibility_seconds: visibility_seconds(),
            max_body: max_body(),
            retention_seconds: retention_seconds(),
            rewind_seconds: 0,
            dead_letter: None,
            transaction: None,
        }
    }

    /// It takes half messages, over TCP. Their sender is asked what became of them after `first_query_interval` (whole seconds, rounded up), and
    /// each time as long again, `max_queries` times: then they are rolled back. Such a queue takes no delays.
    #[must_use]
    pub fn transactional(mut self, first_query_interval: Duration, max_queries: u32) -> Self {
        self.transaction = Some(TransactionSpec {
            first_query_seconds: seconds(first_query_interval),
            max_queries,
        });
        self
    }

    /// How long a received message is invisible: whole seconds, rounded up.
    #[must_use]
    pub fn visibility(mut self, time: Duration) -> Self {
        self.visibility_seconds = seconds(time);
        self
    }

    /// How long messages are kept: whole seconds, rounded up.
    #[must_use]
    pub fn retention(mut self, time: Duration) -> Self {
        self.retention_seconds = seconds(time);
        self
    }

    /// How long a receive waits that does not say: whole seconds, rounded up.
    #[must_use]
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait_seconds = seconds(time);
        self
    }

    /// For how long deleted messages can be had again: whole seconds, rounded up.
    #[must_use]
    pub fn rewind(mut self, time: Duration) -> Self {
        self.rewind_seconds = seconds(time);
        self
    }

    /// The largest body in bytes.
    #[must_use]
    pub const fn max_body(mut self, bytes: u32) -> Self {
        self.max_body = bytes;
        self
    }

    /// How many messages it holds.
    #[must_use]
    pub const fn max_messages(mut self, count: u64) -> Self {
        self.max_messages = count;
        self
    }

    /// A message that was received `max_receives` times goes to `queue`, which has to exist.
    #[must_use]
    pub fn dead_letter(mut self, queue: impl Into<String>, max_receives: u32) -> Self {
        let policy = DeadLetterPolicy::Receives(max_receives);
        let queue = queue.into();
        self.dead_letter = Some(DeadLetterSpec { queue, policy });
        self
    }

    /// A message that was not deleted within `age` goes to `queue`, which has to exist.
    #[must_use]
    pub fn dead_letter_by_age(mut self, queue: impl Into<String>, age: Duration) -> Self {
        let policy = DeadLetterPolicy::Age(seconds(age));
        let queue = queue.into();
        self.dead_letter = Some(DeadLetterSpec { queue, policy });
        self
    }

    /// What the service would refuse.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        limits::queue_name(&self.name)?;
        within("maxMsgHeapNum", self.max_messages, 1..=1_000_000_000)?;
        within("pollingWaitSeconds", self.wait_seconds.into(), 0..=30)?;
        within(
            "visibilityTimeout",
            self.visibility_seconds.into(),
            1..=43_200,
        )?;
        within("maxMsgSize", self.max_body.into(), 1024..=1_048_576)?;
        within(
            "msgRetentionSeconds",
            self.retention_seconds.into(),
            30..=1_296_000,
        )?;
        within("rewindSeconds", self.rewind_seconds.into(), 0..=43_200)?;
        if self.rewind_seconds > self.retention_seconds {
            let message = "rewindSeconds is longer than messages are kept";
            return Err(Refusal::new(ErrorCode::REWIND_OVER_RETENTION, message));
        }
        if let Some(rule) = self.transaction {
            within(
                "firstQueryInterval",
                rule.first_query_seconds.into(),
                1..=43_200,
            )?;
            within("maxQueryCount", rule.max_queries.into(), 1..=1000)?;
        }
        match self.dead_letter.as_ref().map(|rule| rule.policy) {
            Some(DeadLetterPolicy::Receives(most)) => {
                within("maxReceiveCount", most.into(), 1..=1000)
            }
            Some(DeadLetterPolicy::Age(age)) => {
                let kept = u64::from(self.retention_seconds);
                within(
                    "maxTimeToLive",
                    age.into(),
                    300..=43_200.min(kept.saturating_sub(1)),
                )
            }
            None => Ok(()),
        }
    }
}

fn seconds(time: Duration) -> u32 {
    let up = u64::from(time.subsec_nanos() > 0);
    u32::try_from(time.as_secs().saturating_add(up)).unwrap_or(u32::MAX)
}

const fn max_messages() -> u64 {
    10_000_000
}

const fn visibility_seconds() -> u32 {
    30
}

const fn max_body() -> u32 {
    65_536
}

const fn retention_seconds() -> u32 {
    345_600
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_would_refuse() {
        let ok = QueueSpec::new("q");
        assert_eq!(ok.check(), Ok(()));
        for (bad, code) in [
            (QueueSpec::new("a b"), ErrorCode::QUEUE_NAME_FORMAT),
            (
                ok.clone().visibility(Duration::ZERO),
                ErrorCode::OUT_OF_RANGE,
            ),
            (
                ok.clone().wait(Duration::from_secs(31)),
                ErrorCode::OUT_OF_RANGE,
            ),
            (ok.clone().max_body(1023), ErrorCode::OUT_OF_RANGE),
            (ok.clone().max_messages(0), ErrorCode::OUT_OF_RANGE),
            (ok.clone().retention(Duration::MAX), ErrorCode::OUT_OF_RANGE),
            (
                ok.clone()
                    .retention(Duration::from_secs(60))
                    .rewind(Duration::from_secs(61)),
                ErrorCode::REWIND_OVER_RETENTION,
            ),
            (ok.clone().dead_letter("d", 0), ErrorCode::OUT_OF_RANGE),
            (
                ok.clone().transactional(Duration::ZERO, 1),
                ErrorCode::OUT_OF_RANGE,
            ),
            (
                ok.clone().transactional(Duration::from_secs(1), 0),
                ErrorCode::OUT_OF_RANGE,
            ),
            (
                ok.retention(Duration::from_secs(300))
                    .dead_letter_by_age("d", Duration::from_secs(300)),
                ErrorCode::OUT_OF_RANGE,
            ),
        ] {
            assert_eq!(bad.check().unwrap_err().code, code, "{bad:?}");
        }
    }
}
