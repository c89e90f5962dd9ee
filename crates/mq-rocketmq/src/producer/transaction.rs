//! Transactions: a message that is delivered if, and only if, local work has succeeded.
//!
//! ```text
//!  begin ─► half message ─► broker            local work, with the transaction's id
//!  commit / rollback ─ 37, answered ─► broker ─► delivered / forgotten
//!     dropped, failed, dead ─► broker asks (39) any producer of the group ─► checker ─ 37 ─► broker
//! ```

mod announce;
mod begin;
mod checked;
mod checks;
mod end;
mod guard;
mod open;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use mq_core::Endpoint;
use tokio::sync::mpsc;

pub use self::begin::{Begin, TransactError};
pub use self::checked::CheckedMessage;
pub use self::guard::Transaction;
use self::open::{Open, Place};
use super::shared::ProducerShared;
use super::{Producer, ProducerBuilder};
use crate::Message;
use crate::client::{Checks, Question};
use crate::error::Result;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The local work is done: the message is to be delivered.
    Commit,
    /// The local work is not done and never will be: the message is to be forgotten.
    Rollback,
    /// Not known (yet): the broker asks again later.
    Unknown,
}

/// Begins transactions, and answers brokers that ask what became of them. Cheap to clone.
///
/// Made by [`ProducerBuilder::checker`]. The broker asks about every half message whose transaction was neither committed nor rolled back in time, for the first
/// time when its `transactionTimeOut` (6 s by default) has passed since the message was made, and then every `transactionCheckInterval` (30 s;
/// 60 s on 4.x): one producer of the group, whichever, in any process and any language. So the checker must find what the local work has written, by
/// [`CheckedMessage::id`] or by what the message says, and answer [`Verdict::Unknown`] for work that may still be under way.
///
/// ```no_run
/// # async fn run(client: mq_rocketmq::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use mq_rocketmq::{Message, Verdict};
///
/// # async fn is_paid(order: &str) -> Option<bool> { None }
/// # async fn pay(order: &str) -> std::io::Result<()> { Ok(()) }
/// let producer = client
///     .producer("orders")
///     .checker(|message| async move {
///         match is_paid(message.id()).await {
///             Some(true) => Verdict::Commit,
///             Some(false) => Verdict::Rollback,
///             None => Verdict::Unknown,
///         }
///     })
///     .topic("paid")
///     .build()
///     .await?;
/// let transaction = producer.begin(Message::new("paid", "order 7")).await?;
/// // An early return leaves the transaction to the checker.
/// pay(transaction.id()).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TransactionalProducer {
    plain: Producer,
    shared: Arc<Shared>,
}

/// What all clones of a transactional producer, its transactions and its task have in common.
struct Shared {
    producer: Arc<ProducerShared>,
    open: Open,
    checker: Box<Checker>,
    work: mpsc::Sender<Work>,
    /// Brokers that have had a heartbeat of the group.
    told: Mutex<BTreeSet<Endpoint>>,
    first_check: Option<Duration>,
    check_timeout: Duration,
    check_concurrency: usize,
}

type Checker =
    dyn Fn(CheckedMessage) -> Pin<Box<dyn Future<Output = Verdict> + Send>> + Send + Sync;

/// What the producer's task is to do.
enum Work {
    Check(Box<Question>),
    LeaveOpen(String, Place),
}

impl TransactionalProducer {
    /// Stores a half message, and gives the transaction that decides about it.
    ///
    /// `producer.begin(message).await` gives the [`Transaction`]; `.timeout(…)` and `.first_check_after(…)` before `.await` are for this call.
    ///
    /// # Errors
    ///
    /// [`SendError`](crate::SendError) with the message. It is tried again at the same broker while it surely is not stored, never at another one. With
    /// outcome `Unknown` the half message may be stored, and the broker will ask the checker, which knows nothing of it. A half message that is not
    /// stored as safely as the broker was to (see [`Durability`](crate::Durability)) is rolled back, and an error of kind `Timeout`, retryable.
    /// Kind `Invalid`: the message can't be sent, or is a scheduled one, which no broker can keep half.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the half message may be stored; nobody sees it unless the checker says so.
    pub fn begin(&self, message: Message) -> Begin {
        Begin::new(self.clone(), message)
    }

    /// Stores a half message, does `local`, and ends the transaction as that says; the answer is what it said.
    ///
    /// `local` is given the message, with its unique id. [`Verdict::Unknown`], an `Err` and a panic, which is passed on, leave the transaction to the checker.
    ///
    /// # Errors
    ///
    /// [`TransactError`]: which of the three steps failed, and its error.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, the transaction is left to the checker.
    pub async fn transact<F, Fut, E>(
        &self,
        message: Message,
        local: F,
    ) -> Result<Verdict, TransactError<E>>
    where
        F: FnOnce(Message) -> Fut + Send,
        Fut: Future<Output = Result<Verdict, E>> + Send,
    {
        begin::transact(self, message, local).await
    }

