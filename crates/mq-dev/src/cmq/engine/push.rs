//! Messages that wait to be pushed to URLs, and when each is tried.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Body, Effect, Engine};
use crate::cmq::spec::{ContentFormat, RetryStrategy, SubscriptionSpec, Target};

/// One push, to be tried now.
#[derive(Debug, Clone)]
pub(crate) struct PushJob {
    /// For [`Engine::pushed`].
    pub(crate) push: u64,
    pub(crate) url: String,
    pub(crate) format: ContentFormat,
    pub(crate) topic: String,
    pub(crate) subscription: String,
    pub(crate) id: u64,
    pub(crate) body: Body,
    /// As the header has them.
    pub(crate) tags: String,
    /// In milliseconds.
    pub(crate) published: u64,
}

/// A message for a URL.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Waiting {
    /// Folded.
    pub(super) topic: Box<str>,
    pub(super) subscription: Box<str>,
    pub(super) id: u64,
    pub(super) body: Body,
    pub(super) tags: String,
    pub(super) published: u64,
    pub(super) tries: u32,
}

/// What waits, and what of it is being tried.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    waiting: BTreeMap<u64, Waiting>,
    due: BTreeSet<(u64, u64)>,
}

impl Pushes {
    pub(super) fn add(&mut self, push: u64, at: u64, waiting: Waiting) {
        self.waiting.insert(push, waiting);
        self.due.insert((at, push));
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        self.due.first().map(|due| due.0)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values()
    }

    /// How many messages of a topic or subscription wait.
    pub(super) fn of(&self, topic: &str, subscription: Option<&str>) -> u64 {
        let its = |one: &&Waiting| {
            *one.topic == *topic && subscription.is_none_or(|name| *one.subscription == *name)
        };
        self.waiting.values().filter(its).count() as u64
    }
}

impl Engine {
    /// Asks for the pushes that are due.
    pub(super) fn pushes_due(&mut self) {
        while let Some((_, push)) = self.pushes.due.first().filter(|due| due.0 <= self.now) {
            let push = *push;
            self.pushes.due.pop_first();
            match self.job(push) {
                Some(job) => self.effects.push(Effect::Push(job)),
                // Its subscription is gone.
                None => drop(self.pushes.waiting.remove(&push)),
            }
        }
    }

    /// What became of a push.
    pub(crate) fn pushed(&mut self, now: u64, push: u64, done: bool) {
        self.advance(now);
        let Some(waiting) = self.pushes.waiting.get_mut(&push) else {
            return;
        };
        waiting.tries += 1;
        let (tries, published) = (waiting.tries, waiting.published);
        let pause = if done {
            None
        } else {
            let strategy = self.job_spec(push).map(|spec| spec.strategy);
            strategy.and_then(|strategy| self.pause(strategy, tries))
        };
        let next = pause.map(|pause| self.now + pause);
        if let Some(at) = next.filter(|at| *at < published + LIFE) {
            self.pushes.due.insert((at, push));
            return;
        }
        if !done {
            tracing::info!(target: "mq_dev::cmq::push", push, tries, "push: given up");
        }
        self.pushes.waiting.remove(&push);
    }

    /// Source: Tencent Cloud, product 406, Subscribe (document 7414).
    fn pause(&mut self, strategy: RetryStrategy, tries: u32) -> Option<u64> {
        match strategy {
            RetryStrategy::Backoff if tries > 3 => None,
            RetryStrategy::Backoff => Some(self.dice.u64(19_000..=29_000)),
            RetryStrategy::ExponentialDecay => Some(1000 << (tries - 1).min(17)),
        }
    }

    fn job(&self, push: u64) -> Option<PushJob> {
        let waiting = self.pushes.waiting.get(&push)?;
        let spec = self.job_spec(push)?;
        let Target::Url(url) = &spec.target else {
            return None;
        };
        Some(PushJob {
            push,
            url: url.clone(),
            format: spec.content(),
            topic: spec.topic.clone(),
            subscription: spec.name.clone(),
            id: waiting.id,
            body: Body::clone(&waiting.body),
            tags: waiting.tags.clone(),
            published: waiting.published,
        })
    }

    fn job_spec(&self, push: u64) -> Option<&SubscriptionSpec> {
        let waiting = self.pushes.waiting.get(&push)?;
        let topic = self.topics.get(&waiting.topic)?;
        Some(&topic.subscriptions.get(&waiting.subscription)?.spec)
    }
}

/// For how many milliseconds a topic tries to deliver: a day.
pub(super) const LIFE: u64 = 86_400_000;
