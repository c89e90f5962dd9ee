//! Telling the broker what became of a half message (37).

use std::sync::Arc;
use std::time::Instant;

use mq_core::{Endpoint, ErrorKind, Outcome};

use super::Shared;
use super::open::Place;
use crate::conn::{Command, Nobody};
use crate::error::{Error, Result};
use crate::producer::half::{is_absent, master};
use crate::producer::retry::SAME_BROKER;
use crate::producer::send;
use crate::proto::command::EndTransaction;
use crate::proto::{Request as _, ResponseCode};

/// A decision, as the broker is asked to carry it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Commit,
    Rollback,
}

impl Decision {
    const fn operation(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Rollback => "rollback",
        }
    }

    const fn number(self) -> i32 {
        match self {
            Self::Commit => EndTransaction::COMMIT,
            Self::Rollback => EndTransaction::ROLLBACK,
        }
    }
}

/// Ends what is under way here, and forgets it.
pub(super) async fn settle(
    shared: &Shared,
    id: &str,
    place: &Place,
    decision: Decision,
) -> Result<()> {
    let producer = &shared.producer;
    let deadline = send::deadline(producer, None);
    let ended = end(shared, id, place, decision, deadline).await;
    // Not before: a question that comes until then must not start the checker.
    let last = shared.open.end(id);
    let asked_meanwhile = last.filter(|last| last != place);
    if ended.is_ok()
        && let Some(copy) = asked_meanwhile
    {
        // The broker stored the half message anew before it heard of the end: as a transaction of its own it would be delivered again. It is
        // behind nothing in the log that this rollback is not behind as well, so that no failover can lose the commit and keep this.
        let deadline = send::deadline(producer, None);
        let cleared = end(shared, id, &copy, Decision::Rollback, deadline).await;
        if let Err(error) = cleared {
            tracing::warn!(unique_id = id, %error, "a copy of a half message whose transaction is ended is left");
        }
    }
    ended
}

/// Has the broker that holds the half message carry out the decision. Asked again only while it surely was not carried out: a broker
/// that commits twice delivers twice, while one that has done neither will ask.
// apache/rocketmq: EndTransactionProcessor looks the half message up in the log, ended or not.
async fn end(
    shared: &Shared,
    id: &str,
    place: &Place,
    decision: Decision,
    deadline: Instant,
) -> Result<()> {
    let (client, operation) = (&shared.producer.client, decision.operation());
    let request = request(shared, id, place, decision.number());
    let mut attempt = 1;
    loop {
        let wait = deadline.saturating_duration_since(client.clock.now());
        let ended = match to(shared, place) {
            Some(to) => {
                let call = client.connections.call(&to, &request, wait, operation);
                call.await.map(drop)
            }
            None => Err(no_address(place, operation)),
        };
        let Err(error) = ended else { return Ok(()) };
        let pause = SAME_BROKER * attempt;
        let in_time = client.clock.now() + pause < deadline;
        if !is_absent(&error) || !in_time || attempt >= shared.producer.max_attempts {
            return Err(told(error, attempt));
        }
        tracing::debug!(unique_id = id, attempt, %error, "{operation} again");
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

/// Tells the broker, which does not answer, that nothing is decided.
pub(super) fn leave_open(shared: &Shared, id: &str, place: &Place) {
    let Some(to) = to(shared, place) else { return };
    let connections = &shared.producer.client.connections;
    let request = request(shared, id, place, EndTransaction::UNKNOWN);
    let body = request.body();
    let command = Command {
        head: connections.identity().encode(&request, &body, true),
        body,
        deadline: send::deadline(&shared.producer, None),
        oneway: true,
        waiter: Box::new(Nobody),
    };
    connections.submit(&to, command);
}

fn request(shared: &Shared, id: &str, place: &Place, decision: i32) -> EndTransaction {
    EndTransaction {
        // A question names the topic of half messages, on which users have no rights.
        topic: Some(Arc::clone(&place.topic)),
        producer_group: Arc::clone(&shared.producer.group),
        half_offset: place.half_offset,
        physical_offset: place.physical_offset,
        decision,
        from_check: Some(place.asked_by.is_some()),
        message_id: id.to_owned(),
        transaction_id: Some(id.to_owned()),
        broker_name: Some(Arc::clone(&place.broker)),
    }
}

/// Who asked, else the broker's master, wherever it is by now.
fn to(shared: &Shared, place: &Place) -> Option<Endpoint> {
    let asked_by = place.asked_by.clone();
    asked_by.or_else(|| master(&shared.producer, &place.topic, &place.broker))
}

fn no_address(place: &Place, operation: &'static str) -> Error {
    let what = format!("no address of broker {} is known", place.broker);
    Error::builder(ErrorKind::Connect, what)
        .operation(operation)
        .build()
}

fn told(error: Error, attempts: u32) -> Error {
    let hint = match (error.outcome(), error.code()) {
        (Outcome::Unknown, _) => "either it is carried out, or the broker will ask the checker",
        (_, Some(&ResponseCode::ILLEGAL_OPERATION)) => {
            "it came later than the time to the first check; the broker will ask the checker"
        }
        _ => "the broker will ask the checker",
    };
    let error = if error.kind() == ErrorKind::Auth {
        error.into_builder()
    } else {
        error.into_builder().hint(hint)
    };
    if attempts > 1 {
        error.attempts(attempts).build()
    } else {
        error.build()
    }
}
