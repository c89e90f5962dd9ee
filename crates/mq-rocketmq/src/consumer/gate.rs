//! The rate limit: a gate before the local buffer's front.
//!
//! ```text
//!   ready buffer: [ a b c d … ] ──► gate ──► recv │ Stream │ run
//!                   ▲ as many as could be taken, if it were open, wait here and are asked for
//!                   └──► asked for too long ──► later: sent back, or its ordered queue is suspended
//! ```
//!
//! The gate belongs to the buffer and its times to a task, not to who waits: a receiver that was polled once and left alone holds nothing.
//! Only what a handler or receiver is free for counts as asked for, so that no more than these can run into the limit at a time: a backlog
//! stays at the broker, and is not sent back as fast as it can be pulled.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use mq_core::{Clock, RateLimit};
use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::core::{Core, Phase, Return};
use super::queue::Queue;
use super::settle::Settle;
use crate::error::{Result, invalid};

/// See the module.
pub(crate) struct Gate {
    // The last is named, since its default depends on features that others may have turned on.
    limiter: RateLimiter<NotKeyed, InMemoryState, Time, NoOpMiddleware<Instant>>,
    /// How long a message may be asked for.
    pub(super) wait: Option<Duration>,
    time: Time,
    /// Somebody was told to wait.
    refused: Notify,
}

/// The client's clock, as the rate limiter reads it.
#[derive(Debug, Clone)]
struct Time(Arc<dyn Clock>);

impl GovernorClock for Time {
    type Instant = Instant;

    fn now(&self) -> Instant {
        self.0.now()
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// # Errors
    ///
    /// Kind `Invalid`: a rate or a burst of 0.
    // Without a retry topic and without lanes nothing can come later: it goes on waiting.
    pub(super) fn new(limit: RateLimit, may_return: bool, clock: &Arc<dyn Clock>) -> Result<Self> {
        let number = |name, count| {
            let zero = || {
                invalid(
                    "start consumer",
                    format!("the {name} of the rate limit is 0"),
                )
            };
            NonZeroU32::new(count).ok_or_else(zero)
        };
        let rate = number("rate", limit.rate())?;
        let quota = Quota::per_second(rate).allow_burst(number("burst", limit.at_once())?);
        let time = Time(Arc::clone(clock));
        Ok(Self {
            limiter: RateLimiter::direct_with_clock(quota, time.clone()),
            wait: limit.longest_wait().filter(|_| may_return),
            time,
            refused: Notify::new(),
        })
    }

    /// Lets one message through, or says when it will.
    pub(super) fn admit(&self) -> std::result::Result<(), Instant> {
        let admitted = self.limiter.check();
        admitted.map_err(|refused| refused.earliest_possible())
    }

    pub(super) fn now(&self) -> Instant {
        self.time.now()
    }

    /// Somebody was told to wait.
    pub(super) fn refused(&self) {
        self.refused.notify_one();
    }
}

/// Opens the gate when it is time, and takes away what was asked for too long.
pub(super) async fn keep(core: Arc<Core>) {
    let Some(gate) = core.ready.gate() else {
        return;
    };
    loop {
        let next = core.ready.next_at_gate();
        let later = next.unwrap_or_else(|| gate.now() + IDLE);
        tokio::select! {
            () = core.reached(Phase::Closing) => return,
            () = gate.refused.notified() => continue,
            () = sleep_until(later.into()) => {}
        }
        for (queue, offset) in core.ready.at_gate(gate.now()) {
            core.not_admitted(&queue, offset);
        }
    }
}

impl Core {
    /// The rate limit did not let it through in time: as the seed of this is in Java, `tryAcquire`, else `RECONSUME_LATER`.
    fn not_admitted(&self, queue: &Arc<Queue>, offset: i64) {
        let now = self.shared.clock.now();
        let Ok((message, loan)) = queue.ledger().hand_out(offset, now) else {
            return;
        };
        let id = queue.id();
        tracing::debug!(group = %self.group, topic = %id.topic, broker = %id.broker, queue = id.id, offset, "over the rate limit for too long: later");
        // Nobody else had it.
        if self.config.order.is_none() {
            let _ = self.send_back(queue, loan, Settle::Retry, None);
        } else if queue.ledger().send_back(loan).is_ok() {
            self.to_return(Return {
                queue: Arc::clone(queue),
                offset,
                message,
                // The queue is suspended, and no attempt was made.
                decision: Settle::Rollback,
                level: self.config.retry_level,
                tries: 0,
                done: None,
            });
        }
    }
}

const IDLE: Duration = Duration::from_secs(60);
