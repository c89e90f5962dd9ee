//! Messages that are delivered later, on any RabbitMQ.
//!
//! ```text
//!  deliver_after │ deliver_at ─► Plan ─┬─ ladder: exchange of the highest bit ─► queues of its bits ─┐
//!                                      ├─ timer: a queue of its own ─────────────────────────────────┼─► mq.delay.v1.out ─► target
//!                                      ├─ the plugin's exchange, if chosen ──────────────────────────┘           └─► undelivered
//!                                      └─ past: the target itself
//! ```

pub(crate) mod arrived;
mod deliver;
mod handle;
mod ladder;
mod set_up;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytestring::ByteString;
use mq_core::ErrorKind;
use tokio::time::Instant;

pub use self::deliver::Deliver;
use self::deliver::When;
pub use self::handle::ScheduledHandle;
use self::handle::Way;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::publisher::{Publisher, Unheard};
use crate::{Message, Receipt, SendError};

/// Delivers messages later, without a plugin. Cheap to clone.
///
/// The message's routing key is the queue that gets it. It waits in the broker: in a ladder of queues that all schedulers of a virtual host
/// share, or, if it is to be [cancellable](Deliver::cancellable), in a queue of its own. Both keep it through a restart of the broker, if it is
/// persistent, as messages are unless said otherwise. It is never early; delays round up to 100 ms on the ladder, and may be as long as
/// [`longest`](Self::longest), 310 days.
///
/// If its queue is gone when it is due, it goes to the queue `mq.delay.v1.undelivered`, where `x-mq-reason` says so to consumers of this crate, and
/// `x-death` to others. That is also so of a queue that was deleted and made again since, unless something was scheduled for it after that.
///
/// Its queue may be classic or a quorum queue, and no stream: a broker before 3.12 loses, without a word, what it dead-letters to a stream.
///
/// A delay is counted from when the broker has the message: one that is sent again after a lost connection counts anew, and may then come twice,
/// under the same id. A broker that is killed, not stopped, just when a message passes from one queue to the next, may lose it, or repeat
/// it, unless the ladder is of [quorum queues](SchedulerBuilder::quorum), which may repeat it alone; so may a cluster of which a node stops.
///
/// ```no_run
/// # async fn run(client: mq_amqp::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use mq_amqp::{Cancel, Message};
///
/// let scheduler = client.scheduler().build().await?;
/// scheduler.deliver_after(Message::new("reminders", "call back"), Duration::from_secs(3600)).await?;
///
/// let message = Message::new("orders.unpaid", "order 17");
/// let receipt = scheduler.deliver_after(message, Duration::from_secs(900)).cancellable().await?;
/// if let Some(handle) = receipt.scheduled() {
///     assert_eq!(scheduler.cancel(handle).await?, Cancel::Cancelled);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    publisher: Publisher,
    quorum: bool,
    plugin: bool,
    /// What the names of this scheduler's timer queues begin with.
    prefix: u64,
    timers: AtomicU64,
    /// When targets were bound last.
    bound: Mutex<HashMap<ByteString, Instant>>,
}

impl Shared {
    fn bound(&self) -> MutexGuard<'_, HashMap<ByteString, Instant>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_timer(&self) -> String {
        let number = self.timers.fetch_add(1, Ordering::Relaxed);
        format!("{}{:016x}-{number:x}", arrived::TIMER, self.prefix)
    }
}

/// Options of a [`Scheduler`]. Made by [`Client::scheduler`].
#[must_use = "a scheduler is made by build"]
#[derive(Debug)]
pub struct SchedulerBuilder {
    client: Client,
    quorum: bool,
    plugin: bool,
    timeout: Duration,
}

impl SchedulerBuilder {
    pub(crate) const fn new(client: Client) -> Self {
        Self {
            client,
            quorum: false,
            plugin: false,
            timeout: Duration::from_secs(30),
        }
    }

    /// The ladder is of quorum queues, which hand a message on only when the next one has confirmed it. Default no. All schedulers of a virtual
    /// host have to say the same. Timer queues are classic in any case.
    pub const fn quorum(mut self) -> Self {
        self.quorum = true;
        self
    }

    /// Messages that need not be cancellable wait in an exchange of the type `x-delayed-message`, which a plugin of the broker's has. Default
    /// no: its delays are exact to the millisecond, at most 49 days, and its messages are on one node alone.
    pub const fn delayed_exchange(mut self) -> Self {
        self.plugin = true;
        self
    }

