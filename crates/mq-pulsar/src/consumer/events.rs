//! What the broker tells a consumer besides messages, for those who watch.

use std::collections::VecDeque;

use tokio::sync::broadcast;

/// Something that happened to a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerEvent {
    /// This consumer of a failover subscription has the messages of a topic, or of a partition, from now on.
    Active {
        /// The whole name.
        topic: String,
    },
    /// Another one has them, or the broker is lost.
    Inactive {
        /// The whole name.
        topic: String,
    },
    /// The topic was ended, and all its messages were delivered.
    EndOfTopic {
        /// The whole name.
        topic: String,
    },
}

/// Receives [`ConsumerEvent`]s. Made by [`Consumer::events`](super::Consumer::events).
#[derive(Debug)]
pub struct ConsumerEvents {
    /// How it was when it was made.
    first: VecDeque<ConsumerEvent>,
    receiver: broadcast::Receiver<ConsumerEvent>,
}

impl ConsumerEvents {
    pub(super) const fn new(
        first: VecDeque<ConsumerEvent>,
        receiver: broadcast::Receiver<ConsumerEvent>,
    ) -> Self {
        Self { first, receiver }
    }

    /// The next event; `None` when the consumer is gone. Events that came while nobody read for long are passed over.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<ConsumerEvent> {
        if let Some(first) = self.first.pop_front() {
            return Some(first);
        }
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "events were missed");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// So many events wait for who is slow.
pub(super) const KEPT: usize = 256;
