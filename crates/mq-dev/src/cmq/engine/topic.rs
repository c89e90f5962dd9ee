//! Topics and subscriptions: what they are, and what is done to them.

use std::collections::BTreeMap;

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::action::{SubscriptionState, TopicState};
use mq_cmq::proto::limits::Refusal;

use super::{Engine, Result, folded};
use crate::cmq::spec::{ContentFormat, Filter, RetryStrategy, SubscriptionSpec, Target, TopicSpec};

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: String,
    pub(super) spec: TopicSpec,
    pub(super) created: u64,
    pub(super) changed: u64,
    /// By folded name.
    pub(super) subscriptions: BTreeMap<Box<str>, Subscription>,
}

#[derive(Debug)]
pub(crate) struct Subscription {
    pub(super) id: String,
    pub(super) spec: SubscriptionSpec,
    pub(super) created: u64,
    pub(super) changed: u64,
}

impl Engine {
    /// Makes a topic; its id.
    ///
    /// # Errors
    /// What the service would refuse.
    pub(crate) fn create_topic(&mut self, now: u64, spec: TopicSpec) -> Result<String> {
        self.advance(now);
        spec.check()?;
        let name = folded(&spec.name);
        if self.topics.contains_key(&name) {
            // The service's table has no code for a topic that exists; its SDKs know this one.
            let message = format!("topic {} already existed, case insensitive", spec.name);
            return Err(Refusal::new(ErrorCode::QUEUE_EXISTS, message));
        }
        if self.topics.len() >= self.limits.topics {
            let message = format!("there are {} topics already", self.topics.len());
            return Err(Refusal::new(ErrorCode::TOO_MANY_TOPICS, message));
        }
        let id = format!("topic-{:08x}", self.ids.thing());
        let topic = Topic {
            id: id.clone(),
            spec,
            created: self.now,
            changed: self.now,
            subscriptions: BTreeMap::new(),
        };
        self.topics.insert(name, topic);
        Ok(id)
    }

    /// Tells a topic another size.
    ///
    /// # Errors
    /// What the service would refuse.
    pub(crate) fn change_topic(
        &mut self,
        now: u64,
        name: &str,
        max_body: Option<u32>,
    ) -> Result<()> {
        self.advance(now);
        let now = self.now;
        let topic = self.topic_mut(name)?;
        let mut spec = topic.spec.clone();
        spec.max_body = max_body.unwrap_or(spec.max_body);
        spec.check()?;
        topic.spec = spec;
        topic.changed = now;
        Ok(())
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// There is no such topic, or it has subscriptions. The latter is what the service's table of codes says, and nothing else in its documents:
    /// who unsubscribes first is right either way.
    pub(crate) fn delete_topic(&mut self, now: u64, name: &str) -> Result<()> {
        self.advance(now);
        let left = self.topic(name)?.subscriptions.len();
        if left > 0 {
            let message = format!("the topic still has {left} subscriptions");
            return Err(Refusal::new(ErrorCode::TOPIC_HAS_SUBSCRIPTIONS, message));
        }
        self.topics.remove(&folded(name));
        Ok(())
    }

    /// Whether there is such a topic.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn topic_exists(&mut self, now: u64, name: &str) -> Result<()> {
        self.advance(now);
        self.topic(name).map(|_| ())
    }

    /// What a topic was told, and what it holds.
    ///
    /// # Errors
    /// There is no such topic.
    pub(crate) fn topic_state(&mut self, now: u64, name: &str) -> Result<TopicState> {
        self.advance(now);
        let topic = self.topic(name)?;
        Ok(TopicState {
            messages: self.pushes.of(&folded(name), None),
            max_body: topic.spec.max_body.into(),
            retention_seconds: super::push::LIFE / 1000,
            created: topic.created / 1000,
            changed: topic.changed / 1000,
            filter: match topic.spec.filter {
                Filter::Tags => 1,
                Filter::Routing => 2,
            },
        })
    }

