//! How a half message ends: forwarded to where it goes, forgotten, put aside, or written again.

use std::time::Duration;

use bytestring::ByteString;
use mq_core::{Clock as _, ErrorKind, Outcome, SystemClock};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::half::{Half, since_epoch};
use super::halves::{Doing, Place};
use super::outgoing::{Failed, Outgoing};
use crate::consumer::returns::REASON;
use crate::error::{Error, Result};
use crate::topology::Queue;

/// Sends the message where it goes and forgets the half.
///
/// # Errors
///
/// With the outcome that is known: if it is not `Unknown`, the message was not sent.
pub(super) async fn commit(shared: &Shared, half: &Half, deadline: Instant) -> Result<()> {
    let mut outcome = Outcome::NotSent;
    loop {
        let _turn = shared.turn().await;
        let Some(place) = held(shared, half, deadline).await else {
            return Err(not_held(outcome, COMMIT));
        };
        let outgoing = Outgoing {
            message: half.message.clone(),
            exchange: half.exchange.clone(),
            mandatory: half.mandatory,
        };
        let answer = place.lane.forward(outgoing, place.tag, half.id.clone());
        match timeout_at(deadline, answer).await {
            Ok(Ok(Ok(()))) => {
                shared.halves.passed();
                return Ok(());
            }
            Ok(Ok(Err(Failed::Refused(error)))) => {
                shared.halves.passed();
                return Err(refused(error, outcome));
            }
            // The half comes again, here or to another publisher of the group.
            Ok(Ok(Err(Failed::Lost(error)))) => {
                if error.outcome() == Outcome::Unknown {
                    outcome = Outcome::Unknown;
                }
            }
            Ok(Err(_)) => outcome = Outcome::Unknown,
            Err(_) => {
                let what = "the broker did not confirm the message of the transaction in time";
                let error = Error::builder(ErrorKind::Timeout, what).operation(COMMIT);
                return Err(error.outcome(Outcome::Unknown).hint(ASKED).build());
            }
        }
    }
}

/// Forgets the half.
pub(super) async fn rollback(shared: &Shared, half: &Half, deadline: Instant) -> Result<()> {
    let Some(place) = held(shared, half, deadline).await else {
        return Err(not_held(Outcome::NotSent, ROLLBACK));
    };
    // First this: a copy of it that comes now is not asked about.
    shared.halves.end(&half.id);
    place.lane.ack(place.tag);
    Ok(())
}

/// Waits for the half to be here, as long as it may come.
async fn held(shared: &Shared, half: &Half, deadline: Instant) -> Option<Place> {
    let holding = async {
        tokio::select! {
            biased;
            place = shared.halves.hold(&half.id, Doing::Ending) => place,
            () = shared.cut_off() => None,
        }
    };
    timeout_at(deadline, holding).await.ok().flatten()
}

/// Writes a half again, in the place of the one that is held.
pub(super) async fn renew(shared: &Shared, half: &Half) {
    let Some(place) = shared.halves.try_hold(&half.id, Doing::Renewing) else {
        return;
    };
    let queue = place.lane.queue.clone();
    let outgoing = Outgoing {
        message: half.wrapped(queue),
        exchange: ByteString::new(),
        mandatory: true,
    };
    let answer = place
        .lane
        .forward(outgoing, place.tag, half.id.clone())
        .await;
    if let Ok(Err(failed)) = answer {
        let error = failed.into_error();
        tracing::warn!(%error, id = %half.id, "a half message could not be written again; it stays as it is");
    }
}

/// It is not decided: once more later, or never again.
pub(super) async fn put_off(shared: &Shared, mut half: Half, why: &str) {
    half.checks = half.checks.saturating_add(1);
    half.checked_ms = since_epoch(SystemClock.wall());
    if half.checks < shared.max_checks {
        shared
            .halves
            .asked(&half.id, now_and(shared.check_interval));
        return renew(shared, &half).await;
    }
    let put_aside = put_aside(shared, &half, why).await;
    let (id, queue) = (&half.id, &shared.discard);
    match put_aside {
        Ok(()) => tracing::error!(%id, %queue, why, "a half message was put aside"),
        Err(error) => {
            tracing::warn!(%id, %queue, %error, "a half message could not be put aside; its checker is asked again");
        }
    }
    shared
        .halves
        .asked(&half.id, now_and(shared.check_interval));
}

async fn put_aside(shared: &Shared, half: &Half, why: &str) -> Result<()> {
    let queue = Queue::classic(shared.discard.clone());
    shared.client.ensure_queue(&queue).await?;
    let Some(place) = shared.halves.try_hold(&half.id, Doing::Ending) else {
        return Err(not_held(Outcome::NotSent, "put aside"));
    };
    let mut message = half.wrapped(shared.discard.clone());
    let headers = message.properties_mut().headers.get_or_insert_default();
    headers.insert(REASON, format!("{why}; {} checks", half.checks));
    let outgoing = Outgoing {
        message,
        exchange: ByteString::new(),
        mandatory: true,
    };
    match place
        .lane
        .forward(outgoing, place.tag, half.id.clone())
        .await
    {
        Ok(result) => result.map_err(Failed::into_error),
        Err(_) => Err(not_held(Outcome::Unknown, "put aside")),
    }
}

pub(super) fn now_and(time: Duration) -> Instant {
    crate::conn::now() + time.min(LONGEST)
}

/// The message was not taken, this time.
fn refused(error: Error, before: Outcome) -> Error {
    let outcome = match before {
        Outcome::Unknown => Outcome::Unknown,
        _ => Outcome::Rejected,
    };
    let error = error.into_builder().operation(COMMIT).outcome(outcome);
    error.hint(ASKED).build()
}

fn not_held(outcome: Outcome, operation: &'static str) -> Error {
    let what = "the half message is not held any more: its channel was lost, and it did not come again in time";
    Error::builder(ErrorKind::Stale, what)
        .operation(operation)
        .outcome(outcome)
        .hint(ASKED)
        .build()
}

const COMMIT: &str = "commit";
const ROLLBACK: &str = "rollback";
const ASKED: &str = "a publisher of the group asks its checker, which decides";
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
