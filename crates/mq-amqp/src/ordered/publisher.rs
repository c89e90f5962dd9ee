//! Publishing in the order of keys.
//!
//! ```text
//!  send ─► room in the window ─► the key's line ─► one at a time ─► Publisher ─► confirmed: the next of the line
//!                                                                        └────── failed: the line ends as NotSent
//! ```

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytestring::ByteString;
use mq_core::{ErrorKind, Outcome, Retry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, Span};

use super::OrderedTopic;
use super::partition;
use crate::conn::now;
use crate::consumer::attend::begin;
use crate::error::{Error, Result, closed, invalid};
use crate::proto::Value;
use crate::{Message, Publisher, Receipt, SendError, Unheard};

/// Options of an [`OrderedPublisher`]. Made by [`OrderedTopic::publisher`].
#[must_use = "a publisher is made by build"]
#[derive(Debug)]
pub struct OrderedPublisherBuilder {
    topic: OrderedTopic,
    window: u32,
    timeout: Duration,
}

impl OrderedPublisherBuilder {
    pub(super) const fn new(topic: OrderedTopic) -> Self {
        Self {
            topic,
            window: 1000,
            timeout: Duration::from_secs(30),
        }
    }

    /// How many messages may be under way or wait for their key's turn; others wait before. Default 1000.
    pub const fn window(mut self, messages: u32) -> Self {
        self.window = messages;
        self
    }

    /// How long a send may take, from its first poll until the broker has confirmed it, its wait for its key's turn included; default 30 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens a channel in confirm mode.
    ///
    /// # Errors
    ///
    /// As [`PublisherBuilder::build`](crate::PublisherBuilder::build).
    pub async fn build(self) -> Result<OrderedPublisher> {
        if self.window == 0 {
            let text = "a window of 0 messages lets nothing pass";
            return Err(invalid("publisher", text));
        }
        let window = self.window as usize;
        let publisher = self.topic.client.publisher(self.topic.name.clone());
        let publisher = publisher.window(window).timeout(self.timeout);
        let numbers = (0..self.topic.partitions).map(|_| AtomicU64::new(1));
        Ok(OrderedPublisher {
            shared: Arc::new(Shared {
                publisher: publisher.build().await?,
                numbers: numbers.collect(),
                topic: self.topic,
                producer: format!("{:032x}", fastrand::u128(..)).into(),
                window: self.window,
                room: Arc::new(Semaphore::new(window)),
                closing: AtomicBool::new(false),
                timeout: self.timeout,
                state: Mutex::default(),
            }),
        })
    }
}

/// Publishes to an ordered topic. Cheap to clone; all clones share its order and its window.
///
/// Of a key one message is under way at a time, of different keys many are. What was not confirmed when a connection was lost is sent again under the
/// same id and number. A send that fails, or whose fate is unknown, ends those that had been begun behind it with the same key as `NotSent`: they would come
/// before it, once it is sent again.
///
/// When the last clone is dropped, what was begun is still brought to its end, as long as the client lives.
#[derive(Clone)]
pub struct OrderedPublisher {
    shared: Arc<Shared>,
}

struct Shared {
    topic: OrderedTopic,
    publisher: Publisher,
    producer: ByteString,
    /// The next one of each partition.
    numbers: Vec<AtomicU64>,
    window: u32,
    room: Arc<Semaphore>,
    /// Nothing more is taken; what waits for room still gets it.
    closing: AtomicBool,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What waits behind the message of a key that is under way. A key that is here has a task.
    lines: HashMap<ByteString, VecDeque<Job>>,
    unheard: Unheard,
}

struct Job {
    message: Message,
    deadline: Instant,
    answer: oneshot::Sender<Result<Receipt, SendError>>,
    _room: OwnedSemaphorePermit,
    span: Span,
}

impl OrderedPublisher {
    /// Publishes a message behind those with the same key, which is its routing key; the receipt comes when the broker has confirmed it.
    ///
    /// Sends are in the order of their first polls. Cancel safe: dropped while it waits for room in the window, nothing is sent; after that the message is
    /// not called back, and a failure is told by the next [`flush`](Self::flush). Sent again after a failure it has the same id and another number, so that
    /// no consumer drops it.
    ///
    /// # Errors
    ///
    /// As [`Publisher::send`]; with outcome `NotSent` and the earlier failure as its source, if one with the same key failed before it.
    pub async fn send(&self, message: Message) -> Result<Receipt, SendError> {
        self.enqueue(message).await?.await
    }

    /// As [`send`](Self::send), but resolves as soon as the message has its place behind those with the same key: what it gives is awaited for the receipt.
    ///
    /// # Errors
    ///
    /// Outcome `NotSent`: kind `Timeout` if there was no room in time, `Closed` after [`close`](Self::close).
    pub async fn enqueue(&self, message: Message) -> Result<OrderedConfirm, SendError> {
        let shared = &self.shared;
        if shared.closing.load(Ordering::Relaxed) {
            return Err(SendError::new(closed("send", "publisher"), message));
        }
        let deadline = now() + shared.timeout.min(LONGEST);
        let room = Arc::clone(&shared.room).acquire_owned();
        let room = match timeout_at(deadline, room).await {
            Ok(Ok(room)) => room,
            Ok(Err(_)) => return Err(SendError::new(closed("send", "publisher"), message)),
            Err(_) => return Err(SendError::new(too_late(shared.timeout), message)),
        };
        let (answer, hearing) = oneshot::channel();
        let key = ByteString::from(message.routing_key());
        let job = Job {
            message,
            deadline,
            answer,
            _room: room,
            span: Span::current(),
        };
        let mut state = shared.state();
        let begun = state.lines.contains_key(&key);
        state.lines.entry(key.clone()).or_default().push_back(job);
        drop(state);
        if !begun {
            let serving = serve(Arc::clone(shared), key);
            begin(&shared.topic.client, serving);
        }
        Ok(OrderedConfirm(hearing))
    }

