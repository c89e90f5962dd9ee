//! Closing: stop receiving, wait for what is held, end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, Phase};

/// Waits until the consumer is to close, and closes it. However the task ends, also with the client, the consumer is closed then.
pub(super) fn supervise(core: Arc<Core>) -> impl Future<Output = ()> + Send {
    let last = Last(core);
    async move {
        let core = &last.0;
        core.reached(Phase::Closing).await;
        let settled = async {
            while core.is_busy() {
                tokio::select! {
                    () = core.reached(Phase::Closed) => return,
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
        };
        if tokio::time::timeout(PATIENCE, settled).await.is_err() {
            tracing::warn!(
                queue = core.queue.name(),
                "messages are still held: they come again when their visibility timeout ends"
            );
        }
    }
}

struct Last(Arc<Core>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// How long messages may still be settled.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
