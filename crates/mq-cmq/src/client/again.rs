//! A request is sent again where that is right: after a pause that grows, within its deadline.

use std::future::Future;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use mq_core::{Clock, Error, Outcome};

/// How often, how long, and what for.
pub(crate) struct Patience<'a> {
    pub(crate) action: &'static str,
    pub(crate) endpoint: &'a str,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) deadline: Instant,
    pub(crate) attempts: u32,
}

impl Patience<'_> {
    /// What `attempt` gave at last, and whether an earlier one may have been applied; an error of which that holds is `Unknown`.
    pub(crate) async fn ask<T, C, F>(
        &self,
        mut attempt: impl FnMut() -> F + Send,
        is_worth_it: impl Fn(&Error<C>) -> bool + Send + Sync,
    ) -> Result<(T, bool), Error<C>>
    where
        T: Send,
        C: Send + Sync,
        F: Future<Output = Result<T, Error<C>>> + Send,
    {
        let mut pauses = pauses(LONGEST_PAUSE);
        let (mut count, mut unsure) = (1, false);
        loop {
            let error = match attempt().await {
                Ok(answer) => return Ok((answer, unsure)),
                Err(error) => error,
            };
            unsure |= error.outcome() == Outcome::Unknown;
            let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
            // As long as the pause at least, or the answer could not come in time and the outcome would be unknown.
            let fits = self.clock.now() + pause * 2 < self.deadline;
            if count >= self.attempts || !fits || !is_worth_it(&error) {
                return Err(told(error, count, unsure));
            }
            tracing::debug!(
                action = self.action,
                endpoint = self.endpoint,
                attempt = count,
                kind = error.kind().as_str(),
                "sent again after a pause"
            );
            tokio::time::sleep(pause).await;
            count += 1;
        }
    }
}

/// `unsure`: an earlier attempt may have been applied, whatever was said of the last one.
fn told<C>(error: Error<C>, attempts: u32, unsure: bool) -> Error<C> {
    if attempts == 1 {
        return error;
    }
    let error = error.into_builder().attempts(attempts);
    if unsure {
        error.outcome(Outcome::Unknown).build()
    } else {
        error.build()
    }
}

/// Pauses between attempts, each about twice as long as the one before, and shaken so that clients don't come all at once.
pub(crate) fn pauses(longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(longest)
        .without_max_times()
        .with_jitter()
        .build()
}

/// More than anybody waits; keeps sums of times in range.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
