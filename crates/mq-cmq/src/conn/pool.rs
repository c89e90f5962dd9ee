//! Connections to one endpoint: as many as there are requests under way; the ones that are free are kept for a while.
//!
//! ```text
//!  request ─► a free connection, the last one used ─► still open? ─ yes ─► send ─► answer, whole ─► free again
//!             none: connect                            └ no: the next                  └ anything else: dropped
//! ```
//!
//! A request that is dropped half way takes its connection with it, since nobody would read the rest of the answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{Request, StatusCode};
use mq_core::{Clock, Endpoint};

use super::tasks::Tasks;
use super::tls::TlsConfig;
use super::transport::{Sender, connect};
use crate::proto::Malformed;

/// What a pool is made of.
#[derive(Debug)]
pub(crate) struct PoolOptions {
    pub(crate) endpoint: Endpoint,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) connect_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Pool {
    options: PoolOptions,
    idle: Mutex<Vec<Idle>>,
    tasks: Tasks,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection: nothing has left.
    Connect(io::Error),
    /// Time ran out. Bytes may have left if `sent`.
    Timeout { sent: bool },
    /// The connection broke after bytes may have left.
    Broken(Box<dyn std::error::Error + Send + Sync>),
    /// The answer is larger than any can be.
    TooLarge,
    /// The request is larger than any can be: nothing has left.
    Unwritable(Malformed),
    /// The client is closed: nothing has left.
    Closed,
}

impl Pool {
    pub(crate) fn new(options: PoolOptions) -> Self {
        Self {
            options,
            idle: Mutex::default(),
            tasks: Tasks::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// Sends a request and reads its answer, all until `deadline`.
    pub(crate) async fn call(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let sent = AtomicBool::new(false);
        let left = deadline.saturating_duration_since(self.options.clock.now());
        let answer = tokio::time::timeout(left, self.exchange(request, &sent)).await;
        answer.unwrap_or_else(|_| {
            Err(Failure::Timeout {
                sent: sent.load(Ordering::Relaxed),
            })
        })
    }

    /// Tasks that end with the pool.
    pub(crate) const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Drops the free connections and those in use; nothing is sent any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.idle().clear();
        self.tasks.abort();
    }

    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        sent: &AtomicBool,
    ) -> Result<Answer, Failure> {
        loop {
            let (mut sender, fresh) = self.sender().await?;
            sent.store(true, Ordering::Relaxed);
            let answer = match sender.try_send_request(request).await {
                Ok(answer) => answer,
                Err(mut error) => match error.take_message() {
                    // Not a byte of it was written.
                    Some(back) if !fresh => {
                        sent.store(false, Ordering::Relaxed);
                        request = back;
                        continue;
                    }
                    Some(_) => return Err(Failure::Connect(io::Error::other(error.into_error()))),
                    None => return Err(Failure::Broken(error.into_error().into())),
                },
            };
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| {
                    if error.is::<LengthLimitError>() {
                        Failure::TooLarge
                    } else {
                        Failure::Broken(error)
                    }
                })?
                .to_bytes();
            self.keep(sender);
            return Ok(Answer { status, body });
        }
    }

    /// A connection that can take a request, and whether it is a new one.
    async fn sender(&self) -> Result<(Sender, bool), Failure> {
        while let Some(mut sender) = self.take_idle() {
            if sender.ready().await.is_ok() {
                return Ok((sender, false));
            }
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Failure::Closed);
        }
        let options = &self.options;
        let connecting = connect(&options.endpoint, options.tls.as_ref(), &self.tasks);
        let connected = tokio::time::timeout(options.connect_timeout, connecting).await;
        let too_long = |_| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no connection in time",
            ))
        };
        let mut sender = connected
            .unwrap_or_else(too_long)
            .map_err(Failure::Connect)?;
        let ready = sender.ready().await;
        ready.map_err(|error| Failure::Connect(io::Error::other(error)))?;
        Ok((sender, true))
    }

    /// The one that was used last: the others can grow old.
    fn take_idle(&self) -> Option<Sender> {
        let now = self.options.clock.now();
        let mut idle = self.idle();
        idle.retain(|one| now.saturating_duration_since(one.since) < KEPT_FOR);
        idle.pop().map(|one| one.sender)
    }

    fn keep(&self, sender: Sender) {
        if sender.is_closed() || self.closed.load(Ordering::Acquire) {
            return;
        }
        let since = self.options.clock.now();
        let mut idle = self.idle();
        if idle.len() < MOST_KEPT {
            idle.push(Idle { sender, since });
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sixteen bodies of 1 MiB, if each byte is escaped, and what is around them.
const MAX_ANSWER: usize = 97 * 1024 * 1024;
/// Shorter than servers and load balancers keep them.
const KEPT_FOR: Duration = Duration::from_secs(15);
const MOST_KEPT: usize = 64;
