//! Whose turn it is to store an offset at a broker: brokers carry requests out by several threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, OwnedMutexGuard};

use crate::conn::QueueId;

/// The turns of one consumer.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    queues: BTreeMap<QueueId, Arc<tokio::sync::Mutex<()>>>,
    begun: BTreeMap<TopicAt, Arc<OnceCell<()>>>,
}

/// A topic at a broker.
type TopicAt = (Arc<str>, Arc<str>);

impl Turns {
    /// The turn to store an offset of the queue: of two under way a broker may carry out the later one first.
    pub(super) async fn of_queue(&self, queue: &QueueId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut known = self.lock();
            Arc::clone(known.queues.entry(queue.clone()).or_default())
        };
        turn.lock_owned().await
    }

    /// Filled when the broker has answered to the first offset of the topic: until then it goes alone, since a broker that carries out the first
    /// two of a group and topic at a time keeps one of them only.
    // apache/rocketmq: ConsumerOffsetManager.commitOffset makes the table of a group and topic without a lock (4.9.7 to 5.5.0)
    pub(super) fn first(&self, queue: &QueueId) -> Arc<OnceCell<()>> {
        let key = (Arc::clone(&queue.topic), Arc::clone(&queue.broker));
        Arc::clone(self.lock().begun.entry(key).or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
