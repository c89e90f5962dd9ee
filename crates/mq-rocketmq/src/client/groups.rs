//! Which groups of producers and consumers this client has.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mq_core::Endpoint;
use tokio::sync::Notify;

use crate::error::{Result, invalid};
use crate::message::{PRODUCER_GROUP, UNIQUE_ID};
use crate::proto::command::{CheckTransaction, ConsumerData, ResetOffset};
use crate::proto::{Malformed, message::StoredMessage};

/// A consumer, as its client sees it.
pub(crate) trait GroupMember: Send + Sync {
    /// What brokers are told of it, while it lives.
    fn heartbeat(&self) -> Option<ConsumerData>;
    /// A broker says that the group's members have changed.
    fn rebalance_now(&self);
    /// A broker says where to go on.
    fn reset(&self, order: &ResetOffset);
    /// Closes it, as its own `close` does, and tells what that could not do.
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;
}

/// A producer, as its client sees it.
pub(crate) trait Flush: Send + Sync {
    /// Waits until nothing is under way; answers with a failure that nobody has heard of.
    fn flush(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;
}

/// A transactional producer, as its client sees it.
pub(crate) trait Checks: Send + Sync {
    /// Whether it has the transaction under way.
    fn has(&self, unique_id: &str) -> bool;
    /// A broker asks what became of a half message.
    fn asked(&self, question: Question);
}

/// A broker's question what became of a half message.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) from: Endpoint,
    pub(crate) unique_id: String,
    pub(crate) asked: CheckTransaction,
    pub(crate) message: StoredMessage,
}

/// The groups of a client.
#[derive(Default)]
pub(crate) struct Groups {
    members: Mutex<Members>,
    /// A consumer was removed.
    removed: Notify,
}

#[derive(Default)]
struct Members {
    producers: BTreeMap<String, Vec<std::sync::Weak<dyn Flush>>>,
    consumers: BTreeMap<String, Consumer>,
    checkers: BTreeMap<String, Vec<std::sync::Weak<dyn Checks>>>,
}

struct Consumer {
    member: Arc<dyn GroupMember>,
    /// Brokers are being told that it goes.
    leaves: bool,
}

impl Groups {
    pub(crate) fn add_producer(&self, group: &str, producer: std::sync::Weak<dyn Flush>) {
        let mut members = self.lock();
        let of_group = members.producers.entry(group.to_owned()).or_default();
        of_group.retain(|known| known.strong_count() > 0);
        of_group.push(producer);
    }

    /// Has questions about half messages of the group answered by this producer.
    pub(crate) fn add_checker(&self, group: &str, checker: std::sync::Weak<dyn Checks>) {
        let mut members = self.lock();
        let of_group = members.checkers.entry(group.to_owned()).or_default();
        of_group.retain(|known| known.strong_count() > 0);
        of_group.push(checker);
    }

    /// A broker asks what became of a half message. The producer that has it under way answers, else the newest of its group.
    ///
    /// # Errors
    ///
    /// The message can't be read. One that names no group, or a group that has no checker here, is left to others.
    pub(crate) fn asked(&self, from: &Endpoint, asked: CheckTransaction) -> Result<(), Malformed> {
        let message = StoredMessage::decode(&asked.body)?;
        let group = message.properties.get(PRODUCER_GROUP).unwrap_or_default();
        // apache/rocketmq: DefaultMQProducerImpl.checkTransactionState, the id by which it answers
        let unique_id = message.properties.get(UNIQUE_ID).map(str::to_owned);
        let unique_id = unique_id
            .or_else(|| asked.message_id.clone())
            .unwrap_or_else(|| message.offset_message_id().to_string());
        let candidates: Vec<_> = {
            let members = self.lock();
            let known = members.checkers.get(group).into_iter().flatten();
            known.filter_map(std::sync::Weak::upgrade).collect()
        };
        let chosen = candidates.iter().find(|one| one.has(&unique_id));
        let Some(chosen) = chosen.or_else(|| candidates.last()) else {
            tracing::debug!(peer = %from, group, unique_id, "a check-back for a group without a checker here");
            return Ok(());
        };
        chosen.asked(Question {
            from: from.clone(),
            unique_id,
            asked,
            message,
        });
        Ok(())
    }

