//! Queues: make, describe, change, empty, rewind and delete them.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use super::{DeadLetter, time};
use crate::client::{Call, Client};
use crate::error::{Result, invalid, refused};
use crate::proto::action::{
    self, ClearQueue, DeleteQueue, GetQueueAttributes, QueueSettings, QueueState, RewindQueue,
    SetQueueAttributes, UnbindDeadLetter,
};
use crate::proto::limits::{self, Refusal};
use crate::queue::Queue;

/// What a queue is to be told, as far as it is given.
#[derive(Debug, Clone, Default)]
struct Wishes {
    max_messages: Option<u64>,
    wait: Option<Duration>,
    visibility: Option<Duration>,
    max_body: Option<usize>,
    retention: Option<Duration>,
    rewind: Option<Duration>,
    dead_letter: Option<DeadLetter>,
}

impl Wishes {
    fn settings(&self) -> Result<QueueSettings<'_>, Refusal> {
        let max_body = self.max_body.map(limits::max_body).transpose()?;
        let dead_letter = self.dead_letter.as_ref();
        Ok(QueueSettings {
            max_messages: self.max_messages,
            wait_seconds: self.wait.map(limits::wait_seconds).transpose()?,
            visibility_seconds: self
                .visibility
                .map(limits::visibility_seconds)
                .transpose()?,
            max_body,
            retention_seconds: self.retention.map(limits::retention_seconds).transpose()?,
            rewind_seconds: self
                .rewind
                .map(|rewind| limits::rewind_seconds(rewind, self.retention))
                .transpose()?,
            dead_letter: dead_letter.map(|it| it.rule(self.retention)).transpose()?,
        })
    }

    fn remember(settings: &QueueSettings<'_>, queue: &Queue) {
        if let Some(seconds) = settings.visibility_seconds {
            queue.known().set_visibility(seconds.into());
        }
        if let Some(seconds) = settings.retention_seconds {
            queue.known().set_retention(seconds.into());
        }
    }
}

macro_rules! settings {
    ($builder:ident) => {
        impl $builder {
            /// How many messages it holds at most; 1 million to 1 billion, by the account.
            pub const fn max_messages(mut self, most: u64) -> Self {
                self.wishes.max_messages = Some(most);
                self
            }

            /// How long a receive waits that does not say, in whole seconds rounded up; at most 30 s, 0 s by the service's default.
            pub const fn wait(mut self, wait: Duration) -> Self {
                self.wishes.wait = Some(wait);
                self
            }

            /// How long a received message is invisible, in whole seconds rounded up; 1 s to 12 h, 30 s by the service's default.
            pub const fn visibility(mut self, timeout: Duration) -> Self {
                self.wishes.visibility = Some(timeout);
                self
            }

            /// The largest body, in bytes; 1 KiB to 1 MiB (64 KiB on the older service).
            pub const fn max_body(mut self, bytes: usize) -> Self {
                self.wishes.max_body = Some(bytes);
                self
            }

            /// How long a message is kept that nobody deletes, counted from its sending, also while it is delayed, in whole seconds rounded up;
            /// 30 s to 15 days. The older service takes 60 s and more, and 4 days by default.
            pub const fn retention(mut self, time: Duration) -> Self {
                self.wishes.retention = Some(time);
                self
            }

            /// For how long deleted messages can be had again by [`Queue::rewind`], in whole seconds rounded up; not longer than messages are kept, 0 for
            /// not at all, which is the service's default.
            pub const fn rewind(mut self, time: Duration) -> Self {
                self.wishes.rewind = Some(time);
                self
            }

            /// Where messages go that can't be consumed; by default nowhere: they come again until they are too old.
            pub fn dead_letter(mut self, rule: DeadLetter) -> Self {
                self.wishes.dead_letter = Some(rule);
                self
            }
        }

        impl fmt::Debug for $builder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("wishes", &self.wishes)
                    .finish_non_exhaustive()
            }
        }
    };
}

