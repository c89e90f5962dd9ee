//! Transactions of the protocol's own class `tx`.
//!
//! ```text
//!  TxChannel: a channel in transactional mode ─ begin ─► Tx ─ publish, recv, ack … ─► commit
//!      ▲                                                 └─► rollback, drop: taken back, and received again
//!      └── another channel, when the last one was lost
//! ```

mod core;
mod error;
mod open;
mod options;
mod publish;

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use bytestring::ByteString;
use mq_core::{ErrorKind, Outcome};
use tokio::time::timeout;

use self::core::{Core, Decision};
pub use self::error::{CommitError, Unroutable};
use self::open::{Open, Settings};
pub use self::options::TxChannelBuilder;
pub use self::publish::Publish;
use crate::Message;
use crate::consumer::Received;
use crate::error::{Error, Result};

/// A channel whose publishes, and whose decisions over what it receives, are applied together. Made by [`Client::tx_channel`](crate::Client::tx_channel).
///
/// It holds one transaction at a time. What happens to the channel or the connection ends the transaction that is under way, and the next
/// [`begin`](Self::begin) opens another channel. Dropped, it closes: what it has received goes back to the queue.
///
/// # What RabbitMQ promises, and what not
///
/// - Until the commit nothing is applied: nobody receives what was published, and what was received and acknowledged is still the queue's.
/// - A commit that is answered has reached the queues; durable ones have stored the messages that are persistent. Its acknowledgements were handed to the
///   queue, and nothing says that they are stored: a broker that dies may deliver those messages again.
/// - **It is not atomic.** The broker carries a commit out queue by queue and message by message. If it fails meanwhile, a part is applied: the error's outcome is
///   `Unknown`. What it can't route is missing, and the rest is applied.
/// - A quorum queue that refuses (full, with `reject-publish`, or without a majority when the channel first publishes to it) does so in silence: the commit is
///   answered as if it had taken the message. So it is up to 4.1 at least. Where that matters, publish with confirms.
/// - Where a message goes is looked up when it is published. A queue that is bound afterwards does not get it.
/// - Declaring, binding and consuming are not part of it.
/// - Each commit costs a round trip, and waits until the queues have stored what it holds. Confirms have both for many messages at a time.
///
/// It is on the client's publishing connection: exclusive queues, which are the other connection's, can't be consumed here. Nor should streams be, of which an
/// acknowledgement takes nothing.
// rabbit_channel 3.10.8: handle_method(#'tx.commit'{}); record_rejects sets tx = failed, and the clause of tx.commit overwrites it with committing when the
// rejection comes at once (rabbit_quorum_queue: deliver). The same in 3.13.7, 4.0.5 and 4.1.0.
pub struct TxChannel {
    settings: Settings,
    open: Option<Open>,
}

impl TxChannel {
    /// Begins a transaction. If the last channel was lost, another one is opened. An auto-delete queue is gone with the last one, unless others consume it: then this is
    /// an error of kind `NotFound`.
    ///
    /// The last transaction's rollback is waited for, if it was dropped.
    ///
    /// ```compile_fail,E0499
    /// # async fn run(channel: &mut mq_amqp::TxChannel) -> mq_amqp::Result<()> {
    /// let first = channel.begin().await?;
    /// let second = channel.begin().await?; // one at a time
    /// first.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What opening answers, as for [`build`](TxChannelBuilder::build). Nothing was begun.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a channel that is half opened is closed.
    pub async fn begin(&mut self) -> Result<Tx<'_>> {
        let core = self.begun().await?;
        Ok(Tx {
            core,
            channel: self,
        })
    }

    async fn begun(&mut self) -> Result<Arc<Core>> {
        if let Some(open) = &self.open {
            let begun = timeout(open.patience, open.core.begin()).await;
            if begun.is_ok_and(|begun| begun) {
                return Ok(Arc::clone(&open.core));
            }
        }
        self.let_go();
        let open = open::open(&self.settings).await?;
        let core = Arc::clone(&self.open.insert(open).core);
        if core.begin().await {
            return Ok(core);
        }
        let lost = "the channel was closed as it opened";
        let lost = Error::builder(ErrorKind::Disconnected, lost);
        Err(lost.operation("begin").build())
    }

    /// The channel ends, and takes back what is not committed.
    fn let_go(&mut self) {
        if let Some(open) = self.open.take() {
            // Before the channel is closed: what its lane still had to write is not to be written then.
            open.core.give_up();
        }
    }
}

impl Drop for TxChannel {
    fn drop(&mut self) {
        self.let_go();
        self.settings.ended();
    }
}

impl fmt::Debug for TxChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxChannel")
            .field("queue", &self.settings.queue)
            .finish_non_exhaustive()
    }
}

/// A transaction. Dropped, it is rolled back.
///
/// Once its channel is lost, each call says so, with why: nothing of it is applied then, unless it was a commit that was under way.
///
/// It can't be ended twice, and nothing is added to it afterwards:
///
/// ```compile_fail,E0382
/// # async fn run(channel: &mut mq_amqp::TxChannel) -> mq_amqp::Result<()> {
/// let tx = channel.begin().await?;
/// tx.commit().await?;
/// tx.commit().await?; // it is gone
/// # Ok(())
/// # }
/// ```
///
/// Nor is there a commit without a transaction:
///
/// ```compile_fail,E0599
/// # async fn run(channel: &mut mq_amqp::TxChannel) -> mq_amqp::Result<()> {
/// channel.commit().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropped, it is rolled back"]
pub struct Tx<'a> {
    channel: &'a mut TxChannel,
    core: Arc<Core>,
}

