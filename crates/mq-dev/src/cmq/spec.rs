//! What a server can be told to have: queues, topics, subscriptions; from code, and from a seed file.

mod limits;
mod queue;
mod seed;
mod topic;

pub use self::limits::Limits;
pub use self::queue::{DeadLetterPolicy, DeadLetterSpec, QueueSpec, TransactionSpec};
pub use self::seed::Seed;
pub use self::topic::{ContentFormat, Filter, RetryStrategy, SubscriptionSpec, Target, TopicSpec};

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::Refusal;

/// Refuses a number that is out of range.
fn within(name: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> Result<(), Refusal> {
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = range.into_inner();
    let message = format!("{name} is {value}, expected {low} to {high}");
    Err(Refusal::new(ErrorCode::OUT_OF_RANGE, message))
}