/// Makes a queue: await it. Made by [`Client::create_queue`].
///
/// # Errors
///
/// Kind `Invalid`: a name or setting is out of the documented range; nothing was sent.
/// [`ErrorCode::QUEUE_EXISTS`](crate::ErrorCode::QUEUE_EXISTS), [`ErrorCode::NAME_JUST_DELETED`](crate::ErrorCode::NAME_JUST_DELETED)
/// (retryable), … as the service says. Kind `Unsupported`: the endpoint has no management. Outcome `Unknown`: it may exist.
///
/// # Cancel safety
///
/// Dropped, the queue may or may not exist.
#[must_use = "nothing is made until it is awaited"]
#[derive(Clone)]
pub struct CreateQueue {
    client: Client,
    name: String,
    wishes: Wishes,
}

/// Changes what a queue was told: await it. Made by [`Queue::change`].
///
/// # Errors
///
/// As for [`CreateQueue`], and kind `NotFound`.
///
/// # Cancel safety
///
/// Dropped, it may or may not be changed.
#[must_use = "nothing is changed until it is awaited"]
#[derive(Clone)]
pub struct ChangeQueue {
    queue: Queue,
    wishes: Wishes,
}

settings!(CreateQueue);
settings!(ChangeQueue);

impl IntoFuture for CreateQueue {
    type Output = Result<Queue>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let queue = self.client.queue(&self.name)?;
            let settings = self.wishes.settings();
            let settings = settings.map_err(|refusal| refused(CREATE, refusal))?;
            let action = action::CreateQueue {
                queue: queue.name(),
                settings,
            };
            queue.shared().call(&action, Call::new(CREATE)).await?;
            Wishes::remember(&settings, &queue);
            Ok(queue)
        })
    }
}

impl IntoFuture for ChangeQueue {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let settings = self.wishes.settings();
            let settings = settings.map_err(|refusal| refused(CHANGE, refusal))?;
            let action = SetQueueAttributes {
                queue: self.queue.name(),
                settings,
            };
            self.queue.shared().call(&action, Call::new(CHANGE)).await?;
            Wishes::remember(&settings, &self.queue);
            Ok(())
        })
    }
}

/// What a queue was told, and what it holds; of a service that leaves something out, 0 or `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueAttributes {
    /// How many messages it holds at most.
    pub max_messages: u64,
    /// How long a receive waits that does not say.
    pub wait: Duration,
    /// How long a received message is invisible.
    pub visibility: Duration,
    /// The largest body, in bytes.
    pub max_body: u64,
    /// How long a message is kept that nobody deletes.
    pub retention: Duration,
    /// For how long deleted messages can be had again.
    pub rewind: Duration,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// When its settings were changed.
    pub changed: Option<SystemTime>,
    /// Messages that can be received, about.
    pub active: u64,
    /// Messages that were received and not deleted, about.
    pub inactive: u64,
    /// Messages whose delay has not ended.
    pub delayed: u64,
    /// Messages that were deleted and can be had again.
    pub rewindable: u64,
    /// When the oldest message was sent that was not deleted.
    pub oldest: Option<SystemTime>,
    /// Where messages go that can't be consumed.
    pub dead_letter: Option<DeadLetter>,
}

impl From<QueueState> for QueueAttributes {
    fn from(state: QueueState) -> Self {
        let dead_letter = state.dead_letter.filter(|it| !it.queue.is_empty());
        Self {
            max_messages: state.max_messages,
            wait: Duration::from_secs(state.wait_seconds),
            visibility: Duration::from_secs(state.visibility_seconds),
            max_body: state.max_body,
            retention: Duration::from_secs(state.retention_seconds),
            rewind: Duration::from_secs(state.rewind_seconds),
            created: time(state.created),
            changed: time(state.changed),
            active: state.active,
            inactive: state.inactive,
            delayed: state.delayed,
            rewindable: state.rewindable.max(state.rewindable_too),
            oldest: time(state.oldest),
            dead_letter: dead_letter.map(|it| {
                let count = u32::try_from(it.max_receives).unwrap_or(u32::MAX);
                match it.policy {
                    0 => DeadLetter::after_receives(it.queue, count),
                    _ => DeadLetter::after(it.queue, Duration::from_secs(it.max_age_seconds)),
                }
            }),
        }
    }
}

