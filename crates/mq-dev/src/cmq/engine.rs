//! The state of the server: queues and topics, without a runtime, a clock or sockets. Time comes in as milliseconds since the Unix epoch,
//! chance as a seed.
//!
//! ```text
//!  command(now, …) ─► advance(now): what fell due since the last one, in its order ─► the command itself
//!                                          └─► effects: who waited gets messages, who waited too long hears so, what is to be pushed
//! ```
//!
//! Every command takes the time first. After each, [`Engine::next_due`] says when to call [`Engine::advance`] at the latest, and
//! [`Engine::take_effects`] has to be emptied.

mod control;
mod ids;
mod lists;
mod message;
mod publish;
mod push;
mod queue;
mod queues;
mod route;
mod saved;
#[cfg(test)]
mod tests;
mod topic;
mod transactions;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::{self, Refusal};

use self::ids::Ids;
pub(crate) use self::lists::Part;
use self::message::Dead;
pub(crate) use self::message::Delivered;
pub(crate) use self::push::PushJob;
use self::push::Pushes;
pub(crate) use self::queue::{Decision, Question, Sender, Want};
use self::queue::{Ended, Queue};
pub(crate) use self::route::matches;
pub(crate) use self::saved::Saved;
pub(crate) use self::topic::OWNER;
use self::topic::Topic;

use super::spec::Limits;

/// What a refusal is.
pub(crate) type Result<T, E = Refusal> = std::result::Result<T, E>;

/// A queue, while it exists.
pub(crate) type QueueKey = u32;

/// Who waits for messages: the queue, and a number.
pub(crate) type Waiter = (QueueKey, u64);

/// What has to be told to somebody.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A receive that waited has messages.
    Deliver(Waiter, Vec<Delivered>),
    /// A receive that waited ends without.
    End(Waiter, ErrorCode),
    /// A message is to be pushed to a URL, and the result told by [`Engine::pushed`].
    Push(PushJob),
    /// Somebody is to be asked what became of a half message.
    Ask(Question),
}

/// What a receive comes to.
#[derive(Debug)]
pub(crate) enum Received {
    /// At least one message.
    Now(Vec<Delivered>),
    /// None yet: an [`Effect`] tells.
    Later(Waiter),
    /// None, and no wait.
    Empty,
}

/// What goes wrong on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Disorder {
    /// In how many of a hundred receives another message than the oldest is taken.
    pub(crate) shuffle: u8,
    /// How many of a hundred deliveries are visible again at once.
    pub(crate) redeliver: u8,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Engine {
    limits: Limits,
    auto_create: bool,
    /// Time does not go back.
    now: u64,
    names: HashMap<Box<str>, QueueKey>,
    queues: HashMap<QueueKey, Queue>,
    topics: BTreeMap<Box<str>, Topic>,
    /// Names of queues that were deleted lately, and when.
    deleted: HashMap<Box<str>, u64>,
    /// The next thing that happens by itself, of each queue that has one.
    due: BTreeSet<(u64, QueueKey)>,
    pushes: Pushes,
    /// Whether messages for URLs are kept until they are pushed.
    push_http: bool,
    ids: Ids,
    dice: fastrand::Rng,
    disorder: Disorder,
    /// How many messages are to be accepted and lost.
    lose: u32,
    /// By how much `now` may be behind, in milliseconds: a delay begins that much later, or it would end early.
    lag: u64,
    /// Of all messages.
    bytes: usize,
    effects: Vec<Effect>,
}

impl Engine {
    /// Nothing yet, at a time; `seed` decides retries and disorder.
    pub(crate) fn new(now: u64, seed: u64, limits: Limits) -> Self {
        Self {
            limits,
            auto_create: false,
            now,
            names: HashMap::new(),
            queues: HashMap::new(),
            topics: BTreeMap::new(),
            deleted: HashMap::new(),
            due: BTreeSet::new(),
            pushes: Pushes::default(),
            push_http: false,
            ids: Ids::new(now),
            dice: fastrand::Rng::with_seed(seed),
            disorder: Disorder::default(),
            lose: 0,
            lag: 0,
            bytes: 0,
            effects: Vec::new(),
        }
    }

    /// Gives no number again that the other has given.
    pub(crate) fn go_on_behind(&mut self, other: &Self) {
        self.ids.go_on_behind(&other.ids);
    }

    /// Whether a queue that does not exist is made by the first use.
    pub(crate) const fn auto_create(&mut self, yes: bool) {
        self.auto_create = yes;
    }

    /// Whether messages for URLs are kept until they are pushed.
    pub(crate) const fn push_http(&mut self, yes: bool) {
        self.push_http = yes;
    }

    /// From now on.
    pub(crate) const fn disorder(&mut self, disorder: Disorder) {
        self.disorder = disorder;
    }

    /// By how much the times that it is told may be behind, in milliseconds.
    pub(crate) const fn lag(&mut self, lag: u64) {
        self.lag = lag;
    }

    /// Accepts the next message and loses it.
    pub(crate) const fn lose_one(&mut self) {
        self.lose = self.lose.saturating_add(1);
    }

    /// Takes a loss back that has struck nothing.
    pub(crate) const fn lose_none(&mut self) {
        self.lose = 0;
    }

