//! What a publisher's failures say.

use std::time::Duration;

use mq_core::{ErrorKind, Outcome, Retry};

use crate::error::{Error, ReplyCode};
use crate::proto::BasicReturn;

pub(crate) fn unroutable(told: &BasicReturn) -> Error {
    let message = match &*told.exchange {
        "" => format!("there is no queue \"{}\"", told.routing_key),
        exchange => format!(
            "no queue takes routing key \"{}\" from exchange \"{exchange}\"",
            told.routing_key
        ),
    };
    Error::builder(ErrorKind::NotFound, message)
        .code(ReplyCode(told.reply_code))
        .operation("send")
        .outcome(Outcome::Rejected)
        .hint(
            "bind a queue for this key, or publish it as not mandatory if nobody needs to take it",
        )
        .build()
}

pub(crate) fn nacked() -> Error {
    Error::builder(ErrorKind::Rejected, "the broker did not take the message")
        .operation("send")
        .outcome(Outcome::Rejected)
        .retry(Retry::Later)
        .hint("a queue is full and refuses, or failed")
        .build()
}

pub(crate) fn headers_too_large(length: usize, frame_max: usize) -> Error {
    Error::builder(
        ErrorKind::Invalid,
        format!("properties and headers take {length} bytes, where a frame holds {frame_max}"),
    )
    .operation("send")
    .hint("put what is large into the body, or let both sides allow larger frames (frame_max)")
    .build()
}

pub(crate) fn timed_out(timeout: Option<Duration>, outcome: Outcome, blocked: bool) -> Error {
    let what = match outcome {
        Outcome::NotSent => "the message could not be sent",
        _ => "the broker did not confirm the message",
    };
    let message = match timeout {
        Some(timeout) => format!("{what} within {timeout:?}"),
        None => format!("{what} in its time"),
    };
    let error = Error::builder(ErrorKind::Timeout, message);
    let error = error.operation("send").outcome(outcome);
    match (blocked, outcome) {
        (true, _) => error
            .hint("the broker has blocked publishers, since it is short of memory or disk")
            .build(),
        (false, Outcome::NotSent) => error.build(),
        (false, _) => error
            .hint("it may be stored; sent again, it carries the same id")
            .build(),
    }
}

/// Whether the server closed the channel because of something that was published.
pub(crate) fn blames(why: &Error) -> bool {
    why.outcome() == Outcome::Rejected && why.kind() != ErrorKind::Disconnected
}
