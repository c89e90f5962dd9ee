//! Deleting what was acknowledged: what comes together goes together, and each has its own result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mq_core::{ErrorKind, Outcome, Retry};

use super::core::{Core, Phase, Removal};
use super::counts::count;
use super::lease::Term;
use crate::client::pauses;
use crate::error::{Error, Result};
use crate::proto::limits::MAX_BATCH;
use crate::queue::{Queue, ReceiptHandle};

/// Deletes until the consumer is closed. One remover more than there are pollers: a delete that hangs does not hold the others up.
pub(super) async fn remove(core: Arc<Core>) {
    tokio::select! {
        () = core.reached(Phase::Closed) => {}
        () = remove_all(&core) => {}
    }
}

async fn remove_all(core: &Core) {
    let mut waits = None;
    loop {
        let some = core.take_removals(MAX_BATCH);
        if some.is_empty() {
            core.removing.notified().await;
            continue;
        }
        let again = remove_some(core, some).await;
        if again.is_empty() {
            waits = None;
            continue;
        }
        core.remove(again);
        let pause = waits.get_or_insert_with(|| pauses(LONGEST_PAUSE)).next();
        tokio::time::sleep(pause.unwrap_or(LONGEST_PAUSE)).await;
    }
}

/// Deletes them. The answer is what is to be tried again, until its time is over: a second delete harms nothing.
async fn remove_some(core: &Core, some: Vec<Removal>) -> Vec<Removal> {
    let handles: Vec<ReceiptHandle> = some.iter().map(|it| it.handle.clone()).collect();
    let now = core.now();
    let patience = some.iter().map(|it| it.term.patience(now)).min();
    let results = core
        .queue
        .delete_within(&handles, patience.unwrap_or_default());
    let mut again = Vec::new();
    for (mut removal, result) in some.into_iter().zip(results.await) {
        match judge(core.now(), &removal.term, &mut removal.unsure, result) {
            Some(result) => finish(core, removal, result),
            None => again.push(removal),
        }
    }
    again
}

/// Deletes one message, again without an answer until its time is over.
pub(crate) async fn delete_until(queue: &Queue, handle: &ReceiptHandle, term: &Term) -> Result<()> {
    let (mut unsure, mut waits) = (false, pauses(LONGEST_PAUSE));
    let clock = &queue.shared().clock;
    let handles = std::slice::from_ref(handle);
    loop {
        let results = queue
            .delete_within(handles, term.patience(clock.now()))
            .await;
        let result = results.into_iter().collect();
        if let Some(result) = judge(clock.now(), term, &mut unsure, result) {
            return result;
        }
        tokio::time::sleep(waits.next().unwrap_or(LONGEST_PAUSE)).await;
    }
}

/// The result of a delete; `None` where it is to be tried again. `unsure`: an earlier one may have been carried out.
fn judge(now: Instant, term: &Term, unsure: &mut bool, result: Result<()>) -> Option<Result<()>> {
    let error = match result {
        Ok(()) => return Some(Ok(())),
        Err(error) => error,
    };
    if error.kind() == ErrorKind::Stale && *unsure {
        // Before its deadline a message has no other reason to be gone than the delete whose answer did not come.
        return Some(if now < term.deadline {
            Ok(())
        } else {
            Err(unknown(error))
        });
    }
    *unsure |= error.outcome() == Outcome::Unknown;
    let again = error.outcome() == Outcome::Unknown || error.retry() == Retry::Later;
    if again && now < term.over {
        return None;
    }
    // It was refused, and yet an earlier one may have been carried out.
    Some(Err(if *unsure { unknown(error) } else { error }))
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

/// Short: messages run out of time meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