    /// When something happens by itself.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let queue = self.due.first().map(|due| due.0);
        queue.into_iter().chain(self.pushes.next_due()).min()
    }

    /// What is to be told, in order.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Lets happen what falls due until `now`, each at its time and in that order.
    pub(crate) fn advance(&mut self, now: u64) {
        while let Some(&(at, key)) = self.due.first().filter(|due| due.0 <= now) {
            self.now = self.now.max(at);
            let mut dead = Vec::new();
            if let Some(queue) = self.queues.get_mut(&key) {
                queue.run(self.now, &mut dead);
            }
            self.settle(key, dead);
        }
        self.now = self.now.max(now);
        self.pushes_due();
    }

    /// Takes messages, or waits for them; `wait_seconds` as the queue says if not given.
    ///
    /// # Errors
    /// There is no such queue.
    pub(crate) fn receive(
        &mut self,
        now: u64,
        name: &str,
        want: Want,
        wait_seconds: Option<u32>,
    ) -> Result<Received> {
        self.advance(now);
        let key = self.used(name)?;
        let waiter = self.ids.waiter();
        let Some(queue) = self.queues.get_mut(&key) else {
            return Ok(Received::Empty);
        };
        let mut dead = Vec::new();
        let taken = queue.take(
            self.now,
            want,
            &mut self.ids,
            (&mut self.dice, self.disorder),
            &mut dead,
        );
        let wait = wait_seconds.unwrap_or_else(|| queue.spec().wait_seconds);
        let received = if !taken.is_empty() {
            Received::Now(taken)
        } else if wait == 0 {
            Received::Empty
        } else {
            queue.wait(waiter, want, self.now + u64::from(wait) * 1000);
            Received::Later((key, waiter))
        };
        self.settle(key, dead);
        Ok(received)
    }

    /// Nobody waits there any more.
    pub(crate) fn cancel(&mut self, waiter: Waiter) {
        if let Some(queue) = self.queues.get_mut(&waiter.0) {
            queue.leave(waiter.1);
        }
        self.settle(waiter.0, Vec::new());
    }

    /// What was delivered reached nobody: visible again, uncounted.
    pub(crate) fn give_back(&mut self, now: u64, key: QueueKey, delivered: &[Delivered]) {
        self.advance(now);
        if let Some(queue) = self.queues.get_mut(&key) {
            for one in delivered {
                queue.give_back(one.handle);
            }
        }
        self.settle(key, Vec::new());
    }

    /// A question found no room on its way to who is to be asked.
    pub(crate) fn ask_again(&mut self, now: u64, question: &Question) {
        if let Ok(key) = self.key(&question.queue) {
            if let Some(queue) = self.queues.get_mut(&key) {
                queue.ask_again(question.id, now + SOON);
            }
            self.settle(key, Vec::new());
        }
    }

    /// Deletes what was received.
    ///
    /// # Errors
    /// There is no such queue. The handle is not valid (any more).
    pub(crate) fn delete(&mut self, now: u64, name: &str, handle: u64) -> Result<()> {
        self.advance(now);
        let key = self.used(name)?;
        let deleted = self
            .queues
            .get_mut(&key)
            .is_some_and(|queue| queue.delete(handle));
        self.settle(key, Vec::new());
        if deleted {
            return Ok(());
        }
        let message = "the handle is not that of the last receive, or the message is visible again";
        Err(Refusal::new(ErrorCode::HANDLE_EXPIRED, message))
    }

    /// Gives messages to those who wait, moves the dead, and notes when the queue is due next; of all queues that this touches.
    fn settle(&mut self, key: QueueKey, dead: Vec<Dead>) {
        let mut work = vec![(key, dead)];
        while let Some((key, mut dead)) = work.pop() {
            let Some(queue) = self.queues.get_mut(&key) else {
                continue;
            };
            let chance = (&mut self.dice, self.disorder);
            let served = queue.serve(self.now, &mut self.ids, chance, &mut dead);
            let effects = served.into_iter().map(|(waiter, ended)| match ended {
                Ended::With(messages) => Effect::Deliver((key, waiter), messages),
                Ended::Without => Effect::End((key, waiter), ErrorCode::NO_MESSAGE),
            });
            self.effects.extend(effects);
            let questions = queue.take_questions().into_iter().map(Effect::Ask);
            self.effects.extend(questions);
            queue.reschedule(key, &mut self.due);
            queue.count_bytes(&mut self.bytes);
            for one in dead {
                let target = self.names.get(&*one.target).copied();
                let Some(target) = target.filter(|target| self.queues.contains_key(target)) else {
                    continue;
                };
                self.bury(target, one);
                work.push((target, Vec::new()));
            }
        }
    }

    fn bury(&mut self, target: QueueKey, dead: Dead) {
        let entry = self.ids.entry();
        if let Some(queue) = self.queues.get_mut(&target) {
            queue.bury(entry, dead, self.now);
        }
    }

    /// The queue of this name, made now if it may be.
    fn used(&mut self, name: &str) -> Result<QueueKey> {
        match self.key(name) {
            Err(_) if self.auto_create => {
                let now = self.now;
                self.create_queue(now, super::spec::QueueSpec::new(name))?;
                self.key(name)
            }
            found => found,
        }
    }

    fn key(&self, name: &str) -> Result<QueueKey> {
        if let Some(key) = self.names.get(&*folded(name)).copied() {
            return Ok(key);
        }
        limits::queue_name(name)?;
        let message = "queue is not existed, or deleted";
        Err(Refusal::new(ErrorCode::QUEUE_NOT_FOUND, message))
    }
}

/// A name as it is looked up: whatever the case of its letters.
fn folded(name: &str) -> Box<str> {
    name.to_ascii_lowercase().into()
}

/// A body that several queues can hold.
pub(crate) type Body = Arc<str>;

/// How soon a question is asked again that found no room, in milliseconds.
const SOON: u64 = 50;
