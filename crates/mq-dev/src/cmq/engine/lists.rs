//! Lists, a page at a time.

use mq_cmq::proto::action::{
    QueueList, QueueName, SourceList, SubscriptionList, SubscriptionName, TopicList, TopicName,
};

use super::{Engine, Result};

/// Which part of a list: names that contain a word, without the first ones, and so many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) search: &'a str,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

impl Engine {
    pub(crate) fn list_queues(&self, part: Part<'_>) -> QueueList {
        let mut all: Vec<QueueName> = self
            .queues
            .values()
            .map(|queue| QueueName {
                id: queue.id.clone(),
                name: queue.spec().name.clone(),
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let (total, queues) = part.of(all, |it| &it.name);
        QueueList { total, queues }
    }

    pub(crate) fn list_topics(&self, part: Part<'_>) -> TopicList {
        let all = self.topics.values().map(|topic| TopicName {
            id: topic.id.clone(),
            name: topic.spec.name.clone(),
        });
        let (total, topics) = part.of(all.collect(), |it| &it.name);
        TopicList { total, topics }
    }

    /// # Errors
    /// There is no such topic.
    pub(crate) fn list_subscriptions(
        &self,
        topic: &str,
        part: Part<'_>,
    ) -> Result<SubscriptionList> {
        let all = self.topic(topic)?.subscriptions.values().map(|one| {
            let (protocol, endpoint) = one.spec.target.told();
            SubscriptionName {
                id: one.id.clone(),
                name: one.spec.name.clone(),
                protocol,
                endpoint,
            }
        });
        let (total, subscriptions) = part.of(all.collect(), |it| &it.name);
        Ok(SubscriptionList {
            total,
            subscriptions,
        })
    }

    /// # Errors
    /// There is no such queue.
    pub(crate) fn list_sources(&self, queue: &str, part: Part<'_>) -> Result<SourceList> {
        self.key(queue)?;
        let (total, queues) = part.of(self.source_names(queue), |it| &it.name);
        Ok(SourceList { total, queues })
    }
}

impl Part<'_> {
    /// How many there are in all, and those of this part.
    fn of<T>(self, mut all: Vec<T>, name: impl Fn(&T) -> &String) -> (u64, Vec<T>) {
        let search = self.search.to_ascii_lowercase();
        all.retain(|it| name(it).to_ascii_lowercase().contains(&search));
        let total = all.len() as u64;
        let page = all.into_iter().skip(self.offset).take(self.limit);
        (total, page.collect())
    }
}
