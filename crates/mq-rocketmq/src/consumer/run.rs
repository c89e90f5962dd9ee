//! The tasks of a consumer: the only place of this module that spawns.
//!
//! ```text
//!   client's tasks ── rebalance, timer, send-backs, one puller a queue, the one that closes
//!   run()'s own    ── a task a message (or batch): a panic or a hang ends the task, not the consumer
//!   blocking()     ── the file of a broadcasting consumer: a slow disk holds no task up but the one that waits for it
//! ```

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, interval_at, timeout};

use super::core::{Core, Phase};
use super::delivery::Delivery;
use super::model::Model;
use super::options::Config;
use super::queue::{self, Queue};
use super::received::Received;
use super::settle::Settle;
use super::{Consumer, close, gate, lock, offsets, ordered, rebalance, redeliver, returns};
use crate::error::{Result, closed};

/// Starts the task that closes a consumer: from the first heartbeat that names it, however it ends, brokers are told.
pub(super) fn begin(core: &Arc<Core>) {
    let tasks = &core.shared.tasks;
    tasks.spawn(close::supervise(Arc::clone(core)));
}

/// Starts what a consumer does by itself.
pub(super) fn start(core: &Arc<Core>) {
    let tasks = &core.shared.tasks;
    tasks.spawn(rebalance::keep_balanced(Arc::clone(core)));
    match core.model {
        Model::Clustering if core.config.order.is_none() => {
            tasks.spawn(returns::send_all(Arc::clone(core)));
        }
        Model::Clustering | Model::Broadcasting(_) => {
            tasks.spawn(redeliver::redeliver_all(Arc::clone(core)));
        }
    }
    if core.ready.gate().is_some() {
        tasks.spawn(gate::keep(Arc::clone(core)));
    }
    if lock::is_needed(core) {
        tasks.spawn(lock::keep(Arc::clone(core)));
    }
    tasks.spawn(tick(Arc::clone(core)));
}

/// Takes a queue on and starts pulling, unless the consumer closes or has the queue already.
pub(super) fn take_on(core: &Arc<Core>, queue: &Arc<Queue>) {
    if core.assign(queue) {
        core.shared
            .tasks
            .spawn(queue::serve(Arc::clone(core), Arc::clone(queue)));
    }
}

/// Gives up a queue that another member is to have, when what is held of it is settled. The answer is whether that begins now.
pub(super) fn hand_over(core: &Arc<Core>, queue: &Arc<Queue>) -> bool {
    let begins = queue.ledger().end_lane();
    if begins {
        let handing_over = lock::hand_over(Arc::clone(core), Arc::clone(queue));
        core.shared.tasks.spawn(handing_over);
    }
    begins
}

/// Does what blocks on a thread for that. It is done to its end, also when nobody waits for it any more.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    // It does not panic: what is left is a runtime that ends.
    done.unwrap_or_else(|_| Err(closed("use a file", "runtime")))
}

/// One timer for everything: overdue deliveries, what was dropped, offsets.
async fn tick(core: Arc<Core>) {
    let limit = core.config.settle_timeout;
    let mut sweep = interval((limit / 8).clamp(Duration::from_millis(20), Duration::from_secs(1)));
    let mut commit = interval_at((core.shared.clock.now() + COMMIT).into(), COMMIT);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    commit.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.reached(Phase::Closing) => return,
            _ = sweep.tick() => take_back(&core, limit),
            _ = commit.tick() => offsets::persist(&core, &core.queues()).await,
        }
    }
}

fn take_back(core: &Core, limit: Duration) {
    let now = core.shared.clock.now();
    for queue in core.queues() {
        let late = queue.ledger().overdue(now, limit);
        for loan in late {
            let (id, offset) = (queue.id(), loan.offset);
            tracing::warn!(group = %core.group, topic = %id.topic, queue = id.id, offset, ?limit, "a delivery was held past its settle time-out and goes back");
            // It may have been settled a moment ago.
            let _ = core.send_back(&queue, loan, Settle::Retry, None);
        }
    }
    let dropped = core.take_dropped();
    if dropped > 0 {
        tracing::warn!(group = %core.group, dropped, "deliveries were dropped unsettled and go back");
    }
}

