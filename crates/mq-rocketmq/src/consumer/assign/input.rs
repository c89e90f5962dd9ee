//! What a strategy decides by: the members of the group and the queues of a topic, in Java's order.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::conn::QueueId;
use crate::name::{Namespace, RETRY};

/// A queue of a topic, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueueRef {
    topic: Arc<str>,
    broker: Arc<str>,
    queue: i32,
}

impl QueueRef {
    /// Queue number `queue` of the topic at the broker of this name; the first has number 0. The topic stands without the client's namespace, as
    /// when it is subscribed to.
    pub fn new(topic: impl Into<Arc<str>>, broker: impl Into<Arc<str>>, queue: i32) -> Self {
        Self {
            topic: topic.into(),
            broker: broker.into(),
            queue,
        }
    }

    pub(crate) fn of(namespace: &Namespace, queue: &QueueId) -> Self {
        Self::new(
            short(namespace, &queue.topic),
            Arc::clone(&queue.broker),
            queue.id,
        )
    }

    /// The topic, without the client's namespace; the group's retry topic is `%RETRY%group`.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The broker's name.
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// The queue's number at that broker.
    pub const fn queue(&self) -> i32 {
        self.queue
    }
}

/// What a custom [`Allocation`](crate::Allocation) decides by: a group, and one topic. Strings are in Java's order, by UTF-16 code unit.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AllocationInput<'a> {
    /// The group, without the client's namespace.
    pub group: &'a str,
    /// The topic, without the client's namespace; the group's retry topic is `%RETRY%group`.
    pub topic: &'a str,
    /// The client id that this member has.
    pub own: &'a str,
    /// The client ids of all members, sorted. A client that connected again stands there twice until its broker has noticed that the first
    /// connection is gone, within two minutes.
    pub members: &'a [String],
    /// The queues of the topic that can be read, sorted by broker and number.
    pub queues: &'a [QueueRef],
    /// The topic as brokers know it.
    pub(super) full_topic: &'a str,
}

impl AllocationInput<'_> {
    /// The place of this client among the members.
    pub(super) fn index(&self) -> Result<usize, Undecided> {
        self.members
            .iter()
            .position(|id| id == self.own)
            .ok_or(Undecided::Unlisted)
    }
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Undecided {
    /// The members are listed without us.
    Unlisted,
    /// Of whom a resolver does not know the machine room.
    NoRoom(String),
    /// The code of the application did.
    Panicked,
}

/// Who asks: a member, and the topic that is shared out. Names are full ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'a> {
    pub(crate) namespace: &'a Namespace,
    pub(crate) name: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) own: &'a str,
}

/// The lists, sorted, with names as users know them.
#[derive(Debug)]
pub(super) struct Lists {
    topic: Arc<str>,
    members: Vec<String>,
    queues: Vec<QueueRef>,
}

impl Lists {
    pub(super) fn new(group: &Group<'_>, ids: &[String], queues: &[QueueId]) -> Self {
        let topic: Arc<str> = short(group.namespace, group.topic).into();
        // An id that is listed twice counts twice, as in Java: with another count we would be elsewhere than the others think.
        let mut members = ids.to_vec();
        members.sort_unstable_by(|a, b| java_order(a, b));
        let mut queues: Vec<QueueRef> = queues
            .iter()
            .map(|queue| QueueRef::new(Arc::clone(&topic), Arc::clone(&queue.broker), queue.id))
            .collect();
        queues.sort_unstable_by(|a, b| {
            java_order(&a.broker, &b.broker).then_with(|| a.queue.cmp(&b.queue))
        });
        Self {
            topic,
            members,
            queues,
        }
    }

    pub(super) fn input<'a>(&'a self, group: &Group<'a>) -> AllocationInput<'a> {
        AllocationInput {
            group: group.namespace.unwrap(group.name),
            topic: &self.topic,
            own: group.own,
            members: &self.members,
            queues: &self.queues,
            full_topic: group.topic,
        }
    }

    /// Whether the queue belongs to the topic that is shared out; its topic may stand with the namespace or without.
    pub(super) fn have_topic_of(&self, queue: &QueueRef, group: &Group<'_>) -> bool {
        queue.topic == self.topic || group.namespace.wrap(&queue.topic) == group.topic
    }
}

/// The name as users write it; `%RETRY%` stays.
fn short(namespace: &Namespace, topic: &str) -> String {
    topic.strip_prefix(RETRY).map_or_else(
        || namespace.unwrap(topic).to_owned(),
        |group| format!("{RETRY}{}", namespace.unwrap(group)),
    )
}

/// Java's order of strings: by UTF-16 code unit.
// apache/rocketmq 5.5.0: RebalanceImpl sorts ids with Collections.sort and queues by MessageQueue.compareTo; both use String.compareTo
pub(super) fn java_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}
