//! Handlers: the only place of this module that spawns.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::slice;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::OrderedConsumer;
use super::lane::Lane;
use crate::consumer::run::decide;
use crate::error::Result;
use crate::{Received, Settle};

impl OrderedConsumer {
    /// Gives every message to `handler`, of each partition one at a time, and settles it by what the handler answers. An `Err` and a panic are
    /// [`Settle::Retry`]. Returns when the consumer is closed, after the handlers that still ran.
    ///
    /// # Errors
    ///
    /// What ended the consumer: see [`recv`](Self::recv). A panic of the [propagator](crate::ClientBuilder::propagator) is passed on.
    ///
    /// # Cancel safety
    ///
    /// Dropped, running handlers are aborted, and their messages handed out again by the next `run` or `recv`.
    pub async fn run<F, Fut, E>(&self, handler: F) -> Result<()>
    where
        F: Fn(Received) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let handler = Arc::new(handler);
        let mut lanes = JoinSet::new();
        for lane in &self.shared.lanes {
            lanes.spawn(work(Arc::clone(lane), Arc::clone(&handler)));
        }
        let mut ended = Ok(());
        let mut panicked = None;
        while let Some(one) = lanes.join_next().await {
            // The others end after what they have begun, and their partitions are for who is next.
            match one {
                Ok(Ok(())) => {}
                Ok(Err(why)) => {
                    self.shared.leave();
                    ended = ended.and(Err(why));
                }
                // Not in a handler: a propagator has.
                Err(join) => {
                    self.shared.leave();
                    panicked = join.try_into_panic().ok().or(panicked);
                }
            }
        }
        match panicked {
            Some(panic) => std::panic::resume_unwind(panic),
            None => ended,
        }
    }
}

async fn work<F, Fut, E>(lane: Arc<Lane>, handler: Arc<F>) -> Result<()>
where
    F: Fn(Received) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Settle, E>> + Send + 'static,
    E: Display + Send + 'static,
{
    while let Some(delivery) = lane.next().await? {
        let received = delivery.received().clone();
        let span = lane.consumer.span(slice::from_ref(&received));
        let handling = decide(async { handler(received).await });
        let handling = AssertUnwindSafe(handling).catch_unwind().instrument(span);
        let decision = handling.await.unwrap_or_else(|_| {
            tracing::error!("a handler panicked; its message comes again");
            Settle::Retry
        });
        if let Err(error) = delivery.settle(decision).await {
            tracing::debug!(%error, queue = lane.consumer.queue(), "not settled");
        }
    }
    Ok(())
}
