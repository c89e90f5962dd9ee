//! Options of a consumer, and starting it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mq_core::RateLimit;

use super::assign::Allocation;
use super::budget::Budget;
use super::core::{Core, Phase, Topic};
use super::gate::Gate;
use super::model::Model;
use super::ordered::{Order, Wish};
use super::settle::DelayLevel;
use super::subscription::Subscription;
use super::{Consumer, Life, close, offsets, rebalance, run};
use crate::client::Handle;
use crate::error::{Result, invalid};
use crate::name::{check_group, check_topic, retry_topic};

/// Where a group begins that has no offset for a queue yet. A group that has one goes on there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ConsumeFrom {
    /// With the oldest message there is.
    First,
    /// With what is sent from now on. Brokers answer a new group that it begins at 0 as long as all of the queue is still in their
    /// memory, so that nothing is missed of a queue that has just been created: of a young topic you get everything.
    #[default]
    Last,
    /// With the first message that was stored at this time or later. A 4.x broker begins a queue at 0 instead, as with
    /// [`Last`](Self::Last), as long as all of it is still in its memory.
    Timestamp(SystemTime),
}

#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) from: ConsumeFrom,
    pub(crate) allocation: Allocation,
    pub(crate) concurrency: usize,
    pub(crate) prefetch_bytes: usize,
    pub(crate) prefetch_topic_bytes: usize,
    pub(crate) prefetch_queue_bytes: usize,
    pub(crate) prefetch_count: usize,
    pub(crate) pull_batch: i32,
    pub(crate) max_redeliveries: i32,
    pub(crate) settle_timeout: Duration,
    pub(crate) retry_level: DelayLevel,
    /// Whether queues are ordered, and how.
    pub(crate) order: Option<Order>,
}

/// Options of a [`Consumer`]. Setters don't fail; what can't be is found by [`ConsumerBuilder::build`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until build() is awaited"]
pub struct ConsumerBuilder {
    handle: Arc<Handle>,
    group: String,
    topics: Vec<(String, String)>,
    config: Config,
    /// The directory of a broadcasting consumer.
    broadcast: Option<PathBuf>,
    max_redeliveries: Option<u16>,
    pub(super) wish: Wish,
    rate_limit: Option<RateLimit>,
}

impl ConsumerBuilder {
    pub(crate) fn new(handle: Arc<Handle>, group: &str) -> Self {
        let config = Config {
            from: ConsumeFrom::default(),
            allocation: Allocation::default(),
            concurrency: 20,
            prefetch_bytes: 64 << 20,
            prefetch_topic_bytes: usize::MAX,
            prefetch_queue_bytes: usize::MAX,
            prefetch_count: 1000,
            pull_batch: 32,
            max_redeliveries: MAX_REDELIVERIES,
            settle_timeout: Duration::from_secs(15 * 60),
            retry_level: DelayLevel::POLICY,
            order: None,
        };
        Self {
            handle,
            group: group.to_owned(),
            topics: Vec::new(),
            config,
            broadcast: None,
            max_redeliveries: None,
            wish: Wish::default(),
            rate_limit: None,
        }
    }

    /// Adds a topic, and which of its messages are wanted: `*` for all, or tags as in `A || B`. All members of a group have to subscribe to
    /// the same.
    ///
    /// A `|` alone, a `&&`, an empty part and a `*` beside tags are refused by [`build`](Self::build); Java lets them pass,
    /// skips the empty part, and takes the rest for tags that no message has.
    pub fn subscribe(mut self, topic: impl Into<String>, expression: impl Into<String>) -> Self {
        self.topics.push((topic.into(), expression.into()));
        self
    }

    /// Whether [`subscribe`](Self::subscribe) takes this expression; for programs that are given one, and want to say so before they connect.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, as from [`build`](Self::build).
    pub fn check_expression(expression: &str) -> Result<()> {
        Subscription::parse(expression).map(drop)
    }

    /// Where a new group begins; default [`ConsumeFrom::Last`].
    pub const fn from(mut self, from: ConsumeFrom) -> Self {
        self.config.from = from;
        self
    }

