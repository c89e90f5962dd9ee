//! What an operator asks: which topics and groups there are, how full queues are, how far groups have read; and to make and delete them.

mod change;
mod cluster;
mod groups;
mod topics;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use futures_util::future::try_join_all;
use mq_core::{Endpoint, ErrorKind};

pub use self::change::{ChangeError, Changed};
pub use self::topics::{TopicOptions, TopicType};
use crate::client::{Handle, Shared};
use crate::conn::{DEFAULT_TOPIC, QueueId, TopicRoute};
use crate::error::{Error, Result};
use crate::name::{Namespace, RETRY, check_group, check_topic, retry_topic};
use crate::proto::ResponseCode;
use crate::proto::command::{
    self, GetConsumeStats, GetMaxOffset, GetMinOffset, GetRoute, GetTopicList, QueueStats,
};

/// Lists, describes, creates and deletes topics and consumer groups. Cheap to clone; made by [`Client::admin`](crate::Client::admin).
#[derive(Clone)]
pub struct Admin {
    handle: Arc<Handle>,
}

/// A topic's queues; made by [`Admin::describe`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicDescription {
    /// The topic, without the client's namespace.
    pub topic: String,
    /// Its queues, sorted by broker and number.
    pub queues: Vec<QueueRange>,
}

/// Which offsets a queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueRange {
    /// The broker's name.
    pub broker: String,
    /// The queue's number at that broker.
    pub queue: i32,
    /// The offset of its oldest message.
    pub first: i64,
    /// The offset after its newest message.
    pub next: i64,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be written.
    pub writable: bool,
}

/// How far a group is behind; made by [`Admin::lag`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupLag {
    /// The group, without the client's namespace.
    pub group: String,
    /// Every queue for which a broker has an offset of the group, sorted by topic, broker and number.
    pub queues: Vec<QueueLag>,
}

/// How far a group is behind in one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueLag {
    /// The topic, without the client's namespace; the group's retry topic is among them, as `%RETRY%group`.
    pub topic: String,
    /// The broker's name.
    pub broker: String,
    /// The queue's number at that broker.
    pub queue: i32,
    /// The offset that the group reads next.
    pub committed: i64,
    /// The offset after the newest message.
    pub next: i64,
}

impl QueueLag {
    /// How many messages the group has not settled yet.
    pub fn behind(&self) -> i64 {
        self.next.saturating_sub(self.committed).max(0)
    }
}

impl GroupLag {
    /// How many messages the group has not settled yet, in all queues.
    pub fn behind(&self) -> i64 {
        self.queues
            .iter()
            .fold(0, |sum, queue| sum.saturating_add(queue.behind()))
    }
}

impl Admin {
    pub(crate) const fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    /// The topics, sorted, without the client's namespace: of a client with a namespace only those inside it. Topics that brokers
    /// keep for themselves are left out; retry and dead-letter topics (`%RETRY%group`, `%DLQ%group`) are among the rest.
    ///
    /// # Errors
    ///
    /// Kind `Connect`: no nameserver answered. Kind `Auth`: refused. Only `Connect` is retryable.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn topics(&self) -> Result<Vec<String>> {
        let shared = &self.handle.shared;
        shared.check_open("list topics")?;
        let nameservers = shared.routes.nameservers();
        let listed = nameservers.ask(&GetTopicList, "list topics").await?;
        // Brokers register topics of their own name and their cluster's. Without the default topic they can't be told from others.
        let request = GetRoute::new(DEFAULT_TOPIC);
        let route = nameservers.ask(&request, "list topics").await;
        let own = route.map(|route| own_topics(&route)).unwrap_or_default();
        let mut topics: Vec<_> = listed
            .topics
            .iter()
            .filter(|topic| !own.contains(*topic) && !is_system(topic))
            .filter_map(|topic| inside(&shared.namespace, topic))
            .collect();
        topics.sort_unstable();
        topics.dedup();
        Ok(topics)
    }

    /// A topic's queues, and which offsets they hold.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the name is not acceptable. Kind `NotFound`: there is no such topic. Kind `Auth`: refused. Others when a broker
    /// that has a part of the topic could not be asked; retryable as they say.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn describe(&self, topic: &str) -> Result<TopicDescription> {
        let shared = &self.handle.shared;
        shared.check_open("describe topic")?;
        let name = shared.namespace.wrap(topic);
        check_topic(&name)?;
        let route = shared.routes.refresh(&name).await?;
        let all: BTreeSet<&QueueId> = route.publish.iter().chain(&route.subscribe).collect();
        let asked = all.into_iter().map(|queue| range(shared, &route, queue));
        Ok(TopicDescription {
            topic: shown(shared, &name),
            queues: try_join_all(asked).await?,
        })
    }

    /// How far a group is behind, in every queue it has an offset for.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the name is not acceptable. Kind `NotFound`: no consumer of the group has ever been there. Kind `Auth`: refused.
    /// Others when a broker could not be asked; retryable as they say.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn lag(&self, group: &str) -> Result<GroupLag> {
        let shared = &self.handle.shared;
        shared.check_open("read lag")?;
        let name: Arc<str> = shared.namespace.wrap(group).into();
        check_group(&name)?;
        // apache/rocketmq: DefaultMQAdminExtImpl.examineConsumeStats asks the brokers that have the group's retry topic
        let route = shared.routes.refresh(&retry_topic(&name)).await;
        let route = route.map_err(|error| unknown_group(error, group))?;
        let asked = route
            .brokers()
            .filter_map(|(broker, _)| route.any(broker))
            .map(|to| stats(shared, to, &name));
        let mut queues: Vec<_> = try_join_all(asked)
            .await?
            .into_iter()
            .flatten()
            .map(|stats| lag_of(shared, stats))
            .collect();
        queues.sort_unstable_by(|a, b| {
            (&a.topic, &a.broker, a.queue).cmp(&(&b.topic, &b.broker, b.queue))
        });
        Ok(GroupLag {
            group: shown(shared, &name),
            queues,
        })
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

