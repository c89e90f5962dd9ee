//! Partitions that are added and that end while the consumer runs, and what its other tasks ask.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytestring::ByteString;
use tokio::sync::Notify;

use super::receive::Next;
use super::{Arrival, Core, Counts, Part, Phase, Ready, Start, State};
use crate::conn::now;
use crate::error::Error;

impl Core {
    /// A topic, or a partition, to consume from now on; `None` if the consumer is to close. Those that are there keep the credit that they have
    /// given until they are subscribed anew.
    pub(in crate::consumer) fn add(&self, topic: &ByteString) -> Option<usize> {
        let mut state = self.state();
        if state.phase != Phase::Running {
            return None;
        }
        // One of a topic that was gone for a while is taken again, unless somebody holds a message that came by it.
        let idle = |part: &Part| part.ended && part.topic == *topic && part.tracker.held() == 0;
        let at = state.parts.iter().position(idle);
        let new = Part::new(topic.clone(), self.reads.then_some(Start::Earliest));
        let at = at.unwrap_or(state.parts.len());
        if let Some(part) = state.parts.get_mut(at) {
            let epoch = part.epoch;
            *part = Part { epoch, ..new };
        } else {
            state.parts.push(new);
        }
        let live = state.parts.iter().filter(|part| !part.ended).count();
        self.credit
            .store(share(self.messages, live), Ordering::Relaxed);
        Some(at)
    }

    /// Whether there is a task that may add partitions: without any the consumer goes on while there is, and it has an end of its own.
    pub(in crate::consumer) fn following(&self, on: bool) {
        let mut state = self.state();
        state.following = on;
        state.end_if_over();
        drop(state);
        self.tell_all();
    }

    /// The names of all that is consumed.
    pub(in crate::consumer) fn consumed(&self) -> HashSet<ByteString> {
        let state = self.state();
        let live = state.parts.iter().filter(|part| !part.ended);
        live.map(|part| part.topic.clone()).collect()
    }

    /// The numbers of all that is consumed; at the end, of all that was.
    pub(in crate::consumer) fn parts(&self) -> Vec<usize> {
        let state = self.state();
        let all = state.parts.iter().enumerate();
        let live = all.filter(|(_, part)| !part.ended || state.phase != Phase::Running);
        live.map(|(at, _)| at).collect()
    }

    pub(in crate::consumer) fn topic(&self, part: usize) -> ByteString {
        let state = self.state();
        let part = state.parts.get(part);
        part.map(|part| part.topic.clone()).unwrap_or_default()
    }

    /// Waits until the consumer is to close.
    pub(in crate::consumer) async fn closing(&self) {
        loop {
            let told = self.ready.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.phase() != Phase::Running {
                return;
            }
            told.await;
        }
    }

    pub(in crate::consumer) fn count(&self, with: impl FnOnce(&mut Counts)) {
        with(&mut self.state().counts);
    }

    /// Takes a message from whoever was given it; `None` if it is not that one's any more.
    pub(in crate::consumer) fn keep(&self, arrival: &Arc<Arrival>) -> Option<Arc<Arrival>> {
        let (place, index) = (arrival.head.place(), arrival.index);
        let mut state = self.state();
        let tracker = &mut state.parts.get_mut(arrival.head.part)?.tracker;
        if !tracker.is_lent(place, index, arrival.loan) || !tracker.holds(place, index) {
            return None;
        }
        let loan = tracker.keep(place, index);
        Some(if loan == arrival.loan {
            Arc::clone(arrival)
        } else {
            let kept = Arrival::clone(arrival);
            Arc::new(Arrival { loan, ..kept })
        })
    }

    /// The next message of those in front that are not to be handed out.
    pub(in crate::consumer) fn next_beyond(&self) -> Option<Arrival> {
        let end = self.ack_timeout.map(|timeout| now() + timeout);
        let mut state = self.state();
        let running = state.phase == Phase::Running;
        while running
            && let Some(first) = state.ready.front()
            && self.is_beyond(first.head.redelivered)
        {
            if let Next::Message(arrival) = state.step(end)? {
                return Some(*arrival);
            }
        }
        None
    }