    /// Broadcasting: this consumer gets every message, whoever else is in the group. Its offsets are in a file below `dir`, none are at the
    /// brokers. Default: clustering, in which each message goes to one member of the group.
    ///
    /// **The file** is `offsets-GROUP.json`, where the group's `%` is an `@` and its `|` a `+`, and is replaced whole: every 5 s when
    /// something has changed, when the consumer closes or goes elsewhere in a queue, and when queues go. What was settled since then comes again
    /// after a crash. It belongs to one consumer at a time, and to one cluster; `dir` is made if it is not there. Queues that are not in the
    /// file begin where [`from`](Self::from) says, but one that appears later, or beside others of its topic that are in the file, begins with
    /// its first message also if that is [`ConsumeFrom::Last`], so that nothing is missed. What can't be written while it runs is warned about, is
    /// an [`Event::OffsetsNotStored`](crate::Event::OffsetsNotStored), and is tried again; consumption goes on.
    ///
    /// **What fails** (a nack, a drop, an error of a handler) goes to no retry topic: it waits here and is delivered again, with the delays and
    /// the attempts that it would have in clustering. The offset stays behind it meanwhile, and the queue pulls only so far ahead of it (see
    /// [`prefetch_count`](Self::prefetch_count)). Attempts are counted from 1 again after a restart or a [`seek`](Consumer::seek). After
    /// [`max_redeliveries`](Self::max_redeliveries), and as a dead letter at once, it is skipped with a warning and an
    /// [`Event::MessageSkipped`](crate::Event::MessageSkipped).
    ///
    /// **A group should be all of one kind.** Brokers take the model of a group from whoever sent the last heartbeat, and list its members
    /// without theirs: consumers in clustering leave to a broadcasting one the queues that it would have as one of them, and process none of those
    /// messages. An operator's reset is followed where it arrives: 4.x brokers refuse one for a group of which they have no offset, 5.x brokers
    /// tell it to whichever member pulls first.
    // apache/rocketmq: ConsumerGroupInfo.updateChannel sets the model, getAllClientId lists everybody; Broker2Client.resetOffset;
    // PullMessageProcessor, queryThenEraseResetOffset
    pub fn broadcast(mut self, dir: impl Into<PathBuf>) -> Self {
        self.broadcast = Some(dir.into());
        self
    }

    /// How queues are shared out among the members of the group; default [`Allocation::averagely`]. All members have to use the same, Java's among
    /// them, or queues are read twice or never. Without meaning in broadcasting.
    pub fn allocation(mut self, allocation: Allocation) -> Self {
        self.config.allocation = allocation;
        self
    }

    /// How many handlers of [`run`](Consumer::run) run at a time; default 20. [`recv`](Consumer::recv) is not limited by it.
    pub const fn concurrency(mut self, count: usize) -> Self {
        self.config.concurrency = count;
        self
    }

    /// How many bytes of messages may be here unsettled, buffered and handed out together; default 64 MiB. Each queue may overshoot it by one
    /// pull. A message is a view of the answer that it came in, with up to [`pull_batch`](Self::pull_batch) others, and keeps that in memory as a whole.
    pub const fn prefetch_bytes(mut self, bytes: usize) -> Self {
        self.config.prefetch_bytes = bytes;
        self
    }

    /// As [`prefetch_bytes`](Self::prefetch_bytes), of each topic: so that one whose handlers are slow does not take the room of the others.
    /// Default: no limit of its own. The group's retries count as a topic.
    pub const fn prefetch_topic_bytes(mut self, bytes: usize) -> Self {
        self.config.prefetch_topic_bytes = bytes;
        self
    }

    /// As [`prefetch_bytes`](Self::prefetch_bytes), of each queue; it may be overshot by one pull. Default: no limit of its own.
    pub const fn prefetch_queue_bytes(mut self, bytes: usize) -> Self {
        self.config.prefetch_queue_bytes = bytes;
        self
    }

