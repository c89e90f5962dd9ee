//! Which topics a consumer has: those that it is given, with their partitions, or those of a pattern; and those that are added while it runs.
// apache/pulsar: MultiTopicsConsumerImpl.subscribeIncreasedTopicPartitions, PatternMultiTopicsConsumerImpl.recheckTopicsChange

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytestring::ByteString;
use futures_util::future::join_all;
use mq_core::ErrorKind;
use tokio::time::{Instant, sleep};

use super::ConsumerBuilder;
use super::attend::{Attend, Open};
use super::core::Core;
use super::letters::Policy;
use super::pattern::{Matching, Pattern};
use crate::client::{Client, Shared};
use crate::error::Result;
use crate::proto::api::{self, command_subscribe::InitialPosition};
use crate::topic::TopicName;

impl ConsumerBuilder {
    /// All topics of a namespace whose names, without what is before them and without `-partition-…`, are of this regular expression as a whole:
    /// `orders-.*`, or with another namespace `tenant/namespace/orders-.*`; persistent topics, unless `non-persistent://` is before that. In place of
    /// [`topic`](Self::topic). There may be none yet: topics that are added later are consumed from their beginning, and one that is deleted is not
    /// made again. Not those to which the consumer's own dead letters go.
    pub fn topics_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// How often it is looked whether topics have more partitions, or a pattern means more topics. What is added is consumed from its beginning. Default
    /// 60 s, at least 100 ms.
    pub const fn partition_refresh(mut self, interval: Duration) -> Self {
        self.refresh = interval;
        self
    }
}

/// What a consumer is asked to consume.
pub(super) struct Wanted {
    /// Topics of which partitions may be added.
    partitioned: Vec<TopicName>,
    matching: Option<Matching>,
    /// Not those, whatever the pattern.
    except: Option<Policy>,
}

impl Wanted {
    /// Reads what the user has given, and gives the names of all partitions of all topics, each once.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`; what the broker answers, when the time is over.
    pub(super) async fn look(
        builder: &ConsumerBuilder,
        letters: Option<&Policy>,
        deadline: Instant,
    ) -> Result<(Self, Vec<TopicName>)> {
        let shared = &builder.client.shared;
        let mut wanted = Self {
            partitioned: Vec::new(),
            matching: None,
            except: letters.cloned(),
        };
        let mut names = Vec::new();
        if let Some(pattern) = &builder.pattern {
            let pattern = Pattern::parse(pattern)?;
            names = shared
                .retrying(deadline, || {
                    let mut matching = Matching::new(pattern.clone());
                    async move { matching.look(shared).await.map(<[_]>::to_vec) }
                })
                .await?;
            names.retain(|topic| wanted.is_meant(topic));
            wanted.matching = Some(Matching::new(pattern));
        }
        let given = builder.topics.iter().map(|topic| TopicName::parse(topic));
        let retry = letters.and_then(Policy::retry).cloned();
        for topic in given.chain(retry.map(Ok)) {
            let topic = topic?;
            let count = if topic.number().is_some() {
                0
            } else {
                let count = async || shared.partitions(&topic, true).await;
                shared.retrying(deadline, count).await?
            };
            if count == 0 {
                names.push(topic);
            } else {
                names.extend((0..count).map(|number| topic.partition(number)));
                wanted.partitioned.push(topic);
            }
        }
        names.sort();
        names.dedup();
        Ok((wanted, names))
    }

    const fn may_grow(&self) -> bool {
        self.matching.is_some() || !self.partitioned.is_empty()
    }

    fn is_meant(&self, topic: &TopicName) -> bool {
        let except = self.except.as_ref();
        except.is_none_or(|letters| !letters.is_dead_topic(&topic.unpartitioned()))
    }

