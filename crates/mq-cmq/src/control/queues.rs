//! Queues: make, describe, change, empty, rewind and delete them.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::shared::refused;
use super::{ControlClient, QueueDetail, Result, awaited, seconds_up};
use crate::admin::{DeadLetter, Named};
use crate::error::invalid;
use crate::proto::tc3::Refusal;
use crate::proto::tc3::action::{
    ClearCmqQueue, CreateCmqQueue, DeleteCmqQueue, DescribeCmqQueueDetail, ModifyCmqQueueAttribute,
    QueueSettings, RewindCmqQueue, Tag, UnbindCmqDeadLetter,
};

/// Makes a queue: await it, for its name and id. Made by [`ControlClient::create_queue`].
///
/// # Errors
///
/// Kind `Invalid`: a name or setting is out of the documented range; nothing was sent.
/// [`ControlCode::QUEUE_EXISTS`](super::ControlCode::QUEUE_EXISTS), … as the service says. Kind `Busy`: retryable. Outcome `Unknown`: it may exist.
///
/// # Cancel safety
///
/// Dropped, the queue may or may not exist.
#[must_use = "nothing is made until it is awaited"]
#[derive(Clone)]
pub struct CreateQueue {
    client: ControlClient,
    name: String,
    settings: QueueSettings,
    tags: Vec<Tag>,
}

/// Changes what a queue was told: await it. Made by [`ControlClient::change_queue`].
///
/// # Errors
///
/// As for [`CreateQueue`], and kind `NotFound`, or the service's own code.
///
/// # Cancel safety
///
/// Dropped, it may or may not be changed.
#[must_use = "nothing is changed until it is awaited"]
#[derive(Clone)]
pub struct ChangeQueue {
    client: ControlClient,
    name: String,
    settings: QueueSettings,
}

macro_rules! settings {
    ($builder:ident) => {
        impl $builder {
            /// How many messages it holds at most; 1 million to 1 billion, 100 million by the service's default.
            pub const fn max_messages(mut self, most: u64) -> Self {
                self.settings.max_msg_heap_num = Some(most);
                self
            }

            /// How long a receive waits that does not say, in whole seconds rounded up; at most 30 s, 0 s by the service's default.
            pub fn wait(mut self, wait: Duration) -> Self {
                self.settings.polling_wait_seconds = Some(seconds_up(wait));
                self
            }

            /// How long a received message is invisible, in whole seconds rounded up; 1 s to 12 h, 30 s by the service's default.
            pub fn visibility(mut self, timeout: Duration) -> Self {
                self.settings.visibility_timeout = Some(seconds_up(timeout));
                self
            }

            /// The largest body, in bytes; 1 KiB to 1 MiB, which is the service's default. It may refuse to change it.
            pub const fn max_body(mut self, bytes: u64) -> Self {
                self.settings.max_msg_size = Some(bytes);
                self
            }

            /// How long a message is kept that nobody deletes, counted from its sending, also while it is delayed, in whole seconds rounded up; 30 s to
            /// 12 h, 1 h by the service's default. What is older is lost.
            pub fn retention(mut self, time: Duration) -> Self {
                self.settings.msg_retention_seconds = Some(seconds_up(time));
                self
            }

            /// For how long deleted messages can be had again by [`ControlClient::rewind_queue`], in whole seconds rounded up; up to 15 days, 0 for not at
            /// all.
            pub fn rewind(mut self, time: Duration) -> Self {
                self.settings.rewind_seconds = Some(seconds_up(time));
                self
            }

            /// How much room deleted messages have that can be had again, in MB; 10240 to 512000, 0 for none.
            pub const fn rewind_room(mut self, megabytes: u64) -> Self {
                self.settings.retention_size_in_mb = Some(megabytes);
                self
            }

            /// Where messages go that can't be consumed; by default nowhere: they come again until they are too old. The other queue has to exist.
            pub fn dead_letter(mut self, rule: DeadLetter) -> Self {
                let settings = &mut self.settings;
                settings.policy = Some(u64::from(rule.receives().is_none()));
                settings.max_receive_count = rule.receives().map(u64::from);
                settings.max_time_to_live = rule.age().map(seconds_up);
                settings.dead_letter_queue_name = Some(rule.queue().to_owned());
                self
            }

            /// Whether it is a queue of transactions; not by the service's default. Its messages are then sent by CMQ's TCP protocol.
            pub fn transactional(mut self, yes: bool) -> Self {
                self.settings.transaction = Some(u64::from(yes));
                self
            }

            /// After what time the service first asks about a transaction that nobody ended, in whole seconds rounded up; at least 1 s. For queues of
            /// transactions.
            pub fn first_query(mut self, after: Duration) -> Self {
                self.settings.first_query_interval = Some(seconds_up(after));
                self
            }

            /// How often the service asks about a transaction at most; at least once. For queues of transactions.
            pub fn max_queries(mut self, most: u32) -> Self {
                self.settings.max_query_count = Some(most.into());
                self
            }

            /// Whether the service keeps a trace of its messages; not by its default.
            pub const fn trace(mut self, yes: bool) -> Self {
                self.settings.trace = Some(yes);
                self
            }
        }

        impl fmt::Debug for $builder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("name", &self.name)
                    .field("settings", &self.settings)
                    .finish_non_exhaustive()
            }
        }
    };
}