    /// # Errors
    ///
    /// Kind `Invalid`: the client has a consumer of this group already; the broker could not tell the two apart.
    pub(crate) fn add_consumer(&self, group: &str, member: Arc<dyn GroupMember>) -> Result<()> {
        let mut members = self.lock();
        if members.consumers.contains_key(group) {
            return Err(invalid(
                "start consumer",
                format!(
                    "this client has a consumer of group \"{group}\" already; use another client"
                ),
            ));
        }
        let consumer = Consumer {
            member,
            leaves: false,
        };
        members.consumers.insert(group.to_owned(), consumer);
        Ok(())
    }

    pub(crate) fn remove_consumer(&self, group: &str) {
        let removed = self.lock().consumers.remove(group);
        // Dropped without the lock: its destructor may come back here.
        drop(removed);
        self.removed.notify_waiters();
    }

    /// Waits while a consumer of the group leaves.
    pub(crate) async fn left(&self, group: &str) {
        loop {
            let mut removed = pin!(self.removed.notified());
            removed.as_mut().enable();
            let leaves = |one: &Consumer| one.leaves;
            if !self.lock().consumers.get(group).is_some_and(leaves) {
                return;
            }
            removed.await;
        }
    }

    /// Groups that still have a producer.
    pub(crate) fn producer_groups(&self) -> Vec<String> {
        let mut members = self.lock();
        members.producers.retain(|_, known| {
            known.retain(|producer| producer.strong_count() > 0);
            !known.is_empty()
        });
        members.producers.keys().cloned().collect()
    }

    /// It is not to be in heartbeats any more. Another one of the group can be added when it is [removed](Self::left): its leave would be
    /// taken for the other one's.
    pub(crate) fn leave(&self, group: &str) {
        if let Some(consumer) = self.lock().consumers.get_mut(group) {
            consumer.leaves = true;
        }
    }

    /// What brokers are told of the consumers.
    pub(crate) fn heartbeats(&self) -> Vec<ConsumerData> {
        let staying: Vec<_> = {
            let members = self.lock();
            let consumers = members.consumers.values().filter(|one| !one.leaves);
            consumers.map(|one| Arc::clone(&one.member)).collect()
        };
        staying.iter().filter_map(|one| one.heartbeat()).collect()
    }

    pub(crate) fn members(&self) -> Vec<Arc<dyn GroupMember>> {
        let members = self.lock();
        let consumers = members.consumers.values();
        consumers.map(|one| Arc::clone(&one.member)).collect()
    }

    /// A broker says that the members of `group` (full name) have changed.
    pub(crate) fn rebalance(&self, group: &str) {
        let member = self.consumer(group);
        if let Some(member) = member {
            member.rebalance_now();
        }
    }

    /// A broker says where a group is to go on.
    pub(crate) fn reset(&self, order: &ResetOffset) {
        let member = self.consumer(&order.group);
        if let Some(member) = member {
            member.reset(order);
        }
    }

    pub(crate) async fn flush(&self) -> Result<()> {
        let producers: Vec<_> = {
            let members = self.lock();
            members
                .producers
                .values()
                .flatten()
                .filter_map(std::sync::Weak::upgrade)
                .collect()
        };
        let mut first = Ok(());
        for producer in producers {
            let flushed = producer.flush().await;
            if first.is_ok() {
                first = flushed;
            }
        }
        first
    }

    fn consumer(&self, group: &str) -> Option<Arc<dyn GroupMember>> {
        let members = self.lock();
        members
            .consumers
            .get(group)
            .map(|one| Arc::clone(&one.member))
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