impl Consumer {
    /// Gives every message to `handler`, up to [`concurrency`](crate::ConsumerBuilder::concurrency) at a time, and settles it by what the
    /// handler answers. An `Err`, a panic and a handler that runs past the settle time-out are [`Settle::Retry`]; the consumer lives on.
    /// Returns when the consumer is closed, after the handlers that still ran.
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
        F: Fn(Received) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let handler = Arc::new(handler);
        let mut workers = Workers::new(self.config());
        loop {
            workers.room().await;
            let Some(delivery) = workers.beside(self.recv_for(workers.free())).await? else {
                break;
            };
            workers.start(work_on(delivery, Arc::clone(&handler), workers.limit));
        }
        workers.finish().await;
        Ok(())
    }

    /// As [`run`](Consumer::run), with up to `max` messages at a time (at least 1): a batch is handed over when it is full, or `linger` after its first
    /// message. What the handler answers holds for all of them. Of an [ordered](crate::ConsumerBuilder::ordered) consumer a batch is of one
    /// queue and in its order, and the queue waits until all of it is settled.
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
        F: Fn(Vec<Received>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let handler = Arc::new(handler);
        let mut workers = Workers::new(self.config());
        loop {
            workers.room().await;
            let Some(first) = workers.beside(self.recv_for(workers.free())).await? else {
                break;
            };
            let mut batch = vec![first];
            let of_lane = self.config().order.is_some();
            if !of_lane {
                let gathering = gather(self, &mut batch, max, linger);
                workers.beside(gathering).await?;
            }
            let (handler, limit) = (Arc::clone(&handler), workers.limit);
            workers.start(async move {
                if of_lane {
                    ordered::gather(&mut batch, max, linger).await;
                }
                let (received, ackers): (_, Vec<_>) =
                    batch.into_iter().map(Delivery::into_parts).unzip();
                let decision = decide(limit, async { handler(received).await }).await;
                for acker in ackers {
                    // The decision is recorded by the call; if it came too late, the message comes again anyway.
                    drop(acker.settle(decision));
                }
            });
        }
        workers.finish().await;
        Ok(())
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

/// Has a message handled and settles it. Of an ordered queue, those that follow too, for a while: so that nobody need be woken for each.
async fn work_on<F, Fut, E>(delivery: Delivery, handler: Arc<F>, limit: Duration)
where
    F: Fn(Received) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Settle, E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let mut turn = delivery.turn();
    let mut next = Some(delivery);
    while let Some(delivery) = next {
        let (received, acker) = delivery.into_parts();
        // A panic in here drops the acker, which has the message delivered again.
        let decision = decide(limit, async { handler(received).await }).await;
        next = acker.settle_and_follow(decision, &mut turn);
    }
}

async fn decide<E: Display>(
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
                "a handler ran past the settle time-out; its messages are delivered again"
            );
            Settle::Retry
        }
    }
}

/// The handlers that run.
struct Workers {
    running: JoinSet<()>,
    most: usize,
    limit: Duration,
}

impl Workers {
    fn new(config: &Config) -> Self {
        Self {
            running: JoinSet::new(),
            most: config.concurrency,
            limit: config.settle_timeout,
        }
    }

    /// How many more may run.
    fn free(&self) -> usize {
        self.most.saturating_sub(self.running.len())
    }

    /// Waits until another handler may start.
    async fn room(&mut self) {
        while self.running.len() >= self.most {
            if let Some(ended) = self.running.join_next().await {
                note(ended);
            }
        }
    }

    /// Waits for `other`, and takes note of handlers that end meanwhile. If `other` fails, handlers that run are waited for.
    async fn beside<T>(&mut self, other: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::pin!(other);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut other => break result,
                Some(ended) = self.running.join_next() => note(ended),
            }
        };
        if result.is_err() {
            self.finish().await;
        }
        result
    }

    async fn finish(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            note(ended);
        }
    }

    fn start(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(work);
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a handler panicked; its messages are delivered again");
    }
}

// apache/rocketmq: ClientConfig.persistConsumerOffsetInterval
const COMMIT: Duration = Duration::from_secs(5);