    /// Waits until nothing is under way; sends that are begun meanwhile wait for it. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Unheard`]: the failures since the last call that nobody else was told of.
    pub async fn flush(&self) -> Result<(), Unheard> {
        // Closed, nothing new comes, and what is under way is waited for by who closed it.
        let _all = self.shared.room.acquire_many(self.shared.window).await;
        self.unheard()
    }

    fn unheard(&self) -> Result<(), Unheard> {
        let unheard = std::mem::take(&mut self.shared.state().unheard);
        if unheard.count == 0 {
            return Ok(());
        }
        Err(unheard)
    }

    /// Takes nothing more, from any clone, and waits as [`flush`](Self::flush) does.
    ///
    /// Cancel safe, but not undone: from the first poll on nothing more is taken. What is under way goes on.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub async fn close(self) -> Result<(), Unheard> {
        self.shared.closing.store(true, Ordering::Relaxed);
        // Held until there is no room any more: who looked before it was closed waits behind.
        let _all = self.shared.room.acquire_many(self.shared.window).await;
        self.shared.room.close();
        self.unheard()
    }
}

impl fmt::Debug for OrderedPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedPublisher")
            .field("topic", &self.shared.topic.name)
            .finish_non_exhaustive()
    }
}

/// A message that has its place. Makes progress without being polled; await it for the receipt.
///
/// Dropped before the end, a failure is told by the next [`OrderedPublisher::flush`].
#[derive(Debug)]
#[must_use = "await it for the receipt, or flush the publisher later"]
pub struct OrderedConfirm(oneshot::Receiver<Result<Receipt, SendError>>);

impl Future for OrderedConfirm {
    type Output = Result<Receipt, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|told| {
            // The client is gone, and with it its tasks.
            told.unwrap_or_else(|_| {
                let error = closed("send", "client").into_builder();
                let error = error.outcome(Outcome::Unknown).build();
                Err(SendError::new(error, Message::new("", "")))
            })
        })
    }
}

/// Sends what is in the line of a key, one after the other.
async fn serve(shared: Arc<Shared>, key: ByteString) {
    while let Some(job) = shared.next_of(&key) {
        let publishing = shared.publish(&key, job.message, job.deadline);
        match publishing.instrument(job.span).await {
            Ok(receipt) => drop(job.answer.send(Ok(receipt))),
            Err(failed) => {
                // Before its sender hears it: what he sends then is not behind it.
                let behind = shared.behind(&key);
                let error = overtaken(&failed.error);
                shared.tell(job.answer, failed);
                for job in behind {
                    shared.tell(job.answer, SendError::new(error.clone(), job.message));
                }
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message of a key; if there is none, the key has no task any more.
    fn next_of(&self, key: &ByteString) -> Option<Job> {
        let mut state = self.state();
        let job = state.lines.get_mut(key)?.pop_front();
        if job.is_none() {
            state.lines.remove(key);
        }
        job
    }

    fn behind(&self, key: &ByteString) -> VecDeque<Job> {
        let mut state = self.state();
        let line = state.lines.get_mut(key);
        line.map(std::mem::take).unwrap_or_default()
    }

    fn tell(&self, answer: oneshot::Sender<Result<Receipt, SendError>>, failed: SendError) {
        if let Err(Err(failed)) = answer.send(Err(failed)) {
            self.state().unheard.add(failed);
        }
    }

    async fn publish(
        &self,
        key: &ByteString,
        mut message: Message,
        deadline: Instant,
    ) -> Result<Receipt, SendError> {
        let left = deadline.saturating_duration_since(now());
        if left.is_zero() {
            return Err(SendError::new(too_late(self.timeout), message));
        }
        let partition = partition::of(key, self.topic.partitions);
        let number = self.numbers.get(usize::from(partition));
        let number = number.map_or(0, |number| number.fetch_add(1, Ordering::Relaxed));
        let headers = message.properties_mut().headers.get_or_insert_default();
        headers.insert(KEY, key.clone());
        headers.insert(PRODUCER, self.producer.clone());
        headers.insert(NUMBER, Value::I64(number.cast_signed()));
        message.set_routing_key(partition.to_string().into());
        let sent = self.publisher.send(message).timeout(left).await;
        sent.map_err(|mut failed| {
            failed.message.set_routing_key(key.clone());
            failed
        })
    }
}

fn overtaken(before: &Error) -> Error {
    let text = "not sent, since one before it with the same ordering key failed";
    Error::builder(before.kind(), text)
        .operation("send")
        .outcome(Outcome::NotSent)
        .retry(Retry::Later)
        .source(before.clone())
        .hint("send the one that failed again, then this one")
        .build()
}

fn too_late(timeout: Duration) -> Error {
    let text = format!("its turn did not come within {timeout:?}");
    Error::builder(ErrorKind::Timeout, text)
        .operation("send")
        .outcome(Outcome::NotSent)
        .build()
}

pub(super) const KEY: &str = "x-mq-key";
pub(super) const PRODUCER: &str = "x-mq-producer";
pub(super) const NUMBER: &str = "x-mq-seq";
/// Longer than anybody waits.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
