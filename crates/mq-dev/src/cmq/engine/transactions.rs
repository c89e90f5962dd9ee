//! What is done to half messages.

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::{self, Refusal};

use super::queue::{Decided, Decision, Sender, weight};
use super::queues::{check_bodies, check_heap};
use super::{Body, Engine, QueueKey, Result};

impl Engine {
    /// Takes half messages, all or none; their ids. Nobody sees them until they are committed.
    ///
    /// `first_query` as a sender gives it: see [`first_query_millis`].
    ///
    /// # Errors
    /// What the service would refuse; the queue is not transactional.
    pub(crate) fn send_half(
        &mut self,
        now: u64,
        name: &str,
        bodies: &[&str],
        first_query: Option<i32>,
        sender: &Sender,
    ) -> Result<Vec<u64>> {
        self.advance(now);
        let key = self.transactional(name)?;
        let Some(queue) = self.queues.get(&key) else {
            return Ok(Vec::new());
        };
        check_bodies(bodies, queue.spec().max_body)?;
        check_heap(queue, bodies.len())?;
        self.check_memory(bodies.iter().map(|body| weight(body)).sum())?;
        let interval = queue.spec().transaction;
        let interval = interval.map_or(0, |rule| u64::from(rule.first_query_seconds) * 1000);
        let at = self.now + first_query_millis(first_query).unwrap_or(interval);
        let ids = bodies.iter().map(|body| {
            let id = self.ids.message();
            if !self.loses(id)
                && let Some(queue) = self.queues.get_mut(&key)
            {
                queue.hold(id, Body::from(*body), sender.clone(), at);
            }
            id
        });
        let ids = ids.collect();
        self.settle(key, Vec::new());
        Ok(ids)
    }

    /// Commits half messages or rolls them back; `None` for a decision that is none. What became of each, in order. A message that is
    /// committed is sent at this moment, under the id that it has.
    ///
    /// # Errors
    /// There is no such queue, it is not transactional, or these are none or more than 16. Of a message: it is not known, or was decided
    /// otherwise.
    pub(crate) fn confirm(
        &mut self,
        now: u64,
        name: &str,
        items: &[(u64, Option<Decision>)],
    ) -> Result<Vec<Result<Decision>>> {
        self.advance(now);
        let key = self.transactional(name)?;
        limits::batch_count(items.len())?;
        let decided = items
            .iter()
            .map(|(id, decision)| self.confirm_one(key, *id, *decision));
        let decided = decided.collect();
        self.settle(key, Vec::new());
        Ok(decided)
    }

    /// How many half messages a queue has, and how many it rolled back because nobody answered.
    pub(crate) fn halves(&self, name: &str) -> (u64, u64) {
        let queue = self.key(name).ok().and_then(|key| self.queues.get(&key));
        queue.map_or((0, 0), |queue| (queue.halves() as u64, queue.unanswered()))
    }

    fn confirm_one(
        &mut self,
        key: QueueKey,
        id: u64,
        decision: Option<Decision>,
    ) -> Result<Decision> {
        let Some(decision) = decision else {
            let message = "the state is neither 1 (commit) nor 2 (roll back)";
            return Err(Refusal::new(ErrorCode::OUT_OF_RANGE, message));
        };
        let Some(queue) = self.queues.get_mut(&key) else {
            return Err(Refusal::new(ErrorCode::QUEUE_NOT_FOUND, "queue is gone"));
        };
        match queue.decide(id, decision) {
            Decided::Now(body) => {
                if decision == Decision::Commit {
                    let entry = self.ids.entry();
                    queue.insert(entry, id, body, self.now, self.now);
                }
                Ok(decision)
            }
            Decided::Again => Ok(decision),
            Decided::Otherwise => {
                let message = "the transaction was decided otherwise before";
                Err(Refusal::new(ErrorCode::TRANSACTION_STATE, message))
            }
            Decided::Unknown => {
                let message = "the queue has no half message of this id";
                Err(Refusal::new(ErrorCode::TRANSACTION_NOT_FOUND, message))
            }
        }
    }

    fn transactional(&mut self, name: &str) -> Result<QueueKey> {
        let key = self.used(name)?;
        let queue = self.queues.get(&key);
        if queue.is_some_and(|queue| queue.spec().transaction.is_some()) {
            return Ok(key);
        }
        let message = "the queue is not transactional";
        Err(Refusal::new(ErrorCode::NOT_TRANSACTIONAL, message))
    }
}

/// When a sender wants to be asked first: seconds, or milliseconds from 1000 on. The SDK for Java says 5000 if it is told nothing, and its
/// sample says 5. Nothing, if it does not say.
fn first_query_millis(given: Option<i32>) -> Option<u64> {
    let given = u64::try_from(given?).ok().filter(|given| *given > 0)?;
    Some(if given < 1000 { given * 1000 } else { given })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_query_is_in_seconds_or_from_a_thousand_on_in_milliseconds() {
        for (given, millis) in [
            (None, None),
            (Some(-1), None),
            (Some(0), None),
            (Some(5), Some(5_000)),
            (Some(999), Some(999_000)),
            (Some(1000), Some(1_000)),
            (Some(5000), Some(5_000)),
        ] {
            assert_eq!(first_query_millis(given), millis, "{given:?}");
        }
    }
}
