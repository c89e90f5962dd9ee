//! What a consumer holds, and what it has to tell the broker.
//!
//! ```text
//!  driver ─► incoming ─► ready ─► recv ─► Delivery ──settled──► ledger ─► fill: acks, coalesced
//!                          ▲                │
//!                          └──── later ◄────┘ in place: handed out again here, after a pause
//! ```
//!
//! Everything belongs to an epoch: one channel's life. A delivery of an earlier one is the broker's again, and settling it answers `Stale`
//! without a frame.

mod lane;
mod receive;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytestring::ByteString;
use mq_core::{ErrorKind, Outcome};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use self::lane::{CHUNK, has_offset};
pub(super) use self::receive::Ticket;
use self::receive::Waiting;
use super::ledger::{Decision, Ledger};
use crate::conn::{Connection, Key, now};
use crate::error::Error;
use crate::proto::{BasicDeliver, Content};

/// A message as it came.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) epoch: u64,
    pub(crate) deliver: BasicDeliver,
    pub(crate) content: Content,
    /// How often it was handed out here before.
    pub(crate) handed: u32,
}

impl Arrival {
    /// One that is handed out for the first time, on a channel without epochs.
    pub(crate) const fn new(deliver: BasicDeliver, content: Content) -> Self {
        Self {
            epoch: 0,
            deliver,
            content,
            handed: 0,
        }
    }
}

pub(super) struct Core {
    pub(super) queue: ByteString,
    /// Whether the broker was told where to begin, which it takes for streams alone.
    stream: bool,
    /// Nothing goes back alone, behind what followed it: all of it does, with the channel.
    pub(super) in_order: bool,
    /// So many decisions are written at once; fewer wait a moment for others.
    most: usize,
    /// More than this is not kept of a broker that does not keep to the prefetch.
    bound: usize,
    state: Mutex<State>,
    /// Who is told that something is ready, or that nothing will be any more.
    waiting: Waiting,
    /// For the consumer's task: the channel was lost, the consumer was cancelled, or is to close.
    pub(super) changed: Notify,
    /// A delivery was settled while the consumer closes.
    settled: Notify,
    /// Who waits for the pauses of `later` has to look again.
    pub(super) earlier: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Arrival>,
    /// Ready for another time, by tag: before what came later, whichever pause ended first.
    again: BTreeMap<u64, Arrival>,
    later: BTreeMap<(Instant, u64), Arrival>,
    channel: Option<(Connection, Key)>,
    epoch: u64,
    ledger: Ledger,
    /// Whether the driver comes.
    called: Called,
    cancelled: bool,
    phase: Phase,
    /// What `recv` answers once.
    failure: Option<Error>,
    paused: bool,
    counts: Counts,
    /// Whether it takes nothing back, as streams do; known from the first delivery on.
    takes_nothing: Option<bool>,
}

/// Whether the driver was told that there is something to write.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Called {
    #[default]
    Not,
    Soon,
    Now,
}

#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    #[default]
    Running,
    /// Nothing more is handed out; what is held may still be settled.
    Closing,
    Ended,
}

/// What has happened to a consumer's messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Came from the broker.
    pub received: u64,
    /// Were acknowledged.
    pub acked: u64,
    /// Were dropped without being settled, and went back to the broker.
    pub dropped: u64,
    /// Were larger than may be and refused.
    pub too_large: u64,
}