impl Tx<'_> {
    /// Publishes a message, when the transaction is committed. Await it to put it into the transaction; the broker says nothing of it before the commit.
    ///
    /// A message without an id gets one of its own, as from a [`Publisher`](crate::Publisher).
    ///
    /// # Errors
    ///
    /// [`SendError`](crate::SendError) with the message: kind `Invalid` for what can't be sent, or is more than the transaction may
    /// hold, and the transaction goes on; otherwise why its channel was lost. An exchange that is missing costs the channel: a later call says so.
    pub fn publish(&self, exchange: impl Into<ByteString>, message: Message) -> Publish<'_> {
        Publish::new(&self.channel.settings, &self.core, exchange.into(), message)
    }

    /// The next message of the queue; `None` when this transaction has received as many as the [prefetch](TxChannelBuilder::prefetch) lets come, or
    /// when its channel does not consume. It waits for ever where nothing comes. A message larger than
    /// [`max_message_size`](crate::ClientBuilder::max_message_size) counts as received: it is refused with the commit, and comes again after a rollback.
    ///
    /// What is neither acknowledged nor rejected nor released by the commit stays with the channel: the next transaction receives it first, as another attempt.
    ///
    /// # Errors
    ///
    /// Why the channel was lost: nothing of the transaction is applied. Kind `NotFound` if the broker has ended the consumer, since its queue is gone; what
    /// the transaction holds can still be committed.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a message is received when this returns, or stays.
    pub async fn recv(&mut self) -> Result<Option<TxDelivery>> {
        let arrival = self.core.next().await?;
        Ok(arrival.map(|arrival| TxDelivery {
            received: Received::new(&arrival),
            tag: arrival.deliver.delivery_tag,
            core: Arc::downgrade(&self.core),
        }))
    }

    /// Done with a message, when the transaction is committed.
    ///
    /// # Errors
    ///
    /// Kind `Stale` if this transaction does not hold it; otherwise why the channel was lost.
    pub fn ack(&self, delivery: &TxDelivery) -> Result<()> {
        self.settle(delivery, Decision::Ack)
    }

    /// Nobody can handle a message: refused when the transaction is committed, and the queue's dead letters take it, or nobody.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack); kind `Unsupported` for what looks like a message of a stream.
    pub fn reject(&self, delivery: &TxDelivery) -> Result<()> {
        self.settle(delivery, Decision::Reject)
    }

    /// Gives a message back to its queue, for any consumer, when the transaction is committed.
    ///
    /// # Errors
    ///
    /// As [`reject`](Self::reject).
    pub fn release(&self, delivery: &TxDelivery) -> Result<()> {
        self.settle(delivery, Decision::Release)
    }

    fn settle(&self, delivery: &TxDelivery, decision: Decision) -> Result<()> {
        // A tag is one of its channel's.
        let ours = std::ptr::eq(delivery.core.as_ptr(), Arc::as_ptr(&self.core));
        self.core.settle(ours.then_some(delivery.tag), decision)
    }

    /// Commits, and waits for the broker's answer, at most for the [time-out](TxChannelBuilder::timeout).
    ///
    /// # Errors
    ///
    /// [`CommitError`], whose outcome says what is known:
    ///
    /// - `NotSent`, `Rejected`: nothing of the transaction is applied. The channel was lost, or its time was over, before the commit was written; or the broker
    ///   refused something before it, as a message to an exchange that is missing.
    /// - `Unknown`: it was written and not answered, or a queue refused some of it (`partial tx completion`). All, a part or nothing of it is applied.
    /// - `Unknown` with kind `NotFound`: no queue took the messages in [`CommitError::unroutable`]. The rest **is** applied.
    ///
    /// It is never committed a second time on another channel.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: dropped, the transaction is rolled back if the commit was not written yet, and otherwise its outcome stays unknown.
    pub async fn commit(self) -> Result<(), CommitError> {
        self.core.commit()?;
        let most = self.channel.settings.timeout;
        match timeout(most, self.core.committed()).await {
            Ok(told) => told,
            Err(_) => self.core.too_late(most),
        }
    }

    /// Rolls back, and waits until the broker has done so: what was published is gone, and what was received, in this transaction or ahead of the next one, is
    /// back in the queue, from where it is delivered again, marked as such.
    ///
    /// # Errors
    ///
    /// Kind `Timeout` if the broker does not answer; the channel is closed then. In any case nothing of the transaction is applied.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: the rollback goes on without the caller.
    // rabbit_channel: tx.rollback gives the acknowledged messages back to the channel, not to their queues: basic.recover does that.
    pub async fn rollback(self) -> Result<()> {
        self.core.undo();
        let most = self
            .channel
            .open
            .as_ref()
            .map_or(self.channel.settings.timeout, |open| open.patience);
        if timeout(most, self.core.undone()).await.is_ok() {
            return Ok(());
        }
        self.core.give_up();
        let late = format!("no answer to the rollback within {most:?}");
        Err(Error::builder(ErrorKind::Timeout, late)
            .operation("rollback")
            .outcome(Outcome::Unknown)
            .hint("nothing of the transaction is applied; what was received goes back with the channel")
            .build())
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        self.core.undo();
        if self.core.is_over() {
            self.channel.let_go();
        }
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx")
            .field("queue", &self.channel.settings.queue)
            .finish_non_exhaustive()
    }
}

/// A message that a transaction has received. What becomes of it is said to the transaction; dropping this decides nothing.
pub struct TxDelivery {
    received: Received,
    tag: u64,
    core: Weak<Core>,
}

impl TxDelivery {
    /// The message alone.
    pub fn into_received(self) -> Received {
        self.received
    }
}

impl Deref for TxDelivery {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

impl fmt::Debug for TxDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.received, f)
    }
}
