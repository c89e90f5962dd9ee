//! An ordered consumer: what it is set to, and what comes next of a queue.
//!
//! ```text
//!   pulled, settled, suspended long enough ──► the ledger offers the lane's next ──► ready buffer ──► recv │ Stream │ run
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::{Core, Phase, Return};
use super::delivery::Delivery;
use super::lane::Lane;
use super::lock::Times;
use super::offset::{Loan, Stale};
use super::queue::Queue;
use super::received::Received;
use super::settle::{DelayLevel, Settle};
use super::{Consumer, ConsumerBuilder, ConsumerHandle};
use crate::client::Event;
use crate::error::{Result, invalid};

/// What an ordered consumer is set to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// How long a queue waits after a failure.
    suspend: Duration,
    /// Whether what is acknowledged is committed by hand.
    by_hand: bool,
    pub(super) locks: Times,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            suspend: SUSPEND,
            by_hand: false,
            locks: Times::default(),
        }
    }
}

/// What a builder was told of order, in whatever order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    ordered: bool,
    suspend: Option<Duration>,
    by_hand: bool,
    pub(super) locks: Times,
}

impl Wish {
    pub(super) fn order(self) -> Result<Option<Order>> {
        let alone = [
            ("suspend", self.suspend.is_some()),
            ("manual_commit", self.by_hand),
        ];
        match alone.iter().find(|(_, is_set)| *is_set && !self.ordered) {
            Some((name, _)) => Err(invalid(
                "start consumer",
                format!("{name} is for ordered consumers, and this one is not ordered"),
            )),
            None => Ok(self.ordered.then_some(Order {
                suspend: self.suspend.unwrap_or(SUSPEND),
                by_hand: self.by_hand,
                locks: self.locks,
            })),
        }
    }
}

impl ConsumerBuilder {
    /// In order: the next message of a queue is delivered when the one before it is settled, however many receivers or handlers there are.
    /// Queues don't wait for each other: with [`run`](Consumer::run) there are as many handlers at a time as queues have something, up to
    /// [`concurrency`](Self::concurrency). Default: not ordered. All members of a group have to be ordered, Java's and Go's among them.
    ///
    /// **Who has a queue.** In clustering the broker locks a queue for one member at a time. The lock is taken before the first pull, renewed
    /// every 20 s, and given back when what is held of the queue is settled: up to 20 s after the queue has become another member's, up to 5 s into
    /// [`close`](Consumer::close). A lock that can't be renewed for 30 s gives the queue up, 30 s before the broker lets another member have it;
    /// what is held of it becomes [`Stale`](mq_core::ErrorKind::Stale). A member that dies without closing keeps its queues from the others for
    /// those 60 s. [Broadcasting](Self::broadcast) needs no locks.
    ///
    /// **What fails** (a nack, a drop, an error of a handler) goes to no broker: its queue waits for the [suspend time](Self::suspend) and
    /// delivers it first, with the next [`attempt`](crate::Received::attempt), which is counted from 1 again when the queue moves. So one message
    /// that always fails holds up its queue, without end by default, and no other. With [`max_redeliveries`](Self::max_redeliveries), and by
    /// [`Settle::DeadLetter`](crate::Settle::DeadLetter), it goes to the dead-letter queue; its queue goes on when the broker has confirmed,
    /// which is an [`Event::MessageParked`](crate::Event::MessageParked). In broadcasting it is skipped instead.
    ///
    /// **What it promises.** The first deliveries of a queue's messages come in its order, across rebalances, crashes and restarts. After
    /// a crash, or when a queue is given up, the messages since the last offset that was persisted (5 s) come again, in order too. While a
    /// broker that was restarted has forgotten its locks, a member that has just joined can begin with a queue while another still works on it.
    // apache/rocketmq: ConsumeMessageOrderlyService
    pub const fn ordered(mut self) -> Self {
        self.wish.ordered = true;
        self
    }

    /// How long the queue of an [ordered](Self::ordered) consumer waits before it delivers again what failed; default 1 s.
    /// [`Settle::RetryAfter`](crate::Settle::RetryAfter) sets it for one time, exactly. [`retry_delay`](Self::retry_delay) has no meaning there.
    pub const fn suspend(mut self, time: Duration) -> Self {
        self.wish.suspend = Some(time);
        self
    }

    /// The group's offset passes what an [ordered](Self::ordered) consumer has acknowledged only when that is committed: by
    /// [`Settle::Commit`](crate::Settle::Commit) or [`Delivery::commit`](crate::Delivery::commit) for a queue, by
    /// [`Consumer::commit`] for all. [`Settle::Rollback`](crate::Settle::Rollback) delivers what is not committed again. Default: acknowledged is
    /// committed.
    ///
    /// What is not committed stays in memory and counts for [`prefetch_count`](Self::prefetch_count) and
    /// [`prefetch_bytes`](Self::prefetch_bytes): a queue that is never committed stops there. When a queue moves or the consumer closes, it
    /// is delivered again to whoever has the queue then.
    // apache/rocketmq: ConsumeOrderlyContext.setAutoCommit, ConsumeOrderlyStatus.COMMIT and ROLLBACK
    pub const fn manual_commit(mut self) -> Self {
        self.wish.by_hand = true;
        self
    }
}

impl Order {
    pub(super) const fn lane(self, lease: Option<Instant>) -> Lane {
        Lane::new(self.by_hand, lease)
    }

    /// How long the queue waits after this decision.
    pub(super) const fn pause(self, decision: Settle) -> Duration {
        match decision {
            Settle::RetryAfter(pause) => pause,
            _ => self.suspend,
        }
    }
}