impl Client {
    /// Makes the queue `name`, and gives a handle of it. On TDMQ queues are made by its control plane ([`ControlClient`](crate::ControlClient)) or in the console.
    pub fn create_queue(&self, name: impl Into<String>) -> CreateQueue {
        CreateQueue {
            client: self.clone(),
            name: name.into(),
            wishes: Wishes::default(),
        }
    }

    /// Deletes the queue `name` with all of its messages. Its name can't be used again for 30 s.
    ///
    /// # Errors
    ///
    /// Kind `NotFound`: there is none. Kind `Invalid`: not a name of a queue. Outcome `Unknown`: it may be deleted.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the queue may or may not be deleted.
    pub async fn delete_queue(&self, name: &str) -> Result<()> {
        let queue = self.queue(name)?;
        let action = DeleteQueue { queue: name };
        let deleted = queue.shared().call(&action, Call::new("delete queue"));
        deleted.await.map(|_| ())
    }
}

impl Queue {
    /// What the queue was told, and what it holds. This handle and its clones remember its visibility timeout and how long it keeps
    /// messages: consumers and delays are then held to them.
    ///
    /// # Errors
    ///
    /// Kind `NotFound`: there is no such queue. Kind `Unsupported`: the endpoint has no management. Kinds `Connect`, `Busy`: retryable.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn attributes(&self) -> Result<QueueAttributes> {
        let action = GetQueueAttributes { queue: self.name() };
        let call = Call::new("read attributes");
        let state = self.shared().call(&action, call).await?;
        self.known().set_visibility(state.visibility_seconds);
        self.known().set_retention(state.retention_seconds);
        Ok(state.into())
    }

    /// Tells *this handle* and its clones how long the queue keeps a message that nobody deletes, in whole seconds; nothing is sent. Delays
    /// that are longer are then refused, since some versions of the service lose such messages.
    #[must_use]
    pub fn retention(self, time: Duration) -> Self {
        self.known().set_retention(time.as_secs());
        self
    }

    /// Changes what the queue was told.
    pub fn change(&self) -> ChangeQueue {
        ChangeQueue {
            queue: self.clone(),
            wishes: Wishes::default(),
        }
    }

    /// Deletes all messages.
    ///
    /// # Errors
    ///
    /// As for [`Queue::attributes`]; with outcome `Unknown` they may be deleted.
    ///
    /// # Cancel safety
    ///
    /// Dropped, they may or may not be deleted.
    pub async fn clear(&self) -> Result<()> {
        let action = ClearQueue { queue: self.name() };
        let cleared = self.shared().call(&action, Call::new("clear"));
        cleared.await.map(|_| ())
    }

    /// Makes messages visible again that were sent at `from` or later and were deleted, for all consumers, as far back as the queue's
    /// [`rewind`](CreateQueue::rewind) time goes.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NOT_REWINDABLE`](crate::ErrorCode::NOT_REWINDABLE),
    /// [`ErrorCode::BAD_REWIND_TIME`](crate::ErrorCode::BAD_REWIND_TIME); and as for [`Queue::attributes`]. Kind `Invalid`: before 1970.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be done.
    pub async fn rewind(&self, from: SystemTime) -> Result<()> {
        let since = from.duration_since(SystemTime::UNIX_EPOCH);
        let since = since.map_err(|_| invalid(REWIND, "a time before 1970"))?;
        let action = RewindQueue {
            queue: self.name(),
            from: since.as_secs(),
        };
        let rewound = self.shared().call(&action, Call::new(REWIND));
        rewound.await.map(|_| ())
    }

    /// Takes the dead-letter rule from the queue. Messages that are dead letters already stay where they are.
    ///
    /// # Errors
    ///
    /// As for [`Queue::attributes`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be done.
    pub async fn unbind_dead_letter(&self) -> Result<()> {
        let action = UnbindDeadLetter {
            source: self.name(),
        };
        let unbound = self.shared().call(&action, Call::new("unbind dead letter"));
        unbound.await.map(|_| ())
    }
}

const CREATE: &str = "create queue";
const CHANGE: &str = "change queue";
const REWIND: &str = "rewind";
