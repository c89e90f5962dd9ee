//! What a transaction's failures say.

use std::time::Duration;

use mq_core::{ErrorKind, Outcome, Retry};

use crate::error::{Error, Result, invalid};
use crate::tx::{CommitError, Unroutable};

/// The channel was lost while the commit was not written.
pub(super) fn lost_before(why: &Error) -> Error {
    let refused = why.code().is_some() && why.kind() != ErrorKind::Disconnected;
    let outcome = if refused {
        Outcome::Rejected
    } else {
        Outcome::NotSent
    };
    let message = format!("{}; nothing of the transaction is applied", why.message());
    let error = why.clone().into_builder().message(message);
    error.outcome(outcome).build()
}

/// The channel was lost while the commit was to be answered.
pub(super) fn lost_after(why: &Error) -> Error {
    let error = why.clone().into_builder().outcome(Outcome::Unknown);
    // rabbit_channel: complete_tx, when a queue has refused something of it
    if why.message().contains("partial tx completion") {
        return error
            .message("a queue refused messages of the transaction (partial tx completion)")
            .hint("what other queues took, and what was settled, is applied")
            .build();
    }
    let message = format!("{}; the commit was not answered", why.message());
    error
        .message(message)
        .hint("all of the transaction may be applied, or a part, or nothing")
        .build()
}

/// The transaction's own side has let the channel go.
pub(super) fn given_up() -> Error {
    let over = "the transaction's channel was given up";
    Error::builder(ErrorKind::Closed, over).build()
}

pub(super) fn full(messages: usize, bytes: usize) -> Error {
    let limit = format!("a transaction may hold {messages} messages and {bytes} bytes");
    invalid("send", limit)
        .into_builder()
        .hint("commit more often, or allow more: the server holds them in memory until then")
        .build()
}

pub(super) fn not_held() -> Error {
    let stale = "the transaction does not hold the message: it was settled, or received before";
    Error::builder(ErrorKind::Stale, stale)
        .operation("settle")
        .build()
}

// rabbitmq-server: rabbit_stream_queue.erl, "basic.nack and basic.reject not supported by stream queues"
pub(super) fn of_a_stream() -> Error {
    let message = "the message has a stream's header, and streams take nothing back";
    Error::builder(ErrorKind::Unsupported, message)
        .operation("settle")
        .hint("it can be acknowledged")
        .build()
}

pub(super) fn cancelled() -> Error {
    let message = "the server has ended the consumer; its queue was deleted, or is away";
    Error::builder(ErrorKind::NotFound, message)
        .operation("recv")
        .hint("the transaction can still be committed; the next one consumes again")
        .build()
}

pub(super) fn too_late(timeout: Duration, outcome: Outcome, blocked: bool) -> Error {
    let what = match outcome {
        Outcome::NotSent => "the commit could not be written",
        _ => "the commit was not answered",
    };
    let error = Error::builder(ErrorKind::Timeout, format!("{what} within {timeout:?}"));
    let error = error.operation("commit").outcome(outcome);
    match (blocked, outcome) {
        (true, _) => {
            error.hint("the server has blocked publishers, since it is short of memory or disk")
        }
        (_, Outcome::NotSent) => error.hint("nothing of the transaction is applied"),
        _ => error.hint("all of the transaction may be applied, or a part, or nothing"),
    }
    .build()
}

/// The commit is answered: a failure, if something came back.
pub(super) fn judge(returned: Vec<(Unroutable, Error)>) -> Result<(), CommitError> {
    let Some((_, first)) = returned.first() else {
        return Ok(());
    };
    let more = match returned.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more messages are like it"),
    };
    let message = format!(
        "{}{more}; the rest of the transaction is applied",
        first.message()
    );
    let error = first.clone().into_builder().message(message);
    let error = error
        .operation("commit")
        .outcome(Outcome::Unknown)
        .retry(Retry::Never)
        .hint("publish what came back where it is taken; committing all of it again would apply the rest twice");
    Err(CommitError::new(error.build(), returned))
}
