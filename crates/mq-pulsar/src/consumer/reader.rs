//! Reading a topic from a place on, without a subscription that remembers.

use std::fmt;
use std::time::SystemTime;

use super::core::Start;
use super::{Consumer, ConsumerBuilder, Received};
use crate::client::Client;
use crate::error::{Result, invalid};
use crate::message_id::MessageId;

/// Reads a topic from a place on: nothing is acknowledged, and the broker remembers nothing of it when it is gone. It goes on behind the last message that
/// it gave after a connection was lost. Dropped, it closes.
pub struct Reader {
    consumer: Consumer,
}

/// Options of a [`Reader`]. Made by [`Client::reader`].
#[must_use = "a reader is made by build"]
#[derive(Debug, Clone)]
pub struct ReaderBuilder {
    consumer: ConsumerBuilder,
    start: Start,
}

impl Client {
    /// Options of a reader of a topic, by `topic`, `tenant/namespace/topic` or its whole name. Of a partitioned one it reads all partitions.
    pub fn reader(&self, topic: impl Into<String>) -> ReaderBuilder {
        // apache/pulsar: ReaderImpl, "reader-" and ten digits by chance
        let chance: String = (0..10).map(|_| fastrand::digit(16)).collect();
        let consumer = self.consumer(format!("reader-{chance}"));
        ReaderBuilder {
            consumer: consumer.topic(topic),
            start: Start::Latest,
        }
    }
}

impl ReaderBuilder {
    /// The message with this id is the first one. Of a partitioned topic only [`MessageId::EARLIEST`] and [`MessageId::LATEST`].
    pub fn start_at(mut self, id: MessageId) -> Self {
        self.start = Start::at(id);
        self
    }

    /// The message behind that with this id is the first one: to go on where another reader ended.
    pub fn start_after(mut self, id: MessageId) -> Self {
        self.start = Start::after(id);
        self
    }

    /// The oldest message that is there is the first one.
    pub const fn from_earliest(mut self) -> Self {
        self.start = Start::Earliest;
        self
    }

    /// What is sent from now on. The default.
    pub const fn from_latest(mut self) -> Self {
        self.start = Start::Latest;
        self
    }

    /// As [`ConsumerBuilder::receiver_queue`].
    pub fn receiver_queue(mut self, messages: u32) -> Self {
        self.consumer = self.consumer.receiver_queue(messages);
        self
    }

    /// As [`ConsumerBuilder::receiver_bytes`].
    pub fn receiver_bytes(mut self, bytes: usize) -> Self {
        self.consumer = self.consumer.receiver_bytes(bytes);
        self
    }

    /// As [`ConsumerBuilder::name`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.consumer = self.consumer.name(name);
        self
    }

    /// Subscribes, to all partitions.
    ///
    /// # Errors
    ///
    /// As [`ConsumerBuilder::build`]; kind `Invalid` for a place in one of several partitions.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, nothing is left.
    pub async fn build(self) -> Result<Reader> {
        let consumer = self.consumer.read_from(self.start).build().await?;
        let core = &consumer.shared.core;
        if matches!(self.start, Start::At(..)) && core.parts().len() > 1 {
            let message = "a place is of one partition, and the topic has several";
            return Err(invalid("reader", message));
        }
        for part in core.parts() {
            core.pin_latest(part).await?;
        }
        Ok(Reader { consumer })
    }
}

impl Reader {
    /// The next message; `None` when the reader is closed.
    ///
    /// # Errors
    ///
    /// What ended the reader, once; then `None`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a message is handed out when this returns, or stays.
    pub async fn next(&self) -> Result<Option<Received>> {
        let Some(delivery) = self.consumer.recv().await? else {
            return Ok(None);
        };
        let (received, acker) = delivery.into_parts();
        // For what the broker shows of its backlog; where to go on is known here.
        drop(acker.ack_cumulative());
        Ok(Some(received))
    }

    /// Whether there is a message that was not given yet: [`next`](Self::next) does not have to wait for one to be sent.
    ///
    /// # Errors
    ///
    /// As [`Consumer::last_message_ids`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn has_message_available(&self) -> Result<bool> {
        let core = &self.consumer.shared.core;
        if core.has_ready() {
            return Ok(true);
        }
        for part in core.open_parts()? {
            if core.has_more(part).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As [`Consumer::seek`](super::ConsumerHandle::seek).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn seek(&self, to: MessageId) -> Result<()> {
        self.consumer.seek(to).await
    }

    /// As [`Consumer::seek_time`](super::ConsumerHandle::seek_time).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn seek_time(&self, to: SystemTime) -> Result<()> {
        self.consumer.seek_time(to).await
    }

    /// As [`Consumer::last_message_ids`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn last_message_ids(&self) -> Result<Vec<(String, Option<MessageId>)>> {
        self.consumer.last_message_ids().await
    }

    /// Leaves the topic. [`next`](Self::next) answers `None` from then on.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: closing goes on without the caller.
    pub async fn close(&self) {
        self.consumer.close().await;
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("subscription", &self.consumer.subscription())
            .finish_non_exhaustive()
    }
}
