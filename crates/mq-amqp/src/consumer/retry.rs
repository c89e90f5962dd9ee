//! What becomes of messages that were not handled.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use tokio::sync::oneshot;

use super::Shared;
use super::attend::begin;
use super::core::Arrival;
use super::delivery::{Settling, attempt};
use super::ledger::Decision;
use crate::Message;
use crate::conn::now;
use crate::proto::{Properties, Value};

/// When and how a message comes again whose handler answered [`Settle::Retry`](super::Settle::Retry).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it is given to a consumer"]
pub struct RetryPolicy {
    how: How,
    first: Duration,
    longest: Duration,
    attempts: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    InPlace,
    Requeue,
}

impl RetryPolicy {
    /// The message stays with this consumer, which hands it out again after a pause that doubles from `first` up to `longest`. It keeps a place of
    /// the prefetch meanwhile, and the broker's time-out of acknowledgements (30 minutes by default) runs on.
    pub const fn in_place(first: Duration, longest: Duration) -> Self {
        Self {
            how: How::InPlace,
            first,
            longest,
            attempts: None,
        }
    }

    /// The message goes back to its queue at once, for any consumer. One that nobody can handle goes round without a pause: give it a limit, by
    /// [`attempts`](Self::attempts) on a quorum queue or by the queue's own delivery limit.
    pub const fn requeue() -> Self {
        Self {
            how: How::Requeue,
            first: Duration::ZERO,
            longest: Duration::ZERO,
            attempts: None,
        }
    }

    /// After so many attempts the message is dead-lettered: to the consumer's parking queue, or refused. Default: never.
    pub const fn attempts(mut self, most: u32) -> Self {
        self.attempts = Some(most);
        self
    }

    fn pause(&self, attempt: u32) -> Duration {
        let doubled = self.first.saturating_mul(
            1_u32
                .checked_shl(attempt.saturating_sub(1))
                .unwrap_or(u32::MAX),
        );
        doubled.min(self.longest)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::in_place(Duration::from_secs(1), Duration::from_secs(60))
    }
}

pub(super) fn retry(shared: &Arc<Shared>, received: Arrival, pause: Option<Duration>) -> Settling {
    let policy = &shared.retry;
    let properties = properties(&received);
    let attempt = attempt(&received, &properties);
    if policy.attempts.is_some_and(|most| attempt >= most) {
        return park(shared, &received, &format!("{attempt} attempts failed"));
    }
    let result = match (policy.how, pause) {
        (How::Requeue, None) => shared.core.settle(
            received.epoch,
            received.deliver.delivery_tag,
            Decision::Requeue,
        ),
        (_, pause) => {
            let pause = pause.unwrap_or_else(|| policy.pause(attempt));
            let at = now() + pause.min(LONGEST);
            shared.core.again(received, at)
        }
    };
    Settling::now(result)
}

/// Puts a message aside: to the parking queue, confirmed, and only then is it acknowledged. Without one it is refused.
pub(super) fn park(shared: &Arc<Shared>, received: &Arrival, why: &str) -> Settling {
    let Some(parking) = &shared.parking else {
        let result = shared.core.settle(
            received.epoch,
            received.deliver.delivery_tag,
            Decision::Reject,
        );
        return Settling::now(result);
    };
    let mut message = parked(received, why);
    message.set_routing_key(parking.queue.clone());
    let (told, settling) = oneshot::channel();
    let (epoch, tag) = (received.epoch, received.deliver.delivery_tag);
    let (publisher, shared_too) = (parking.publisher.clone(), Arc::clone(shared));
    let parking = async move {
        let sent = publisher.send(message).await;
        let decision = if sent.is_ok() {
            Decision::Ack
        } else {
            Decision::Requeue
        };
        let settled = shared_too.core.settle(epoch, tag, decision);
        if let Err(failed) = &sent {
            tracing::warn!(error = %failed, queue = %shared_too.core.queue, "a message could not be parked; it is delivered again");
        }
        // Nobody has to wait for it.
        let _ = told.send(sent.map_err(Into::into).and(settled));
    };
    begin(&shared.client, parking);
    Settling::later(settling)
}

/// The message as it came, with where it came from and why it is put aside.
fn parked(received: &Arrival, why: &str) -> Message {
    let mut properties = properties(received);
    let attempts = attempt(received, &properties);
    let headers = properties.headers.get_or_insert_default();
    headers.insert(ATTEMPTS, Value::I64(attempts.into()));
    headers.insert(REASON, why.to_owned());
    headers.insert(FROM_EXCHANGE, received.deliver.exchange.clone());
    headers.insert(FROM_KEY, received.deliver.routing_key.clone());
    properties.expiration = None;
    // The server checks it against who publishes.
    properties.user_id = None;
    Message::from_parts(ByteString::new(), properties, received.content.body.clone())
}

fn properties(received: &Arrival) -> Properties {
    Properties::decode(received.content.properties.clone()).unwrap_or_default()
}

/// How often a parked message was tried.
pub(super) const ATTEMPTS: &str = "x-mq-attempts";
const REASON: &str = "x-mq-reason";
const FROM_EXCHANGE: &str = "x-mq-exchange";
const FROM_KEY: &str = "x-mq-routing-key";
/// Longer pauses would outlive any time-out of the broker.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What a test of the crate expects; kept beside what writes it.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = RetryPolicy::in_place(Duration::from_secs(1), Duration::from_secs(60));
        let pauses: Vec<u64> = [1, 2, 3, 6, 7, 40, u32::MAX]
            .into_iter()
            .map(|at| policy.pause(at).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60]);
    }
}
