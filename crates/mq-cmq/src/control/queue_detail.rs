//! What the control plane knows of a queue.

use std::time::Duration;

use super::list::tag_pairs;
use crate::admin::{DeadLetter, Named, QueueAttributes, time, time_ms};
use crate::proto::tc3::action::{DeadLetterPolicy, DeadLetterSource, QueueState};

/// A queue as the control plane describes it; where it leaves something out, empty, 0, `false` or `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueDetail {
    /// The name.
    pub name: String,
    /// The id that the service gave it.
    pub id: String,
    /// What it was told, and what it holds.
    pub attributes: QueueAttributes,
    /// How the service asks about its transactions; `None` for a queue without.
    pub transactions: Option<Transactions>,
    /// The queues whose dead letters come to it.
    pub dead_letter_sources: Vec<Named>,
    /// The longest delay.
    pub max_delay: Duration,
    /// How many messages may be received and not deleted.
    pub max_unacked: u64,
    /// How many bytes of messages it holds at most.
    pub max_bytes: u64,
    /// How much room deleted messages have that can be had again, in MB.
    pub rewind_room: u64,
    /// How many messages a second it takes.
    pub messages_per_second: u64,
    /// How many bytes a second it takes.
    pub bytes_per_second: u64,
    /// Whether the service keeps a trace of its messages.
    pub trace: bool,
    /// The tags of the resource, as keys and values.
    pub tags: Vec<(String, String)>,
}

/// How the service asks about transactions that nobody ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transactions {
    /// After what time it first asks.
    pub first_query: Duration,
    /// How often it asks at most.
    pub max_queries: u64,
}

impl From<QueueState> for QueueDetail {
    fn from(state: QueueState) -> Self {
        Self {
            attributes: attributes(&state),
            transactions: state.transaction.then(|| {
                let policy = state.transaction_policy.unwrap_or_default();
                Transactions {
                    first_query: Duration::from_secs(policy.first_query_interval),
                    max_queries: policy.max_query_count,
                }
            }),
            name: state.queue_name,
            id: state.queue_id,
            dead_letter_sources: state.dead_letter_source.into_iter().map(named).collect(),
            max_delay: Duration::from_secs(state.max_delay_seconds),
            max_unacked: state.max_unacked_msg_num,
            max_bytes: state.max_msg_backlog_size,
            rewind_room: state.retention_size_in_mb,
            messages_per_second: state.qps,
            bytes_per_second: state.bps,
            trace: state.trace,
            tags: tag_pairs(state.tags),
        }
    }
}

fn attributes(state: &QueueState) -> QueueAttributes {
    let dead_letter = state.dead_letter_policy.as_ref();
    QueueAttributes {
        max_messages: state.max_msg_heap_num,
        wait: Duration::from_secs(state.polling_wait_seconds),
        visibility: Duration::from_secs(state.visibility_timeout),
        max_body: state.max_msg_size,
        retention: Duration::from_secs(state.msg_retention_seconds),
        rewind: Duration::from_secs(state.rewind_seconds),
        created: time_ms(state.create_time),
        changed: time_ms(state.last_modify_time),
        active: state.active_msg_num,
        inactive: state.inactive_msg_num,
        delayed: state.delay_msg_num,
        rewindable: state.rewind_msg_num,
        // In seconds, unlike the others, by its description.
        oldest: time(state.min_msg_time),
        dead_letter: dead_letter
            .filter(|it| !it.dead_letter_queue.is_empty())
            .map(rule),
    }
}

fn rule(policy: &DeadLetterPolicy) -> DeadLetter {
    let queue = policy.dead_letter_queue.as_str();
    match policy.policy {
        0 => {
            let count = u32::try_from(policy.max_receive_count);
            DeadLetter::after_receives(queue, count.unwrap_or(u32::MAX))
        }
        _ => DeadLetter::after(queue, Duration::from_secs(policy.max_time_to_live)),
    }
}

pub(super) fn named(source: DeadLetterSource) -> Named {
    Named {
        name: source.queue_name,
        id: source.queue_id,
    }
}