impl Core {
    pub(super) fn new(queue: ByteString, prefetch: u16, stream: bool, in_order: bool) -> Self {
        Self {
            queue,
            stream,
            in_order,
            most: usize::from(prefetch / 2).max(1),
            bound: usize::from(prefetch) * 2 + 16,
            state: Mutex::default(),
            waiting: Waiting::default(),
            changed: Notify::new(),
            settled: Notify::new(),
            earlier: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel is there, on which nothing is consumed yet.
    pub(super) fn begin(&self, connection: &Connection, key: Key) {
        let mut state = self.state();
        state.renew();
        state.cancelled = false;
        state.channel = Some((connection.clone(), key));
    }

    /// Records a decision of a delivery.
    ///
    /// # Errors
    ///
    /// Kind `Stale` if its channel is gone; kind `Closed` can't be: a consumer that has ended lets go of its channel.
    pub(super) fn settle(&self, epoch: u64, tag: u64, decision: Decision) -> Result<(), Error> {
        let mut state = self.state();
        let decision = self.allowed(&state, decision);
        if state.epoch != epoch || state.channel.is_none() || !state.ledger.settle(tag, decision) {
            return Err(stale(&self.queue));
        }
        if decision == Decision::Ack {
            state.counts.acked += 1;
        }
        if decision == Decision::Ack && state.ledger.news() < self.most {
            state.wake_soon();
        } else {
            state.wake();
        }
        if state.phase == Phase::Closing {
            self.settled.notify_one();
        }
        Ok(())
    }

    /// What can be said to the broker of a decision. To refuse something of a stream would cost the connection.
    // rabbitmq-server: rabbit_stream_queue.erl, "basic.nack and basic.reject not supported by stream queues"
    fn allowed(&self, state: &State, decision: Decision) -> Decision {
        match decision {
            Decision::Requeue if self.in_order || state.takes_nothing == Some(true) => {
                Decision::Leave
            }
            // It is passed over. What only looks like a stream's, since it once was one's, may have dead letters.
            Decision::Reject if self.stream => Decision::Ack,
            decision => decision,
        }
    }

    /// Gives a delivery back to its queue, for any consumer; of a stream, which takes nothing back, it is handed out again here.
    ///
    /// # Errors
    ///
    /// Kind `Stale`, as for [`settle`](Self::settle).
    pub(super) fn give_back(&self, received: Arrival) -> Result<(), Error> {
        if self.state().takes_nothing == Some(true) {
            return self.again(received, now());
        }
        let tag = received.deliver.delivery_tag;
        self.settle(received.epoch, tag, Decision::Requeue)
    }

    /// Hands a delivery out again here at a time; meanwhile the broker counts it as held.
    ///
    /// # Errors
    ///
    /// Kind `Stale`, as for [`settle`](Self::settle).
    pub(super) fn again(&self, mut received: Arrival, at: Instant) -> Result<(), Error> {
        let mut state = self.state();
        if state.epoch != received.epoch || state.channel.is_none() {
            return Err(stale(&self.queue));
        }
        if state.phase != Phase::Running {
            drop(state);
            return self.settle(
                received.epoch,
                received.deliver.delivery_tag,
                Decision::Requeue,
            );
        }
        received.handed += 1;
        let first = state
            .later
            .first_key_value()
            .is_none_or(|((first, _), _)| at < *first);
        state
            .later
            .insert((at, received.deliver.delivery_tag), received);
        if first {
            self.earlier.notify_one();
        }
        Ok(())
    }

    /// Makes what is due ready; gives when the next one is.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        loop {
            let (next, _) = *state.later.first_key_value()?.0;
            if next > now {
                return Some(next);
            }
            let ((_, tag), received) = state.later.pop_first()?;
            state.again.insert(tag, received);
            self.waiting.wake();
        }
    }

    /// Told that a delivery was dropped without a decision.
    pub(super) fn dropped(&self, received: Arrival) {
        if self.give_back(received).is_ok() {
            let mut state = self.state();
            state.counts.dropped += 1;
            if state.phase == Phase::Running {
                tracing::warn!(queue = %self.queue, "a delivery was dropped without being settled; it is delivered again");
            }
        }
    }

    /// Nothing more is handed out; what waits here goes back with the channel.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if state.phase == Phase::Running {
            state.phase = Phase::Closing;
            let waiting: Vec<_> = state.ready.drain(..).collect();
            let again = std::mem::take(&mut state.again).into_values();
            let later = std::mem::take(&mut state.later).into_values();
            let decision = self.allowed(&state, Decision::Requeue);
            for received in waiting.into_iter().chain(again).chain(later) {
                state.ledger.settle(received.deliver.delivery_tag, decision);
            }
            state.wake();
        }
        drop(state);
        self.waiting.wake();
        self.changed.notify_one();
    }

    /// There is nothing more to come.
    pub(super) fn end(&self, why: Option<Error>) {
        let mut state = self.state();
        if state.phase != Phase::Ended {
            state.phase = Phase::Ended;
            state.failure = state.failure.take().or(why);
            state.renew();
        }
        drop(state);
        self.waiting.wake();
        self.settled.notify_one();
        self.changed.notify_one();
    }

    /// Waits until nobody holds a delivery any more.
    pub(super) async fn all_settled(&self) {
        loop {
            let settled = self.settled.notified();
            {
                let state = self.state();
                if state.phase == Phase::Ended
                    || state.channel.is_none()
                    || state.ledger.held() == 0
                {
                    return;
                }
            }
            settled.await;
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Whether the channel is there and the broker has not cancelled the consumer.
    pub(super) fn is_live(&self, key: Key) -> bool {
        let state = self.state();
        !state.cancelled && state.channel.as_ref().is_some_and(|(_, held)| *held == key)
    }

    pub(super) fn pause(&self, paused: bool) {
        self.state().paused = paused;
        self.waiting.wake();
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }
}

impl State {
    /// What was held is the broker's again.
    fn renew(&mut self) {
        self.channel = None;
        self.epoch += 1;
        self.ledger = Ledger::default();
        self.called = Called::Not;
        self.takes_nothing = None;
        self.ready.clear();
        self.again.clear();
        self.later.clear();
    }

    fn wake(&mut self) {
        if let Some((connection, key)) = &self.channel
            && self.called != Called::Now
            && self.ledger.news() > 0
        {
            connection.wake(*key);
            self.called = Called::Now;
        }
    }

    fn wake_soon(&mut self) {
        if let Some((connection, key)) = &self.channel
            && self.called == Called::Not
        {
            connection.wake_soon(*key);
            self.called = Called::Soon;
        }
    }
}

fn stale(queue: &str) -> Error {
    Error::builder(
        ErrorKind::Stale,
        "the delivery is no longer this consumer's",
    )
    .operation("settle")
    .endpoint(queue)
    .outcome(Outcome::NotSent)
    .hint("its channel is gone, or it was settled before; the broker delivers it again")
    .build()
}
