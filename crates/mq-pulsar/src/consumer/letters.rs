//! Letters: what can't be handled goes, with where it came from, to a dead letter topic; what is to be tried later, to a retry letter topic.
//!
//! ```text
//!  the last delivery was in vain, or there was one more ─┐
//!  retry_later ──────────────────────────────────────────┴─► Letters: line ─► post: a producer a topic ─► receipt ─► the original is acknowledged
//!                                                                                                └──────► none ────► it comes again
//! ```
// apache/pulsar: ConsumerImpl.processPossibleToDLQ, doReconsumeLater; DeadLetterPolicy, RetryMessageUtil, ConsumerBuilderImpl.subscribeAsync

mod line;
mod post;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

pub(super) use self::line::Letters;
use self::line::{Letter, Why};
pub(super) use self::post::post;
use super::content::Arrival;
use super::core::{Core, Decision, Phase};
use super::delivery::{Received, Settle};
use super::options::SubscriptionType;
use super::settling::{Settling, confirmed};
use super::{Acker, ConsumerBuilder};
use crate::conn::now;
use crate::error::{Result, closed, invalid};
use crate::proto::api::{self, command_subscribe};
use crate::topic::TopicName;

/// Where messages go that were delivered too often in vain.
///
/// ```
/// use mq_pulsar::DeadLetter;
///
/// let letters = DeadLetter::after(3).topic("orders-failed").initial_subscription("review");
/// # drop(letters);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it is given to ConsumerBuilder::dead_letter"]
pub struct DeadLetter {
    redeliveries: u32,
    topic: Option<String>,
    subscription: Option<String>,
}

impl DeadLetter {
    /// A message is delivered once, and then again up to so many times, at least 1; what fails still goes to the dead letter topic.
    pub const fn after(redeliveries: u32) -> Self {
        Self {
            redeliveries,
            topic: None,
            subscription: None,
        }
    }

    /// The dead letter topic. Default, as in Java: the message's topic, `-`, the subscription, `-DLQ`; of a topic with partitions that is one for each,
    /// such as `orders-partition-0-billing-DLQ`. With [`retry_letter`](ConsumerBuilder::retry_letter) it is one: that of the consumer's first topic by name.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// A subscription that the dead letter topic is made with, so that its letters are kept until somebody reads them. Default: none, and then a
    /// namespace without retention may delete letters that nobody has subscribed to.
    pub fn initial_subscription(mut self, name: impl Into<String>) -> Self {
        self.subscription = Some(name.into());
        self
    }
}

/// Where messages wait that are to be tried later: see [`Delivery::retry_later`](super::Delivery::retry_later).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "it is given to ConsumerBuilder::retry_letter"]
pub struct RetryLetter {
    topic: Option<String>,
}

impl RetryLetter {
    /// With the default's topic.
    pub const fn new() -> Self {
        Self { topic: None }
    }

    /// The retry letter topic, which the consumer consumes, too. Default, as in Java: the consumer's first topic by name, `-`, the subscription,
    /// `-RETRY`.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }
}

impl ConsumerBuilder {
    /// What was delivered too often in vain goes to a dead letter topic, with its key, ordering key, event time and properties, and with the properties
    /// that Java's client writes: `REAL_TOPIC`, of a partition its own name, `REAL_SUBSCRIPTION`, `ORIGIN_MESSAGE_ID`. For shared and key-shared
    /// subscriptions. Default: nothing does.
    ///
    /// It is acknowledged when the dead letter is stored, not before: if that fails, it is tried again. A message that was delivered more often than it
    /// may be is not handed out. The broker counts, as [`redelivery_count`](super::Received::redelivery_count) tells, and also what was released.
    pub fn dead_letter(mut self, letters: DeadLetter) -> Self {
        self.letters.dead = Some(letters);
        self
    }

