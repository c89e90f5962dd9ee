//! How a command ends that got no answer, and how long a server that failed is left alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder as _;
use mq_core::{Endpoint, ErrorKind, Outcome};

use super::{Setting, Waiter};
use crate::conn::broken::Broken;
use crate::error::Error;
use crate::proto::session::{Progress, Session};
use crate::tls::TlsError;

/// Why a command got no answer.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) outcome: Outcome,
    pub(crate) endpoint: String,
    pub(crate) reason: Arc<str>,
    /// The connection is not as secure as it should be.
    pub(crate) tls: Option<TlsError>,
}

impl Failure {
    pub(crate) fn into_error(self, operation: &'static str) -> Error {
        let mut error = Error::builder(self.kind, &*self.reason)
            .operation(operation)
            .endpoint(self.endpoint)
            .outcome(self.outcome);
        if let Some(tls) = self.tls {
            let fault = tls.fault();
            error = error.hint(fault.hint()).retry(fault.retry()).source(tls);
        } else if self.outcome == Outcome::Unknown {
            error = error.hint("the broker may have applied it");
        }
        error.build()
    }
}

/// Tells every waiter; the answer is what the next ones hear while the server is left alone.
pub(super) fn lose(
    session: Session<Box<dyn Waiter>>,
    kind: ErrorKind,
    broken: &Broken,
    endpoint: &Endpoint,
) -> Failure {
    let failure = |outcome| Failure {
        kind: broken.kind(kind),
        outcome,
        endpoint: endpoint.to_string(),
        reason: Arc::clone(&broken.reason),
        tls: broken.tls.clone(),
    };
    for (waiter, progress) in session.fail() {
        let outcome = match progress {
            Progress::Queued => Outcome::NotSent,
            Progress::Written => broken.outcome(),
        };
        waiter.done(Err(failure(outcome)));
    }
    failure(Outcome::NotSent)
}

pub(super) const fn outcome(progress: Progress) -> Outcome {
    match progress {
        Progress::Queued => Outcome::NotSent,
        Progress::Written => Outcome::Unknown,
    }
}

/// After a failed attempt, commands fail at once for a while instead of knocking again.
pub(super) struct Refusal {
    pub(super) until: Instant,
    pub(super) failure: Failure,
}

impl Refusal {
    pub(super) fn new(
        pauses: &mut backon::ExponentialBackoff,
        broken: &Broken,
        failure: Failure,
        setting: &Setting,
    ) -> Self {
        let mut pause = pauses.next().unwrap_or(LONGEST_PAUSE);
        if broken.is_lasting() {
            // A certificate does not become good by asking.
            pause *= 10;
        }
        let until = setting.clock.now() + pause;
        Self { until, failure }
    }
}

pub(super) fn pauses() -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

const LONGEST_PAUSE: Duration = Duration::from_secs(2);
