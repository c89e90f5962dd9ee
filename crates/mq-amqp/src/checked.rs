//! Transactions with check-back: a message that is sent if, and only if, local work has succeeded.
//!
//! ```text
//!  begin ─► half message ─► slot: a queue that this publisher alone consumes ─► held here, unacknowledged
//!  commit ─► to its exchange, confirmed ─► half acknowledged          rollback ─► half acknowledged
//!     dropped ─► checker of this publisher;   dead ─► another publisher of the group takes the slot over ─► its checker
//! ```

mod attend;
mod begin;
mod builder;
mod checks;
mod end;
mod guard;
mod half;
mod halves;
mod lane;
mod message;
mod outgoing;
mod slots;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use tokio::sync::{Mutex, MutexGuard, Semaphore, watch};
use tokio::time::{sleep, timeout};

pub use self::begin::{Begin, TransactError};
pub use self::builder::TransactionalPublisherBuilder;
pub use self::guard::Transaction;
use self::halves::Halves;
use self::lane::SlotLane;
pub use self::message::CheckedMessage;
use crate::Message;
use crate::client::Client;
use crate::error::{Error, Result, closed};
use crate::publisher::Publisher;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The local work is done: the message is to be sent.
    Commit,
    /// The local work is not done and never will be: the message is to be forgotten.
    Rollback,
    /// Not known (yet): it is asked again later.
    Unknown,
}

/// Begins transactions, and asks its checker about those that nobody has decided. Cheap to clone. Made by
/// [`PublisherBuilder::checker`](crate::PublisherBuilder::checker).
///
/// RabbitMQ has no such thing; this is done by publishers alone, with plain queues. A half message is stored, confirmed, in a *slot*: a durable
/// queue `mq.tx.<group>.<number>` that one publisher of the group consumes and nobody else can. It is acknowledged when the message itself is
/// confirmed, or forgotten. So:
///
/// - a message is never there before its transaction is committed, and never after it was rolled back, here or by a checker;
/// - a committed one is there at least once: where a connection breaks just then, twice, under the same message id;
/// - what a dead process has begun is decided by the checker of another publisher of the group, some [`takeover_after`] later, or of the next one
///   that is made. With none there, it waits in its slot.
///
/// All publishers of a group have to have checkers that know of each other's local work: what it has written has to be found by
/// [`CheckedMessage::id`] or by what the message says. For work that may still be under way they answer [`Verdict::Unknown`]: a publisher whose
/// connection breaks is taken for dead by others, while its process works on.
///
/// Half messages are in classic queues, which are on one node of a cluster: they wait while that node is down.
///
/// ```no_run
/// # async fn run(client: mq_amqp::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use mq_amqp::{Message, Verdict};
///
/// # async fn is_paid(order: &str) -> Option<bool> { None }
/// # async fn pay(order: &str) -> std::io::Result<()> { Ok(()) }
/// let publisher = client
///     .publisher("orders")
///     .checker("payments", |message| async move {
///         match is_paid(message.id()).await {
///             Some(true) => Verdict::Commit,
///             Some(false) => Verdict::Rollback,
///             None => Verdict::Unknown,
///         }
///     })
///     .build()
///     .await?;
/// let transaction = publisher.begin(Message::new("paid", "order 7")).await?;
/// // An early return leaves the transaction to the checker.
/// pay(transaction.id()).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// [`takeover_after`]: TransactionalPublisherBuilder::takeover_after
// apache/rocketmq: TransactionalMessageServiceImpl, whose half topic and questions these queues and checkers stand for
#[derive(Clone)]
pub struct TransactionalPublisher {
    handle: Arc<Handle>,
    plain: Publisher,
}

/// What keeps the publisher: its clones, and transactions under way.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// What its task works with, too.
struct Shared {
    client: Client,
    group: ByteString,
    halves: Arc<Halves>,
    checker: Box<Checker>,
    own: watch::Sender<Own>,
    /// Nothing more is begun.
    closing: watch::Sender<bool>,
    /// And slots are given back.
    ending: watch::Sender<bool>,
    /// Room for transactions under way.
    room: Arc<Semaphore>,
    window: usize,
    /// Who publishes while one message is suspected of having made the broker close the channel.
    turn: Mutex<()>,
    asking: Arc<Semaphore>,
    timeout: Duration,
    discard: ByteString,
    prefetch: u16,
    slots: u32,
    max_checks: u32,
    check_interval: Duration,
    check_timeout: Duration,
    takeover_after: Duration,
    renew_after: Duration,
}