    /// How many messages of one queue may be here unsettled; default 1000. A queue also waits when it is 16 times as many messages ahead of its
    /// lowest unsettled one.
    pub const fn prefetch_count(mut self, count: usize) -> Self {
        self.config.prefetch_count = count;
        self
    }

    /// How many messages one pull may bring; default 32. Brokers bring no more than that by default.
    pub const fn pull_batch(mut self, count: u16) -> Self {
        self.config.pull_batch = count as i32;
        self
    }

    /// How often a message is delivered again before it goes to the dead-letter queue instead; default 16. With 0 the first failure is the
    /// last. In broadcasting it is [skipped](Self::broadcast). Of an [ordered](Self::ordered) consumer a message is delivered again
    /// without end by default, since whatever follows it may rest on it.
    pub const fn max_redeliveries(mut self, count: u16) -> Self {
        self.max_redeliveries = Some(count);
        self
    }

    /// How long a delivery may be held unsettled; default 15 min. Past it the message is delivered again, and settling it fails with
    /// [`Stale`](mq_core::ErrorKind::Stale). A message that is never settled would keep its queue's offset back for ever.
    pub const fn settle_timeout(mut self, timeout: Duration) -> Self {
        self.config.settle_timeout = timeout;
        self
    }

    /// How many messages a second are received, by whatever of [`recv`](Consumer::recv), [`Stream`](Consumer) and [`run`](Consumer::run); default: no
    /// limit. What can't be received yet waits in the buffer or at the broker, so that memory stays bounded and the group's membership alive.
    ///
    /// With [`RateLimit::wait`], a message that somebody is free to receive and that is not let through for so long comes later instead: in
    /// clustering it is sent back as after a [`nack`](crate::Delivery::nack), which counts as an attempt; the queue of an
    /// [ordered](Self::ordered) consumer is suspended, uncounted; in broadcasting it goes on waiting. As many messages can be asked for at a time
    /// as [`concurrency`](Self::concurrency) has handlers free, or as there are callers of `recv`: with fewer of them than `rate × wait`
    /// nothing is ever sent back.
    pub const fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// How long a message that failed waits before it is delivered again, rounded up to a delay level as
    /// [`Settle::RetryAfter`](crate::Settle::RetryAfter) is. By default the broker decides by the attempt: 10 s, 30 s, 1 min, growing to 2 h.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.config.retry_level = DelayLevel::at_least(delay);
        self
    }

    /// Joins the group and waits until its queues are shared out (in broadcasting, until they are in the file): what is sent from then on is received (by this or another member).
    ///
    /// A topic that does not exist is no error: the consumer looks for it again and again, at least every 20 s.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: a name, expression or option is not acceptable, a topic is subscribed to twice, this client has a consumer of the
    /// group already, its [`Allocation`] can't decide, or the file of a [broadcasting](Self::broadcast) consumer is another one's, or can't be
    /// read, understood or written; the error names the file and says what to do. Kind `Auth`: login or permission was refused, at once. Others, when no broker could be asked within 10 s; retryable
    /// as they say.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, the consumer leaves the group.
    pub async fn build(mut self) -> Result<Consumer> {
        let shared = Arc::clone(&self.handle.shared);
        shared.check_open("start consumer")?;
        let (group, topics) = self.names()?;
        self.check()?;
        self.config.order = self.wish.order()?;
        self.config.max_redeliveries = match (self.max_redeliveries, self.config.order) {
            (Some(count), _) => count.into(),
            // apache/rocketmq: ConsumeMessageOrderlyService.getMaxReconsumeTimes
            (None, Some(_)) => i32::MAX,
            (None, None) => MAX_REDELIVERIES,
        };
        let model = match &self.broadcast {
            Some(dir) => offsets::open(dir, &group).await?,
            None => Model::Clustering,
        };
        let may_return = self.config.order.is_some() || self.broadcast.is_none();
        let gate = match self.rate_limit {
            Some(limit) => Some(Gate::new(limit, may_return, &shared.clock)?),
            None => None,
        };
        let core = Core::new(shared, Arc::clone(&group), topics, self.config, model, gate);
        let core = Arc::new(core);
        let groups = &core.shared.groups;
        // One that was dropped takes leave of the brokers by itself; a leave behind this one's join would take this one out.
        let _ = tokio::time::timeout(DEADLINE, groups.left(&group)).await;
        groups.add_consumer(&group, Arc::new(super::Member(Arc::downgrade(&core))))?;
        run::begin(&core);
        // From here on dropping it takes the consumer out again.
        let consumer = Consumer {
            stream: core.receiver(1),
            life: Life {
                core,
                _handle: self.handle,
            },
        };
        consumer.life.join().await?;
        offsets::joined(&consumer.life.core).await?;
        run::start(&consumer.life.core);
        Ok(consumer)
    }

    fn names(&self) -> Result<(Arc<str>, Vec<Arc<Topic>>)> {
        let namespace = &self.handle.shared.namespace;
        let group = namespace.wrap(&self.group);
        check_group(&group)?;
        if self.topics.is_empty() {
            return Err(invalid("start consumer", "no topic is subscribed to"));
        }
        let mut topics: Vec<Arc<Topic>> = Vec::new();
        for (topic, expression) in &self.topics {
            let name = namespace.wrap(topic);
            check_topic(&name)?;
            if topics.iter().any(|known| *known.name == *name) {
                return Err(invalid(
                    "subscribe",
                    format!("topic \"{topic}\" is subscribed to twice"),
                ));
            }
            let subscription = Subscription::parse(expression)?;
            topics.push(Arc::new(Topic {
                name: name.into(),
                subscription,
                retry: false,
                bytes: Budget::new(self.config.prefetch_topic_bytes),
            }));
        }
        if self.broadcast.is_none() {
            topics.push(Arc::new(Topic {
                name: retry_topic(&group).into(),
                subscription: Subscription::all(),
                retry: true,
                bytes: Budget::new(self.config.prefetch_topic_bytes),
            }));
        }
        Ok((group.into(), topics))
    }

    fn check(&self) -> Result<()> {
        let config = &self.config;
        let zero = [
            ("concurrency", config.concurrency == 0),
            ("prefetch_bytes", config.prefetch_bytes == 0),
            ("prefetch_topic_bytes", config.prefetch_topic_bytes == 0),
            ("prefetch_queue_bytes", config.prefetch_queue_bytes == 0),
            ("prefetch_count", config.prefetch_count == 0),
            ("pull_batch", config.pull_batch == 0),
            ("settle_timeout", config.settle_timeout.is_zero()),
            ("virtual_nodes", config.allocation.is_empty_ring()),
        ];
        match zero.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(invalid("start consumer", format!("{name} is 0"))),
            None => Ok(()),
        }
    }
}

