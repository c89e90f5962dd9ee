//! Closing: in the order in which nothing is lost and as little as possible comes twice.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mq_core::{ErrorKind, Outcome};

use super::core::{Core, Phase};
use super::{lock, offsets};
use crate::error::Error;

/// Waits until the consumer is to close, and closes it: stop pulling, wait for deliveries and send-backs, persist offsets, unregister.
pub(super) fn supervise(core: Arc<Core>) -> impl Future<Output = ()> + Send {
    let last = Last(core);
    async move { close(&last.0).await }
}

async fn close(core: &Arc<Core>) {
    core.reached(Phase::Closing).await;
    // If it was dropped, nothing is kept.
    if core.phase() != Phase::Closed {
        wind_up(core).await;
    }
    if lock::is_needed(core) {
        lock::unlock_all(core).await;
    }
    core.shared.leave(&core.group).await;
    core.shared.groups.remove_consumer(&core.group);
    tracing::info!(group = %core.group, "consumer closed");
}

/// Waits for deliveries and send-backs, and persists offsets.
async fn wind_up(core: &Arc<Core>) {
    let queues = core.queues();
    for queue in &queues {
        queue.stop().cancel();
    }
    let settled = async {
        while core.queues().iter().any(|queue| queue.ledger().is_busy()) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if tokio::time::timeout(PATIENCE, settled).await.is_err() {
        tracing::warn!(group = %core.group, "deliveries are still held: they are delivered again");
    }
    let sought = queues.iter().filter_map(|queue| {
        let next = queue.sought()?;
        Some((queue.id().clone(), next))
    });
    let sought = sought.collect();
    let stored = async {
        // Where somebody wanted to go when there was no more time to go there.
        offsets::store_last(core, sought).await;
        offsets::hand_over(core, &core.queues()).await;
        // Those of a rebalance that closing has stopped in the middle of it.
        offsets::store_last(core, core.leaving()).await;
        offsets::finish(core).await
    };
    // A disk may hang instead of failing.
    let stored = tokio::time::timeout(STORING, stored).await;
    if let Err(error) = stored.unwrap_or_else(|_| Err(not_stored())) {
        core.failed_to_close(error);
    }
}

fn not_stored() -> Error {
    let message = format!("the last offsets are not stored after {STORING:?}");
    Error::builder(ErrorKind::Timeout, message)
        .operation("close consumer")
        .outcome(Outcome::Unknown)
        .build()
}

/// However the task ends, by itself, with the client or before it began, the consumer is closed.
struct Last(Arc<Core>);

impl Drop for Last {
    fn drop(&mut self) {
        abandon(&self.0);
    }
}

/// Ends a consumer at once: its queues are given up, nothing is persisted.
pub(super) fn abandon(core: &Core) {
    core.begin_close();
    // Before it counts as closed: who waits for that may start another one on the same file.
    offsets::release(core);
    core.enter(Phase::Closed);
    for queue in core.queues() {
        core.revoke(&queue);
    }
}

/// How long deliveries may still be settled.
const PATIENCE: Duration = Duration::from_secs(5);
/// As long as a few requests take that are not answered.
const STORING: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
