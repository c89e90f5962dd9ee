//! Connections: one task each, which owns the socket; channels on it; and a supervisor that makes a new one when it breaks.
//!
//! ```text
//!  Channel::call ─► Inbox ─┐                               ┌─► the call's reply
//!  Lane::fill  ◄── dirty ──┤ driver ─► Outbox ─► socket    ├─► Lane::incoming: deliveries, confirms, returns
//!                          └──────────◄ frames ◄───────────┘
//!  Link: dial, handshake, topology replayed ─► Up(Connection) ─► lost ─► pause ─► dial …
//! ```
//!
//! What has to be written in an order (a publisher's messages, a consumer's acks) is kept by its `Lane`; the driver asks lanes for it
//! when the socket has room. So delivery tags are counted where the bytes are written, by one task.

mod channel;
mod driver;
mod handshake;
mod link;
mod options;
mod outbox;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mq_core::{ErrorKind, Outcome};
#[cfg(feature = "tls")]
pub(crate) use mq_net::TlsParts;
pub(crate) use mq_net::{Tasks, TlsConfig, now};
use tokio::sync::{Notify, oneshot, watch};

pub(crate) use self::channel::Channel;
pub(crate) use self::link::{Link, Notice, Observer, Replay};
pub use self::options::Mechanism;
pub(crate) use self::options::Options;
pub(crate) use self::outbox::Outbox;
use crate::error::Error;
use crate::proto::{Incoming, Malformed, Method};

/// What happens on a channel besides the replies to calls. Called by the driver: must not block.
pub(crate) trait Lane: Send + Sync {
    /// Writes what is ready, in its order, until the outbox is full; the answer is whether there is more.
    fn fill(&self, channel: u16, out: &mut Outbox) -> bool;
    /// Takes what no call waits for.
    ///
    /// # Errors
    /// What a server can't have meant: the connection is not to be trusted any longer.
    fn incoming(&self, incoming: Incoming) -> Result<(), Malformed>;
    /// Everything that came with one read has been taken; the answer is whether it gave something to write.
    fn all_taken(&self) -> bool {
        true
    }
    /// Whether the lane itself has written what this answers: else it is a call's.
    fn has_asked(&self, _answer: &Method) -> bool {
        false
    }
    /// The server closes the channel because of a method, by its class and its own number; [`lost`](Self::lost) follows.
    fn blamed(&self, _method: (u16, u16)) {}
    /// The channel is no more; what was written and not answered may have been applied.
    fn lost(&self, why: &Error);
    /// Whether it publishes: while the server is blocked it is not asked for more.
    fn publishes(&self) -> bool {
        false
    }
}

/// A lane of channels that only make calls.
pub(crate) struct Idle;

impl Lane for Idle {
    fn fill(&self, _: u16, _: &mut Outbox) -> bool {
        false
    }

    fn incoming(&self, _: Incoming) -> Result<(), Malformed> {
        Ok(())
    }

    fn lost(&self, _: &Error) {}
}

/// A connection that stands, or stood. All clones are the same one.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

struct Inner {
    inbox: Mutex<Inbox>,
    wake: Notify,
    serials: AtomicU64,
    blocked: AtomicBool,
    end: watch::Sender<Option<Error>>,
    endpoint: String,
    settled: Settled,
    options: Arc<Options>,
}

/// What both sides agreed on.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) channel_max: u16,
    pub(crate) frame_max: usize,
    pub(crate) heartbeat: std::time::Duration,
}

#[derive(Default)]
struct Inbox {
    commands: Vec<Command>,
    /// Channels whose lanes have something to write.
    dirty: Vec<Key>,
    /// Those whose lanes can wait a little, so that more comes together.
    lazy: Vec<Key>,
    /// The driver is gone.
    gone: bool,
}

/// A channel of a connection. Numbers are used again, serials are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    id: u16,
    serial: u64,
}

type Reply = oneshot::Sender<Result<Incoming, Error>>;

enum Command {
    Open {
        serial: u64,
        lane: Arc<dyn Lane>,
        opened: oneshot::Sender<Result<u16, Error>>,
    },
    Call {
        key: Key,
        method: Box<Method>,
        reply: Reply,
    },
    /// Nobody needs the channel any more.
    Close {
        key: Key,
        closed: Option<oneshot::Sender<()>>,
    },
    /// A method of the connection itself.
    Update { method: Box<Method>, reply: Reply },
    /// The connection is to end well.
    Shutdown,
}

impl Connection {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a command to the driver, or says that there is none any more.
    fn push(&self, command: Command) -> Result<(), Error> {
        let mut inbox = self.inbox();
        if inbox.gone {
            drop(inbox);
            return Err(self.why_gone());
        }
        inbox.commands.push(command);
        drop(inbox);
        self.0.wake.notify_one();
        Ok(())
    }

    /// Why the connection ended, as an error of something that was not sent.
    fn why_gone(&self) -> Error {
        let end = self.0.end.borrow().clone();
        let error = end.unwrap_or_else(|| {
            Error::builder(ErrorKind::Disconnected, "the connection is gone").build()
        });
        error.into_builder().outcome(Outcome::NotSent).build()
    }

    /// The lane of the channel has something to write.
    pub(crate) fn wake(&self, key: Key) {
        let mut inbox = self.inbox();
        inbox.dirty.push(key);
        drop(inbox);
        self.0.wake.notify_one();
    }

    /// The lane of the channel has something to write that is worth a few milliseconds of waiting for more.
    pub(crate) fn wake_soon(&self, key: Key) {
        let mut inbox = self.inbox();
        let first = inbox.lazy.is_empty();
        inbox.lazy.push(key);
        drop(inbox);
        if first {
            self.0.wake.notify_one();
        }
    }

    /// Waits until the connection is gone, and says why.
    pub(crate) async fn lost(&self) -> Error {
        let mut end = self.0.end.subscribe();
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone(),
            Err(_) => None,
        }
        .unwrap_or_else(|| self.why_gone())
    }

    /// Ends the connection well; [`Connection::lost`] says when that is done.
    pub(crate) fn shut_down(&self) {
        // Gone already is as good.
        let _ = self.push(Command::Shutdown);
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.0.blocked.load(Ordering::Acquire)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.inbox().gone
    }

    pub(crate) fn settled(&self) -> &Settled {
        &self.0.settled
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }
}

#[cfg(test)]
impl Connection {
    /// A connection that nobody drives, and a channel of it.
    pub(crate) fn nowhere(serial: u64) -> (Self, Key) {
        let options = crate::Client::builder().options().unwrap();
        let connection = Self(Arc::new(Inner {
            inbox: Mutex::default(),
            wake: Notify::new(),
            serials: AtomicU64::new(1),
            blocked: AtomicBool::new(false),
            end: watch::Sender::new(None),
            endpoint: "nowhere".to_owned(),
            settled: Settled {
                channel_max: 1,
                frame_max: 4096,
                heartbeat: std::time::Duration::ZERO,
            },
            options: Arc::new(options),
        }));
        (connection, Key { id: 1, serial })
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("endpoint", &self.0.endpoint)
            .finish_non_exhaustive()
    }
}
