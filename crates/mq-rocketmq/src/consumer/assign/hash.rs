//! A hash ring: each member has places on it, and a queue goes to the member at the first place from its own hash on.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};

use super::{AllocationInput, QueueRef, Undecided};

// apache/rocketmq 5.5.0: AllocateMessageQueueConsistentHash; common/…/common/consistenthash/ConsistentHashRouter is the ring
pub(super) fn decide(
    virtual_nodes: u16,
    input: &AllocationInput<'_>,
) -> Result<Vec<QueueRef>, Undecided> {
    input.index()?;
    let ring = ring(virtual_nodes, input.members);
    let is_ours = |queue: &&QueueRef| {
        let hash = hash(&key(input.full_topic, queue));
        let place = ring.range(hash..).next().or_else(|| ring.first_key_value());
        place.is_some_and(|(_, member)| *member == input.own)
    };
    Ok(input.queues.iter().filter(is_ours).cloned().collect())
}

fn ring(virtual_nodes: u16, members: &[String]) -> BTreeMap<u32, &str> {
    let mut ring = BTreeMap::new();
    let mut before = "";
    for member in members {
        // One that is listed again has further places. Members are sorted, so that only then it can have some.
        let existing = if member == before {
            ring.values().filter(|there| *there == member).count()
        } else {
            0
        };
        for replica in existing..existing + usize::from(virtual_nodes) {
            // Where two fall on one place, the later has it.
            ring.insert(hash(&format!("{member}-{replica}")), member.as_str());
        }
        before = member;
    }
    ring
}

/// What the queue is called on the ring.
// apache/rocketmq 5.5.0: MessageQueue.toString
fn key(topic: &str, queue: &QueueRef) -> String {
    let (broker, id) = (queue.broker(), queue.queue());
    format!("MessageQueue [topic={topic}, brokerName={broker}, queueId={id}]")
}

// apache/rocketmq 5.5.0: ConsistentHashRouter.MD5Hash, the first four bytes as a number without sign
fn hash(key: &str) -> u32 {
    let [a, b, c, d, ..] = <[u8; 16]>::from(Md5::digest(key));
    u32::from_be_bytes([a, b, c, d])
}
