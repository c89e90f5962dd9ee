//! Deleting what was acknowledged: what comes together goes together, and each has its own result.

use std::sync::Arc;
use std::time::Duration;

use mq_core::{ErrorKind, Outcome, Retry};

use super::core::{Core, Phase, Removal, count};
use super::poll::backoff;
use crate::error::{Error, Result};
use crate::proto::limits::MAX_BATCH;
use crate::queue::ReceiptHandle;

/// Deletes until the consumer is closed.
pub(super) async fn remove(core: Arc<Core>) {
    let removing = async {
        loop {
            let some = core.take_removals(MAX_BATCH);
            if some.is_empty() {
                core.removing.notified().await;
            } else {
                remove_some(&core, some).await;
            }
        }
    };
    tokio::select! {
        () = core.reached(Phase::Closed) => {}
        () = removing => {}
    }
}

/// Deletes them, those without an answer again until their time is over: a second delete harms nothing.
async fn remove_some(core: &Core, mut left: Vec<Removal>) {
    let mut pauses = backoff();
    loop {
        let handles: Vec<ReceiptHandle> = left.iter().map(|it| it.handle.clone()).collect();
        let results = request(core, &handles).await;
        let mut again = Vec::new();
        for (mut removal, result) in left.into_iter().zip(results) {
            match judge(core, &mut removal, result) {
                Some(result) => finish(core, removal, result),
                None => again.push(removal),
            }
        }
        if again.is_empty() {
            return;
        }
        left = again;
        tokio::time::sleep(pauses.next().unwrap_or(LAST_PAUSE)).await;
    }
}

async fn request(core: &Core, handles: &[ReceiptHandle]) -> Vec<Result<()>> {
    match handles {
        [one] => vec![core.queue.delete(one).await],
        many => core.queue.delete_batch(many).await,
    }
}

/// The result of a delete; `None` where it is to be tried again.
fn judge(core: &Core, removal: &mut Removal, result: Result<()>) -> Option<Result<()>> {
    let error = match result {
        Ok(()) => return Some(Ok(())),
        Err(error) => error,
    };
    let now = core.now();
    if error.kind() == ErrorKind::Stale && removal.unsure {
        // Before its deadline a message has no other reason to be gone than the delete whose answer did not come.
        return Some(if now < removal.term.deadline {
            Ok(())
        } else {
            Err(unknown(error))
        });
    }
    removal.unsure |= error.outcome() == Outcome::Unknown;
    let again = error.outcome() == Outcome::Unknown || error.retry() == Retry::Later;
    if again && now < removal.term.over {
        return None;
    }
    // It was refused, and yet an earlier one may have been carried out.
    Some(Err(if removal.unsure {
        unknown(error)
    } else {
        error
    }))
}

fn finish(core: &Core, removal: Removal, result: Result<()>) {
    match &result {
        Ok(()) => count(&core.tally.deleted, 1),
        Err(error) => {
            if error.kind() == ErrorKind::Stale {
                count(&core.tally.refused, 1);
            }
            tracing::warn!(queue = core.queue.name(), %error, "a message was handled and not deleted");
        }
    }
    let Removal { done, .. } = removal;
    // Nobody need wait for it.
    let _ = done.send(result);
}

fn unknown(error: Error) -> Error {
    error.into_builder().outcome(Outcome::Unknown).build()
}

const LAST_PAUSE: Duration = Duration::from_secs(10);
