//! What goes wrong on purpose: one thing, to all requests, to those of one action, to the nth, or to some in a hundred.
//!
//! ```no_run
//! # use mq_dev::cmq::{DevServer, Fault};
//! # async fn example() -> std::io::Result<()> {
//! let server = DevServer::builder().start().await?;
//! let lost = server.inject(Fault::drop_reply().on("send").nth(3));
//! // … send three messages …
//! assert!(lost.fired());
//! # Ok(())
//! # }
//! ```

mod parse;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::engine::Disorder;

/// One thing that goes wrong, from when it is [injected](super::DevServer::inject). Clones mean the same fault.
///
/// It counts requests that are signed well. Without [`on`](Self::on) those of every action; without [`nth`](Self::nth) or
/// [`percent`](Self::percent) it strikes each time, but [`lose_one`](Self::lose_one), [`cut`](Self::cut) and [`restart`](Self::restart) the
/// first time only.
#[derive(Debug, Clone)]
pub struct Fault {
    kind: Kind,
    action: Option<Arc<str>>,
    when: When,
    count: Arc<Count>,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    LoseOne,
    Shuffle,
    Redeliver,
    DropReply,
    Delay(Duration),
    Status500,
    HalfBody,
    Cut,
    Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Nth(u64),
    Percent(u8),
}

#[derive(Debug, Default)]
struct Count {
    seen: AtomicU64,
    fired: AtomicU64,
    disarmed: AtomicBool,
}

impl Fault {
    /// The request is carried out, and the connection closes instead of an answer.
    pub fn drop_reply() -> Self {
        Self::new(Kind::DropReply, When::Always)
    }

    /// The request is carried out, and its answer held back so long, by the machine's clock.
    pub fn delay(time: Duration) -> Self {
        Self::new(Kind::Delay(time), When::Always)
    }

    /// The request is not carried out and answered with HTTP 500, as by a gateway; over TCP with 10050.
    pub fn status_500() -> Self {
        Self::new(Kind::Status500, When::Always)
    }

    /// The request is carried out, and the connection closes after half of the answer's body, over TCP of its frame.
    pub fn half_body() -> Self {
        Self::new(Kind::HalfBody, When::Always)
    }

    /// The request is not carried out, and its connection closes. The first time only, if not told otherwise.
    pub fn cut() -> Self {
        Self::new(Kind::Cut, When::Nth(1))
    }

    /// The request is not carried out, and all connections close; the state stays. The first time only, if not told otherwise.
    pub fn restart() -> Self {
        Self::new(Kind::Restart, When::Nth(1))
    }

    /// The first message of the request is accepted, answered with an id, and lost: what a server must never do, and what a test must find.
    /// The first time only, if not told otherwise.
    pub fn lose_one() -> Self {
        Self::new(Kind::LoseOne, When::Nth(1))
    }

    /// A receive takes any of the first 32 messages instead of the oldest: for all receives, or by [`percent`](Self::percent).
    pub fn shuffle() -> Self {
        Self::new(Kind::Shuffle, When::Always)
    }

    /// A message is visible again as soon as it was received, whatever `nextVisibleTime` says, so that its handle is worth nothing: for
    /// all messages, or by [`percent`](Self::percent).
    pub fn redeliver() -> Self {
        Self::new(Kind::Redeliver, When::Always)
    }

    /// Only for requests of this action, such as `SendMessage`, over HTTP and TCP; or of one of the groups `send`, `receive`, `delete`, `publish`,
    /// which are an action and its batch. `confirm` is a commit or a rollback, and `query` what the server asks about a half message:
    /// [`drop_reply`](Self::drop_reply) loses the question, [`cut`](Self::cut) closes the connection instead, and nothing else strikes it. It means nothing to [`shuffle`](Self::shuffle) and [`redeliver`](Self::redeliver).
    #[must_use]
    pub fn on(mut self, action: &str) -> Self {
        self.action = Some(action.to_ascii_lowercase().into());
        self
    }

    /// Only the `nth` time, counted from 1. It means nothing to [`shuffle`](Self::shuffle) and [`redeliver`](Self::redeliver).
    #[must_use]
    pub const fn nth(mut self, nth: u64) -> Self {
        self.when = When::Nth(nth);
        self
    }

    /// Only so many times in a hundred, by chance.
    #[must_use]
    pub const fn percent(mut self, percent: u8) -> Self {
        self.when = When::Percent(percent);
        self
    }