impl Life {
    /// Makes the consumer known, and takes on its first queues.
    async fn join(&self) -> Result<()> {
        let core = &self.core;
        let deadline = core.shared.clock.now() + DEADLINE;
        let mut pauses = super::queue::pauses();
        loop {
            let round = self.round().await;
            let late = core.shared.clock.now() >= deadline;
            match round {
                Ok(round) if round.error.is_none() && (!round.unlisted || late) => return Ok(()),
                Ok(rebalance::Round {
                    error: Some(error), ..
                })
                | Err(error)
                    if late || error.retry() == mq_core::Retry::Never =>
                {
                    return Err(error);
                }
                _ => tokio::time::sleep(pauses.next().unwrap_or(DEADLINE)).await,
            }
        }
    }

    async fn round(&self) -> Result<rebalance::Round> {
        let core = &self.core;
        for topic in &core.topics {
            match core.shared.routes.topic(&topic.name).await {
                Err(error) if error.kind() != mq_core::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        core.shared.heartbeat_now().await?;
        Ok(rebalance::balance(core).await)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // Once closed, the group may be another consumer's.
        if self.core.phase() != Phase::Closed {
            self.core.shared.groups.leave(&self.core.group);
            close::abandon(&self.core);
        }
    }
}

const MAX_REDELIVERIES: i32 = 16;
/// How long starting may take.
const DEADLINE: Duration = Duration::from_secs(10);