settings!(CreateQueue);
settings!(ChangeQueue);
awaited!(CreateQueue => Named);
awaited!(ChangeQueue => ());

impl CreateQueue {
    /// Adds a tag of the resource, by which the account sorts what it has.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag {
            tag_key: key.into(),
            tag_value: value.into(),
        });
        self
    }

    async fn ask(self) -> Result<Named> {
        let action = CreateCmqQueue {
            queue_name: self.name,
            settings: self.settings,
            tags: Some(self.tags).filter(|tags| !tags.is_empty()),
        };
        let made = self.client.shared.call(&action, "create queue").await?;
        Ok(Named {
            name: action.queue_name,
            id: made.queue_id,
        })
    }
}

impl ChangeQueue {
    async fn ask(self) -> Result<()> {
        let action = ModifyCmqQueueAttribute {
            queue_name: self.name,
            settings: self.settings,
        };
        let changed = self.client.shared.call(&action, "change queue").await;
        changed.map(|_| ())
    }
}

impl ControlClient {
    /// Makes the queue `name`. Names that differ in the case of letters only are the same.
    pub fn create_queue(&self, name: impl Into<String>) -> CreateQueue {
        CreateQueue {
            client: self.clone(),
            name: name.into(),
            settings: QueueSettings::default(),
            tags: Vec::new(),
        }
    }

    /// Changes what the queue `name` was told. What is not given stays.
    pub fn change_queue(&self, name: impl Into<String>) -> ChangeQueue {
        ChangeQueue {
            client: self.clone(),
            name: name.into(),
            settings: QueueSettings::default(),
        }
    }

    /// What the queue `name` was told, and what it holds.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: not a name of a queue. Kind `NotFound`, or the service's own code: there is none. Kinds `Connect`, `Busy`: retryable.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn describe_queue(&self, name: impl Into<String> + Send) -> Result<QueueDetail> {
        let action = DescribeCmqQueueDetail {
            queue_name: name.into(),
        };
        let detail = self.shared.call(&action, "describe queue").await?;
        Ok(detail.queue_describe.into())
    }

    /// Deletes the queue `name` with all of its messages.
    ///
    /// # Errors
    ///
    /// As for [`ControlClient::describe_queue`]; with outcome `Unknown` it may be deleted.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the queue may or may not be deleted.
    pub async fn delete_queue(&self, name: impl Into<String> + Send) -> Result<()> {
        let action = DeleteCmqQueue {
            queue_name: name.into(),
        };
        let deleted = self.shared.call(&action, "delete queue").await;
        deleted.map(|_| ())
    }

    /// Deletes all messages of the queue `name`.
    ///
    /// # Errors
    ///
    /// As for [`ControlClient::describe_queue`]; with outcome `Unknown` they may be deleted.
    ///
    /// # Cancel safety
    ///
    /// Dropped, they may or may not be deleted.
    pub async fn clear_queue(&self, name: impl Into<String> + Send) -> Result<()> {
        let action = ClearCmqQueue {
            queue_name: name.into(),
        };
        let cleared = self.shared.call(&action, "clear queue").await;
        cleared.map(|_| ())
    }

    /// Makes messages of the queue `name` visible again that were sent at `from` or later and were deleted, for all consumers, as far back as its
    /// [`rewind`](CreateQueue::rewind) time goes. The time travels in milliseconds, as in the documents' example.
    ///
    /// # Errors
    ///
    /// As for [`ControlClient::describe_queue`], and the service's own codes. Kind `Invalid`: before 1970.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be done.
    pub async fn rewind_queue(
        &self,
        name: impl Into<String> + Send,
        from: SystemTime,
    ) -> Result<()> {
        let since = from.duration_since(SystemTime::UNIX_EPOCH);
        let since = since.map_err(|_| invalid(REWIND, "a time before 1970"))?;
        let millis = u64::try_from(since.as_millis());
        let action = RewindCmqQueue {
            queue_name: name.into(),
            start_consume_time: millis.map_err(|_| {
                let refusal = Refusal::value("StartConsumeTime", "is later than any calendar");
                refused(REWIND, refusal)
            })?,
        };
        let rewound = self.shared.call(&action, REWIND).await;
        rewound.map(|_| ())
    }

    /// Takes the dead-letter rule from the queue `source`. Messages that are dead letters already stay where they are.
    ///
    /// # Errors
    ///
    /// As for [`ControlClient::describe_queue`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be done.
    pub async fn unbind_dead_letter(&self, source: impl Into<String> + Send) -> Result<()> {
        let action = UnbindCmqDeadLetter {
            source_queue_name: source.into(),
        };
        let unbound = self.shared.call(&action, "unbind dead letter").await;
        unbound.map(|_| ())
    }
}

const REWIND: &str = "rewind queue";
