//! What becomes of deliveries, and what has its time.

use std::sync::Arc;
use std::time::Duration;

use mq_core::{ErrorKind, Outcome};
use tokio::time::Instant;

use super::receipts::Heard;
use super::{Core, Part, Phase};
use crate::conn::now;
use crate::consumer::content::Arrival;
use crate::error::Error;

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy)]
pub(in crate::consumer) enum Decision {
    Ack,
    AckUpTo,
    /// It is asked for again at this time.
    Again(Instant),
}

impl Core {
    /// Records a decision of a delivery; gives who is told of the broker's answer, where one is asked for.
    ///
    /// # Errors
    ///
    /// Kind `Stale` if nobody can be told: the subscription by which it came is gone, or it was settled before, or is not this one's any more.
    pub(in crate::consumer) fn settle(
        &self,
        arrival: &Arrival,
        decision: Decision,
    ) -> Result<Option<Heard>, Error> {
        let (at, place) = (arrival.head.part, arrival.head.place());
        let mut state = self.state();
        let (running, idle) = (state.phase == Phase::Running, state.ready.is_empty());
        let part = state.parts.get_mut(at).ok_or_else(|| stale(arrival))?;
        if !part.tracker.is_lent(place, arrival.index, arrival.loan) {
            return Err(stale(arrival));
        }
        let result = match decision {
            Decision::Ack => part.tracker.ack(place, arrival.index),
            Decision::AckUpTo => part.tracker.ack_up_to(place, arrival.index, self.sets),
            Decision::Again(when) => part.tracker.nack(place, arrival.index, when),
        };
        let mut attend = !running;
        match decision {
            Decision::Again(_) => attend = true,
            Decision::Ack | Decision::AckUpTo if !part.tracker.has_news() => {}
            // Nobody is busy with others, or somebody waits for the answer: it goes at once.
            Decision::Ack | Decision::AckUpTo
                if idle || self.receipts || part.tracker.news() >= GROUP =>
            {
                part.wake();
            }
            Decision::Ack | Decision::AckUpTo => {
                if part.flush_at.is_none() {
                    part.flush_at = Some(now() + LINGER);
                    attend = true;
                }
            }
        }
        let mut heard = None;
        if result.is_ok() && !matches!(decision, Decision::Again(_)) {
            if self.receipts {
                heard = part.receipt(arrival, decision, self.sets);
            }
            state.counts.acked += 1;
        }
        drop(state);
        if attend {
            self.change(at);
        }
        if !running {
            self.settled.notify_waiters();
        }
        result.map(|()| heard).map_err(|_| stale(arrival))
    }

    /// Told that a delivery was dropped without a decision.
    pub(in crate::consumer) fn dropped(&self, arrival: &Arc<Arrival>, pause: Duration) {
        let again = || self.settle(arrival, Decision::Again(now() + pause)).is_ok();
        if self.bury(arrival) || again() {
            let mut state = self.state();
            state.counts.dropped += 1;
            if state.phase == Phase::Running {
                tracing::warn!(topic = %arrival.head.topic, "a delivery was dropped without being settled; it comes again");
            }
        }
    }

    /// Does what has its time now; gives when to come again.
    pub(in crate::consumer) fn tend(&self, at: usize, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        let part = state.parts.get_mut(at)?;
        if part.flush_at.is_some_and(|flush| flush <= now) {
            part.flush_at = None;
            part.wake();
        }
        let expired = part.tracker.expire(now);
        if part.next_asked().is_some_and(|due| due <= now) {
            let places = part.tracker.due(now);
            if !places.is_empty() && part.link.is_some() {
                part.again.last = Some(now);
                if self.kind.is_individual() {
                    part.permits.owed +=
                        places.iter().map(|it| part.tracker.asked(*it)).sum::<u32>();
                    part.again.places.extend(places.iter().copied());
                    part.wake();
                    state.purge(at, |place| places.contains(&place));
                } else {
                    part.permits.owed += part.tracker.asked_all();
                    part.consumer_epoch += 1;
                    part.again.all = true;
                    part.wake();
                    state.purge(at, |_| true);
                }
            }
        }
        state.counts.expired += expired;
        let part = state.parts.get_mut(at)?;
        let all = [part.flush_at, part.next_asked(), part.tracker.next_end()];
        all.into_iter().flatten().min()
    }
}

impl Part {
    /// When messages are asked for again.
    fn next_asked(&self) -> Option<Instant> {
        // Each time everything comes again, where that is all that can be asked for: not for each message alone.
        let earliest = self.again.last.map(|asked| asked + LINGER);
        let due = self.tracker.next_due();
        due.map(|due| earliest.map_or(due, |earliest| due.max(earliest)))
    }

    /// Waits for the broker's answer to what was acknowledged just now.
    fn receipt(&mut self, arrival: &Arrival, decision: Decision, sets: bool) -> Option<Heard> {
        let place = arrival.head.place();
        if matches!(decision, Decision::AckUpTo) && self.tracker.has_upto() {
            return Some(self.receipts.upto());
        }
        if !self.tracker.is_told(place, sets) {
            // It was covered by one of everything before; or the broker is not told before the batch is complete.
            return self.receipts.with_others();
        }
        Some(self.receipts.of(place))
    }
}

fn stale(arrival: &Arrival) -> Error {
    Error::builder(
        ErrorKind::Stale,
        "the delivery is no longer this consumer's",
    )
    .operation("settle")
    .endpoint(&*arrival.head.topic)
    .outcome(Outcome::NotSent)
    .hint("its subscription was lost, or it was settled before; the broker delivers it again")
    .build()
}

// apache/pulsar: PersistentAcknowledgmentsGroupingTracker.MAX_ACK_GROUP_SIZE, ConsumerConfigurationData.acknowledgementsGroupTimeMicros
/// So many acknowledgements are not held back.
pub(super) const GROUP: usize = 1000;
/// How long one may be.
const LINGER: Duration = Duration::from_millis(100);