    /// How long a message may take until the broker has confirmed it; default 30 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the ladder, if the virtual host has none yet: 28 queues, 30 exchanges, and where the undelivered go. They stay.
    ///
    /// # Errors
    ///
    /// Kind `Rejected` if there is a ladder of the other kind of queues, `Auth` if the user may not declare (both not retryable), `Unsupported` if
    /// [`delayed_exchange`](Self::delayed_exchange) was chosen and the broker lacks the plugin, which no other connection notices; what
    /// connecting answers. Cancel safe: what is half made is completed by the next call.
    pub async fn build(self) -> Result<Scheduler> {
        set_up::ladder(&self.client, self.quorum).await?;
        if self.plugin {
            set_up::plugin(&self.client).await?;
        }
        let publisher = self.client.publisher("").timeout(self.timeout).build();
        Ok(Scheduler {
            shared: Arc::new(Shared {
                publisher: publisher.await?,
                client: self.client,
                quorum: self.quorum,
                plugin: self.plugin,
                prefix: fastrand::u64(..),
                timers: AtomicU64::new(1),
                bound: Mutex::default(),
            }),
        })
    }
}

/// What became of a cancellation; from [`Scheduler::cancel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cancel {
    /// The message is taken back: nobody gets it.
    Cancelled,
    /// There was nothing left to take back: it is delivered, or about to be; or it was cancelled before.
    TooLate,
}

impl fmt::Display for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::TooLate => "too late",
        })
    }
}

impl Scheduler {
    /// Has a message delivered to the queue that its routing key names, after this time; zero is at once.
    ///
    /// Await it for the receipt, whose [`scheduled`](Receipt::scheduled) is there: the broker has stored the message then. Cancel safe as
    /// [`Publisher::send`] is; a timer queue that stays empty goes by itself.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message: kind `Invalid` for a delay beyond the longest, and for a message with an expiration of its own, with `CC` or
    /// `BCC`, or without a queue; `NotFound` if that queue is not there now; else as [`Publisher::send`]. Of them `Timeout` and `Disconnected`
    /// are worth another try.
    pub fn deliver_after(&self, message: Message, delay: Duration) -> Deliver {
        Deliver::new(self.clone(), message, When::After(delay))
    }

    /// As [`deliver_after`](Self::deliver_after), at this time by this client's clock; a time that is past means at once, and
    /// [`ScheduledHandle::is_past`] says so.
    pub fn deliver_at(&self, message: Message, time: SystemTime) -> Deliver {
        Deliver::new(self.clone(), message, When::At(time))
    }

    /// Takes a message back that was scheduled as [cancellable](Deliver::cancellable), by whatever scheduler of this virtual host.
    ///
    /// The broker answers for it: [`Cancel::Cancelled`] means that nobody gets the message, and [`Cancel::TooLate`] that this call took nothing
    /// back. Called again after `Cancelled` it says `TooLate`.
    ///
    /// # Errors
    ///
    /// Kind `Unsupported` (not retryable) for a message that was not scheduled as cancellable; what the broker answers. With the outcome `Unknown`
    /// it may be cancelled, and another call may say `TooLate` of it. Dropped half way it is the same.
    pub async fn cancel(&self, handle: &ScheduledHandle) -> Result<Cancel> {
        let timer = match &handle.made().way {
            // What a handle is parsed from may come from anywhere.
            Way::Timer(name) if name.starts_with(arrived::TIMER) => name,
            Way::AtOnce => return Ok(Cancel::TooLate),
            _ => return Err(not_cancellable()),
        };
        let there = self.shared.client.delete_queue(timer).await?;
        Ok(if there > 0 {
            Cancel::Cancelled
        } else {
            Cancel::TooLate
        })
    }

    /// The longest delay: 2^28 − 1 times 100 ms, 310 days.
    pub fn longest() -> Duration {
        ladder::longest()
    }

    /// Waits until nothing is under way, also what was dropped. See [`Publisher::flush`].
    ///
    /// # Errors
    ///
    /// [`Unheard`]: the failures since the last call that nobody else was told of.
    pub async fn flush(&self) -> Result<(), Unheard> {
        self.shared.publisher.flush().await
    }
}

fn not_cancellable() -> Error {
    let message = "the message was not scheduled as cancellable";
    Error::builder(ErrorKind::Unsupported, message)
        .operation("cancel")
        .hint("schedule it with .cancellable()")
        .build()
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("quorum", &self.shared.quorum)
            .field("delayed_exchange", &self.shared.plugin)
            .finish_non_exhaustive()
    }
}

type Sent = Result<Receipt, SendError>;
