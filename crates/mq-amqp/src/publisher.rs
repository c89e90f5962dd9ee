//! Publishing with confirms.
//!
//! ```text
//!  Send, Confirm ─► Core: waiting, line, flight ◄─ Lane ─► driver of the publishing connection
//!                     ▲
//!  attend: one task a publisher opens a channel in confirm mode, and another one when that is lost
//! ```

mod attend;
mod core;
pub(crate) mod encode;
mod failed;
mod ids;
mod send;
pub(crate) mod words;

use std::fmt;
use std::future::{Future, IntoFuture as _};
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use futures_util::stream::{Stream, StreamExt as _};

use self::core::Core;
pub use self::failed::{SendError, Unheard};
pub(crate) use self::ids::Ids;
pub use self::send::{Confirm, Enqueue, Send};
use crate::Message;
use crate::checked::{CheckedMessage, TransactionalPublisherBuilder, Verdict};
use crate::client::Client;
use crate::error::{Result, closed, invalid};
use crate::rpc::Replies;
use crate::scheduled::ScheduledHandle;

/// Publishes to an exchange, and hears from the broker what became of each message. Cheap to clone; all clones share one window and one channel.
///
/// A message counts as sent when the broker has confirmed it: durable queues have stored it then. Connections that break are made again, and
/// what was not confirmed is sent again in its order and under the same id; so a message may be there twice, and never silently lost.
///
/// When the last clone is dropped, what is under way is still brought to its end, as long as the client lives; [`close`](Self::close) waits for it.
#[derive(Clone)]
pub struct Publisher {
    handle: Arc<Handle>,
    timeout: Duration,
    mandatory: bool,
    /// In the place of the one that it was made for.
    exchange: Option<ByteString>,
}

struct Handle {
    core: Arc<Core>,
    /// Keeps the client's connections.
    client: Client,
    ids: Ids,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.leave();
    }
}

/// Options of a [`Publisher`]. Made by [`Client::publisher`].
#[must_use = "a publisher is made by build"]
#[derive(Debug)]
pub struct PublisherBuilder {
    client: Client,
    exchange: ByteString,
    window: usize,
    window_bytes: usize,
    timeout: Duration,
    mandatory: bool,
    replies: Option<Arc<Replies>>,
}

impl PublisherBuilder {
    pub(crate) const fn new(client: Client, exchange: ByteString) -> Self {
        Self {
            client,
            exchange,
            window: 1000,
            window_bytes: 64 * 1024 * 1024,
            timeout: Duration::from_secs(30),
            mandatory: true,
            replies: None,
        }
    }

    /// The channel receives answers too, and what is lost on it is not sent again.
    pub(crate) fn answered_by(mut self, replies: Arc<Replies>) -> Self {
        self.replies = Some(replies);
        self
    }

    /// How many messages may be under way; others wait. Default 1000.
    pub const fn window(mut self, messages: usize) -> Self {
        self.window = messages;
        self
    }

    /// How many bytes of messages may be under way; a message that is larger goes alone. Default 64 MiB.
    pub const fn window_bytes(mut self, bytes: usize) -> Self {
        self.window_bytes = bytes;
        self
    }

    /// How long a send may take, from its first poll until the broker has confirmed it; default 30 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether a message that no queue takes is an error; default yes. If not, it is dropped by the broker and its send succeeds.
    pub const fn mandatory(mut self, mandatory: bool) -> Self {
        self.mandatory = mandatory;
        self
    }

    /// Options of a publisher whose messages are sent if, and only if, local work has succeeded: `checker` is asked what became of it where
    /// nobody has said so, also about what other publishers of this `group` have begun whose processes are gone.
    pub fn checker<F, Fut>(
        self,
        group: impl Into<ByteString>,
        checker: F,
    ) -> TransactionalPublisherBuilder
    where
        F: Fn(CheckedMessage) -> Fut + std::marker::Send + Sync + 'static,
        Fut: Future<Output = Verdict> + std::marker::Send + 'static,
    {
        TransactionalPublisherBuilder::new(self, group.into(), checker)
    }

    /// What a layer over it has to know.
    pub(crate) fn parts(&self) -> (Client, Duration, usize) {
        (self.client.clone(), self.timeout, self.window)
    }

