//! Asking the checker about what nobody decides any more.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep_until, timeout};

use super::end::{commit, now_and, put_off, renew, rollback};
use super::half::Half;
use super::{CheckedMessage, Shared, Verdict};
use crate::conn::now;
use crate::consumer::attend::begin;

/// Asks about each half message when it is due, so many at a time.
pub(super) async fn ask_when_due(shared: &Arc<Shared>) {
    loop {
        let (due, next) = shared.halves.take_due(shared.asking.available_permits());
        for half in due {
            if let Ok(turn) = Arc::clone(&shared.asking).try_acquire_owned() {
                begin(&shared.client, check(Arc::clone(shared), half, turn));
            } else {
                shared.halves.asked(&half.id, now());
            }
        }
        let pause = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pause => {}
            () = shared.halves.earlier.notified() => {}
            () = shared.ending() => return,
        }
    }
}

async fn check(shared: Arc<Shared>, half: Half, turn: OwnedSemaphorePermit) {
    let id = half.id.clone();
    let verdict = ask(&shared, &half).await;
    let deadline = now_and(shared.timeout);
    match verdict {
        Verdict::Commit => {
            if let Err(error) = commit(&shared, &half, deadline).await {
                tracing::warn!(%id, %error, "a half message that its checker commits could not be sent; it is tried again");
                put_off(&shared, half, &error.to_string()).await;
            }
        }
        Verdict::Rollback => {
            // What is not held any more is asked about again by who holds it.
            let _ = rollback(&shared, &half, deadline).await;
        }
        Verdict::Unknown => put_off(&shared, half, "its checker does not know").await,
    }
    shared.halves.asked(&id, now_and(shared.check_interval));
    drop(turn);
    shared.halves.earlier.notify_one();
}

async fn ask(shared: &Shared, half: &Half) -> Verdict {
    let (group, id) = (&shared.group, &half.id);
    let limit = shared.check_timeout;
    let checked = CheckedMessage::new(half.clone());
    let asking = AssertUnwindSafe(async { (shared.checker)(checked).await });
    match timeout(limit, asking.catch_unwind()).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => {
            tracing::error!(%group, %id, "the checker panicked; it is asked again");
            Verdict::Unknown
        }
        Err(_) => {
            tracing::warn!(%group, %id, ?limit, "the checker took too long; it is asked again");
            Verdict::Unknown
        }
    }
}

/// Writes again what has been held for long, before the broker takes the channel for one that hangs.
pub(super) async fn renew_old(shared: &Arc<Shared>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(shared.renew_after / 4) => {}
            () = shared.ending() => return,
        }
        let Some(since) = now().checked_sub(shared.renew_after) else {
            continue;
        };
        for id in shared.halves.long_held(since) {
            if *shared.ending.borrow() {
                return;
            }
            renew(shared, &id).await;
        }
    }
}

/// Well before the broker's default of 30 minutes.
// rabbitmq-server 3.10: rabbit_channel.erl, evaluate_consumer_timeout
pub(super) const RENEW_AFTER: Duration = Duration::from_secs(5 * 60);
