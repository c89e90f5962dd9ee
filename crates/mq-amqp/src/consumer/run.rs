//! Handlers: the only place of this module that spawns.

use std::fmt::Display;
use std::future::Future;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{Acker, Consumer, Delivery, Received, Settle};
use crate::error::Result;
use crate::trace;

impl Consumer {
    /// Gives every message to `handler`, up to [`concurrency`](super::ConsumerBuilder::concurrency) at a time, and settles it by what the handler
    /// answers. An `Err` and a panic are [`Settle::Retry`]; the consumer lives on. Returns when the consumer is closed, after the handlers that
    /// still ran.
    ///
    /// # Errors
    ///
    /// What ended the consumer: see [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropped, running handlers are aborted and their messages delivered again.
    pub async fn run<F, Fut, E>(&self, handler: F) -> Result<()>
    where
        F: Fn(Received) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let handler = Arc::new(handler);
        let mut workers = Workers::new(self.concurrency);
        let ended = loop {
            let delivery = match workers.beside(self.recv()).await {
                Ok(Some(delivery)) => delivery,
                Ok(None) => break Ok(()),
                Err(why) => break Err(why),
            };
            let (received, acker) = delivery.into_parts();
            let (handler, span) = (Arc::clone(&handler), self.span(slice::from_ref(&received)));
            let work = async move {
                let mut unless = Retried(vec![acker]);
                let decision = decide(async { handler(received).await }).await;
                unless.settle(decision);
            };
            workers.start(work.instrument(span));
        };
        workers.finish().await;
        ended
    }

    /// As [`run`](Self::run), with up to `max` messages at a time (at least 1; never more than the prefetch): a batch is handed over when it is full,
    /// or `linger` after its first message. What the handler answers holds for all of them.
    ///
    /// # Errors
    ///
    /// What ended the consumer: see [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropped, running handlers are aborted, and their messages and those of the batch in the making are delivered again.
    pub async fn run_batch<F, Fut, E>(&self, max: usize, linger: Duration, handler: F) -> Result<()>
    where
        F: Fn(Vec<Received>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let handler = Arc::new(handler);
        let mut workers = Workers::new(self.concurrency);
        let ended = loop {
            let mut batch = match workers.beside(self.recv()).await {
                Ok(Some(delivery)) => vec![delivery],
                Ok(None) => break Ok(()),
                Err(why) => break Err(why),
            };
            let gathered = workers.beside(self.gather(&mut batch, max, linger)).await;
            let parts = batch.into_iter().map(Delivery::into_parts);
            let (received, ackers): (Vec<_>, _) = parts.unzip();
            let (handler, span) = (Arc::clone(&handler), self.span(&received));
            let work = async move {
                let mut unless = Retried(ackers);
                let decision = decide(async { handler(received).await }).await;
                unless.settle(decision);
            };
            workers.start(work.instrument(span));
            if let Err(why) = gathered {
                break Err(why);
            }
        };
        workers.finish().await;
        ended
    }

    async fn gather(&self, batch: &mut Vec<Delivery>, max: usize, linger: Duration) -> Result<()> {
        let filling = async {
            while batch.len() < max {
                let Some(next) = self.recv().await? else {
                    break;
                };
                batch.push(next);
            }
            Ok(())
        };
        timeout(linger, filling).await.unwrap_or(Ok(()))
    }

    /// The span in which these are handled, tied to who sent them.
    pub(crate) fn span(&self, received: &[Received]) -> tracing::Span {
        let span = trace::processing(self.queue(), received.len());
        if let Some(propagator) = self.shared.client.propagator() {
            for one in received {
                let properties = one.message().properties();
                trace::extract(propagator, &span, properties, received.len());
            }
        }
        span
    }
}

/// Settles what a handler had by its decision; without one, since the handler panicked, it comes again as after a failure.
struct Retried(Vec<Acker>);

impl Retried {
    fn settle(&mut self, decision: Settle) {
        for acker in self.0.drain(..) {
            // It is recorded by the call; stale ones are the broker's again.
            drop(acker.settle(decision));
        }
    }
}

impl Drop for Retried {
    fn drop(&mut self) {
        let decision = if std::thread::panicking() {
            Settle::Retry
        } else {
            Settle::Release
        };
        self.settle(decision);
    }
}

/// What a handler answers.
pub(crate) async fn decide<E: Display>(
    handling: impl Future<Output = Result<Settle, E>>,
) -> Settle {
    handling.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "a handler failed; its messages come again");
        Settle::Retry
    })
}

/// The handlers that run.
struct Workers {
    running: JoinSet<()>,
    most: usize,
}

impl Workers {
    fn new(most: usize) -> Self {
        Self {
            running: JoinSet::new(),
            most,
        }
    }

    /// Waits for `other` as soon as there is room for one more handler, and takes note of those that end.
    async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        while self.running.len() >= self.most {
            let ended = self.running.join_next().await;
            note(ended);
        }
        tokio::pin!(other);
        loop {
            tokio::select! {
                biased;
                result = &mut other => return result,
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => note(Some(ended)),
            }
        }
    }

    fn start(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(work);
    }

    async fn finish(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            note(Some(ended));
        }
    }
}

fn note(ended: Option<Result<(), JoinError>>) {
    if let Some(Err(error)) = ended
        && error.is_panic()
    {
        tracing::error!("a handler panicked; its messages come again");
    }
}