    /// A partition is done with; the last one ends the consumer.
    pub(in crate::consumer) fn part_ended(&self, at: usize) {
        let mut state = self.state();
        if let Some(part) = state.parts.get_mut(at) {
            part.ended = true;
            part.link = None;
            part.receipts.lost("the consumer was closed");
        }
        state.end_if_over();
        drop(state);
        self.tell_all();
    }

    /// Ends the consumer because of an error: the other partitions follow.
    pub(in crate::consumer) fn fail(&self, at: usize, why: Error) {
        {
            let mut state = self.state();
            if state.phase == Phase::Running {
                state.failure.get_or_insert(why);
            }
        }
        self.close();
        self.part_ended(at);
    }

    pub(super) fn tell_all(&self) {
        self.ready.notify_waiters();
        self.settled.notify_waiters();
        let state = self.state();
        let changed = state.parts.iter().map(|part| &part.changed);
        changed.for_each(|changed| changed.notify_one());
    }

    /// Something was in the way of handing out, and is no more.
    pub(in crate::consumer) fn tell_receivers(&self) {
        self.ready.notify_waiters();
    }
}

impl State {
    /// Puts an entry behind the others; one that is not to be handed out, behind those of its kind.
    pub(super) fn put(&mut self, ready: Ready, beyond: bool) {
        if !beyond {
            return self.ready.push_back(ready);
        }
        let least = ready.head.redelivered;
        let ahead = |other: &&Ready| other.head.redelivered >= least;
        let at = self.ready.iter().take_while(ahead).count();
        self.ready.insert(at, ready);
    }

    pub(super) fn end_if_over(&mut self) {
        if !self.following && self.parts.iter().all(|part| part.ended) {
            self.phase = Phase::Ended;
        }
    }
}

impl Part {
    pub(super) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}

/// What one of so many may have.
pub(super) fn share(messages: u32, parts: usize) -> u32 {
    let parts = u32::try_from(parts).unwrap_or(u32::MAX).max(1);
    (messages / parts).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::consumer::SubscriptionType;
    use crate::consumer::core::Settings;

    fn core(topics: &[&'static str]) -> Core {
        let settings = Settings {
            subscription: "s".to_owned(),
            kind: SubscriptionType::Shared,
            sets: true,
            receipts: false,
            ack_timeout: None,
            messages: 100,
            most_bytes: 1,
            within: Duration::ZERO,
            start: None,
        };
        let topics = topics.iter().map(|topic| ByteString::from_static(topic));
        Core::new(topics.collect(), settings)
    }

    #[test]
    fn what_is_added_has_its_share_and_what_has_ended_is_taken_again() {
        let core = core(&["a"]);
        core.following(true);
        assert_eq!(core.batch(), 50);
        assert_eq!(core.add(&"b".into()), Some(1));
        assert_eq!((core.batch(), core.topic(1)), (25, "b".into()));
        core.part_ended(0);
        assert_eq!(
            (core.parts(), core.consumed()),
            (vec![1], ["b".into()].into())
        );
        let before = core.prepare(0).map(|prepared| prepared.epoch);
        assert_eq!(core.add(&"a".into()), Some(0), "its place is free");
        let after = core.prepare(0).map(|prepared| prepared.epoch);
        assert!(
            before < after,
            "what comes by the last subscription is not its"
        );
        assert_eq!(core.add(&"c".into()), Some(2));
        assert_eq!(core.parts(), [0, 1, 2]);
    }

    #[test]
    fn a_consumer_without_topics_goes_on_while_there_may_be_some() {
        let core = core(&["a"]);
        core.following(true);
        core.part_ended(0);
        assert_eq!(core.phase(), Phase::Running);
        core.close();
        assert_eq!(core.add(&"b".into()), None);
        assert_eq!(core.phase(), Phase::Closing);
        core.following(false);
        assert_eq!(core.phase(), Phase::Ended);
    }
}
