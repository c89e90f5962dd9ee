//! The tasks of a consumer: the only place of this module that spawns.
//!
//! ```text
//!   client's tasks ── pollers, removers, the one that watches deadlines, the one that closes
//!   run()'s own    ── a task a message (or batch): a panic or a hang ends the task, not the consumer
//! ```

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep_until, timeout};
use tracing::Instrument as _;

use super::core::{Core, Phase};
use super::delivery::{Delivery, Held, Settle};
use super::{Consumer, close, poll, removal};
use crate::client::Shared;
use crate::error::Result;
use crate::proto::limits::MAX_BATCH;

/// Starts what a consumer does by itself.
pub(super) fn start(core: &Arc<Core>) {
    let tasks = core.queue.shared().tasks();
    tasks.spawn(close::supervise(Arc::clone(core)));
    tasks.spawn(watch(Arc::clone(core)));
    let pollers = core.config.concurrency.div_ceil(MAX_BATCH).min(MOST);
    for at in 0..pollers {
        tasks.spawn(poll::poll(Arc::clone(core), at == 0));
    }
    for _ in 0..=pollers {
        tasks.spawn(removal::remove(Arc::clone(core)));
    }
}

/// Starts a task of the client: for shards and lanes of [`ordered`](crate::ordered).
pub(crate) fn begin(shared: &Shared, task: impl Future<Output = ()> + Send + 'static) {
    shared.tasks().spawn(task);
}

/// Tells and does what is due of messages that are held.
async fn watch(core: Arc<Core>) {
    loop {
        let earlier = core.earlier.notified();
        let next = core.sweep();
        let due = async {
            match next {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = core.reached(Phase::Closed) => return,
            () = earlier => {}
            () = due => {}
        }
    }
}

impl Consumer {
    /// Gives every message to `handler`, up to [`concurrency`](crate::ConsumerBuilder::concurrency) at a time, and settles it by what the
    /// handler answers. An `Err` and a panic are [`Settle::Retry`]; the consumer lives on. A handler that runs past the message's
    /// [`deadline`](Held::deadline) has its [`expiry`](Held::expiry) cancelled, and is aborted after as long again. Returns when the
    /// consumer is closed, after the handlers that still ran and the deletes of what they acknowledged.
    ///
    /// # Errors
    ///
    /// What ended the consumer: see [`recv`](Consumer::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropped, running handlers are aborted and their messages delivered again.
    pub async fn run<F, Fut, E>(&self, handler: F) -> Result<()>
    where
        F: Fn(Held) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let ended = self.run_each(handler).await;
        // Whoever returns now may drop the consumer, and the deletes with it.
        self.core().reached(Phase::Closed).await;
        ended
    }

    async fn run_each<F, Fut, E>(&self, handler: F) -> Result<()>
    where
        F: Fn(Held) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let handler = Arc::new(handler);
        let mut workers = Workers::default();
        while let Some(delivery) = workers.beside(self.recv()).await? {
            let (handler, span) = (Arc::clone(&handler), self.span(1));
            let limit = self.patience(&[&delivery]);
            let work = async move {
                // A panic in here drops the acker, which has the message delivered again.
                let (held, acker) = delivery.into_parts();
                let decision = decide(limit, async { handler(held).await }).await;
                // It is recorded by the call; whether it held is counted and told.
                drop(acker.settle(decision));
            };
            workers.start(work.instrument(span));
        }
        workers.finish().await;
        Ok(())
    }

    /// As [`run`](Consumer::run), with up to `max` messages at a time (at least 1; never more than the
    /// [`concurrency`](crate::ConsumerBuilder::concurrency) allows): a batch is handed over when it is full, when no more can come, or
    /// `linger` after its first message. What the handler answers holds for all of them.
    ///
    /// # Errors
    ///
    /// What ended the consumer: see [`recv`](Consumer::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropped, running handlers are aborted, and their messages and those of the batch in the making are delivered again.
    pub async fn run_batch<F, Fut, E>(&self, max: usize, linger: Duration, handler: F) -> Result<()>
    where
        F: Fn(Vec<Held>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let ended = self.run_batches(max, linger, handler).await;
        self.core().reached(Phase::Closed).await;
        ended
    }

    async fn run_batches<F, Fut, E>(&self, max: usize, linger: Duration, handler: F) -> Result<()>
    where
        F: Fn(Vec<Held>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let max = max.min(self.concurrency());
        let handler = Arc::new(handler);
        let mut workers = Workers::default();
        while let Some(first) = workers.beside(self.recv()).await? {
            let mut batch = vec![first];
            workers
                .beside(gather(self, &mut batch, max, linger))
                .await?;
            let (handler, span) = (Arc::clone(&handler), self.span(batch.len()));
            let limit = self.patience(&batch.iter().collect::<Vec<_>>());
            let work = async move {
                let parts = batch.into_iter().map(Delivery::into_parts);
                let (held, ackers): (_, Vec<_>) = parts.unzip();
                let decision = decide(limit, async { handler(held).await }).await;
                for acker in ackers {
                    drop(acker.settle(decision));
                }
            };
            workers.start(work.instrument(span));
        }
        workers.finish().await;
        Ok(())
    }

    /// How long a handler may run: until the time of its messages has passed twice.
    fn patience(&self, deliveries: &[&Delivery]) -> Duration {
        let core = self.core();
        let first = deliveries.iter().map(|it| it.give_up()).min();
        let left = first.map(|at| at.saturating_duration_since(core.now()));
        left.unwrap_or_default()
    }

    fn span(&self, count: usize) -> tracing::Span {
        tracing::info_span!(
            "process",
            messaging.system = "cmq",
            messaging.operation.r#type = "process",
            messaging.destination.name = self.core().queue.name(),
            messaging.batch.message_count = count,
        )
    }
}

async fn gather(
    consumer: &Consumer,
    batch: &mut Vec<Delivery>,
    max: usize,
    linger: Duration,
) -> Result<()> {
    let filling = async {
        while batch.len() < max {
            let Some(next) = consumer.recv().await? else {
                break;
            };
            batch.push(next);
        }
        Ok(())
    };
    timeout(linger, filling).await.unwrap_or(Ok(()))
}

pub(crate) async fn decide<E: Display>(
    limit: Duration,
    handling: impl Future<Output = Result<Settle, E>>,
) -> Settle {
    match timeout(limit, handling).await {
        Ok(Ok(decision)) => decision,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a handler failed; its messages are delivered again");
            Settle::Retry
        }
        Err(_) => {
            tracing::warn!(
                ?limit,
                "a handler was aborted: the time of its messages had passed long before"
            );
            Settle::Retry
        }
    }
}

/// The handlers that run. There are never more than messages may be held.
#[derive(Default)]
pub(crate) struct Workers(JoinSet<()>);

impl Workers {
    /// Waits for `other`, and takes note of handlers that end meanwhile. If `other` fails, handlers that run are waited for.
    pub(crate) async fn beside<T>(&mut self, other: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::pin!(other);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut other => break result,
                Some(ended) = self.0.join_next() => note(ended),
            }
        };
        if result.is_err() {
            self.finish().await;
        }
        result
    }

    pub(crate) async fn finish(&mut self) {
        while let Some(ended) = self.0.join_next().await {
            note(ended);
        }
    }

    pub(crate) fn start(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(work);
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a handler panicked; its messages are delivered again");
    }
}

/// Pollers: each has its own connection.
const MOST: usize = 8;
