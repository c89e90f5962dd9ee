//! The crate's errors, and how an answer becomes one.

use std::fmt;

use hyper::StatusCode;
use mq_core::{ErrorBuilder, ErrorKind, Outcome, Retry};

use crate::conn::Failure;
use crate::proto::Envelope;
pub use crate::proto::ErrorCode;
use crate::proto::limits::Refusal;

/// What went wrong: kind, the service's code, whether it may have been applied, whether to try again.
///
/// What is found before sending has kind `Invalid`, outcome `NotSent` and the code with which the service would have answered.
pub type Error = mq_core::Error<ErrorCode>;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A send that did not succeed, with the message given back: a [`Message`](crate::Message), or a
/// [`TopicMessage`](crate::TopicMessage).
#[non_exhaustive]
pub struct SendError<M = crate::Message> {
    /// What failed.
    pub error: Error,
    /// The message, as it was given.
    pub message: Box<M>,
}

impl<M> SendError<M> {
    pub(crate) fn new(error: Error, message: M) -> Self {
        Self {
            error,
            message: Box::new(message),
        }
    }

    /// Whether the service may have the message.
    pub const fn outcome(&self) -> Outcome {
        self.error.outcome()
    }
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl<M> std::error::Error for SendError<M> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl<M> From<SendError<M>> for Error {
    fn from(failed: SendError<M>) -> Self {
        failed.error
    }
}

/// An argument that can't be accepted.
pub(crate) fn invalid<C>(operation: &'static str, message: impl Into<String>) -> mq_core::Error<C> {
    mq_core::Error::builder(ErrorKind::Invalid, message)
        .operation(operation)
        .build()
}

/// The client is closed.
pub(crate) fn closed<C>(operation: &'static str) -> mq_core::Error<C> {
    mq_core::Error::builder(ErrorKind::Closed, "the client is closed")
        .operation(operation)
        .build()
}

/// There was no answer of the protocol.
pub(crate) fn not_the_protocol<C>(
    operation: &'static str,
    endpoint: &str,
    message: impl Into<String>,
) -> ErrorBuilder<C> {
    mq_core::Error::builder(ErrorKind::Protocol, message)
        .operation(operation)
        .endpoint(endpoint)
        .outcome(Outcome::Unknown)
}

/// The service answers 200 whatever it has to say: this is something before it, which may have passed the request on.
pub(crate) fn other_status<C>(
    operation: &'static str,
    endpoint: &str,
    status: StatusCode,
) -> mq_core::Error<C> {
    let error = not_the_protocol(operation, endpoint, format!("HTTP status {status}"));
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        error.retry(Retry::Later).build()
    } else {
        error
            .hint("check host, port and path: this may not be a CMQ endpoint")
            .build()
    }
}

/// There is no answer.
pub(crate) fn failed<C>(
    operation: &'static str,
    endpoint: &str,
    failure: Failure,
) -> mq_core::Error<C> {
    let error = |kind, message: &str| {
        let error = mq_core::Error::builder(kind, message).operation(operation);
        error.endpoint(endpoint)
    };
    match failure {
        Failure::Connect(cause) => error(ErrorKind::Connect, "no connection")
            .source(cause)
            .build(),
        Failure::Timeout { sent: false } => {
            error(ErrorKind::Timeout, "no connection in time").build()
        }
        Failure::Timeout { sent: true } => error(ErrorKind::Timeout, "no answer in time")
            .outcome(Outcome::Unknown)
            .build(),
        Failure::Broken(cause) => error(
            ErrorKind::Disconnected,
            "the connection broke before the answer was there",
        )
        .outcome(Outcome::Unknown)
        .source(cause)
        .build(),
        Failure::TooLarge => not_the_protocol(
            operation,
            endpoint,
            "the answer is larger than any of CMQ's",
        )
        .build(),
        Failure::Unwritable(what) => error(ErrorKind::Invalid, &what.to_string()).build(),
        Failure::Closed => closed(operation),
    }
}

/// What the service would refuse, refused here.
pub(crate) fn refused(operation: &'static str, refusal: Refusal) -> Error {
    let error = Error::builder(ErrorKind::Invalid, refusal.message).operation(operation);
    let error = match refusal.code.hint() {
        Some(hint) => error.hint(hint),
        None => error,
    };
    error.code(refusal.code).build()
}

/// The service said no.
pub(crate) fn rejected(
    operation: &'static str,
    endpoint: &str,
    code: ErrorCode,
    answer: &Envelope,
) -> Error {
    let retry = if code.is_retryable() {
        Retry::Later
    } else {
        Retry::Never
    };
    let told = words(answer.text(), code.text(), &answer.request_id);
    let mut error = Error::builder(code.kind(), told)
        .code(code)
        .operation(operation)
        .endpoint(endpoint)
        .outcome(Outcome::Rejected)
        .retry(retry);
    if let Some(hint) = code.hint() {
        error = error.hint(hint);
    }
    error.build()
}

/// The service's own words on one line of at most 300 characters, or what is known of its code; its request id, by which its support finds the
/// request.
pub(crate) fn words(message: &str, meaning: Option<&str>, request_id: &str) -> String {
    let clean = |text: &str, most: usize| -> String {
        let line = text.lines().next().unwrap_or_default().trim();
        line.chars()
            .filter(|c| !c.is_control())
            .take(most)
            .collect()
    };
    let mut text = clean(message, 300);
    if text.is_empty() {
        meaning
            .unwrap_or("the service refused")
            .clone_into(&mut text);
    }
    let request_id = clean(request_id, 64);
    if !request_id.is_empty() {
        text.push_str(" [request ");
        text.push_str(&request_id);
        text.push(']');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_with_code_hint_and_request() {
        let answer = Envelope {
            code: 4440,
            message: "(10100)queue is not existed, or deleted\nmore".into(),
            request_id: "77".into(),
        };
        let code = answer.error().unwrap();
        let error = rejected("send", "h:1", code, &answer);
        assert_eq!(
            error.to_string(),
            "send: queue is not existed, or deleted [request 77] (4440/10100 QUEUE_NOT_FOUND) at h:1; \
             create the queue, or check its name and the region of the endpoint"
        );
        assert_eq!(error.outcome(), Outcome::Rejected);
    }
}
