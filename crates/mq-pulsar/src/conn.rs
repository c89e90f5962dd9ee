//! Connections: one task each, which owns the socket; producers and consumers on it; and a pool, a connection a broker.
//!
//! ```text
//!  Connection::ask ─► Inbox ─┐                               ┌─► the reply, by its request id
//!  Lane::fill    ◄── dirty ──┤ driver ─► Outbox ─► socket    ├─► Lane::incoming: receipts, messages
//!                            └──────────◄ frames ◄───────────┘
//!  Pool: address of a broker ─► the connection that stands, or dial and handshake
//! ```
//!
//! What has to be written in an order (a producer's batches, a consumer's acknowledgements) is kept by its `Lane`; the driver asks lanes for it when
//! the socket has room. A connection that is lost is not made again by itself: whoever needs one asks the pool, since its topic may have moved.

mod asks;
mod driver;
mod handshake;
pub(crate) mod http;
mod options;
mod outbox;
mod pool;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mq_core::{ErrorKind, Outcome};
#[cfg(feature = "tls")]
pub(crate) use mq_net::TlsParts;
pub(crate) use mq_net::{Tasks, TlsConfig, now};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, timeout};

pub(crate) use self::asks::Ask;
pub(crate) use self::handshake::not_connected;
pub(crate) use self::options::Options;
pub(crate) use self::outbox::Outbox;
pub(crate) use self::pool::{Broker, Pool};
use crate::error::Error;
use crate::proto::{Incoming, Malformed, api};

/// What happens for a producer or a consumer besides the replies to what was asked. Called by the driver: must not block.
pub(crate) trait Lane: Send + Sync {
    /// Writes what is ready, in its order, until the outbox is full; the answer is whether there is more.
    fn fill(&self, out: &mut Outbox) -> bool;
    /// Takes what is for it.
    ///
    /// # Errors
    /// What a broker can't have meant: the connection is not to be trusted any longer.
    fn incoming(&self, incoming: Incoming) -> Result<(), Malformed>;
    /// Everything that came with one read has been taken; the answer is whether it gave something to write.
    fn all_taken(&self) -> bool {
        false
    }
    /// The broker has closed it, or the connection is no more; what was written and not answered may have been applied.
    fn lost(&self, why: &Error);
}

/// Who a lane is on the wire. A client gives each number once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Producer(u64),
    Consumer(u64),
}

/// A connection that stands, or stood. All clones are the same one.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

struct Inner {
    inbox: Mutex<Inbox>,
    wake: Notify,
    requests: AtomicU64,
    end: watch::Sender<Option<Error>>,
    endpoint: String,
    settled: Settled,
    options: Arc<Options>,
}

/// What the broker has said of itself.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    /// The largest message, in bytes, with its metadata.
    pub(crate) max_message_size: usize,
    pub(crate) features: api::FeatureFlags,
}

#[derive(Default)]
struct Inbox {
    commands: Vec<Command>,
    /// Lanes that have something to write.
    dirty: Vec<Key>,
    /// And those that will have.
    later: Vec<(Instant, Key)>,
    /// The driver is gone.
    gone: bool,
}

type Reply = oneshot::Sender<Result<api::BaseCommand, Error>>;
type Lanes = HashMap<Key, Arc<dyn Lane>>;

enum Command {
    Ask {
        id: u64,
        command: Box<api::BaseCommand>,
        reply: Reply,
        /// Whoever is created by it: what comes for it may come with the reply's bytes.
        lane: Option<(Key, Arc<dyn Lane>)>,
    },
    /// Nobody waits for that reply any more.
    Forget(u64),
    /// Nobody needs the lane any more; what it has to write goes before.
    Close {
        key: Key,
        id: u64,
        reply: Option<Reply>,
    },
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

