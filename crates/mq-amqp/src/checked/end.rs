//! How a half message ends: forwarded to where it goes, forgotten, put aside, or written again.

use std::time::Duration;

use bytestring::ByteString;
use mq_core::{Clock as _, ErrorKind, Outcome, SystemClock};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::half::{Half, since_epoch};
use super::halves::{Doing, Place};
use super::outgoing::{Failed, Outgoing};
use crate::Message;
use crate::consumer::returns::REASON;
use crate::error::{Error, Result};

/// Sends the message where it goes and forgets the half.
///
/// # Errors
///
/// With the outcome that is known: if it is not `Unknown`, the message was not sent.
pub(super) async fn commit(shared: &Shared, half: &Half, deadline: Instant) -> Result<()> {
    let mut outcome = Outcome::NotSent;
    loop {
        // Before the half is waited for: behind it, each would come to its turn with a half of the channel that the one before has cost.
        let Ok(turn) = timeout_at(deadline, shared.turn()).await else {
            return Err(late(outcome));
        };
        let Some(place) = held(shared, half, Doing::Ending, deadline).await else {
            return Err(not_held(outcome, COMMIT));
        };
        let outgoing = Outgoing {
            message: half.message.clone(),
            exchange: half.exchange.clone(),
            mandatory: half.mandatory,
        };
        let id = half.id.clone();
        let answer = place.lane.forward(outgoing, place.tag, id, true);
        let told = timeout_at(deadline, answer).await;
        drop(turn);
        // What was lost is suspected still.
        if !matches!(told, Ok(Ok(Err(Failed::Lost(_))))) {
            shared.halves.passed();
        }
        match told {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(Failed::Refused(error)))) => return Err(refused(error, outcome)),
            // The half comes again, here or to another publisher of the group.
            Ok(Ok(Err(Failed::Lost(error)))) => {
                if error.outcome() == Outcome::Unknown {
                    outcome = Outcome::Unknown;
                }
            }
            Ok(Err(_)) => outcome = Outcome::Unknown,
            Err(_) => return Err(late(Outcome::Unknown)),
        }
    }
}

/// Forgets the half.
pub(super) async fn rollback(shared: &Shared, half: &Half, deadline: Instant) -> Result<()> {
    if held(shared, half, Doing::Ending, deadline).await.is_none() {
        return Err(not_held(Outcome::NotSent, ROLLBACK));
    }
    shared.halves.end(&half.id, None);
    Ok(())
}

/// Waits for the half to be here, as long as it may come.
async fn held(shared: &Shared, half: &Half, doing: Doing, deadline: Instant) -> Option<Place> {
    let holding = async {
        tokio::select! {
            biased;
            place = shared.halves.hold(&half.id, doing) => place,
            () = shared.cut_off() => None,
        }
    };
    timeout_at(deadline, holding).await.ok().flatten()
}

/// Writes a half again that has been held for long, in the place of what is held.
pub(super) async fn renew(shared: &Shared, id: &ByteString) {
    let Some(place) = shared.halves.try_hold(id, Doing::Renewing) else {
        return;
    };
    if let Some(half) = shared.halves.half(id)
        && let Err(error) = write_again(&half, &place).await
    {
        tracing::warn!(%error, %id, "a half message could not be written again; it stays as it is");
    }
}

async fn write_again(half: &Half, place: &Place) -> Result<()> {
    let queue = place.lane.queue.clone();
    send(half.wrapped(queue), half, place, false).await
}

/// To a queue, and then acknowledges what is held.
async fn send(message: Message, half: &Half, place: &Place, ends: bool) -> Result<()> {
    let outgoing = Outgoing {
        message,
        exchange: ByteString::new(),
        mandatory: true,
    };
    let answer = place
        .lane
        .forward(outgoing, place.tag, half.id.clone(), ends);
    match answer.await {
        Ok(result) => result.map_err(Failed::into_error),
        Err(_) => Err(not_held(Outcome::Unknown, "write again")),
    }
}

/// It is not decided: counted, once more later, or never again. The count is the half's, so that it is waited for if its channel was lost meanwhile.
pub(super) async fn put_off(shared: &Shared, mut half: Half, why: &str) {
    half.checks = half.checks.saturating_add(1);
    half.checked_ms = since_epoch(SystemClock.wall());
    let (id, queue) = (&half.id, &shared.discard);
    let deadline = now_and(shared.timeout);
    if half.checks < shared.max_checks {
        let place = held(shared, &half, Doing::Renewing, deadline).await;
        let Some(place) = place else { return };
        if let Err(error) = write_again(&half, &place).await {
            tracing::warn!(%error, %id, "that a half message was asked about could not be counted");
        }
        return;
    }
    match put_aside(shared, &half, why, deadline).await {
        Ok(()) => tracing::error!(%id, %queue, why, "a half message was put aside"),
        Err(error) => {
            tracing::warn!(%id, %queue, %error, "a half message could not be put aside; its checker is asked again");
        }
    }
}

async fn put_aside(shared: &Shared, half: &Half, why: &str, deadline: Instant) -> Result<()> {
    let Some(place) = held(shared, half, Doing::Ending, deadline).await else {
        return Err(not_held(Outcome::NotSent, "put aside"));
    };
    let mut message = half.wrapped(shared.discard.clone());
    let headers = message.properties_mut().headers.get_or_insert_default();
    headers.insert(REASON, format!("{why}; {} checks", half.checks));
    send(message, half, &place, true).await
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

fn late(outcome: Outcome) -> Error {
    let what = "the broker did not confirm the message of the transaction in time";
    let error = Error::builder(ErrorKind::Timeout, what).operation(COMMIT);
    error.outcome(outcome).hint(ASKED).build()
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