    /// The producer of the same group and options for messages without a transaction.
    pub const fn plain(&self) -> &Producer {
        &self.plain
    }
}

impl fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalProducer")
            .field("group", &self.shared.producer.group)
            .finish_non_exhaustive()
    }
}

/// Options of a [`TransactionalProducer`].
#[must_use = "a builder does nothing until build() is awaited"]
pub struct TransactionalProducerBuilder {
    producer: ProducerBuilder,
    checker: Box<Checker>,
    topics: Vec<String>,
    first_check: Option<Duration>,
    check_timeout: Duration,
    check_concurrency: usize,
}

impl TransactionalProducerBuilder {
    pub(super) fn new<F, Fut>(producer: ProducerBuilder, checker: F) -> Self
    where
        F: Fn(CheckedMessage) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Verdict> + Send + 'static,
    {
        Self {
            producer,
            checker: Box::new(move |message| Box::pin(checker(message))),
            topics: Vec::new(),
            first_check: None,
            check_timeout: Duration::from_secs(10),
            check_concurrency: 8,
        }
    }

    /// Adds a topic of its transactions: [`build`](Self::build) announces the group to the brokers of these topics, so that they ask about transactions of
    /// a former life before anything is sent. Default none: to all brokers of the clusters that the nameservers tell of.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// How long after it was made a half message is asked about for the first time, in whole seconds, rounded up; default the broker's
    /// `transactionTimeOut`. For local work that takes long. A commit or rollback that comes later is refused (code 604), and left to the checker.
    ///
    /// Brokers measure it between the producer's clock and theirs, and take no less than their default. Keep it well below `transactionCheckMax`
    /// times `transactionCheckInterval` (7.5 minutes by default): each round in which the broker leaves the message alone counts as a question, and
    /// at the maximum it is put aside without having been asked about.
    // apache/rocketmq: EndTransactionProcessor.rejectCommitOrRollback; TransactionalMessageServiceImpl.check counts (needDiscard) before it
    // looks whether it is time to ask
    pub const fn first_check_after(mut self, time: Duration) -> Self {
        self.first_check = Some(time);
        self
    }

    /// How long the checker may take for one message; default 10 s. Later, the broker is told [`Verdict::Unknown`], and asks again.
    pub const fn check_timeout(mut self, time: Duration) -> Self {
        self.check_timeout = time;
        self
    }

    /// How many messages the checker is asked about at a time; default 8, at least 1. Up to 1024 wait; beyond that the broker asks again.
    pub const fn check_concurrency(mut self, count: usize) -> Self {
        self.check_concurrency = count;
        self
    }

    /// Makes the producer and announces its group, so that from then on brokers ask it.
    ///
    /// # Errors
    ///
    /// As [`ProducerBuilder::build`]. Kind `NotFound`: a [topic](Self::topic) does not exist, and the cluster makes none by itself. Kind `Auth`: a
    /// broker refuses the keys. Kind `Connect`: no nameserver answers. A broker that can't be reached is no error: it is told when it is back.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, nothing is left behind.
    pub async fn build(self) -> Result<TransactionalProducer> {
        let plain = self.producer.build().await?;
        let (work, waiting) = mpsc::channel(WAITING);
        let shared = Arc::new(Shared {
            producer: Arc::clone(&plain.shared),
            open: Open::default(),
            checker: self.checker,
            work,
            told: Mutex::default(),
            first_check: self.first_check,
            check_timeout: self.check_timeout,
            check_concurrency: self.check_concurrency.max(1),
        });
        // First this: a broker may ask as soon as it knows the group.
        checks::start(&shared, waiting);
        let weak: Weak<dyn Checks> = Arc::<Shared>::downgrade(&shared);
        let client = &plain.shared.client;
        client.groups.add_checker(&plain.shared.group, weak);
        let wrap = |topic: &String| client.namespace.wrap(topic);
        let topics: Vec<_> = self.topics.iter().map(wrap).collect();
        announce::announce(&shared, &topics).await?;
        Ok(TransactionalProducer { plain, shared })
    }
}

impl fmt::Debug for TransactionalProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalProducerBuilder")
            .field("producer", &self.producer)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

/// How many questions wait for the checker.
const WAITING: usize = 1024;

#[cfg(test)]
mod tests;
