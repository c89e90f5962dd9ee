//! What the parts of a queue have to do together.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::QueueKey;
use super::super::message::Origin;
use super::{Dead, Delivered, Message, Queue, State, weight};
use crate::cmq::spec::DeadLetterPolicy;

impl Queue {
    /// Deleted messages that were sent at `from` or later come again, in the order in which they were sent.
    pub(in super::super) fn rewind(&mut self, from: u64) {
        let again: Vec<u64> = self
            .kept
            .iter()
            .rev()
            .take_while(|(_, message)| message.enqueued >= from)
            .map(|(entry, _)| *entry)
            .collect();
        for entry in again {
            let Some(mut message) = self.kept.remove(&entry) else {
                continue;
            };
            self.bytes = self.bytes.saturating_sub(weight(&message.body));
            let since = message.enqueued;
            message.receives = 0;
            message.first_received = 0;
            message.state = State::Ready { since };
            self.restore(entry, message);
        }
    }

    /// Notes when it is due next.
    pub(in super::super) fn reschedule(
        &mut self,
        key: QueueKey,
        due: &mut BTreeSet<(u64, QueueKey)>,
    ) {
        let next = self.next();
        if next == self.scheduled {
            return;
        }
        if let Some(old) = self.scheduled {
            due.remove(&(old, key));
        }
        due.extend(next.map(|at| (at, key)));
        self.scheduled = next;
    }

    /// It is due no more.
    pub(in super::super) fn unschedule(
        &mut self,
        key: QueueKey,
        due: &mut BTreeSet<(u64, QueueKey)>,
    ) {
        if let Some(old) = self.scheduled.take() {
            due.remove(&(old, key));
        }
    }

    pub(super) fn most(&self) -> usize {
        usize::try_from(self.spec.max_messages).unwrap_or(usize::MAX)
    }

    /// For how many milliseconds a message may stay unconsumed.
    pub(super) fn max_age(&self) -> Option<u64> {
        match self.spec.dead_letter.as_ref()?.policy {
            DeadLetterPolicy::Age(seconds) => Some(u64::from(seconds) * 1000),
            DeadLetterPolicy::Receives(_) => None,
        }
    }

    pub(super) fn show(&mut self, entry: u64, since: u64) {
        self.ready.insert((since, entry));
        if self.max_age().is_some() {
            self.aging.insert(entry);
        }
    }

    pub(super) fn hide(&mut self, since: u64, entry: u64) {
        self.ready.remove(&(since, entry));
        self.aging.remove(&entry);
    }

    pub(super) fn since(&self, entry: u64) -> Option<u64> {
        match self.messages.get(&entry)?.state {
            State::Ready { since } => Some(since),
            _ => None,
        }
    }

    /// A timer ended: the message is for anybody.
    pub(super) fn appear(&mut self, at: u64, entry: u64) {
        let Some(message) = self.messages.get_mut(&entry) else {
            return;
        };
        match message.state {
            State::Held { handle, .. } => {
                self.handles.remove(&handle);
            }
            State::Delayed { .. } => self.delayed = self.delayed.saturating_sub(1),
            State::Ready { .. } => {}
        }
        message.state = State::Ready { since: at };
        self.show(entry, at);
    }

    /// Whether a message that anybody could have belongs into the dead letter queue.
    pub(super) fn must_die(&self, now: u64, entry: u64) -> bool {
        let Some((rule, message)) = self
            .spec
            .dead_letter
            .as_ref()
            .zip(self.messages.get(&entry))
        else {
            return false;
        };
        match rule.policy {
            DeadLetterPolicy::Receives(most) => message.receives >= most,
            DeadLetterPolicy::Age(seconds) => message.enqueued + u64::from(seconds) * 1000 <= now,
        }
    }

    /// Moves a message that is in no index into the dead letter queue, if it belongs there.
    pub(super) fn dies(&mut self, now: u64, entry: u64, dead: &mut Vec<Dead>) -> bool {
        if !self.must_die(now, entry) {
            return false;
        }
        let (Some(rule), Some(message)) = (&self.spec.dead_letter, self.messages.remove(&entry))
        else {
            return false;
        };
        self.bytes = self.bytes.saturating_sub(weight(&message.body));
        dead.push(Dead {
            target: rule.queue.to_ascii_lowercase().into(),
            id: message.id,
            body: message.body,
            origin: Arc::new(Origin {
                queue_id: self.id.clone(),
                enqueued: message.enqueued,
                receives: message.receives,
            }),
        });
        true
    }

    /// Gives a message that is in no index to somebody, who is told `next_visible` and holds it until then, or less long by a fault.
    pub(super) fn hand_out(
        &mut self,
        now: u64,
        entry: u64,
        (until, handle): (u64, u64),
        next_visible: u64,
    ) -> Option<Delivered> {
        let message = self.messages.get_mut(&entry)?;
        message.receives = message.receives.saturating_add(1);
        if message.first_received == 0 {
            message.first_received = now;
        }
        message.state = State::Held { until, handle };
        self.handles.insert(handle, entry);
        self.timers.insert((until, entry));
        Some(Delivered {
            id: message.id,
            handle,
            body: Arc::clone(&message.body),
            enqueued: message.enqueued,
            first_received: message.first_received,
            next_visible,
            receives: message.receives,
            origin: message.origin.clone(),
        })
    }

    /// Takes a message out, whatever its state.
    pub(super) fn remove(&mut self, entry: u64) -> Option<Message> {
        let message = self.messages.remove(&entry)?;
        self.bytes = self.bytes.saturating_sub(weight(&message.body));
        match message.state {
            State::Ready { since } => self.hide(since, entry),
            State::Delayed { until } => {
                self.delayed = self.delayed.saturating_sub(1);
                self.timers.remove(&(until, entry));
            }
            State::Held { until, handle } => {
                self.handles.remove(&handle);
                self.timers.remove(&(until, entry));
            }
        }
        Some(message)
    }

    pub(super) fn forget_oldest(&mut self) {
        if let Some((_, message)) = self.kept.pop_first() {
            self.bytes = self.bytes.saturating_sub(weight(&message.body));
        }
    }

    /// The earliest thing that happens by itself.
    pub(super) fn next(&self) -> Option<u64> {
        let life = u64::from(self.spec.retention_seconds) * 1000;
        let rewind = u64::from(self.spec.rewind_seconds) * 1000;
        let old = self.messages.first_key_value();
        let old = old.map(|(_, message)| message.enqueued + life);
        let kept = self.kept.first_key_value();
        let kept = kept.map(|(_, message)| message.enqueued + rewind);
        let timer = self.timers.first().map(|timer| timer.0);
        let wait = self.waits.first().map(|wait| wait.0);
        let aged = self.aging.first().and_then(|entry| {
            let message = self.messages.get(entry)?;
            Some(message.enqueued + self.max_age()?)
        });
        let question = self.next_question();
        [old, kept, timer, wait, aged, question]
            .into_iter()
            .flatten()
            .min()
    }
}
