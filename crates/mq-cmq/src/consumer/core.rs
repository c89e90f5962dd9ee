//! What the tasks, deliveries and handles of one consumer share.
//!
//! Locks are `std` ones, never held over an await, and never two at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::counts::{Counts, Tally, count};
use super::delivery::{Held, SETTLE, Settling, expired};
use super::lease::{Due, Leases, Term};
use super::options::Config;
use super::ready::Ready;
use crate::error::{Error, Result, closed};
use crate::queue::{Queue, ReceiptHandle, Received, Visibility};

/// How far a consumer is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    Closing,
    Closed,
}

/// A message that is held, as the consumer knows it.
#[derive(Debug)]
pub(super) struct Lease {
    handle: ReceiptHandle,
    expiry: CancellationToken,
    /// Whether somebody has it; else it waits in the buffer.
    handed_out: bool,
    place: Place,
}

/// A message's place in the concurrency.
#[derive(Debug)]
struct Place {
    _permit: OwnedSemaphorePermit,
    taken: Arc<AtomicUsize>,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, taken: &Arc<AtomicUsize>) -> Self {
        taken.fetch_add(1, Ordering::Relaxed);
        Self {
            _permit: permit,
            taken: Arc::clone(taken),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A message that is to be deleted. It keeps its place until the service has confirmed it.
#[derive(Debug)]
pub(super) struct Removal {
    pub(super) handle: ReceiptHandle,
    pub(super) term: Term,
    pub(super) done: oneshot::Sender<Result<()>>,
    /// It may have been deleted by an earlier request.
    pub(super) unsure: bool,
    _place: Place,
}

/// See the module.
pub(crate) struct Core {
    pub(super) queue: Queue,
    pub(super) config: Config,
    pub(super) room: Arc<Semaphore>,
    in_flight: Arc<AtomicUsize>,
    pub(super) ready: Ready<(u64, Held)>,
    pub(super) tally: Tally,
    /// Whether the service has answered a receive yet.
    pub(super) heard: watch::Sender<bool>,
    /// Wakes who watches deadlines: there is an earlier one.
    pub(super) earlier: Notify,
    /// Wakes who deletes.
    pub(super) removing: Notify,
    leases: Mutex<Leases<Lease>>,
    removals: Mutex<VecDeque<Removal>>,
    phase: watch::Sender<Phase>,
    failed: AtomicBool,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("queue", &self.queue.name())
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn new(queue: Queue, config: Config) -> Self {
        Self {
            room: Arc::new(Semaphore::new(config.concurrency)),
            in_flight: Arc::default(),
            queue,
            config,
            ready: Ready::new(),
            tally: Tally::default(),
            heard: watch::Sender::new(false),
            earlier: Notify::new(),
            removing: Notify::new(),
            leases: Mutex::new(Leases::new()),
            removals: Mutex::default(),
            phase: watch::Sender::new(Phase::Open),
            failed: AtomicBool::new(false),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.queue.shared().clock.now()
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Resolves when this phase has begun.
    pub(super) async fn reached(&self, phase: Phase) {
        // It can't fail: the sender is in `self`.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Goes on to a phase; never back.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }

    /// Receivers get nothing more. What they did not take comes again when its time is over.
    pub(super) fn begin_close(&self, error: Option<Error>) {
        let left = self.ready.end(error);
        if !left.is_empty() {
            tracing::debug!(
                queue = self.queue.name(),
                count = left.len(),
                "messages were received and not handed out: they come again"
            );
        }
        for (id, _) in left {
            self.nack(id);
        }
        self.enter(Phase::Closing);
    }

    /// Ends the consumer with an error that one receiver gets.
    pub(super) fn fail(&self, error: Error) {
        // Several pollers may find the same.
        if !self.failed.swap(true, Ordering::Relaxed) && self.phase() == Phase::Open {
            tracing::error!(queue = self.queue.name(), %error, "the consumer ends");
            self.begin_close(Some(error));
        }
    }

    /// Ends it at once.
    pub(super) fn abandon(&self) {
        self.begin_close(None);
        self.enter(Phase::Closed);
        let held = self.leases().clear();
        for lease in held {
            lease.expiry.cancel();
        }
        // Whoever waits for them hears that the consumer is gone.
        drop(std::mem::take(&mut *self.removals()));
    }

    /// How long messages are invisible, as far as it is known.
    pub(super) fn visibility(&self) -> Visibility {
        self.queue.visibility(self.config.visibility)
    }

    /// Takes messages on, each with a permit, and offers them.
    pub(super) fn received(
        &self,
        begun: Instant,
        messages: Vec<Received>,
        permits: &mut Vec<OwnedSemaphorePermit>,
    ) {
        self.queue.seen(&messages);
        count(&self.tally.received, messages.len());
        let term = Term::new(begun, self.now(), self.visibility());
        let mut offered = Vec::with_capacity(messages.len());
        let first = {
            let mut leases = self.leases();
            let before = leases.next_due();
            for message in messages {
                // A server that gives more than was asked for: what is over comes again.
                let Some(permit) = permits.pop() else { break };
                let expiry = CancellationToken::new();
                let lease = Lease {
                    handle: message.handle().clone(),
                    expiry: expiry.clone(),
                    handed_out: false,
                    place: Place::new(permit, &self.in_flight),
                };
                let id = leases.begin(term, lease);
                offered.push((id, Held::new(message, term, expiry)));
            }
            leases.next_due() != before
        };
        if first {
            self.earlier.notify_one();
        }
        for (id, _) in self.ready.push(offered) {
            self.nack(id);
        }
    }

    /// Whether a message that waited here may still be handed out; else it is let go.
    pub(super) fn hand_out(&self, id: u64, held: &Held) -> bool {
        if self.now() < held.deadline() {
            // It is gone if the consumer ended meanwhile: settling it will say so.
            if let Some(lease) = self.leases().get(id) {
                lease.handed_out = true;
            }
            return true;
        }
        if !held.is_expired() {
            count(&self.tally.expired, 1);
        }
        self.nack(id);
        false
    }

    pub(super) fn ack(&self, id: u64) -> Settling {
        if self.phase() == Phase::Closed {
            return Settling::now(Err(closed(SETTLE)));
        }
        let ended = self.leases().end(id);
        let now = self.now();
        let Some((term, lease)) = ended.filter(|(term, _)| now < term.over) else {
            count(&self.tally.refused, 1);
            return Settling::now(Err(expired()));
        };
        let (done, result) = oneshot::channel();
        self.remove([Removal {
            handle: lease.handle,
            term,
            done,
            unsure: false,
            _place: lease.place,
        }]);
        Settling::later(result)
    }

    /// They are to be deleted.
    pub(super) fn remove(&self, some: impl IntoIterator<Item = Removal>) {
        self.removals().extend(some);
        if self.phase() == Phase::Closed {
            // It closed meanwhile: nobody would come for them.
            drop(std::mem::take(&mut *self.removals()));
        }
        self.removing.notify_one();
    }

    /// It comes again; its place is free.
    pub(super) fn nack(&self, id: u64) {
        let ended = self.leases().end(id);
        drop(ended);
    }

    pub(super) fn dropped(&self, id: u64) {
        let ended = self.leases().end(id);
        if ended.is_some() && self.phase() == Phase::Open {
            count(&self.tally.dropped, 1);
            tracing::warn!(
                queue = self.queue.name(),
                "a delivery was dropped unsettled: its message comes again when its visibility timeout ends"
            );
        }
    }

    /// What has become due, said and done. The answer is when the next is.
    pub(super) fn sweep(&self) -> Option<Instant> {
        let now = self.now();
        loop {
            let mut leases = self.leases();
            let Some(due) = leases.poll_due(now) else {
                return leases.next_due();
            };
            match due {
                Due::Warn(_) => {
                    drop(leases);
                    count(&self.tally.warned, 1);
                    let visibility = self.visibility().time;
                    tracing::warn!(
                        queue = self.queue.name(),
                        ?visibility,
                        "a message is held for 80 % of its visibility timeout, which can't be extended"
                    );
                }
                Due::Expired(id) => {
                    let expiry = leases.get(id).map(|lease| lease.expiry.clone());
                    drop(leases);
                    count(&self.tally.expired, 1);
                    tracing::warn!(
                        queue = self.queue.name(),
                        "a message is held past its deadline: somebody else may have it"
                    );
                    if let Some(expiry) = expiry {
                        expiry.cancel();
                    }
                }
                // What waits in the buffer keeps its place, or the buffer would grow while nobody receives.
                Due::Forgotten(id) if leases.get(id).is_some_and(|lease| lease.handed_out) => {
                    let ended = leases.end(id);
                    drop(leases);
                    drop(ended);
                    tracing::warn!(
                        queue = self.queue.name(),
                        "a message is held past its deadline for long: its place is given to another"
                    );
                }
                Due::Forgotten(_) => {}
            }
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.tally.counts(self.in_flight.load(Ordering::Relaxed))
    }

    /// Whether something is held or is being deleted.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// What is to be deleted, up to as many as a request takes.
    pub(super) fn take_removals(&self, most: usize) -> Vec<Removal> {
        let mut removals = self.removals();
        let count = removals.len().min(most);
        let taken: Vec<Removal> = removals.drain(..count).collect();
        let more = !removals.is_empty();
        drop(removals);
        if more {
            self.removing.notify_one();
        }
        taken
    }

    fn removals(&self) -> MutexGuard<'_, VecDeque<Removal>> {
        self.removals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, Leases<Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
