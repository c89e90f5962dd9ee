//! What is done to queues, and sends.

use std::sync::Arc;

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::action::{DeadLetterState, QueueName, QueueState};
use mq_cmq::proto::limits::{self, Refusal};

use super::queue::{Queue, weight};
use super::{Body, Effect, Engine, QueueKey, Result, folded};
use crate::cmq::spec::{DeadLetterPolicy, DeadLetterSpec, QueueSpec};

impl Engine {
    /// Makes a queue; its id.
    ///
    /// # Errors
    /// What the service would refuse.
    pub(crate) fn create_queue(&mut self, now: u64, spec: QueueSpec) -> Result<String> {
        self.advance(now);
        spec.check()?;
        let name = folded(&spec.name);
        if self.names.contains_key(&name) {
            let message = format!("queue {} already existed, case insensitive", spec.name);
            return Err(Refusal::new(ErrorCode::QUEUE_EXISTS, message));
        }
        self.check_dead_letters(&spec)?;
        let free_again = self.deleted.get(&name).map(|at| at + NAME_IS_TAKEN);
        if free_again.is_some_and(|at| at > self.now) {
            let message = "a queue of that name was deleted less than 30 seconds ago";
            return Err(Refusal::new(ErrorCode::NAME_JUST_DELETED, message));
        }
        if self.names.len() >= self.limits.queues {
            let message = format!("there are {} queues already", self.names.len());
            return Err(Refusal::new(ErrorCode::TOO_MANY_QUEUES, message));
        }
        self.deleted.remove(&name);
        let key = self.ids.queue();
        let id = format!("queue-{key:08x}");
        self.queues
            .insert(key, Queue::new(id.clone(), spec, self.now));
        self.names.insert(name, key);
        Ok(id)
    }

