//! What the tasks, deliveries and handles of one consumer share.
//!
//! ```text
//!   rebalance ──► assigned queues ──► actor a queue ──► ready ──► recv ──► Delivery
//!                      │ ledger a queue ◄── ack / nack / release ◄────────────┘
//!                      │                        └──► returns ──► send-back (36)
//!                      └──► timer: offsets every 5 s, overdue deliveries
//! ```
//!
//! Locks are `std` ones, never held over an await, and never two at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot, watch};

use super::budget::Budget;
use super::gate::Gate;
use super::model::Model;
use super::offset::{Loan, Stale};
use super::options::Config;
use super::queue::Queue;
use super::ready::Ready;
use super::received::Received;
use super::settle::{DelayLevel, Settle};
use super::subscription::Subscription;
use super::turns::Turns;
use crate::client::{Event, Shared};
use crate::conn::QueueId;
use crate::error::Error;

/// A subscribed topic.
#[derive(Debug)]
pub(crate) struct Topic {
    /// With its namespace.
    pub(crate) name: Arc<str>,
    pub(crate) subscription: Subscription,
    /// Whether it is the group's retry topic.
    pub(crate) retry: bool,
    pub(super) bytes: Budget,
}

/// How far a consumer is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    Closing,
    Closed,
}

/// A message on its way back to the broker.
#[derive(Debug)]
pub(crate) struct Return {
    pub(crate) queue: Arc<Queue>,
    pub(crate) offset: i64,
    pub(crate) message: Arc<Received>,
    pub(crate) decision: Settle,
    /// What the decision is to a broker.
    pub(crate) level: DelayLevel,
    pub(crate) tries: u32,
    /// Told when the broker has confirmed; dropped when the queue is lost before.
    pub(crate) done: Option<oneshot::Sender<()>>,
}

