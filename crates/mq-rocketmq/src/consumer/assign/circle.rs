//! Queues in turn, as cards are dealt.

use super::{AllocationInput, QueueRef, Undecided};

// apache/rocketmq 5.5.0: AllocateMessageQueueAveragelyByCircle
pub(super) fn decide(input: &AllocationInput<'_>) -> Result<Vec<QueueRef>, Undecided> {
    let dealt = input.queues.iter().skip(input.index()?);
    Ok(dealt.step_by(input.members.len()).cloned().collect())
}