    /// Tells a queue something else.
    ///
    /// # Errors
    /// As for [`Engine::create_queue`], and there is no such queue.
    pub(crate) fn change_queue(
        &mut self,
        now: u64,
        name: &str,
        change: impl FnOnce(&mut QueueSpec) -> Result<()>,
    ) -> Result<()> {
        self.advance(now);
        let key = self.key(name)?;
        let Some(mut spec) = self.queues.get(&key).map(|queue| queue.spec().clone()) else {
            return Ok(());
        };
        change(&mut spec)?;
        spec.check()?;
        self.check_dead_letters(&spec)?;
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.change(spec, self.now);
        }
        self.settle(key, Vec::new());
        Ok(())
    }

    /// Deletes a queue and what it holds; who waits hears of it. Queues whose dead letters went there keep theirs from now on.
    ///
    /// # Errors
    /// There is no such queue.
    pub(crate) fn delete_queue(&mut self, now: u64, name: &str) -> Result<()> {
        self.advance(now);
        let key = self.key(name)?;
        let name = folded(name);
        if let Some(mut queue) = self.queues.remove(&key) {
            queue.unschedule(key, &mut self.due);
            let waiting = queue.everybody().into_iter();
            let ends = waiting.map(|one| Effect::End((key, one), ErrorCode::QUEUE_NOT_FOUND));
            self.effects.extend(ends);
            queue.clear();
            queue.count_bytes(&mut self.bytes);
        }
        self.names.remove(&name);
        let now = self.now;
        self.deleted.retain(|_, at| *at + NAME_IS_TAKEN > now);
        self.deleted.insert(name.clone(), now);
        for source in self.sources(&name) {
            self.change_queue(now, &source, |spec| {
                spec.dead_letter = None;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Whether there is such a queue, made now if it may be.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn queue_exists(&mut self, now: u64, name: &str) -> Result<()> {
        self.advance(now);
        self.used(name).map(|_| ())
    }

    /// Deletes all messages of a queue, those that could be had again too.
    ///
    /// # Errors
    /// There is no such queue.
    pub(crate) fn clear_queue(&mut self, now: u64, name: &str) -> Result<()> {
        self.advance(now);
        let key = self.key(name)?;
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.clear();
        }
        self.settle(key, Vec::new());
        Ok(())
    }

    /// Makes deleted messages visible that were sent at `from` (in milliseconds) or later.
    ///
    /// # Errors
    /// There is no such queue, it keeps no deleted messages, or the time is in the future or further back than it keeps them.
    pub(crate) fn rewind_queue(&mut self, now: u64, name: &str, from: u64) -> Result<()> {
        self.advance(now);
        let key = self.key(name)?;
        let Some(queue) = self.queues.get_mut(&key) else {
            return Ok(());
        };
        let kept = u64::from(queue.spec().rewind_seconds) * 1000;
        if kept == 0 {
            let message = "queue can not be rewinded: its rewindSeconds is 0";
            return Err(Refusal::new(ErrorCode::NOT_REWINDABLE, message));
        }
        // The time is in whole seconds: one that is a part of a second too early is meant.
        if from > self.now || from + kept + 999 < self.now {
            let message = "startConsumeTime is in the future, or longer ago than rewindSeconds";
            return Err(Refusal::new(ErrorCode::BAD_REWIND_TIME, message));
        }
        queue.rewind(from);
        self.settle(key, Vec::new());
        Ok(())
    }

    /// Puts messages into a queue, all or none; their ids.
    ///
    /// # Errors
    /// What the service would refuse.
    pub(crate) fn send(
        &mut self,
        now: u64,
        name: &str,
        bodies: &[&str],
        delay_seconds: u32,
    ) -> Result<Vec<u64>> {
        self.advance(now);
        let key = self.used(name)?;
        let Some(queue) = self.queues.get(&key) else {
            return Ok(Vec::new());
        };
        let spec = queue.spec();
        check_bodies(bodies, spec.max_body)?;
        if spec.transaction.is_some() && delay_seconds > 0 {
            let message = "a transactional queue takes no delays";
            return Err(Refusal::new(ErrorCode::DELAY_OUT_OF_RANGE, message));
        }
        // Not longer: a message is kept from when it was sent, and would go in the moment in which it is visible.
        if delay_seconds >= spec.retention_seconds {
            let message = format!(
                "a delay of {delay_seconds} s in a queue that keeps messages for {} s",
                spec.retention_seconds
            );
            return Err(Refusal::new(ErrorCode::DELAY_OUT_OF_RANGE, message));
        }
        check_heap(queue, bodies.len())?;
        if delay_seconds > 0 && queue.delayed() + bodies.len() > self.limits.delayed {
            let message = format!("{} messages are delayed already", queue.delayed());
            return Err(Refusal::new(ErrorCode::TOO_MANY_UNACKED, message));
        }
        self.check_memory(bodies.iter().map(|body| weight(body)).sum())?;
        let delay = u64::from(delay_seconds) * 1000;
        let visible = match delay {
            0 => self.now,
            delay => self.now + delay + self.lag,
        };
        let bodies = bodies.iter().map(|body| Body::from(*body));
        let ids = bodies
            .map(|body| {
                let id = self.ids.message();
                self.enqueue(key, id, &body, visible);
                id
            })
            .collect();
        self.settle(key, Vec::new());
        Ok(ids)
    }

    /// Puts one message into a queue, unless it is to be lost. [`Engine::settle`] has to follow.
    pub(super) fn enqueue(&mut self, key: QueueKey, id: u64, body: &Body, visible: u64) {
        if self.loses(id) {
            return;
        }
        let entry = self.ids.entry();
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.insert(entry, id, Arc::clone(body), self.now, visible);
        }
    }

    /// Whether a message that was accepted is to be lost.
    pub(super) fn loses(&mut self, id: u64) -> bool {
        let loses = self.lose > 0;
        if loses {
            self.lose -= 1;
            tracing::warn!(id, "fault: accepted and lost");
        }
        loses
    }

    /// Room for so many bytes more.
    pub(super) fn check_memory(&self, more: usize) -> Result<()> {
        if self.bytes.saturating_add(more) <= self.limits.bytes {
            return Ok(());
        }
        let message = format!("this server holds {} bytes of messages already", self.bytes);
        Err(Refusal::new(ErrorCode::HEAP_FULL, message))
    }

    /// What a queue was told.
    #[cfg(test)]
    pub(crate) fn queue_spec(&self, name: &str) -> Result<&QueueSpec> {
        let key = self.key(name)?;
        let queue = self.queues.get(&key).map(Queue::spec);
        queue.ok_or_else(|| Refusal::new(ErrorCode::QUEUE_NOT_FOUND, ""))
    }

    /// How many receives wait at a queue.
    pub(crate) fn waiting(&self, name: &str) -> usize {
        let queue = self.key(name).ok().and_then(|key| self.queues.get(&key));
        queue.map_or(0, Queue::waiting)
    }

    /// What a queue was told, and what it holds.
    ///
    /// # Errors
    /// There is no such queue.
    pub(crate) fn queue_state(&mut self, now: u64, name: &str) -> Result<QueueState> {
        self.advance(now);
        let key = self.key(name)?;
        let Some(queue) = self.queues.get(&key) else {
            return Ok(QueueState::default());
        };
        let spec = queue.spec();
        let sources = self.source_names(name);
        Ok(QueueState {
            max_messages: spec.max_messages,
            wait_seconds: spec.wait_seconds.into(),
            visibility_seconds: spec.visibility_seconds.into(),
            max_body: spec.max_body.into(),
            retention_seconds: spec.retention_seconds.into(),
            rewind_seconds: spec.rewind_seconds.into(),
            created: queue.created / 1000,
            changed: queue.changed / 1000,
            active: queue.active() as u64,
            inactive: queue.held() as u64,
            rewindable: queue.rewindable() as u64,
            rewindable_too: queue.rewindable() as u64,
            oldest: queue.oldest() / 1000,
            delayed: queue.delayed() as u64,
            dead_letter: spec.dead_letter.as_ref().map(told),
            dead_letter_sources: Some(sources).filter(|sources| !sources.is_empty()),
        })
    }

    /// The queues whose dead letters go to this one, by name.
    pub(super) fn source_names(&self, name: &str) -> Vec<QueueName> {
        let sources = self.sources(name).into_iter();
        let mut names: Vec<QueueName> = sources
            .filter_map(|name| {
                let queue = self.queues.get(&self.key(&name).ok()?)?;
                let id = queue.id.clone();
                Some(QueueName { id, name })
            })
            .collect();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        names
    }

    fn sources(&self, name: &str) -> Vec<String> {
        let goes_there = |queue: &&Queue| {
            let rule = queue.spec().dead_letter.as_ref();
            rule.is_some_and(|rule| rule.queue.eq_ignore_ascii_case(name))
        };
        let sources = self.queues.values().filter(goes_there);
        sources.map(|queue| queue.spec().name.clone()).collect()
    }

    fn check_dead_letters(&self, spec: &QueueSpec) -> Result<()> {
        let Some(rule) = &spec.dead_letter else {
            return Ok(());
        };
        if rule.queue.eq_ignore_ascii_case(&spec.name) {
            let message = "a queue can't be its own dead letter queue";
            return Err(Refusal::new(ErrorCode::BAD_PARAMETERS, message));
        }
        self.key(&rule.queue).map(|_| ())
    }
}

/// At least one byte each, none larger than may be, and no more than a request holds.
pub(super) fn check_bodies(bodies: &[&str], max_body: u32) -> Result<()> {
    let sum: usize = bodies.iter().map(|body| body.len()).sum();
    if bodies.len() > 1 && sum > limits::MAX_BODY {
        let message = format!("the bodies have {sum} bytes, over {}", limits::MAX_BODY);
        return Err(Refusal::new(ErrorCode::BATCH_TOO_LARGE, message));
    }
    let most = usize::try_from(max_body).unwrap_or(limits::MAX_BODY);
    bodies.iter().try_for_each(|body| limits::body(body, most))
}

/// Room for so many messages more.
pub(super) fn check_heap(queue: &Queue, more: usize) -> Result<()> {
    // Half messages have their place: a commit finds no full queue.
    let held = queue.len() + queue.halves();
    if held as u64 + more as u64 <= queue.spec().max_messages {
        return Ok(());
    }
    let name = &queue.spec().name;
    let message = format!("the queue {name} holds {held} messages already");
    Err(Refusal::new(ErrorCode::HEAP_FULL, message))
}

fn told(rule: &DeadLetterSpec) -> DeadLetterState {
    let queue = rule.queue.clone();
    let (policy, max_receives, max_age_seconds) = match rule.policy {
        DeadLetterPolicy::Receives(most) => (0, most.into(), 0),
        DeadLetterPolicy::Age(seconds) => (1, 0, seconds.into()),
    };
    DeadLetterState {
        queue,
        policy,
        max_receives,
        max_age_seconds,
    }
}

/// For how many milliseconds after its deletion.
const NAME_IS_TAKEN: u64 = 30_000;
