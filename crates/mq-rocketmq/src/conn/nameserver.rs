//! Asking the nameservers: several at a time, the first answer wins.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mq_core::{Endpoint, ErrorKind, Outcome, Retry};

use super::{Connections, parse_reply};
use crate::error::{Error, Result, answer_error};
use crate::proto::{Request, ResponseCode};
use crate::tls::TlsError;

/// The list of nameservers; a server that does not answer is passed over.
#[derive(Debug)]
pub(crate) struct Nameservers {
    endpoints: Mutex<Arc<[Endpoint]>>,
    /// The one that answered last is asked first.
    preferred: AtomicUsize,
    connections: Arc<Connections>,
    wait: Duration,
}

impl Nameservers {
    pub(crate) fn new(
        endpoints: Vec<Endpoint>,
        connections: Arc<Connections>,
        wait: Duration,
    ) -> Self {
        Self {
            endpoints: Mutex::new(endpoints.into()),
            preferred: AtomicUsize::new(0),
            connections,
            wait,
        }
    }

    pub(crate) fn endpoints(&self) -> Arc<[Endpoint]> {
        Arc::clone(&self.lock())
    }

    /// Other nameservers from now on.
    pub(crate) fn replace(&self, endpoints: Vec<Endpoint>) {
        *self.lock() = endpoints.into();
    }

    fn lock(&self) -> MutexGuard<'_, Arc<[Endpoint]>> {
        let endpoints = self.endpoints.lock();
        endpoints.unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks one server after the other, the next after [`STAGGER`] or as soon as one fails; the first success wins.
    ///
    /// A topic may be known to one server only, so that "no such topic" counts when all who answer say so. If the list is replaced meanwhile, what
    /// the former servers say, or don't, no longer counts, and those of now are asked.
    pub(crate) async fn ask<R: Request + Sync>(
        &self,
        request: &R,
        operation: &'static str,
    ) -> Result<R::Reply> {
        loop {
            let asked = self.endpoints();
            let answer = self.ask_any(&asked, request, operation).await;
            if Arc::ptr_eq(&asked, &self.endpoints()) {
                return answer;
            }
        }
    }

    async fn ask_any<R: Request + Sync>(
        &self,
        endpoints: &[Endpoint],
        request: &R,
        operation: &'static str,
    ) -> Result<R::Reply> {
        let deadline = self.connections.after(self.wait);
        let count = endpoints.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut order =
            (0..count).filter_map(|step| Some((step, endpoints.get((first + step) % count)?)));
        let mut running = FuturesUnordered::new();
        let mut failures = Vec::new();
        running.extend(
            order
                .next()
                .map(|(step, to)| self.attempt(step, to, request, deadline, operation)),
        );
        while !running.is_empty() {
            let outcome = tokio::time::timeout(STAGGER, running.next()).await;
            match outcome {
                Ok(Some((step, _, Ok(reply)))) => {
                    self.preferred
                        .store((first + step) % count, Ordering::Relaxed);
                    return Ok(reply);
                }
                Ok(Some((_, to, Err(error)))) => failures.push((to, error)),
                Ok(None) | Err(_) => {}
            }
            running.extend(
                order
                    .next()
                    .map(|(step, to)| self.attempt(step, to, request, deadline, operation)),
            );
        }
        Err(all_failed(failures, operation))
    }

    async fn attempt<'a, R: Request + Sync>(
        &self,
        step: usize,
        to: &'a Endpoint,
        request: &R,
        deadline: Instant,
        operation: &'static str,
    ) -> (usize, &'a Endpoint, Result<R::Reply>) {
        let answer = self.ask_one(to, request, deadline, operation).await;
        (step, to, answer)
    }

    async fn ask_one<R: Request + Sync>(
        &self,
        endpoint: &Endpoint,
        request: &R,
        deadline: Instant,
        operation: &'static str,
    ) -> Result<R::Reply> {
        let left = deadline.saturating_duration_since(self.connections.now());
        let frame = self
            .connections
            .call_raw(endpoint, request, left, operation)
            .await?;
        match ResponseCode(frame.header.code) {
            ResponseCode::SUCCESS => parse_reply::<R>(&frame, endpoint, operation),
            ResponseCode::REQUEST_CODE_NOT_SUPPORTED => {
                Err(answer_error(&frame, operation, &endpoint.to_string())
                    .into_builder()
                    .hint("this looks like a broker: nameservers listen on 9876 by default")
                    .build())
            }
            _ => Err(answer_error(&frame, operation, &endpoint.to_string())),
        }
    }
}

fn all_failed(mut failures: Vec<(&Endpoint, Error)>, operation: &'static str) -> Error {
    // A server's own word counts more than another's silence.
    let answered = failures
        .iter()
        .position(|(_, error)| error.code().is_some());
    if let Some(at) = answered {
        return failures.swap_remove(at).1;
    }
    // If all are insecure in one way, that is what is wrong, and not where they are.
    let lasting = |(_, error): &(&Endpoint, Error)| error.retry() == Retry::Never;
    let secured = |(_, error): &(&Endpoint, Error)| {
        error
            .source()
            .is_some_and(<dyn std::error::Error>::is::<TlsError>)
    };
    if failures.iter().all(lasting) || (failures.len() == 1 && failures.iter().all(secured)) {
        return failures.swap_remove(0).1;
    }
    if failures.len() == 1
        && let Some((_, error)) = failures.pop()
    {
        return error
            .into_builder()
            .retry(Retry::Later)
            .hint(ADVICE)
            .build();
    }
    let told = failures
        .iter()
        .map(|(endpoint, error)| format!("{endpoint}: {}", error.message()));
    let reasons = told.collect::<Vec<_>>().join(", ");
    Error::builder(
        ErrorKind::Connect,
        format!("no nameserver answered ({reasons})"),
    )
    .operation(operation)
    .outcome(Outcome::NotSent)
    .hint(ADVICE)
    .build()
}
/// How long one server may keep silent before the next is asked as well.
const STAGGER: Duration = Duration::from_millis(250);
const ADVICE: &str =
    "check host and port of the nameservers, and that they can be reached from here";
