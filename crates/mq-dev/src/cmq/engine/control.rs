//! What the control plane knows beside what the older management knows: ids, whole pages of descriptions, subscriptions by their queue.

use mq_cmq::proto::tc3::action::{DeadLetterSource, SubscriptionState, TopicState};

use super::push::LIFE;
use super::topic::{OWNER, Subscription, Topic};
use super::{Engine, Result, folded};
use crate::cmq::spec::{Filter, Target, TransactionSpec};

impl Engine {
    /// # Errors
    /// There is no such queue.
    pub(crate) fn queue_id(&self, name: &str) -> Result<String> {
        let queue = self.queues.get(&self.key(name)?);
        Ok(queue.map(|queue| queue.id.clone()).unwrap_or_default())
    }

    /// As it was made, whatever the case of the letters here.
    ///
    /// # Errors
    /// There is no such queue.
    pub(crate) fn queue_name(&self, name: &str) -> Result<String> {
        let queue = self.queues.get(&self.key(name)?);
        Ok(queue
            .map(|queue| queue.spec().name.clone())
            .unwrap_or_default())
    }

    /// # Errors
    /// There is no such queue.
    pub(crate) fn transaction_of(&self, name: &str) -> Result<Option<TransactionSpec>> {
        let queue = self.queues.get(&self.key(name)?);
        Ok(queue.and_then(|queue| queue.spec().transaction))
    }

    /// The queues whose dead letters go to this one.
    pub(crate) fn sources_of(&self, name: &str) -> Vec<DeadLetterSource> {
        let sources = self.source_names(name).into_iter();
        let named = sources.map(|source| DeadLetterSource {
            queue_id: source.id,
            queue_name: source.name,
        });
        named.collect()
    }

    /// # Errors
    /// There is no such topic.
    pub(crate) fn topic_filter(&self, name: &str) -> Result<Filter> {
        Ok(self.topic(name)?.spec.filter)
    }

    /// # Errors
    /// There is no such topic.
    pub(crate) fn describe_topic(&mut self, now: u64, name: &str) -> Result<TopicState> {
        self.advance(now);
        Ok(self.told(self.topic(name)?))
    }

    /// All topics, by name.
    pub(crate) fn describe_topics(&mut self, now: u64) -> Vec<TopicState> {
        self.advance(now);
        self.topics.values().map(|topic| self.told(topic)).collect()
    }

    /// The subscriptions of a topic.
    ///
    /// # Errors
    /// There is no such topic.
    pub(crate) fn describe_subscriptions(
        &mut self,
        now: u64,
        topic: &str,
    ) -> Result<Vec<SubscriptionState>> {
        self.advance(now);
        let all = self.topic(topic)?.subscriptions.values();
        Ok(all.map(|one| self.told_of(one)).collect())
    }

    /// The subscriptions that deliver to a queue.
    ///
    /// # Errors
    /// There is no such queue.
    pub(crate) fn describe_subscriptions_to(
        &mut self,
        now: u64,
        queue: &str,
    ) -> Result<Vec<SubscriptionState>> {
        self.advance(now);
        self.key(queue)?;
        let goes_there = |one: &&Subscription| match &one.spec.target {
            Target::Queue(name) => name.eq_ignore_ascii_case(queue),
            Target::Url(_) => false,
        };
        let all = self
            .topics
            .values()
            .flat_map(|it| it.subscriptions.values());
        Ok(all
            .filter(goes_there)
            .map(|one| self.told_of(one))
            .collect())
    }

    fn told(&self, topic: &Topic) -> TopicState {
        TopicState {
            topic_name: topic.spec.name.clone(),
            topic_id: topic.id.clone(),
            msg_retention_seconds: LIFE / 1000,
            max_msg_size: topic.spec.max_body.into(),
            filter_type: match topic.spec.filter {
                Filter::Tags => 1,
                Filter::Routing => 2,
            },
            create_time: topic.created,
            last_modify_time: topic.changed,
            msg_count: self.pushes.of(&folded(&topic.spec.name), None),
            create_uin: OWNER,
            status: NORMAL,
            subscription_count: topic.subscriptions.len() as u64,
            ..TopicState::default()
        }
    }

    fn told_of(&self, one: &Subscription) -> SubscriptionState {
        let spec = &one.spec;
        let (protocol, endpoint) = spec.target.told();
        let (topic, name) = (folded(&spec.topic), folded(&spec.name));
        SubscriptionState {
            subscription_name: spec.name.clone(),
            subscription_id: one.id.clone(),
            topic_owner: OWNER,
            msg_count: self.pushes.of(&topic, Some(&name)),
            last_modify_time: one.changed,
            create_time: one.created,
            binding_key: spec.binding_keys.clone(),
            endpoint,
            filter_tags: spec.tags.clone(),
            protocol,
            notify_strategy: spec.strategy.wire_name().to_owned(),
            notify_content_format: spec.content().wire_name().to_owned(),
            topic_name: spec.topic.clone(),
        }
    }
}

/// The status of what is there.
const NORMAL: u64 = 1;