async fn range(shared: &Shared, route: &TopicRoute, queue: &QueueId) -> Result<QueueRange> {
    let to = route.any(&queue.broker).ok_or_else(|| no_address(queue))?;
    let first = GetMinOffset {
        topic: Arc::clone(&queue.topic),
        queue_id: queue.id,
        ..GetMinOffset::default()
    };
    let next = GetMaxOffset {
        topic: Arc::clone(&queue.topic),
        queue_id: queue.id,
        ..GetMaxOffset::default()
    };
    let (connections, wait) = (&shared.connections, shared.request_timeout);
    let (first, next) = futures_util::try_join!(
        connections.call(to, &first, wait, "find first offset"),
        connections.call(to, &next, wait, "find last offset"),
    )?;
    Ok(QueueRange {
        broker: queue.broker.to_string(),
        queue: queue.id,
        // apache/rocketmq: ConsumeQueueStore.getMinOffsetInQueue, an empty queue has -1
        first: first.offset.max(0),
        next: next.offset.max(0),
        readable: route.subscribe.binary_search(queue).is_ok(),
        writable: route.publish.binary_search(queue).is_ok(),
    })
}

async fn stats(shared: &Shared, to: &Endpoint, group: &Arc<str>) -> Result<Vec<QueueStats>> {
    let request = GetConsumeStats {
        consumer_group: Arc::clone(group),
        ..GetConsumeStats::default()
    };
    let wait = shared.request_timeout;
    let answer = shared
        .connections
        .call(to, &request, wait, "read lag")
        .await?;
    Ok(answer.queues)
}

fn lag_of(shared: &Shared, stats: QueueStats) -> QueueLag {
    QueueLag {
        topic: shown(shared, &stats.queue.topic),
        broker: stats.queue.broker_name,
        queue: stats.queue.queue_id,
        committed: stats.offsets.consumer_offset.max(0),
        next: stats.offsets.broker_offset.max(0),
    }
}

/// The name as the client's user writes it; names of other namespaces stay complete.
fn shown(shared: &Shared, name: &str) -> String {
    inside(&shared.namespace, name).unwrap_or_else(|| name.to_owned())
}

/// The name without the namespace, `%RETRY%` and `%DLQ%` kept; `None` if it lies outside the namespace.
fn inside(namespace: &Namespace, name: &str) -> Option<String> {
    let prefix_len = if name.starts_with(RETRY) || name.starts_with(DEAD) {
        name.bytes().skip(1).position(|byte| byte == b'%')? + 2
    } else {
        0
    };
    let (prefix, full) = name.split_at(prefix_len);
    let short = namespace.unwrap(full);
    let is_inside = short != full || *namespace == Namespace::default();
    is_inside.then(|| format!("{prefix}{short}"))
}

fn own_topics(route: &command::TopicRoute) -> BTreeSet<String> {
    route
        .brokers
        .iter()
        .flat_map(|broker| {
            let cluster = &broker.cluster;
            [
                broker.broker_name.clone(),
                cluster.clone(),
                format!("{cluster}_REPLY_TOPIC"),
            ]
        })
        .collect()
}

fn is_system(topic: &str) -> bool {
    let prefixes = ["rmq_sys_", "RMQ_SYS_"];
    SYSTEM.contains(&topic) || prefixes.iter().any(|prefix| topic.starts_with(prefix))
}

fn unknown_group(error: Error, group: &str) -> Error {
    if error.code() != Some(&ResponseCode::TOPIC_NOT_EXIST) {
        return error;
    }
    Error::builder(
        ErrorKind::NotFound,
        format!("group \"{group}\": no consumer of it has been here"),
    )
    .operation("read lag")
    .code(ResponseCode::TOPIC_NOT_EXIST)
    .hint("check its name and namespace")
    .build()
}

fn no_address(queue: &QueueId) -> Error {
    let message = format!("broker \"{}\" has no address in the route", queue.broker);
    Error::builder(ErrorKind::NotFound, message)
        .operation("describe topic")
        .build()
}

const DEAD: &str = "%DLQ%";

// apache/rocketmq: TopicValidator, the system topics
const SYSTEM: [&str; 7] = [
    DEFAULT_TOPIC,
    "SCHEDULE_TOPIC_XXXX",
    "BenchmarkTest",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
    "CHECKPOINT_TOPIC",
];

#[cfg(test)]
mod tests;