/// See the module.
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    /// With its namespace.
    pub(crate) group: Arc<str>,
    pub(crate) topics: Vec<Arc<Topic>>,
    pub(crate) config: Config,
    pub(crate) model: Model,
    /// When the subscription was made, in ms since 1970.
    pub(crate) version: i64,
    /// Wakes the rebalancing task.
    pub(crate) rebalance: Notify,
    /// Wakes queue actors that wait for a byte budget.
    pub(crate) room: Notify,
    pub(crate) returning: Notify,
    /// Wakes who renews the locks of ordered queues.
    pub(crate) relock: Notify,
    /// The turn to lock and unlock: of two under way a broker may carry out the later one first.
    pub(crate) locking: tokio::sync::Mutex<()>,
    /// Queues that may be locked for us.
    locked: Mutex<BTreeSet<QueueId>>,
    pub(super) ready: Ready<(Arc<Queue>, i64)>,
    assigned: Mutex<BTreeMap<QueueId, Arc<Queue>>>,
    /// Last offsets of queues that were given up, which are on their way to the broker.
    leaving: Mutex<BTreeMap<QueueId, i64>>,
    pub(super) turns: Turns,
    bytes: Budget,
    returns: Mutex<VecDeque<Return>>,
    dropped: AtomicU64,
    phase: watch::Sender<Phase>,
    /// What closing could not do.
    failure: Mutex<Option<Error>>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(
        shared: Arc<Shared>,
        group: Arc<str>,
        topics: Vec<Arc<Topic>>,
        config: Config,
        model: Model,
        gate: Option<Gate>,
    ) -> Self {
        let version = shared.clock.wall_ms();
        Self {
            shared,
            group,
            topics,
            model,
            version,
            rebalance: Notify::new(),
            room: Notify::new(),
            returning: Notify::new(),
            relock: Notify::new(),
            locking: tokio::sync::Mutex::default(),
            locked: Mutex::default(),
            ready: Ready::new(gate),
            assigned: Mutex::default(),
            leaving: Mutex::default(),
            turns: Turns::default(),
            bytes: Budget::new(config.prefetch_bytes),
            config,
            returns: Mutex::default(),
            dropped: AtomicU64::new(0),
            phase: watch::Sender::new(Phase::Open),
            failure: Mutex::default(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Resolves when this phase has begun.
    pub(crate) async fn reached(&self, phase: Phase) {
        // It can't fail: the sender is in `self`.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Goes on to a phase; never back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }

    /// Receivers get nothing more, and the consumer begins to close.
    pub(crate) fn begin_close(&self) {
        self.enter(Phase::Closing);
        self.ready.end(None);
    }

    /// Ends the consumer with an error that receivers get once.
    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(group = %self.group, %error, "the consumer ends");
        self.shared.board.tell(|| Event::ConsumerFailed {
            group: self.group.to_string(),
            reason: error.to_string(),
        });
        self.ready.end(Some(error));
        self.enter(Phase::Closing);
    }

    /// Closing could not do what it was to do.
    pub(crate) fn failed_to_close(&self, error: Error) {
        *lock(&self.failure) = Some(error);
    }

    /// What closing could not do, for the first who asks.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        lock(&self.failure).take()
    }

    /// Takes up what a pull found.
    pub(crate) fn pulled(
        &self,
        queue: &Arc<Queue>,
        found: Vec<(i64, usize, Arc<Received>)>,
        next: i64,
    ) {
        let (taken, next) = {
            let mut ledger = queue.ledger();
            let before = ledger.bytes();
            let taken = ledger.pulled(found, next);
            let cost = ledger.bytes().saturating_sub(before);
            // Under the lock: whoever frees these bytes comes later.
            self.bytes.take(cost);
            queue.topic().bytes.take(cost);
            (taken, ledger.offer())
        };
        if taken.is_empty() {
            return;
        }
        let item = |offset| (Arc::clone(queue), offset);
        if self.config.order.is_some() {
            queue.arrived().notify_one();
            if let Some(offset) = next {
                self.ready.push([item(offset)]);
            }
        } else {
            self.ready.push(taken.into_iter().map(item));
        }
    }

    /// Whether the byte budgets have room for another pull of the topic.
    pub(crate) fn has_room(&self, topic: &Topic) -> bool {
        self.bytes.has_room() && topic.bytes.has_room()
    }

    pub(crate) fn ack(&self, queue: &Arc<Queue>, loan: Loan) -> Result<(), Stale> {
        let (freed, next) = {
            let mut ledger = queue.ledger();
            (ledger.ack(loan)?, ledger.offer())
        };
        self.freed(queue, freed);
        if let Some(offset) = next {
            self.ready.push([(Arc::clone(queue), offset)]);
        }
        Ok(())
    }

    /// What is to go back.
    pub(super) fn returns(&self) -> MutexGuard<'_, VecDeque<Return>> {
        lock(&self.returns)
    }

    /// Queues that may be locked for us.
    pub(super) fn locked(&self) -> MutexGuard<'_, BTreeSet<QueueId>> {
        lock(&self.locked)
    }

    pub(crate) fn release(&self, queue: &Arc<Queue>, loan: Loan) -> Result<(), Stale> {
        let closing = self.phase() != Phase::Open;
        queue.ledger().release(loan, closing)?;
        self.hand_out_again(queue, loan.offset);
        Ok(())
    }

    /// A delivery was dropped unsettled.
    pub(crate) fn dropped(&self, queue: &Arc<Queue>, loan: Loan) {
        if self.phase() != Phase::Open {
            // Stale: it was taken back before.
            let _ = self.release(queue, loan);
        } else if self.send_back(queue, loan, Settle::Retry, None).is_ok() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many deliveries were dropped since the last call.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    /// The queues that are this consumer's now.
    pub(crate) fn queues(&self) -> Vec<Arc<Queue>> {
        lock(&self.assigned).values().cloned().collect()
    }

    /// Nothing is pulled and nothing handed out, until resumed.
    pub(crate) fn pause(&self, paused: bool) {
        self.ready.pause(paused);
        self.room.notify_waiters();
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.ready.is_paused()
    }

    /// Goes on from `next`: what was pulled, and what is held, is of an epoch that has ended.
    pub(crate) fn seek(&self, queue: &Arc<Queue>, next: i64) {
        self.freeze(queue);
        queue.seek(next);
    }

    /// Takes a queue on, unless the consumer closes or has it already. The answer is whether it did.
    pub(crate) fn assign(&self, queue: &Arc<Queue>) -> bool {
        let mut assigned = lock(&self.assigned);
        let new = self.phase() == Phase::Open && !assigned.contains_key(queue.id());
        if new {
            assigned.insert(queue.id().clone(), Arc::clone(queue));
        }
        new
    }

    /// Gives a queue up: it neither pulls, settles nor commits any more. The answer is the offset that is still to be persisted; `None`
    /// as well if the queue was given up before.
    pub(crate) fn revoke(&self, queue: &Arc<Queue>) -> Option<i64> {
        {
            let mut assigned = lock(&self.assigned);
            if assigned
                .get(queue.id())
                .is_some_and(|known| Arc::ptr_eq(known, queue))
            {
                assigned.remove(queue.id());
            }
        }
        queue.stop().cancel();
        self.freeze(queue)
    }

    /// Gives a queue up. The answer is the last offset, if it is still to be persisted; until [`Core::has_left`] it is [`Core::leaving`].
    pub(crate) fn leave(&self, queue: &Arc<Queue>) -> Option<(QueueId, i64)> {
        let last = (queue.id().clone(), self.revoke(queue)?);
        lock(&self.leaving).insert(last.0.clone(), last.1);
        Some(last)
    }

    pub(crate) fn has_left(&self, queue: &QueueId) {
        lock(&self.leaving).remove(queue);
    }

    /// Last offsets that nobody persists any more if the one who began it was stopped.
    pub(crate) fn leaving(&self) -> Vec<(QueueId, i64)> {
        let leaving = lock(&self.leaving);
        leaving.iter().map(|(id, at)| (id.clone(), *at)).collect()
    }

    /// Nothing of this epoch moves any more. The answer is the offset that is still to be persisted.
    pub(crate) fn freeze(&self, queue: &Arc<Queue>) -> Option<i64> {
        let (commit, freed) = {
            let mut ledger = queue.ledger();
            (ledger.unpersisted(), ledger.revoke())
        };
        self.freed(queue, freed);
        self.ready.retain(|(known, _)| !Arc::ptr_eq(known, queue));
        // Who waits for one of its messages hears that it is stale.
        lock(&self.returns).retain(|item| !Arc::ptr_eq(&item.queue, queue));
        commit
    }

    /// A message that was handed out before comes next, unless the consumer closes.
    pub(super) fn hand_out_again(&self, queue: &Arc<Queue>, offset: i64) {
        let next = match self.config.order {
            Some(_) => queue.ledger().offer(),
            None => Some(offset),
        };
        if let Some(offset) = next.filter(|_| self.phase() == Phase::Open) {
            self.ready.push_front((Arc::clone(queue), offset));
        }
    }

    pub(super) fn freed(&self, queue: &Queue, bytes: usize) {
        queue.room().notify_one();
        let of_all = self.bytes.give_back(bytes);
        if queue.topic().bytes.give_back(bytes) || of_all {
            self.room.notify_waiters();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