    /// Whether it struck.
    pub fn fired(&self) -> bool {
        self.times() > 0
    }

    /// How often it struck. Of [`shuffle`](Self::shuffle) and [`redeliver`](Self::redeliver) this is not counted.
    pub fn times(&self) -> u64 {
        self.count.fired.load(Ordering::Acquire)
    }

    /// How many requests it has counted.
    pub fn seen(&self) -> u64 {
        self.count.seen.load(Ordering::Acquire)
    }

    /// Takes it back.
    pub fn disarm(&self) {
        self.count.disarmed.store(true, Ordering::Release);
    }

    fn new(kind: Kind, when: When) -> Self {
        Self {
            kind,
            action: None,
            when,
            count: Arc::default(),
        }
    }

    fn is_on(&self, action: &str) -> bool {
        let Some(wanted) = self.action.as_deref() else {
            // That is no request, but what the server asks.
            return action != QUERY;
        };
        let group = match wanted {
            "send" => "sendmessage",
            "receive" | "recv" | "pull" => "receivemessage",
            "delete" => "deletemessage",
            "publish" => "publishmessage",
            "confirm" => "confirmtransaction",
            "query" => QUERY,
            exact => return exact == action,
        };
        action.strip_prefix("batch").unwrap_or(action) == group
    }

    fn is_armed(&self) -> bool {
        !self.count.disarmed.load(Ordering::Acquire)
    }

    /// Counts the request; whether it is struck.
    fn strikes(&self, action: &str, dice: &mut fastrand::Rng) -> bool {
        if !self.is_armed() || !self.is_on(action) {
            return false;
        }
        let seen = self.count.seen.fetch_add(1, Ordering::AcqRel) + 1;
        let strikes = match self.when {
            When::Always => true,
            When::Nth(nth) => seen == nth,
            When::Percent(percent) => dice.u8(..100) < percent,
        };
        if strikes {
            self.count.fired.fetch_add(1, Ordering::AcqRel);
        }
        strikes
    }

    const fn share(&self) -> u8 {
        match self.when {
            When::Percent(percent) => percent,
            _ => 100,
        }
    }
}

/// The faults of a server.
#[derive(Debug)]
pub(super) struct Faults {
    inner: Mutex<Inner>,
    /// So that a server without faults takes no lock.
    some: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    faults: Vec<Fault>,
    dice: fastrand::Rng,
}

impl Faults {
    pub(super) fn new(faults: Vec<Fault>, seed: u64) -> Self {
        let some = !faults.is_empty();
        let dice = fastrand::Rng::with_seed(seed);
        Self {
            inner: Mutex::new(Inner { faults, dice }),
            some: AtomicBool::new(some),
        }
    }

    pub(super) fn add(&self, fault: Fault) {
        self.lock().faults.push(fault);
        self.some.store(true, Ordering::Release);
    }

    /// What happens to a request of this action (in lower case).
    pub(super) fn strike(&self, action: &str) -> Vec<Kind> {
        if !self.some.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut inner = self.lock();
        let Inner { faults, dice } = &mut *inner;
        let of_requests = faults
            .iter()
            .filter(|fault| !matches!(fault.kind, Kind::Shuffle | Kind::Redeliver));
        let loses = |kind: Kind| kind != Kind::LoseOne || brings_messages(action);
        of_requests
            .filter(|fault| loses(fault.kind) && fault.strikes(action, dice))
            .map(|fault| fault.kind)
            .collect()
    }

    /// How receives are disturbed; `None` if nobody ever said.
    pub(super) fn disorder(&self) -> Option<Disorder> {
        if !self.some.load(Ordering::Acquire) {
            return None;
        }
        let inner = self.lock();
        let share = |kind| {
            let of_kind = |fault: &&Fault| fault.kind == kind && fault.is_armed();
            let shares = inner.faults.iter().filter(of_kind).map(Fault::share);
            shares.max().unwrap_or_default()
        };
        Some(Disorder {
            shuffle: share(Kind::Shuffle),
            redeliver: share(Kind::Redeliver),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server asks of the sender of a half message.
pub(super) const QUERY: &str = "querytransaction";

fn brings_messages(action: &str) -> bool {
    let one = action.strip_prefix("batch").unwrap_or(action);
    matches!(
        one,
        "sendmessage" | "publishmessage" | "sendcmqmsg" | "publishcmqmsg"
    )
}
