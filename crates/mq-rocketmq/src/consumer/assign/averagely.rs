//! Runs of neighbouring queues, of equal length.

use super::{AllocationInput, QueueRef, Undecided};

// apache/rocketmq 5.5.0: AllocateMessageQueueAveragely, the first `queues mod members` members take one more
pub(super) fn decide(input: &AllocationInput<'_>) -> Result<Vec<QueueRef>, Undecided> {
    let index = input.index()?;
    let (queues, members) = (input.queues.len(), input.members.len());
    let (share, rest) = (queues / members, queues % members);
    let start = index * share + index.min(rest);
    let len = share + usize::from(index < rest);
    let run = input.queues.iter().skip(start).take(len);
    Ok(run.cloned().collect())
}
