//! The whole state, to be written down and read again.
//!
//! Times are those of the calendar: what would have fallen due in between falls due when the state is read. Messages that are held stay
//! so, and their handles valid, until their visibility ends. Who waits is not saved, nor the names of queues deleted lately.

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::Refusal;
use serde::{Deserialize, Serialize};

use super::ids::Ids;
use super::message::Message;
use super::push::Waiting;
use super::queue::{Queue, SavedHalves};
use super::topic::{Subscription, Topic};
use super::{Engine, Result, folded};
use crate::cmq::spec::{QueueSpec, SubscriptionSpec, TopicSpec};

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// [`VERSION`].
    version: u32,
    ids: Ids,
    queues: Vec<SavedQueue>,
    topics: Vec<SavedTopic>,
    pushes: Vec<Waiting>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedQueue {
    spec: QueueSpec,
    id: String,
    created: u64,
    changed: u64,
    /// With their places.
    messages: Vec<(u64, Message)>,
    deleted: Vec<(u64, Message)>,
    #[serde(default)]
    halves: SavedHalves,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedTopic {
    spec: TopicSpec,
    id: String,
    created: u64,
    changed: u64,
    subscriptions: Vec<SavedSubscription>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedSubscription {
    spec: SubscriptionSpec,
    id: String,
    created: u64,
    changed: u64,
}

impl Engine {
    /// All that there is.
    pub(crate) fn save(&mut self, now: u64) -> Saved {
        self.advance(now);
        let queues = self.queues.values().map(|queue| {
            let [messages, deleted] = queue.saved();
            SavedQueue {
                spec: queue.spec().clone(),
                id: queue.id.clone(),
                created: queue.created,
                changed: queue.changed,
                messages,
                deleted,
                halves: queue.saved_halves(),
            }
        });
        let topics = self.topics.values().map(|topic| SavedTopic {
            spec: topic.spec.clone(),
            id: topic.id.clone(),
            created: topic.created,
            changed: topic.changed,
            subscriptions: topic.subscriptions.values().map(saved).collect(),
        });
        Saved {
            version: VERSION,
            ids: self.ids.clone(),
            queues: queues.collect(),
            topics: topics.collect(),
            pushes: self.pushes.all().cloned().collect(),
        }
    }

    /// Puts all of it into an engine that has nothing.
    ///
    /// # Errors
    /// It was written by another version, or holds what could not have been made.
    pub(crate) fn restore(&mut self, now: u64, saved: Saved) -> Result<()> {
        self.now = self.now.max(now);
        if saved.version != VERSION {
            let message = format!(
                "a snapshot of version {}, expected {VERSION}",
                saved.version
            );
            return Err(Refusal::new(ErrorCode::INVALID_PARAMETERS, message));
        }
        self.ids.go_on_behind(&saved.ids);
        for queue in saved.queues {
            self.restore_queue(queue)?;
        }
        for topic in saved.topics {
            topic.spec.check()?;
            let mut restored = Topic {
                id: topic.id,
                spec: topic.spec,
                created: topic.created,
                changed: topic.changed,
                subscriptions: std::collections::BTreeMap::new(),
            };
            for one in topic.subscriptions {
                one.spec.check(restored.spec.filter)?;
                let name = folded(&one.spec.name);
                restored.subscriptions.insert(name, one.into());
            }
            self.topics.insert(folded(&restored.spec.name), restored);
        }
        for waiting in saved.pushes {
            let push = self.ids.push();
            self.pushes.add(push, self.now, waiting);
        }
        self.advance(now);
        Ok(())
    }

    fn restore_queue(&mut self, saved: SavedQueue) -> Result<()> {
        saved.spec.check()?;
        let key = self.ids.queue();
        self.names.insert(folded(&saved.spec.name), key);
        let mut queue = Queue::new(saved.id, saved.spec, saved.created);
        queue.changed = saved.changed;
        for (entry, message) in saved.deleted {
            queue.keep(entry, message);
        }
        for (entry, message) in saved.messages {
            queue.restore(entry, message);
        }
        queue.restore_halves(saved.halves, self.now);
        self.queues.insert(key, queue);
        self.settle(key, Vec::new());
        Ok(())
    }
}

fn saved(from: &Subscription) -> SavedSubscription {
    SavedSubscription {
        spec: from.spec.clone(),
        id: from.id.clone(),
        created: from.created,
        changed: from.changed,
    }
}

impl From<SavedSubscription> for Subscription {
    fn from(saved: SavedSubscription) -> Self {
        Self {
            id: saved.id,
            spec: saved.spec,
            created: saved.created,
            changed: saved.changed,
        }
    }
}

/// Of the form in which it is written.
const VERSION: u32 = 1;
