//! What a consumer holds, and what it has to tell the brokers.
//!
//! ```text
//!  driver ─► PartLane::incoming ─► ready ─► recv ─► Delivery ──settled──► tracker ─► PartLane::fill: acks, redeliveries, flow
//! ```
//!
//! Each partition has its own subscription and tracker; what is ready is one line. A subscription that is lost and made again is another
//! epoch: its lane has no say in what came before.

mod lane;
mod parts;
mod receipts;
mod receive;
mod seek;
mod settle;
mod standing;
mod watch;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytestring::ByteString;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

pub(super) use self::lane::PartLane;
use self::parts::share;
pub(super) use self::receipts::Heard;
use self::receipts::Receipts;
pub(super) use self::seek::{Prepared, Start};
pub(super) use self::settle::Decision;
use self::settle::GROUP;
use super::content::{Arrival, Ready};
use super::events::{ConsumerEvent, KEPT};
use super::letters::Letters;
use super::options::SubscriptionType;
use super::tracker::{Place, Tracker};
use crate::conn::{Connection, Key};
use crate::error::Error;
use crate::proto::api::command_ack::ValidationError;

/// What a consumer is made with.
pub(super) struct Settings {
    pub(super) subscription: String,
    pub(super) kind: SubscriptionType,
    pub(super) sets: bool,
    pub(super) receipts: bool,
    pub(super) ack_timeout: Option<Duration>,
    pub(super) messages: u32,
    pub(super) most_bytes: usize,
    pub(super) within: Duration,
    /// Of a reader.
    pub(super) start: Option<Start>,
}

pub(super) struct Core {
    pub(super) subscription: String,
    pub(super) kind: SubscriptionType,
    /// The broker is told of a batch what is left of it.
    sets: bool,
    /// Its answer to acknowledgements is asked for.
    receipts: bool,
    /// How long a message may be handed out.
    ack_timeout: Option<Duration>,
    /// How many messages a partition may have under way and here.
    credit: AtomicU32,
    /// How many messages all partitions together may have.
    messages: u32,
    /// More than so many bytes here let no more come.
    most_bytes: usize,
    /// How long an operation may take.
    within: Duration,
    events: broadcast::Sender<ConsumerEvent>,
    /// It is a reader's.
    reads: bool,
    state: Mutex<State>,
    /// Something is ready, or nothing will be any more.
    ready: Notify,
    /// A delivery was settled while the consumer closes.
    settled: Notify,
    pub(super) letters: Option<Letters>,
}

struct State {
    ready: VecDeque<Ready>,
    bytes: usize,
    parts: Vec<Part>,
    phase: Phase,
    /// Partitions may be added.
    following: bool,
    /// What `recv` answers once.
    failure: Option<Error>,
    paused: bool,
    counts: Counts,
}

#[derive(Default)]
struct Part {
    topic: ByteString,
    /// For its task.
    changed: Arc<Notify>,
    tracker: Tracker,
    link: Option<(Connection, Key)>,
    /// Which subscription it is, from 1 on.
    epoch: u64,
    /// That subscription is gone, maybe before it was known to be there.
    lost: bool,
    permits: Permits,
    /// Whether it is the one that has the partition, where the broker says so.
    active: Option<bool>,
    /// What that subscription and those before delivered is not wanted: it was moved.
    sought: u64,
    /// Where a reader goes on.
    resume: Option<Start>,
    /// How often everything was asked for again.
    consumer_epoch: u64,
    receipts: Receipts,
    again: Again,
    discarded: Vec<(Place, ValidationError)>,
    flush_at: Option<Instant>,
    /// The driver was told that there is something to write.
    called: bool,
    ended: bool,
}

/// Of the messages that may be under way and here.
#[derive(Default)]
struct Permits {
    /// What is to be given back to the broker.
    owed: u32,
    /// Nothing was given yet.
    fresh: bool,
}

/// What the broker is to deliver again.
#[derive(Default)]
struct Again {
    places: BTreeSet<Place>,
    all: bool,
    /// When it was last asked to.
    last: Option<Instant>,
}

impl Again {
    fn forget(&mut self) {
        self.places.clear();
        self.all = false;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Running,
    /// Nothing more is handed out; what is held may still be settled.
    Closing,
    Ended,
}

/// What has happened to a consumer's messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Were handed out.
    pub received: u64,
    /// Were acknowledged.
    pub acked: u64,
    /// Went to a dead letter topic.
    pub dead_lettered: u64,
    /// Went to the retry letter topic.
    pub retried_later: u64,
    /// Were dropped without being settled, and come again.
    pub dropped: u64,
    /// Were not settled in the time that [`ack_timeout`](super::ConsumerBuilder::ack_timeout) gives, and come again.
    pub expired: u64,
    /// Entries that were broken, and discarded.
    pub broken: u64,
    /// Entries that this client can't read (encrypted, in chunks), and that stay unacknowledged.
    pub unreadable: u64,
}

impl Core {
    pub(super) fn new(topics: Vec<ByteString>, settings: Settings) -> Self {
        let Settings {
            subscription,
            kind,
            sets,
            receipts,
            ack_timeout,
            messages,
            most_bytes,
            within,
            start,
        } = settings;
        let state = State {
            ready: VecDeque::new(),
            bytes: 0,
            parts: topics
                .into_iter()
                .map(|topic| Part::new(topic, start))
                .collect(),
            phase: Phase::Running,
            following: false,
            failure: None,
            paused: false,
            counts: Counts::default(),
        };
        Self {
            subscription,
            kind,
            sets,
            credit: AtomicU32::new(share(messages, state.parts.len())),
            messages,
            receipts,
            ack_timeout,
            most_bytes,
            within,
            events: broadcast::Sender::new(KEPT),
            reads: start.is_some(),
            state: Mutex::new(state),
            ready: Notify::new(),
            settled: Notify::new(),
            letters: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn changed(&self, part: usize) {
        let changed = self.state().parts.get(part).map(Part::changed);
        match changed {
            Some(changed) => changed.notified().await,
            None => std::future::pending().await,
        }
    }

    fn change(&self, part: usize) {
        if let Some(part) = self.state().parts.get(part) {
            part.changed.notify_one();
        }
    }

    /// Nothing more is handed out.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if state.phase == Phase::Running {
            state.phase = Phase::Closing;
            state.ready.clear();
            state.bytes = 0;
        }
        drop(state);
        self.tell_all();
    }

    /// Waits until nobody holds a delivery any more, and nobody waits for the broker's word.
    pub(super) async fn all_settled(&self) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            {
                let state = self.state();
                let open = |part: &Part| part.tracker.held() > 0 || !part.receipts.is_empty();
                if state.phase == Phase::Ended || !state.parts.iter().any(open) {
                    return;
                }
            }
            settled.await;
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    pub(super) fn pause(&self, paused: bool) {
        self.state().paused = paused;
        self.ready.notify_waiters();
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }
}

impl State {
    /// Takes out what is ready of a partition.
    fn purge(&mut self, part: usize, which: impl Fn(Place) -> bool) {
        let mut gone = 0;
        self.ready.retain(|ready| {
            let goes = ready.head.part == part && which(ready.head.place());
            gone += if goes { ready.bytes } else { 0 };
            !goes
        });
        self.bytes -= gone;
    }
}

impl Part {
    fn new(topic: ByteString, resume: Option<Start>) -> Self {
        Self {
            topic,
            resume,
            ..Self::default()
        }
    }

    /// Has the driver come.
    fn wake(&mut self) {
        if let Some((connection, key)) = &self.link
            && !std::mem::replace(&mut self.called, true)
        {
            connection.wake(*key);
        }
    }
}
