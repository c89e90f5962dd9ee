//! What a producer's failures say.

use mq_core::{ErrorKind, Outcome, Retry};

use crate::error::Error;

pub(super) fn timed_out(outcome: Outcome) -> Error {
    let what = match outcome {
        Outcome::NotSent => "the message could not be sent in its time",
        _ => "the broker did not confirm the message in its time",
    };
    let error = Error::builder(ErrorKind::Timeout, what);
    let error = error.operation("send").outcome(outcome);
    match outcome {
        Outcome::NotSent => error.build(),
        _ => error
            .hint("it may be stored; with deduplication on, the same sequence id is stored once")
            .build(),
    }
}

pub(super) fn full(window: usize) -> Error {
    let message = format!("{window} messages are under way, as many as may be, or as many bytes");
    Error::builder(ErrorKind::Busy, message)
        .operation("send")
        .retry(Retry::Later)
        .build()
}
