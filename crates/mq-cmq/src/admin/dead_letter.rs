//! Where messages go that can't be consumed.

use std::time::Duration;

use crate::proto::action::DeadLetterRule;
use crate::proto::limits::{self, Refusal};

/// Where messages go that can't be consumed, and when. The other queue is an ordinary one, and has to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    queue: String,
    when: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Receives(u32),
    Age(Duration),
}

impl DeadLetter {
    /// A message that was received `count` times (1 to 1000) and never deleted goes to `queue` instead of becoming visible again.
    pub fn after_receives(queue: impl Into<String>, count: u32) -> Self {
        Self {
            queue: queue.into(),
            when: When::Receives(count),
        }
    }

    /// A message that was not deleted within `age` (300 s to 12 h, less than the queue keeps messages) goes to `queue`.
    pub fn after(queue: impl Into<String>, age: Duration) -> Self {
        Self {
            queue: queue.into(),
            when: When::Age(age),
        }
    }

    /// The name of the other queue.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// After how many receives, if that is the rule.
    pub const fn receives(&self) -> Option<u32> {
        match self.when {
            When::Receives(count) => Some(count),
            When::Age(_) => None,
        }
    }

    /// After what time, if that is the rule.
    pub const fn age(&self) -> Option<Duration> {
        match self.when {
            When::Receives(_) => None,
            When::Age(age) => Some(age),
        }
    }

    pub(super) fn rule(&self, retention: Option<Duration>) -> Result<DeadLetterRule<'_>, Refusal> {
        limits::queue_name(&self.queue)?;
        let rule = |policy, max_receives, max_age_seconds| DeadLetterRule {
            queue: &self.queue,
            policy,
            max_receives,
            max_age_seconds,
        };
        match self.when {
            When::Receives(count) => {
                limits::dead_letter_receives(count)?;
                Ok(rule(0, Some(count), None))
            }
            When::Age(age) => {
                let seconds = limits::dead_letter_seconds(age, retention)?;
                Ok(rule(1, None, Some(seconds)))
            }
        }
    }
}
