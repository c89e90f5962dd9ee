//! The queues of brokers in some machine rooms, averagely; nobody gets the others.

use std::collections::BTreeSet;

use super::{AllocationInput, QueueRef, Undecided};

// apache/rocketmq 5.5.0: AllocateMessageQueueByMachineRoom. Shares are equal, and what is left over comes behind all of them.
pub(super) fn decide(
    rooms: &BTreeSet<String>,
    input: &AllocationInput<'_>,
) -> Result<Vec<QueueRef>, Undecided> {
    let index = input.index()?;
    let here = |queue: &&QueueRef| room(queue.broker()).is_some_and(|room| rooms.contains(room));
    let queues: Vec<&QueueRef> = input.queues.iter().filter(here).collect();
    let members = input.members.len();
    let (share, rest) = (queues.len() / members, queues.len() % members);
    let own = queues.iter().skip(index * share).take(share);
    let left_over = queues.iter().skip(share * members + index);
    let own = own.chain(left_over.take(usize::from(index < rest)));
    Ok(own.copied().cloned().collect())
}

/// The room of `room@broker`; `None` for names of another form.
// Java's String.split("@") drops empty parts at the end: "room@broker@" is of that form, and "room@" is not.
fn room(broker: &str) -> Option<&str> {
    let (room, rest) = broker.trim_end_matches('@').split_once('@')?;
    (!rest.contains('@')).then_some(room)
}