type Checker =
    dyn Fn(CheckedMessage) -> Pin<Box<dyn Future<Output = Verdict> + Send>> + Send + Sync;

/// The slot for what this publisher begins.
#[derive(Clone)]
enum Own {
    Live(Arc<SlotLane>),
    /// It was lost; why no other one is held yet.
    Away(Option<Error>),
    Ended(Error),
}

impl TransactionalPublisher {
    /// Stores a half message, and gives the transaction that decides about it.
    ///
    /// # Errors
    ///
    /// [`SendError`](crate::SendError) with the message. With outcome `Unknown` the half message may be stored, and the checker is asked about it, which knows nothing of it
    /// and should answer [`Verdict::Rollback`] once no local work can be under way. Kind `Timeout`: not stored in time, or as many transactions are under way as
    /// the publisher's window allows. Kind `Invalid`: what can't be sent, or has a `user_id`, which who takes over could not send.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the half message may be stored; nobody receives it unless the checker says so.
    pub fn begin(&self, message: Message) -> Begin {
        Begin::new(self.clone(), message)
    }

    /// Stores a half message, does `local`, and ends the transaction as that says; the answer is what it said.
    ///
    /// `local` is given the transaction's id. [`Verdict::Unknown`], an `Err` and a panic, which is passed on, leave the transaction to the checker.
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
        F: FnOnce(String) -> Fut + Send,
        Fut: Future<Output = Result<Verdict, E>> + Send,
    {
        begin::transact(self, message, local).await
    }

    /// The publisher to the same exchange for messages without a transaction.
    pub const fn plain(&self) -> &Publisher {
        &self.plain
    }

    /// Begins nothing more, from any clone; waits 5 s at most for transactions under way, and gives the slot back, for other publishers of the group
    /// to decide about what is left in it.
    ///
    /// Cancel safe, but not undone: from the first poll on nothing is begun. The slot is given back without being waited for.
    pub async fn close(self) {
        let shared = &self.handle.shared;
        shared.closing.send_replace(true);
        // Who waits for room waits no longer.
        shared.room.close();
        let decided = async {
            while shared.halves.guarded() > 0 {
                sleep(SOON).await;
            }
        };
        let _ = timeout(PATIENCE, decided).await;
        shared.end();
        let _ = timeout(PATIENCE, shared.cut_off()).await;
    }
}

impl Shared {
    /// Tells the task to give its slots back.
    fn end(&self) {
        self.closing.send_replace(true);
        self.ending.send_replace(true);
    }

    async fn ending(&self) {
        // There is a sender as long as there is this.
        let _ = self.ending.subscribe().wait_for(|ending| *ending).await;
    }

    /// The name of a slot.
    fn slot(&self, number: u32) -> ByteString {
        format!("mq.tx.{}.{number}", self.group).into()
    }

    /// Waits for the lane on which half messages are stored.
    async fn slot_of_its_own(&self) -> Result<Arc<SlotLane>> {
        let mut own = self.own.subscribe();
        loop {
            match &*own.borrow_and_update() {
                Own::Live(lane) if lane.is_live() => return Ok(Arc::clone(lane)),
                Own::Ended(why) => return Err(why.clone()),
                _ => {}
            }
            if own.changed().await.is_err() {
                return Err(closed("begin", "transactional publisher"));
            }
        }
    }

    /// Waits until no slot will be held here any more.
    async fn cut_off(&self) {
        let mut own = self.own.subscribe();
        // There is a sender as long as there is this.
        let _ = own.wait_for(|own| matches!(own, Own::Ended(_))).await;
    }

    fn why_away(&self) -> Option<Error> {
        match &*self.own.borrow() {
            Own::Away(why) => why.clone(),
            _ => None,
        }
    }

    /// The turn to publish, where one message at a time may be under way.
    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        if self.halves.has_suspects() {
            return Some(self.turn.lock().await);
        }
        None
    }
}

impl fmt::Debug for TransactionalPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalPublisher")
            .field("group", &self.handle.shared.group)
            .field("exchange", &self.plain.exchange())
            .finish_non_exhaustive()
    }
}

/// How long who closes waits for transactions, and for the broker.
const PATIENCE: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_millis(5);