    /// All that are there now; what can't be asked is asked the next time.
    async fn now_there(&mut self, shared: &Shared) -> Vec<TopicName> {
        let mut names = Vec::new();
        for topic in &self.partitioned {
            match shared.partitions(topic, false).await {
                Ok(count) => names.extend((0..count).map(|number| topic.partition(number))),
                Err(error) => tracing::debug!(%topic, %error, "its partitions are not known"),
            }
        }
        if let Some(matching) = &mut self.matching {
            match matching.look(shared).await {
                Ok(topics) => names.extend_from_slice(topics),
                Err(error) => tracing::debug!(%error, "the topics of the pattern are not known"),
            }
        }
        names.retain(|topic| self.is_meant(topic));
        names
    }
}

/// How a consumer's topics are subscribed to.
pub(super) struct Subscribing {
    pub(super) core: Arc<Core>,
    pub(super) shared: Weak<Shared>,
    pub(super) template: api::CommandSubscribe,
    pub(super) within: Duration,
    /// Topics may go.
    pub(super) by_pattern: bool,
}

impl Subscribing {
    fn attend(&self, part: usize, topic: TopicName) -> Attend {
        let retry = self.core.letters.as_ref().map(|letters| &letters.policy);
        let mut subscribe = self.template.clone();
        if let Some(policy) = retry {
            subscribe = policy.subscribe(&topic, subscribe);
        }
        let own = retry.and_then(|policy| policy.retry()) == Some(&topic);
        let optional = self.by_pattern && !own;
        if optional {
            // One that was deleted is not to come back by this.
            subscribe.force_topic_creation = Some(false);
        }
        Attend {
            core: Arc::clone(&self.core),
            part,
            shared: Weak::clone(&self.shared),
            subscribe,
            within: self.within,
            topic,
            optional,
        }
    }

    /// Subscribes to all for the first time.
    ///
    /// # Errors
    ///
    /// What the broker refuses, or the last failure.
    pub(super) async fn first(
        &self,
        names: Vec<TopicName>,
        deadline: Instant,
    ) -> Result<Vec<(Attend, Open)>> {
        let attends = names.into_iter().enumerate();
        let attends = attends.map(|(part, topic)| self.attend(part, topic));
        let opening = attends.map(|attend| async move {
            let opened = attend.first(deadline).await;
            (attend, opened)
        });
        let mut all = Vec::new();
        for (attend, opened) in join_all(opening).await {
            match opened {
                Ok(open) => all.push((attend, open)),
                // It was deleted meanwhile.
                Err(error) if attend.optional && error.kind() == ErrorKind::NotFound => {
                    self.core.part_ended(attend.part);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Consumes what is added, until the consumer closes.
    pub(super) async fn follow(self, mut wanted: Wanted, interval: Duration) {
        loop {
            tokio::select! {
                () = self.core.closing() => break,
                () = sleep(interval.max(SHORTEST)) => {}
            }
            let Some(shared) = self.shared.upgrade() else {
                break;
            };
            let there = tokio::select! {
                there = wanted.now_there(&shared) => there,
                () = self.core.closing() => break,
            };
            let consumed = self.core.consumed();
            for topic in there {
                let name = ByteString::from(topic.as_str());
                if !consumed.contains(&name) {
                    self.add(topic, &name, &shared);
                }
            }
        }
        self.core.following(false);
    }

    fn add(&self, topic: TopicName, name: &ByteString, shared: &Shared) {
        if let Some(part) = self.core.add(name) {
            tracing::info!(%topic, "it is new, and consumed from now on");
            let mut attend = self.attend(part, topic);
            // It was not there when the consumer began: all of it is what was sent since.
            attend.subscribe.initial_position = Some(InitialPosition::Earliest.into());
            attend.start_anew(shared);
        }
    }
}

/// Follows what may grow, by a task of the client.
pub(super) fn follow(
    subscribing: Subscribing,
    wanted: Wanted,
    interval: Duration,
    client: &Client,
) {
    if wanted.may_grow() {
        subscribing.core.following(true);
        let following = subscribing.follow(wanted, interval);
        super::attend::beside(&client.shared, following);
    }
}

const SHORTEST: Duration = Duration::from_millis(100);