    /// Makes a subscription; its id.
    ///
    /// # Errors
    /// What the service would refuse; its queue does not exist.
    pub(crate) fn subscribe(&mut self, now: u64, spec: SubscriptionSpec) -> Result<String> {
        self.advance(now);
        let most = self.limits.subscriptions;
        let now = self.now;
        let topic = self.topic(&spec.topic)?;
        spec.check(topic.spec.filter)?;
        if let Target::Queue(queue) = &spec.target {
            self.key(queue)?;
        }
        let name = folded(&spec.name);
        if topic.subscriptions.contains_key(&name) {
            let message = format!("subscription {} already existed", spec.name);
            return Err(Refusal::new(ErrorCode::SUBSCRIPTION_EXISTS, message));
        }
        if topic.subscriptions.len() >= most {
            let message = format!("the topic has {most} subscriptions already");
            return Err(Refusal::new(ErrorCode::TOO_MANY_SUBSCRIPTIONS, message));
        }
        let id = format!("subsc-{:08x}", self.ids.thing());
        let topic = self.topic_mut(&spec.topic)?;
        let subscription = Subscription {
            id: id.clone(),
            spec,
            created: now,
            changed: now,
        };
        topic.subscriptions.insert(name, subscription);
        Ok(id)
    }

    /// Tells a subscription something else.
    ///
    /// # Errors
    /// What the service would refuse.
    pub(crate) fn change_subscription(
        &mut self,
        now: u64,
        topic: &str,
        name: &str,
        change: impl FnOnce(&mut SubscriptionSpec),
    ) -> Result<()> {
        self.advance(now);
        let now = self.now;
        let topic = self.topic_mut(topic)?;
        let filter = topic.spec.filter;
        let subscription = topic.subscriptions.get_mut(&folded(name));
        let subscription = subscription.ok_or_else(no_subscription)?;
        let mut spec = subscription.spec.clone();
        change(&mut spec);
        spec.check(filter)?;
        subscription.spec = spec;
        subscription.changed = now;
        Ok(())
    }

    /// Deletes a subscription; what it has still to push is not pushed.
    ///
    /// # Errors
    /// There is no such topic or subscription.
    pub(crate) fn unsubscribe(&mut self, now: u64, topic: &str, name: &str) -> Result<()> {
        self.advance(now);
        let removed = self.topic_mut(topic)?.subscriptions.remove(&folded(name));
        removed.map(|_| ()).ok_or_else(no_subscription)
    }

    /// What a subscription was told, and what it holds.
    ///
    /// # Errors
    /// There is no such topic or subscription.
    pub(crate) fn subscription_state(
        &mut self,
        now: u64,
        topic: &str,
        name: &str,
    ) -> Result<SubscriptionState> {
        self.advance(now);
        let found = self.topic(topic)?.subscriptions.get(&folded(name));
        let subscription = found.ok_or_else(no_subscription)?;
        let spec = &subscription.spec;
        let (protocol, endpoint) = spec.target.told();
        Ok(SubscriptionState {
            owner: OWNER,
            endpoint,
            protocol,
            strategy: spec.strategy.wire_name().into(),
            format: spec.content().wire_name().into(),
            created: subscription.created / 1000,
            changed: subscription.changed / 1000,
            messages: self.pushes.of(&folded(topic), Some(&folded(name))),
            filter_tags: spec.tags.clone(),
            binding_keys: spec.binding_keys.clone(),
        })
    }

    pub(super) fn topic(&self, name: &str) -> Result<&Topic> {
        match self.topics.get(&*folded(name)) {
            Some(topic) => Ok(topic),
            None => Err(no_topic(name)),
        }
    }

    fn topic_mut(&mut self, name: &str) -> Result<&mut Topic> {
        match self.topics.get_mut(&*folded(name)) {
            Some(topic) => Ok(topic),
            None => Err(no_topic(name)),
        }
    }
}

impl Target {
    /// Protocol and endpoint.
    pub(crate) fn told(&self) -> (String, String) {
        match self {
            Self::Queue(name) => ("queue".to_owned(), name.clone()),
            Self::Url(url) => ("http".to_owned(), url.clone()),
        }
    }
}

impl RetryStrategy {
    pub(crate) const fn wire_name(self) -> &'static str {
        match self {
            Self::Backoff => "BACKOFF_RETRY",
            Self::ExponentialDecay => "EXPONENTIAL_DECAY_RETRY",
        }
    }
}

impl ContentFormat {
    pub(crate) const fn wire_name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Simplified => "SIMPLIFIED",
        }
    }
}

fn no_topic(name: &str) -> Refusal {
    let wrong = mq_cmq::proto::limits::topic_name(name).err();
    wrong.unwrap_or_else(|| Refusal::new(ErrorCode::TOPIC_NOT_FOUND, "topic is not existed"))
}

/// The service's table has no code of its own for it.
fn no_subscription() -> Refusal {
    Refusal::new(ErrorCode::TOPIC_NOT_FOUND, "subscription is not existed")
}

/// An account number, such as the documents show.
pub(crate) const OWNER: u64 = 100_015_036;