    /// Makes [`retry_later`](super::Delivery::retry_later) possible: the consumer also consumes a topic in which messages wait for their time. What was
    /// tried later more often than a dead letter may be delivered again, without a [`dead_letter`](Self::dead_letter) 16 times, becomes one. For
    /// shared and key-shared subscriptions.
    pub fn retry_letter(mut self, letters: RetryLetter) -> Self {
        self.letters.retry = Some(letters);
        self
    }
}

/// What a consumer is asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    dead: Option<DeadLetter>,
    retry: Option<RetryLetter>,
}

/// Where letters go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    subscription: String,
    /// Redeliveries, or times that it was tried later.
    most: u32,
    /// `None`: each topic has its own.
    dead: Option<TopicName>,
    initial_subscription: Option<String>,
    retry: Option<TopicName>,
}

impl Asked {
    pub(super) const fn new() -> Self {
        Self {
            dead: None,
            retry: None,
        }
    }

    /// What that means for these topics; `None` if there are no letters.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`.
    pub(super) fn policy(
        &self,
        kind: SubscriptionType,
        subscription: &str,
        topics: &[String],
    ) -> Result<Option<Policy>> {
        if self.dead.is_none() && self.retry.is_none() {
            return Ok(None);
        }
        if !kind.is_individual() {
            let message =
                "only shared and key-shared subscriptions have dead letters and retry letters";
            return Err(invalid("consumer", message));
        }
        let asked = self.dead.clone();
        let asked = asked.unwrap_or_else(|| DeadLetter::after(MOST_RECONSUMED));
        if asked.redeliveries == 0 {
            let message = "a dead letter was delivered again at least once";
            return Err(invalid("consumer", message));
        }
        let given = |name: &Option<String>| name.as_deref().map(TopicName::parse).transpose();
        let (mut dead, mut retry) = (given(&asked.topic)?, None);
        if let Some(asked) = &self.retry {
            retry = given(&asked.topic)?;
            // Java keeps them sorted.
            if let Some(first) = topics.iter().min() {
                let first = TopicName::parse(first)?;
                let beside = |what| TopicName::parse(&format!("{first}-{subscription}-{what}"));
                retry = Some(retry.map_or_else(|| beside(RETRY), Ok)?);
                dead = Some(dead.map_or_else(|| beside(DEAD), Ok)?);
            }
            if retry.is_none() {
                let message = "topics by a pattern have no retry letter topic of their own";
                let error = invalid("consumer", message).into_builder();
                return Err(error.hint("name one by RetryLetter::topic").build());
            }
        }
        Ok(Some(Policy {
            subscription: subscription.to_owned(),
            most: asked.redeliveries,
            dead,
            initial_subscription: asked.subscription,
            retry,
        }))
    }
}

impl Policy {
    /// The retry letter topic, if there is one.
    pub(super) const fn retry(&self) -> Option<&TopicName> {
        self.retry.as_ref()
    }

    /// How a topic is subscribed to.
    // apache/pulsar: ConsumerBase.getSubType: only a shared subscription keeps what has its time.
    pub(super) fn subscribe(
        &self,
        topic: &TopicName,
        ask: api::CommandSubscribe,
    ) -> api::CommandSubscribe {
        if self.retry.as_ref() != Some(topic) {
            return ask;
        }
        api::CommandSubscribe {
            sub_type: command_subscribe::SubType::Shared.into(),
            key_shared_meta: None,
            // All that is in it is for this subscription.
            initial_position: Some(command_subscribe::InitialPosition::Earliest.into()),
            ..ask
        }
    }

    fn dead_topic(&self, topic: &str) -> String {
        match &self.dead {
            Some(dead) => dead.as_str().to_owned(),
            None => format!("{topic}-{}-{DEAD}", self.subscription),
        }
    }

    /// Whether dead letters of this consumer go there.
    pub(super) fn is_dead_topic(&self, topic: &TopicName) -> bool {
        match &self.dead {
            Some(dead) => dead == topic,
            None => topic
                .as_str()
                .ends_with(&format!("-{}-{DEAD}", self.subscription)),
        }
    }