/// For how long one handler may stay with a queue, while others may wait for it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turn {
    left: u32,
    until: Option<Instant>,
}

impl Turn {
    pub(super) const fn goes_on(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }
}

/// Fills a batch of one lane, for as long as `linger`.
pub(super) async fn gather(batch: &mut Vec<Delivery>, max: usize, linger: Duration) {
    let filling = async {
        loop {
            let Some(first) = batch.first() else { return };
            let more = first.following(max.saturating_sub(batch.len()));
            batch.extend(more);
            match batch.first() {
                Some(first) if batch.len() < max => first.more_arrive().await,
                _ => return,
            }
        }
    };
    // What is in the batch stays there.
    let _ = tokio::time::timeout(linger, filling).await;
}

impl Consumer {
    /// Commits what is acknowledged, in every queue, where that is done [by hand](crate::ConsumerBuilder::manual_commit); elsewhere nothing
    /// waits for it. The offsets are persisted within 5 s and by [`close`](Self::close).
    pub fn commit(&self) {
        self.handle().commit();
    }
}

impl ConsumerHandle {
    /// As [`Consumer::commit`].
    pub fn commit(&self) {
        for queue in self.core.queues() {
            self.core.commit(&queue);
        }
    }
}

impl Core {
    /// Puts what comes next of an ordered queue into the buffer. Without lanes it is there already.
    pub(super) fn go_on(&self, queue: &Arc<Queue>) {
        let next = queue.ledger().offer();
        if let Some(offset) = next {
            self.ready.push([(Arc::clone(queue), offset)]);
        }
    }

    pub(super) fn turn_of_lane(&self) -> Turn {
        let staying = self.config.order.is_some() && self.ready.gate().is_none();
        Turn {
            left: if staying { STAY } else { 0 },
            until: staying.then(|| self.shared.clock.now() + STAY_FOR),
        }
    }

    /// Acknowledges a message and hands out the one behind it, all under one lock.
    pub(super) fn ack_and_follow(
        &self,
        queue: &Arc<Queue>,
        loan: Loan,
        turn: &Turn,
    ) -> Option<(Arc<Received>, Loan)> {
        let now = self.shared.clock.now();
        let may_stay = turn.until.is_some_and(|until| now < until)
            && self.phase() == Phase::Open
            && !self.is_paused();
        let (freed, next, found) = {
            let mut ledger = queue.ledger();
            // Too late, it comes again anyway.
            let freed = ledger.ack(loan).ok()?;
            let next = ledger.offer();
            let found = next
                .filter(|_| may_stay)
                .map(|next| ledger.hand_out(next, now));
            (freed, next, found)
        };
        self.freed(queue, freed);
        if let Some(Ok(found)) = found {
            return Some(found);
        }
        if let Some(offset) = next {
            self.ready.push([(Arc::clone(queue), offset)]);
        }
        None
    }

    /// Up to `most` messages that follow what is held of an ordered queue.
    pub(super) fn following(self: &Arc<Self>, queue: &Arc<Queue>, most: usize) -> Vec<Delivery> {
        let mut found = Vec::new();
        let gate = self.ready.gate();
        while found.len() < most
            && queue.ledger().has_next()
            && gate.is_none_or(|gate| gate.admit().is_ok())
        {
            let now = self.shared.clock.now();
            let next = queue.ledger().hand_out_next(now);
            let Ok((message, loan)) = next else { break };
            let (core, queue) = (Arc::clone(self), Arc::clone(queue));
            found.push(Delivery::new(core, queue, loan, message));
        }
        found
    }

    /// Acknowledges a message, and commits it and everything that is acknowledged of its queue.
    pub(super) fn ack_and_commit(&self, queue: &Arc<Queue>, loan: Loan) -> Settled {
        self.ack(queue, loan)?;
        self.commit(queue);
        Ok(())
    }

    pub(super) fn commits_by_hand(&self) -> bool {
        self.config.order.is_some_and(|order| order.by_hand)
    }

    fn commit(&self, queue: &Queue) {
        let freed = queue.ledger().commit_kept();
        self.freed(queue, freed);
    }

    /// Everything of the queue that is not committed is to be handed out again, this message the last.
    pub(super) fn roll_back(&self, queue: &Arc<Queue>, loan: Loan) -> Settled {
        let (offset, message) = queue.ledger().roll_back(loan)?;
        self.to_return(Return {
            queue: Arc::clone(queue),
            offset,
            message,
            decision: Settle::Rollback,
            level: DelayLevel::POLICY,
            tries: 0,
            done: None,
        });
        Ok(())
    }

    /// What is told when a message of an ordered queue has gone to the dead-letter queue.
    pub(super) fn tell_parked(&self, item: &Return) -> Option<Event> {
        self.config.order?;
        let (id, attempts) = (item.queue.id(), item.message.attempt());
        tracing::warn!(group = %self.group, topic = %id.topic, broker = %id.broker, queue = id.id, offset = item.offset, attempts, "a message is in the dead-letter queue, and its ordered queue goes on");
        Some(Event::MessageParked {
            group: self.group.to_string(),
            topic: id.topic.to_string(),
            broker: id.broker.to_string(),
            queue: id.id,
            offset: item.offset,
            attempts,
        })
    }
}

/// How many messages one handler may take from a queue before others have a turn.
const STAY: u32 = 64;
const STAY_FOR: Duration = Duration::from_millis(50);
type Settled = std::result::Result<(), Stale>;

// apache/rocketmq: DefaultMQPushConsumer.suspendCurrentQueueTimeMillis
const SUSPEND: Duration = Duration::from_secs(1);
