//! Who receives.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use tokio::time::Instant;

use super::{Arrival, Core, Part, Phase, Ready, Start, State};
use crate::conn::now;
use crate::consumer::letters::Letters;
use crate::error::Error;

impl Core {
    /// The next message; `None` when the consumer has come to its end.
    ///
    /// # Errors
    ///
    /// Once, what ended it.
    pub(in crate::consumer) async fn next(&self) -> Result<Option<Arrival>, Error> {
        loop {
            // All who wait are woken: one that was polled once and left alone keeps nothing from others.
            let ready = self.ready.notified();
            tokio::pin!(ready);
            ready.as_mut().enable();
            if let Poll::Ready(next) = self.take() {
                return next;
            }
            ready.await;
        }
    }

    /// The same for whoever keeps the future.
    pub(in crate::consumer) async fn next_of(core: Arc<Self>) -> Result<Option<Arrival>, Error> {
        core.next().await
    }

    pub(in crate::consumer) fn take(&self) -> Poll<Result<Option<Arrival>, Error>> {
        loop {
            let Some(arrival) = std::task::ready!(self.take_any())? else {
                return Poll::Ready(Ok(None));
            };
            if !self.is_beyond(arrival.head.redelivered) {
                return Poll::Ready(Ok(Some(arrival)));
            }
            self.bury_at_once(arrival);
        }
    }

    fn take_any(&self) -> Poll<Result<Option<Arrival>, Error>> {
        let mut state = self.state();
        if state.phase != Phase::Running {
            return Poll::Ready(state.failure.take().map_or(Ok(None), Err));
        }
        let full = state.bytes >= self.most_bytes;
        let end = self.ack_timeout.map(|timeout| now() + timeout);
        let waits = state.paused || self.letters.as_ref().is_some_and(Letters::is_full);
        let next = if waits { None } else { state.next(end) };
        let room = full && state.bytes < self.most_bytes;
        let has_room = state.bytes < self.most_bytes;
        if let Some(arrival) = next {
            let is_beyond = self.is_beyond(arrival.head.redelivered);
            state.counts.received += u64::from(!is_beyond);
            let taken = arrival.head.part;
            // Its end may be the first that there is.
            if end.is_some()
                && let Some(part) = state.parts.get(taken)
                && part.tracker.held() == 1
            {
                part.changed.notify_one();
            }
            for (at, part) in state.parts.iter_mut().enumerate() {
                // What the bytes held back, all are given.
                if (at == taken || room) && has_room && part.permits.owed >= self.batch() {
                    part.wake();
                }
            }
            return Poll::Ready(Ok(Some(arrival)));
        }
        // There is time for what was held back.
        for part in &mut state.parts {
            if part.tracker.has_news() || has_room && part.permits.owed >= self.batch() {
                part.wake();
            }
        }
        Poll::Pending
    }

    /// Permits are given back half of the credit at a time.
    // apache/pulsar: ConsumerImpl.increaseAvailablePermits
    pub(super) fn batch(&self) -> u32 {
        match self.credit.load(Ordering::Relaxed) / 2 {
            0 => 1,
            half => half,
        }
    }

    /// Waits until the consumer has come to its end.
    pub(in crate::consumer) async fn ended(&self) {
        loop {
            let told = self.ready.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.phase() == Phase::Ended {
                return;
            }
            told.await;
        }
    }
}

impl State {
    /// The next message of those that are ready.
    fn next(&mut self, end: Option<Instant>) -> Option<Arrival> {
        loop {
            if let Next::Message(arrival) = self.step(end)? {
                return Some(*arrival);
            }
        }
    }

    /// What is next of the first entry.
    pub(super) fn step(&mut self, end: Option<Instant>) -> Option<Next> {
        let ready = self.ready.front_mut()?;
        let part = self.parts.get_mut(ready.head.part)?;
        let next = part.next(ready, end);
        if matches!(next, Next::Broken) {
            self.counts.broken += 1;
        }
        if matches!(next, Next::Broken | Next::Over) || ready.is_empty() {
            self.bytes -= ready.bytes;
            self.ready.pop_front();
        }
        Some(next)
    }
}

pub(super) enum Next {
    Message(Box<Arrival>),
    /// Not to be handed out.
    Skipped,
    Over,
    Broken,
}

impl Part {
    fn next(&mut self, ready: &mut Ready, end: Option<Instant>) -> Next {
        let place = ready.head.place();
        let mut arrival = match ready.next() {
            None => return Next::Over,
            Some(Ok(arrival)) => arrival,
            Some(Err(invalid)) => {
                tracing::error!(topic = %ready.head.topic, %invalid, "a batch is broken; the rest of it is discarded");
                self.permits.owed += self.tracker.discard(place);
                self.wake();
                return Next::Broken;
            }
        };
        if !self.tracker.take(place, arrival.index) {
            return Next::Skipped;
        }
        self.permits.owed += 1;
        let single = arrival.single.as_ref();
        if single.is_some_and(|single| single.metadata.compacted_out) {
            // Nobody is to see it. It can't be stale: it was taken just now.
            let _ = self.tracker.ack(place, arrival.index);
            return Next::Skipped;
        }
        if self.resume.is_some() {
            self.resume = Some(Start::At(place, arrival.index.saturating_add(1)));
        }
        arrival.loan = self.tracker.lend(place, arrival.index, end);
        Next::Message(Box::new(arrival))
    }
}
