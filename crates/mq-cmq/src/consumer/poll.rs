//! Pollers: each asks for as many messages as there are free places, which it has taken before it asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::ExponentialBackoff;
use mq_core::{ErrorKind, Outcome, Retry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::core::{Core, Phase};
use crate::client::pauses;
use crate::error::{Error, Result};
use crate::proto::limits::MAX_BATCH;
use crate::queue::Received;

/// Receives until the consumer closes or can't go on. The pollers but the first begin when the service has answered once: what is refused
/// for good is so asked for once.
pub(super) async fn poll(core: Arc<Core>, first: bool) {
    let polling = async {
        if !first {
            first_heard(&core.heard).await;
        }
        if let Err(error) = receive_all(&core).await {
            core.fail(error);
        }
    };
    tokio::select! {
        // A receive under way is dropped with its connection. What it took meanwhile comes again.
        () = core.reached(Phase::Closing) => {}
        () = polling => {}
    }
}

async fn receive_all(core: &Core) -> Result<()> {
    let mut pauses = None;
    loop {
        let Some(mut permits) = places(&core.room).await else {
            return Ok(());
        };
        match receive(core, permits.len()).await {
            Ok((begun, messages)) => {
                core.heard.send_replace(true);
                pauses = None;
                let idle = messages.is_empty() && wait(core).is_zero();
                core.received(begun, messages, &mut permits);
                drop(permits);
                if idle {
                    tokio::time::sleep(IDLE_PAUSE).await;
                }
            }
            Err(error) if is_final(&error, *core.heard.borrow()) => return Err(error),
            Err(error) => {
                drop(permits);
                let pause = pauses.get_or_insert_with(backoff).next();
                let pause = pause.unwrap_or(LONGEST_PAUSE);
                let queue = core.queue.name();
                tracing::warn!(queue, %error, ?pause, "a receive failed; again after a pause");
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn receive(core: &Core, most: usize) -> Result<(Instant, Vec<Received>)> {
    core.queue.take(most, wait(core)).await
}

fn wait(core: &Core) -> Duration {
    wait_within(core.config.wait, core.visibility().time)
}

/// Waits for one free place, and takes the others that are free.
async fn places(room: &Arc<Semaphore>) -> Option<Vec<OwnedSemaphorePermit>> {
    let first = Arc::clone(room).acquire_owned().await.ok()?;
    let mut permits = vec![first];
    while permits.len() < MAX_BATCH
        && let Ok(more) = Arc::clone(room).try_acquire_owned()
    {
        permits.push(more);
    }
    Some(permits)
}

/// Whether asking again would not help. `heard`: the other side has spoken CMQ before.
pub(crate) fn is_final(error: &Error, heard: bool) -> bool {
    match error.outcome() {
        // What is not the protocol may come from something on the way; from the beginning on, the endpoint is another one.
        Outcome::Unknown => {
            error.kind() == ErrorKind::Protocol && error.retry() == Retry::Never && !heard
        }
        _ => error.retry() == Retry::Never,
    }
}

pub(crate) fn backoff() -> ExponentialBackoff {
    pauses(LONGEST_PAUSE)
}

/// Resolves when the service has answered a receive.
pub(crate) async fn first_heard(heard: &watch::Sender<bool>) {
    // It can't fail: the sender is here.
    let _ = heard.subscribe().wait_for(|heard| *heard).await;
}

/// How long a receive may wait at the service: what comes at its end has two thirds of its time left.
pub(crate) fn wait_within(wanted: Duration, visibility: Duration) -> Duration {
    // Whole seconds, and none of them for the shortest visibility timeouts.
    wanted.min(Duration::from_secs(visibility.as_secs() / 3))
}

/// After an answer that said there is nothing, where the service does not wait.
pub(crate) const IDLE_PAUSE: Duration = Duration::from_millis(100);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
