//! Handlers: a task a message.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;

use super::{Acker, Consumer, Received, Settle};
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
            let (handler, span) = (Arc::clone(&handler), self.span(&received));
            let work = async move {
                let mut unless = Retried(Some(acker));
                let answered = async { handler(received).await }.await;
                unless.settle(answered.unwrap_or_else(|error| {
                    tracing::warn!(%error, "a handler failed; its message comes again");
                    Settle::Retry
                }));
            };
            workers.start(work.instrument(span));
        };
        workers.finish().await;
        ended
    }

    /// The span in which a message is handled, tied to who sent it.
    fn span(&self, received: &Received) -> tracing::Span {
        let span = trace::processing(received.topic(), 1);
        if let Some(propagator) = &self.shared.client.shared.options.propagator {
            trace::extract(&**propagator, &span, received.properties(), 1);
        }
        span
    }
}

/// Settles what a handler had by its decision; without one, since the handler panicked, it comes again as after a failure.
struct Retried(Option<Acker>);

impl Retried {
    fn settle(&mut self, decision: Settle) {
        if let Some(acker) = self.0.take() {
            // It is recorded by the call; a stale one is the broker's again.
            drop(acker.settle(decision));
        }
    }
}

impl Drop for Retried {
    fn drop(&mut self) {
        self.settle(if std::thread::panicking() {
            Settle::Retry
        } else {
            Settle::Release
        });
    }
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
        tracing::error!("a handler panicked; its message comes again");
    }
}
