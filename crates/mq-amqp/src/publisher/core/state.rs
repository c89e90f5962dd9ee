//! What is under way, and the steps from one place to the next.

use std::collections::VecDeque;

use mq_core::Outcome;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Answer;
use crate::Message;
use crate::conn::{Connection, Key};
use crate::error::Error;
use crate::proto::Content;
use crate::publisher::encode::Head;
use crate::publisher::words::nacked;
use crate::publisher::{Receipt, SendError, Unheard};

#[derive(Default)]
pub(super) struct State {
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) line: VecDeque<Slot>,
    pub(super) flight: VecDeque<Slot>,
    /// The delivery tag of `flight`'s first.
    pub(super) base: u64,
    /// Of `line` and `flight`, without what is settled.
    pub(super) count: usize,
    pub(super) bytes: usize,
    /// Of `flight`: those whose senders no longer wait. They hold their places until the server says what became of them.
    pub(super) given_up: usize,
    pub(super) next: u64,
    /// A channel that does not confirm yet.
    pub(super) begun: Option<Key>,
    /// The one that messages are written to.
    pub(super) channel: Option<(Connection, Key)>,
    pub(super) dirty: bool,
    /// So many of the next ones are sent one at a time, since one of them made the server close the channel.
    pub(super) probes: usize,
    /// Nothing more is taken.
    pub(super) closing: bool,
    /// And nothing is sent any more.
    pub(super) ended: Option<Error>,
    pub(super) leaving: bool,
    pub(super) unheard: Unheard,
}

/// A send that has no room yet.
pub(super) struct Waiting {
    pub(super) slot: Slot,
    pub(super) admitted: oneshot::Sender<()>,
}

pub(super) struct Slot {
    pub(super) number: u64,
    pub(super) message: Option<Message>,
    pub(super) head: Head,
    pub(super) cost: usize,
    pub(super) answer: Option<Answer>,
    /// The server gave it back: no queue takes it.
    pub(super) returned: Option<Error>,
    /// Bytes of it left the process.
    pub(super) sent: u32,
    /// Until then its sender waits.
    pub(super) deadline: Instant,
    /// Its sender no longer waits and was told that its fate is unknown.
    pub(super) abandoned: bool,
}

/// Who waited, what is known of the message, and the message.
pub(super) type GivenUp = (Answer, Outcome, Message);
pub(super) type Resolved = Vec<(Answer, Result<Receipt, SendError>)>;

impl State {
    /// Whether nobody waits for anything.
    pub(super) fn is_idle(&self) -> bool {
        self.count == self.given_up && self.waiting.is_empty()
    }

    /// The first that has neither come to its end nor been given up.
    pub(super) fn oldest(&self) -> Option<u64> {
        let waiting = self.waiting.iter().map(|waiting| &waiting.slot);
        let mut all = self.flight.iter().chain(&self.line).chain(waiting);
        all.find(|slot| slot.answer.is_some())
            .map(|slot| slot.number)
    }

    /// Takes a message back whose time is over, unless it has come to its end.
    pub(super) fn give_up(&mut self, number: u64) -> Option<GivenUp> {
        if let Some(waiting) = remove(&mut self.waiting, number, |waiting| waiting.slot.number) {
            return waiting.slot.given_up(Outcome::NotSent);
        }
        if let Some(slot) = remove(&mut self.line, number, |slot| slot.number) {
            self.release(slot.cost, false);
            let outcome = match slot.sent {
                0 => Outcome::NotSent,
                _ => Outcome::Unknown,
            };
            return slot.given_up(outcome);
        }
        let at = self
            .flight
            .binary_search_by_key(&number, |slot| slot.number);
        let slot = self.flight.get_mut(at.ok()?)?;
        let (answer, message) = (slot.answer.take()?, slot.message.clone()?);
        slot.abandoned = true;
        self.given_up += 1;
        Some((answer, Outcome::Unknown, message))
    }

    /// Those whose time is over, and when that of the next one is.
    pub(super) fn late(&self, now: Instant) -> (Vec<u64>, Option<Instant>) {
        let waiting = self.waiting.iter().map(|waiting| &waiting.slot);
        let all = waiting.chain(&self.line).chain(&self.flight);
        let (late, others): (Vec<_>, Vec<_>) = all
            .filter(|slot| slot.answer.is_some())
            .partition(|slot| slot.deadline <= now);
        let next = others.iter().map(|slot| slot.deadline).min();
        (late.iter().map(|slot| slot.number).collect(), next)
    }

    pub(super) fn admit(&mut self, slot: Slot) {
        self.count += 1;
        self.bytes += slot.cost;
        self.line.push_back(slot);
        self.wake();
    }

    pub(super) fn release(&mut self, cost: usize, given_up: bool) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(cost);
        self.given_up = self.given_up.saturating_sub(given_up.into());
    }

    pub(super) fn wake(&mut self) {
        if let Some((connection, key)) = &self.channel
            && !self.dirty
            && !self.line.is_empty()
        {
            connection.wake(*key);
            self.dirty = true;
        }
    }
}

impl Slot {
    pub(super) fn settle(&mut self, message: Message, ack: bool, resolved: &mut Resolved) {
        // Who was told that its fate is unknown has had his answer.
        let Some(answer) = self.answer.take() else {
            return;
        };
        let failure = match self.returned.take() {
            Some(returned) => Some(returned),
            None if ack => None,
            None => Some(nacked()),
        };
        let result = match failure {
            Some(error) => Err(SendError::new(error, message)),
            None => Ok(Receipt::new(message, self.sent)),
        };
        resolved.push((answer, result));
    }

    /// Whether the server may say of it that no queue takes it from this exchange, which needn't be the publisher's own.
    pub(super) fn may_come_back(&self, exchange: &str) -> bool {
        let there = self.head.exchange() == exchange.as_bytes();
        there && self.head.mandatory() && self.returned.is_none()
    }

    /// Whether a content has this message's body, and whether its properties: the body counts for more, since servers may write to the headers.
    pub(super) fn likeness(&self, content: &Content) -> (bool, bool) {
        let body = self.message.as_ref().map(Message::body);
        let same_body = body.is_some_and(|body| match content.too_large {
            Some(size) => body.len() as u64 == size,
            None => *body == content.body,
        });
        (same_body, self.head.properties() == content.properties)
    }

    fn given_up(self, outcome: Outcome) -> Option<GivenUp> {
        Some((self.answer?, outcome, self.message?))
    }

    pub(super) fn fail(mut self, error: Error, resolved: &mut Resolved) {
        if let (Some(answer), Some(message)) = (self.answer.take(), self.message.take()) {
            resolved.push((answer, Err(SendError::new(error, message))));
        }
    }
}

pub(super) fn remove<T>(line: &mut VecDeque<T>, number: u64, of: impl Fn(&T) -> u64) -> Option<T> {
    let at = line.binary_search_by_key(&number, of).ok()?;
    line.remove(at)
}
