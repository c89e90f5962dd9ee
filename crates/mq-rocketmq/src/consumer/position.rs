//! Where a consumer reads: which queues it has, going elsewhere in one, and holding all of them up.

use std::sync::Arc;
use std::time::SystemTime;

use mq_core::ErrorKind;

use super::core::{Core, Phase};
use super::queue::Queue;
use super::{ConsumeFrom, Consumer, ConsumerHandle, QueueRef, offsets};
use crate::error::{Error, Result, closed, invalid};
use crate::proto::command::ResetOffset;

/// A place in a queue, for [`Consumer::seek`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeekTo {
    /// The oldest message that there is.
    First,
    /// Behind the newest message.
    Last,
    /// The first message that was stored at this time or later.
    Timestamp(SystemTime),
    /// This offset. One below the queue is its beginning; one beyond its end is for the broker to correct, which goes to the beginning of a
    /// queue that has all its messages still, and else to the end.
    Offset(i64),
}

impl Consumer {
    /// The queues that this consumer reads now, by topic (without the client's namespace), broker and number; the group's retry topic is
    /// among them.
    pub fn assignment(&self) -> Vec<QueueRef> {
        self.handle().assignment()
    }

    /// Goes on elsewhere in one of its [queues](Self::assignment). Deliveries of the queue that are held become
    /// [`Stale`](ErrorKind::Stale), what was buffered is dropped, and the group's offset is the new one.
    ///
    /// The answer is the offset. From the time that it is known nothing of the old place is received; the offset is persisted in the background,
    /// or by the member that gets the queue. A [broadcasting](crate::ConsumerBuilder::broadcast) consumer moves itself only.
    ///
    /// # Errors
    ///
    /// Kind `NotFound`: the queue is not this consumer's, or not any more; retryable. Kind `Invalid`: a negative offset. Kind `Closed`. Others, when the
    /// broker could not be asked for the offset; then everything is as it was.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, the consumer has gone there or everything is as it was.
    pub async fn seek(&self, queue: &QueueRef, to: SeekTo) -> Result<i64> {
        self.handle().seek(queue, to).await
    }

    /// Stops pulling, and hands nothing out; what is held can be settled. The group's other members do not take over.
    pub fn pause(&self) {
        self.handle().pause();
    }

    /// Goes on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.handle().resume();
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.handle().is_paused()
    }
}

impl ConsumerHandle {
    /// As [`Consumer::assignment`].
    pub fn assignment(&self) -> Vec<QueueRef> {
        let namespace = &self.core.shared.namespace;
        let queues = self.core.queues();
        queues
            .iter()
            .map(|queue| QueueRef::of(namespace, queue.id()))
            .collect()
    }

    /// As [`Consumer::seek`].
    ///
    /// # Errors
    ///
    /// As [`Consumer::seek`].
    ///
    /// # Cancel safety
    ///
    /// As [`Consumer::seek`].
    pub async fn seek(&self, queue: &QueueRef, to: SeekTo) -> Result<i64> {
        if self.core.phase() != Phase::Open {
            return Err(closed("seek", "consumer"));
        }
        let from = match to {
            SeekTo::First => ConsumeFrom::First,
            SeekTo::Last => ConsumeFrom::Last,
            SeekTo::Timestamp(time) => ConsumeFrom::Timestamp(time),
            SeekTo::Offset(offset) if offset < 0 => {
                return Err(invalid("seek", format!("the offset is {offset}")));
            }
            SeekTo::Offset(offset) => {
                self.core.seek(&self.find(queue)?, offset);
                return Ok(offset);
            }
        };
        let found = self.find(queue)?;
        let offset = offsets::find(&self.core, found.id(), found.topic(), from).await?;
        // It may be in a new epoch by now.
        self.core.seek(&self.find(queue)?, offset);
        Ok(offset)
    }

    /// As [`Consumer::pause`].
    pub fn pause(&self) {
        self.core.pause(true);
    }

    /// As [`Consumer::resume`].
    pub fn resume(&self) {
        self.core.pause(false);
    }

    /// As [`Consumer::is_paused`].
    pub fn is_paused(&self) -> bool {
        self.core.is_paused()
    }

    fn find(&self, wanted: &QueueRef) -> Result<Arc<Queue>> {
        let namespace = &self.core.shared.namespace;
        let mut queues = self.core.queues().into_iter();
        queues
            .find(|queue| QueueRef::of(namespace, queue.id()) == *wanted)
            .ok_or_else(|| {
                let (topic, broker) = (wanted.topic(), wanted.broker());
                let message = format!(
                    "queue {} of \"{topic}\" at \"{broker}\" is not this consumer's",
                    wanted.queue()
                );
                Error::builder(ErrorKind::NotFound, message)
                    .operation("seek")
                    .hint("another member of the group may have it now: see assignment()")
                    .build()
            })
    }
}

impl Core {
    /// A broker says where to go on: an operator has set the group's offsets.
    // apache/rocketmq: MQClientInstance.resetOffset, which waits 10 s in between
    pub(super) fn reset(&self, order: &ResetOffset) {
        for queue in self.queues() {
            let id = queue.id();
            let named = order.offsets.iter().find(|(key, _)| id.is(key));
            if let Some((_, next)) = named {
                tracing::info!(group = %self.group, topic = %id.topic, broker = %id.broker, queue = id.id, next, "an operator sets the offset");
                self.seek(&queue, (*next).max(0));
            }
        }
    }
}