    const fn is_last(&self, redelivered: u32) -> bool {
        redelivered >= self.most
    }
}

impl Core {
    /// Makes a message whose last delivery was in vain a dead letter; says whether it was that.
    pub(super) fn bury(&self, arrival: &Arc<Arrival>) -> bool {
        let Some(letters) = &self.letters else {
            return false;
        };
        if !letters.policy.is_last(arrival.head.redelivered) || self.phase() != Phase::Running {
            return false;
        }
        let Some(kept) = self.keep(arrival) else {
            return false;
        };
        letters.post(Letter::new(kept, Why::Dead, None));
        true
    }

    /// The same for a message that was delivered once too often.
    pub(super) fn bury_at_once(&self, arrival: Arrival) {
        if let Some(letters) = &self.letters
            && let Some(kept) = self.keep(&Arc::new(arrival))
        {
            letters.post(Letter::new(kept, Why::Dead, None));
        }
    }

    /// The same for those that wait in front, though nobody may receive.
    pub(super) fn bury_those_in_front(&self) {
        if let Some(letters) = &self.letters {
            while !letters.is_full()
                && let Some(arrival) = self.next_beyond()
            {
                self.bury_at_once(arrival);
            }
        }
    }

    /// Whether a message was delivered once too often.
    pub(super) fn is_beyond(&self, redelivered: u32) -> bool {
        let letters = self.letters.as_ref();
        letters.is_some_and(|letters| redelivered > letters.policy.most)
    }
}

impl Acker {
    /// As [`Core::bury`].
    pub(super) fn bury(&mut self) -> bool {
        let buried = |arrival: &mut Arc<Arrival>| self.shared.core.bury(arrival);
        self.arrival.take_if(buried).is_some()
    }

    /// It is to come again after this time, from the retry letter topic. See [`settle`](Self::settle).
    ///
    /// The future ends when the letter is stored and the message acknowledged. It fails with kind `Invalid` without
    /// [`retry_letter`](ConsumerBuilder::retry_letter), and as sending does; then the message comes again as it is.
    pub fn retry_later(mut self, delay: Duration) -> Settling {
        let core = Arc::clone(&self.shared.core);
        let letters = core.letters.as_ref();
        let Some(letters) = letters.filter(|letters| letters.policy.retry.is_some()) else {
            drop(self.settle(Settle::Retry));
            let message = "the consumer was not built with a retry letter topic";
            return Settling::known(Err(invalid("retry_later", message)));
        };
        let Some(arrival) = self.arrival.take() else {
            return Settling::known(Ok(()));
        };
        let Some(kept) = core.keep(&arrival) else {
            // Nobody's any more: the broker delivers it again.
            let result = core.settle(&arrival, Decision::Again(now()));
            return Settling::known(result.map(drop));
        };
        let (answer, answered) = oneshot::channel();
        letters.post(Letter::new(kept, Why::Later(delay), Some(answer)));
        let within = self.shared.client.shared.options.operation_timeout;
        Settling::asked(Box::pin(async move {
            match answered.await {
                Ok(Ok(None)) => Ok(()),
                Ok(Ok(Some(heard))) => confirmed(heard, within).await,
                Ok(Err(why)) => Err(why),
                Err(_) => Err(closed("retry_later", "client")),
            }
        }))
    }
}

impl super::Delivery {
    /// It is to come again after this time, from the retry letter topic: meanwhile it is not delivered, whatever happens to this consumer, and nothing
    /// counts as a redelivery. How often that was, its property `RECONSUMETIMES` says. See [`Acker::retry_later`].
    pub fn retry_later(self, delay: Duration) -> Settling {
        self.into_parts().1.retry_later(delay)
    }
}

const DEAD: &str = "DLQ";
const RETRY: &str = "RETRY";
// apache/pulsar: RetryMessageUtil.MAX_RECONSUMETIMES
const MOST_RECONSUMED: u32 = 16;

#[cfg(test)]
mod tests;
