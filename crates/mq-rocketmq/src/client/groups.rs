//! Which groups of producers and consumers this client has.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Result, invalid};
use crate::proto::command::{ConsumerData, ResetOffset};

/// A consumer, as its client sees it.
pub(crate) trait GroupMember: Send + Sync {
    /// What brokers are told of it.
    fn heartbeat(&self) -> ConsumerData;
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

/// The groups of a client.
#[derive(Default)]
pub(crate) struct Groups(Mutex<Members>);

#[derive(Default)]
struct Members {
    producers: BTreeMap<String, Vec<std::sync::Weak<dyn Flush>>>,
    consumers: BTreeMap<String, Arc<dyn GroupMember>>,
}

impl Groups {
    pub(crate) fn add_producer(&self, group: &str, producer: std::sync::Weak<dyn Flush>) {
        let mut members = self.lock();
        let of_group = members.producers.entry(group.to_owned()).or_default();
        of_group.retain(|known| known.strong_count() > 0);
        of_group.push(producer);
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
        members.consumers.insert(group.to_owned(), member);
        Ok(())
    }

    pub(crate) fn remove_consumer(&self, group: &str) {
        let removed = self.lock().consumers.remove(group);
        // Dropped without the lock: its destructor may come back here.
        drop(removed);
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

    pub(crate) fn members(&self) -> Vec<Arc<dyn GroupMember>> {
        self.lock().consumers.values().cloned().collect()
    }

    /// A broker says that the members of `group` (full name) have changed.
    pub(crate) fn rebalance(&self, group: &str) {
        let member = self.lock().consumers.get(group).cloned();
        if let Some(member) = member {
            member.rebalance_now();
        }
    }

    /// A broker says where a group is to go on.
    pub(crate) fn reset(&self, order: &ResetOffset) {
        let member = self.lock().consumers.get(&*order.group).cloned();
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

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