    /// Opens the publishing connection, if it is the client's first publisher, and a channel in confirm mode.
    ///
    /// Cancel safe: a channel that is half opened is closed. A connection that was made stays, for the client's next publisher.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for a window of nothing or a name of more than 255 bytes; what connecting answers.
    pub async fn build(self) -> Result<Publisher> {
        if self.window == 0 {
            return Err(invalid(
                "publisher",
                "a window of 0 messages lets nothing pass",
            ));
        }
        if self.exchange.len() > 255 {
            return Err(invalid(
                "publisher",
                "an exchange's name has at most 255 bytes",
            ));
        }
        let link = self.client.publishing().await?;
        let core = Arc::new(Core::new(
            self.exchange,
            self.window,
            self.window_bytes,
            self.replies,
        ));
        attend::start(&self.client, Arc::clone(&core), link).await?;
        Ok(Publisher {
            handle: Arc::new(Handle {
                core,
                client: self.client,
                ids: Ids::new(),
            }),
            timeout: self.timeout,
            mandatory: self.mandatory,
            exchange: None,
        })
    }
}

impl Publisher {
    /// Publishes a message; the receipt comes when the broker has confirmed it.
    ///
    /// Cancel safe: dropped before its first poll, or while it waits for room in the window, nothing is sent; after that the message is not
    /// called back, and a failure is told by the next [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message: kind `NotFound` if no queue takes it, `Rejected` if the broker refused it, `Timeout`, `Invalid`, `Closed`;
    /// its [`Outcome`](crate::Outcome) says whether the broker may have it.
    pub fn send(&self, message: Message) -> Send {
        Send::new(self.clone(), message)
    }

    /// As [`send`](Self::send), but resolves as soon as there is room in the window: what it gives is awaited for the receipt.
    pub fn enqueue(&self, message: Message) -> Enqueue {
        Enqueue::new(self.clone(), message)
    }

    /// Publishes what comes, as many at a time as the window holds, and gives a result for each in the order in which they came. Goes on after an error.
    pub fn send_all<S>(
        &self,
        messages: S,
    ) -> impl Stream<Item = Result<Receipt, SendError>> + use<S>
    where
        S: Stream<Item = Message>,
    {
        let publisher = self.clone();
        let window = self.handle.core.window();
        messages
            .map(move |message| publisher.send(message).into_future())
            .buffered(window)
    }

    /// Waits until everything that was sent before this call has come to its end, also what was dropped; not for what others send meanwhile.
    ///
    /// Cancel safe: what is under way goes on, and failures are kept for the next call.
    ///
    /// # Errors
    ///
    /// [`Unheard`]: the failures since the last call that nobody else was told of.
    pub async fn flush(&self) -> Result<(), Unheard> {
        let unheard = self.handle.core.flushed().await;
        if unheard.count == 0 {
            Ok(())
        } else {
            Err(unheard)
        }
    }

    /// Takes nothing more, from any clone, and waits as [`flush`](Self::flush) does.
    ///
    /// Cancel safe, but not undone: from the first poll on nothing more is taken. What is under way goes on.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub async fn close(self) -> Result<(), Unheard> {
        self.handle.core.refuse();
        let result = self.flush().await;
        self.handle.core.end(&closed("send", "publisher"));
        self.handle.core.changed.notify_one();
        result
    }

    pub(crate) fn new_id(&self) -> ByteString {
        self.handle.ids.next()
    }

    pub(crate) const fn is_mandatory(&self) -> bool {
        self.mandatory
    }

    /// The exchange; the default one has no name.
    pub fn exchange(&self) -> &str {
        let own = self.exchange.as_deref();
        own.unwrap_or_else(|| self.handle.core.exchange())
    }

    /// The same window and channel, to another exchange.
    pub(crate) fn to(&self, exchange: ByteString) -> Self {
        Self {
            exchange: Some(exchange),
            ..self.clone()
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("exchange", &self.exchange())
            .finish_non_exhaustive()
    }
}

/// A message that the broker has confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    id: ByteString,
    attempts: u32,
    scheduled: Option<Box<ScheduledHandle>>,
}

impl Receipt {
    fn new(mut message: Message, attempts: u32) -> Self {
        Self {
            id: message
                .properties_mut()
                .message_id
                .take()
                .unwrap_or_default(),
            attempts,
            scheduled: None,
        }
    }

    pub(crate) fn of_scheduled(mut self, handle: ScheduledHandle) -> Self {
        self.scheduled = Some(Box::new(handle));
        self
    }

    /// The message's id; if it was sent twice, both have this one.
    pub fn unique_id(&self) -> &str {
        &self.id
    }

    /// How often it was sent: more than once if a connection was lost before the broker had confirmed it.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When it is due, and what [`Scheduler::cancel`](crate::Scheduler::cancel) takes; `None` if it was not sent by a [`Scheduler`](crate::Scheduler).
    pub fn scheduled(&self) -> Option<&ScheduledHandle> {
        self.scheduled.as_deref()
    }
}
