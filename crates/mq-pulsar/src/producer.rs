//! Sending.
//!
//! ```text
//!  Send, Confirm ─► Gate: the window, and who waits for room ─► Part: open batch, line, flight ◄─ Lane ─► driver of its broker's connection
//!                                                                 ▲
//!  attend: one task a producer keeps its parts open, follows the number of partitions, ends what is late
//! ```

mod attend;
mod batch;
mod builder;
mod failed;
mod gate;
mod memory;
mod part;
mod receipt;
mod route;
mod send;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::IntoFuture as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt as _};
use tokio::sync::{oneshot, watch};

pub use self::builder::{AccessMode, ProducerBuilder};
pub use self::failed::{SendError, Unheard};
use self::gate::Gate;
pub(crate) use self::memory::Memory;
use self::part::{Batching, Part};
pub use self::receipt::Receipt;
use self::route::Router;
pub use self::route::{Hashing, Routing};
pub use self::send::{Confirm, Enqueue, Send};
use crate::Message;
use crate::client::Client;
use crate::error::{Error, Result, closed};
use crate::proto::{Compression, api};
use crate::topic::TopicName;

type Answer = oneshot::Sender<Result<Receipt, SendError>>;

/// Sends to a topic, and hears from the broker what became of each message. Cheap to clone; all clones share one window.
///
/// A message counts as sent when the broker has stored it. Connections that break are made again, and what was not answered is sent again in its
/// order and under the same sequence ids; so a message may be there twice, unless the namespace has deduplication on, and never silently lost.
///
/// When the last clone is dropped, what is under way is still brought to its end; [`close`](Self::close) waits for it.
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
    /// For the last clone: what is under way outlives it.
    life: Arc<Life>,
    timeout: Duration,
}

struct Life {
    gate: Arc<Gate>,
    done: watch::Receiver<bool>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

/// What a producer is made of.
struct Setup {
    client: Client,
    topic: TopicName,
    name: Option<String>,
    batching: Batching,
    compression: Compression,
    access: api::ProducerAccessMode,
    refresh: Duration,
    initial_subscription: Option<String>,
    router: Router,
    gate: Arc<Gate>,
}

struct Handle {
    client: Client,
    setup: Setup,
    gate: Arc<Gate>,
    parts: RwLock<Arc<[Arc<Part>]>>,
}

impl Handle {
    fn new(setup: Setup) -> Arc<Self> {
        Arc::new(Self {
            client: setup.client.clone(),
            gate: Arc::clone(&setup.gate),
            setup,
            parts: RwLock::default(),
        })
    }

    fn parts(&self) -> Arc<[Arc<Part>]> {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&parts)
    }

    /// Adds partitions, to which messages may go from now on.
    fn add(&self, topics: Vec<TopicName>) -> Vec<Arc<Part>> {
        let new: Vec<_> = topics
            .into_iter()
            .map(|topic| {
                let id = self.client.shared.next_id();
                let gate = Arc::downgrade(&self.gate);
                let Setup {
                    batching,
                    compression,
                    ..
                } = &self.setup;
                Arc::new(Part::new(topic, id, *batching, *compression, gate))
            })
            .collect();
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        *parts = parts.iter().chain(&new).map(Arc::clone).collect();
        new
    }

    /// The partition that a message goes to.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: it is larger than its broker takes, and is not to be compressed.
    fn part_of(&self, message: &Message) -> Result<Arc<Part>> {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let at = self.setup.router.partition(message, count);
        let part = parts.get(at as usize).or_else(|| parts.first());
        let part = part.ok_or_else(|| closed("send", "producer"))?;
        let (size, most) = (message.body().len(), part.max_message_size());
        if size > most && self.setup.compression == Compression::None {
            return Err(batch::too_large(size, most));
        }
        Ok(Arc::clone(part))
    }

    fn end(&self, why: &Error) {
        self.gate.end(&self.parts(), why);
    }
}

impl Producer {
    /// Sends a message; the receipt comes when the broker has stored it.
    ///
    /// Cancel safe: dropped before its first poll, or while it waits for room in the window, nothing is sent; after that the message is not
    /// called back, and a failure is told by the next [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message: kind `Timeout`, `Invalid` (too large), `Rejected`, `Busy`, `Closed`; its [`Outcome`](crate::Outcome) says
    /// whether the broker may have it.
    pub fn send(&self, message: Message) -> Send {
        Send::new(self.clone(), message)
    }

    /// As [`send`](Self::send), but resolves as soon as there is room in the window: what it gives is awaited for the receipt.
    pub fn enqueue(&self, message: Message) -> Enqueue {
        Enqueue::new(self.clone(), message)
    }

    /// Sends what comes, as many at a time as the window holds, and gives a result for each in the order in which they came. Goes on after an error.
    pub fn send_all<S>(
        &self,
        messages: S,
    ) -> impl Stream<Item = Result<Receipt, SendError>> + use<S>
    where
        S: Stream<Item = Message>,
    {
        let producer = self.clone();
        let window = self.handle.gate.window;
        messages
            .map(move |message| producer.send(message).into_future())
            .buffered(window)
    }

    /// Waits until everything that was sent before this call has come to its end, also what was dropped; not for what others send meanwhile. Batches
    /// wait for nothing more.
    ///
    /// Cancel safe: what is under way goes on, and failures are kept for the next call.
    ///
    /// # Errors
    ///
    /// [`Unheard`]: the failures since the last call that nobody else was told of.
    pub async fn flush(&self) -> Result<(), Unheard> {
        let parts = || self.handle.parts().to_vec();
        let unheard = self.handle.gate.flushed(parts).await;
        if unheard.count == 0 {
            Ok(())
        } else {
            Err(unheard)
        }
    }

    /// Takes nothing more, from any clone, waits as [`flush`](Self::flush) does, and gives the name back to the broker.
    ///
    /// Cancel safe, but not undone: from the first poll on nothing more is taken. What is under way goes on.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub async fn close(self) -> Result<(), Unheard> {
        self.handle.gate.refuse();
        let result = self.flush().await;
        self.handle.gate.over.send_replace(true);
        let mut done = self.life.done.clone();
        let _ = done.wait_for(|done| *done).await;
        result
    }

    /// The topic's whole name.
    pub fn topic(&self) -> &str {
        self.handle.setup.topic.as_str()
    }

    /// The name under which the broker knows it; of a topic with partitions, that of the first.
    pub fn name(&self) -> String {
        let parts = self.handle.parts();
        parts
            .first()
            .map(|part| part.name().to_string())
            .unwrap_or_default()
    }

    /// The highest sequence id that was given, or that the broker knows of this name; of a topic with partitions, of all of them. `None` before the
    /// first.
    pub fn last_sequence_id(&self) -> Option<u64> {
        let parts = self.handle.parts();
        parts
            .iter()
            .filter_map(|part| part.last_sequence_id())
            .max()
    }

    /// How many partitions the topic has; 1 if it has none.
    pub fn partitions(&self) -> usize {
        self.handle.parts().len()
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("topic", &self.topic())
            .finish_non_exhaustive()
    }
}
