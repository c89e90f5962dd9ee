//! Asking the nameservers: several at a time, the first answer wins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mq_core::{Endpoint, ErrorKind, Outcome, Retry};

use super::{Connections, parse_reply};
use crate::error::{Error, Result, answer_error};
use crate::proto::{Request, ResponseCode};

/// The list of nameservers. It never changes; a server that does not answer is passed over.
#[derive(Debug)]
pub(crate) struct Nameservers {
    endpoints: Vec<Endpoint>,
    /// The one that answered last is asked first.
    preferred: AtomicUsize,
    connections: Arc<Connections>,
    wait: Duration,
}

impl Nameservers {
    pub(crate) const fn new(
        endpoints: Vec<Endpoint>,
        connections: Arc<Connections>,
        wait: Duration,
    ) -> Self {
        Self {
            endpoints,
            preferred: AtomicUsize::new(0),
            connections,
            wait,
        }
    }

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Asks one server after the other, the next after [`STAGGER`] or as soon as one fails; the first success wins.
    ///
    /// A topic may be known to one server only, so that "no such topic" counts when all who answer say so.
    pub(crate) async fn ask<R: Request + Sync>(
        &self,
        request: &R,
        operation: &'static str,
    ) -> Result<R::Reply> {
        let deadline = self.connections.now() + self.wait;
        let count = self.endpoints.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut order = (0..count).map(|step| (first + step) % count);
        let mut running = FuturesUnordered::new();
        let mut failures = Vec::new();
        running.extend(
            order
                .next()
                .map(|index| self.attempt(index, request, deadline, operation)),
        );
        while !running.is_empty() {
            let outcome = tokio::time::timeout(STAGGER, running.next()).await;
            match outcome {
                Ok(Some((index, Ok(reply)))) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(reply);
                }
                Ok(Some((index, Err(error)))) => failures.push((index, error)),
                Ok(None) | Err(_) => {}
            }
            running.extend(
                order
                    .next()
                    .map(|index| self.attempt(index, request, deadline, operation)),
            );
        }
        Err(self.all_failed(failures, operation))
    }

    async fn attempt<R: Request + Sync>(
        &self,
        index: usize,
        request: &R,
        deadline: Instant,
        operation: &'static str,
    ) -> (usize, Result<R::Reply>) {
        (
            index,
            self.ask_one(index, request, deadline, operation).await,
        )
    }

    async fn ask_one<R: Request + Sync>(
        &self,
        index: usize,
        request: &R,
        deadline: Instant,
        operation: &'static str,
    ) -> Result<R::Reply> {
        let Some(endpoint) = self.endpoints.get(index) else {
            return Err(crate::error::invalid(
                operation,
                "no nameserver is configured",
            ));
        };
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

    fn all_failed(&self, mut failures: Vec<(usize, Error)>, operation: &'static str) -> Error {
        // A server's own word counts more than another's silence.
        let answered = failures
            .iter()
            .position(|(_, error)| error.code().is_some());
        if let Some(at) = answered {
            return failures.swap_remove(at).1;
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
        let mut told = Vec::new();
        for (index, error) in &failures {
            if let Some(endpoint) = self.endpoints.get(*index) {
                told.push(format!("{endpoint}: {}", error.message()));
            }
        }
        let reasons = told.join(", ");
        Error::builder(
            ErrorKind::Connect,
            format!("no nameserver answered ({reasons})"),
        )
        .operation(operation)
        .outcome(Outcome::NotSent)
        .hint(ADVICE)
        .build()
    }
}

/// How long one server may keep silent before the next is asked as well.
const STAGGER: Duration = Duration::from_millis(250);
const ADVICE: &str =
    "check host and port of the nameservers, and that they can be reached from here";