    fn next_request(&self) -> u64 {
        self.0.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks, and waits for the answer, within the time that an operation may take.
    ///
    /// # Errors
    ///
    /// What the broker refuses; kind `Timeout` or `Disconnected`, with outcome `Unknown`, where it may have done what was asked.
    pub(crate) async fn ask(&self, ask: impl Ask) -> Result<api::BaseCommand, Error> {
        let within = self.0.options.operation_timeout;
        self.wait(ask, None, Some(within)).await
    }

    /// Asks for a producer or a consumer; what comes for it is its lane's from then on. Dropped before the answer, it is closed again.
    ///
    /// Without a time it waits as long as the broker wants.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask). The lane is left then, and not told.
    pub(crate) async fn open(
        &self,
        key: Key,
        lane: Arc<dyn Lane>,
        ask: impl Ask,
        within: Option<Duration>,
    ) -> Result<api::BaseCommand, Error> {
        let mut unfinished = Unfinished(Some((self, key)));
        let opened = self.wait(ask, Some((key, lane)), within).await?;
        unfinished.0 = None;
        Ok(opened)
    }

    async fn wait(
        &self,
        ask: impl Ask,
        lane: Option<(Key, Arc<dyn Lane>)>,
        within: Option<Duration>,
    ) -> Result<api::BaseCommand, Error> {
        let id = self.next_request();
        let (reply, replied) = oneshot::channel();
        let command = Box::new(ask.with(id));
        self.push(Command::Ask {
            id,
            command,
            reply,
            lane,
        })?;
        let mut forget = Forget(Some((self, id)));
        let replied = match within {
            Some(within) => timeout(within, replied).await,
            None => Ok(replied.await),
        };
        let result = match replied {
            Ok(Ok(result)) => {
                forget.0 = None;
                result
            }
            Ok(Err(_)) => Err(self.why_gone()),
            Err(_) => {
                let within = within.unwrap_or_default();
                let message = format!("the broker did not answer within {within:?}");
                let error = Error::builder(ErrorKind::Timeout, message);
                Err(error.outcome(Outcome::Unknown).build())
            }
        };
        result.map_err(|error| self.at(error))
    }

    /// Closes a producer or a consumer, after what its lane has to write.
    pub(crate) async fn close(&self, key: Key) {
        let (reply, replied) = oneshot::channel();
        let id = self.next_request();
        let reply = Some(reply);
        // Gone already is as good, and so is a broker that does not answer.
        if self.push(Command::Close { key, id, reply }).is_ok() {
            let _ = timeout(self.0.options.operation_timeout, replied).await;
        }
    }

    /// The same where nobody waits.
    pub(crate) fn leave(&self, key: Key) {
        let id = self.next_request();
        let reply = None;
        let _ = self.push(Command::Close { key, id, reply });
    }

    /// The lane has something to write.
    pub(crate) fn wake(&self, key: Key) {
        let mut inbox = self.inbox();
        inbox.dirty.push(key);
        drop(inbox);
        self.0.wake.notify_one();
    }

    /// The lane will have something to write then, or before.
    pub(crate) fn wake_at(&self, key: Key, at: Instant) {
        let mut inbox = self.inbox();
        inbox.later.push((at, key));
        drop(inbox);
        self.0.wake.notify_one();
    }

    /// Waits until the connection is gone, and says why.
    pub(crate) async fn lost(&self) -> Error {
        let mut end = self.0.end.subscribe();
        let why = match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone(),
            Err(_) => None,
        };
        why.unwrap_or_else(|| self.why_gone())
    }

    /// Ends the connection; [`Connection::lost`] says when that is done.
    pub(crate) fn shut_down(&self) {
        let _ = self.push(Command::Shutdown);
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

    fn at(&self, error: Error) -> Error {
        match error.endpoint() {
            Some(_) => error,
            None => error.into_builder().endpoint(self.endpoint()).build(),
        }
    }
}

/// Whoever asked has left: the reply is nobody's.
struct Forget<'a>(Option<(&'a Connection, u64)>);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some((connection, id)) = self.0 {
            let _ = connection.push(Command::Forget(id));
        }
    }
}

/// A producer or a consumer that may be there, and that nobody has.
struct Unfinished<'a>(Option<(&'a Connection, Key)>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some((connection, key)) = self.0 {
            connection.leave(key);
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("endpoint", &self.0.endpoint)
            .finish_non_exhaustive()
    }
}
