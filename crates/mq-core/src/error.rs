//! Errors that say what failed, where, whether the broker may have applied it, and whether to try again.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// What became of something that was to reach the broker and did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The broker answered and said no: it is not applied.
    Rejected,
    /// Nothing left the process: it is not applied.
    NotSent,
    /// Bytes left the process and no answer came: it may or may not be applied. Sending again may apply it twice; the copy then
    /// carries the same unique id.
    Unknown,
}

impl Outcome {
    /// The word used in machine-readable output: `rejected`, `not_sent` or `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the same call is worth making again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// It would fail again: something has to be changed first.
    Never,
    /// It may succeed after a pause.
    Later,
}

/// What kind of failure it was: for `match`, exit codes and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument, message or option is not acceptable; found before any byte left.
    Invalid,
    /// No connection could be made.
    Connect,
    /// An established connection broke.
    Disconnected,
    /// Time ran out.
    Timeout,
    /// Login or permission refused.
    Auth,
    /// The topic, group or queue does not exist.
    NotFound,
    /// The broker said no for another reason.
    Rejected,
    /// The broker is overloaded or limits the rate.
    Busy,
    /// The peer sent something that is not the protocol.
    Protocol,
    /// The broker can't do this.
    Unsupported,
    /// The client, producer or consumer is closed.
    Closed,
    /// A delivery's queue or lease is no longer this consumer's.
    Stale,
}

impl ErrorKind {
    /// The word used in machine-readable output, such as `timeout`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Connect => "connect",
            Self::Disconnected => "disconnected",
            Self::Timeout => "timeout",
            Self::Auth => "auth",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::Busy => "busy",
            Self::Protocol => "protocol",
            Self::Unsupported => "unsupported",
            Self::Closed => "closed",
            Self::Stale => "stale",
        }
    }

    const fn retry(self) -> Retry {
        match self {
            Self::Connect | Self::Disconnected | Self::Timeout | Self::Busy => Retry::Later,
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed operation; `Code` is the protocol's own error code.
///
/// `Display` is one lower-case line: operation, what failed, endpoint, hint. The alternate form (`{:#}`) adds the chain of causes.
#[derive(Clone)]
pub struct Error<Code> {
    inner: Box<ErrorBuilder<Code>>,
}

/// The parts of an [`Error`], while it is put together.
#[must_use]
#[derive(Debug, Clone)]
pub struct ErrorBuilder<Code> {
    kind: ErrorKind,
    message: String,
    code: Option<Code>,
    outcome: Outcome,
    retry: Retry,
    operation: &'static str,
    endpoint: Option<String>,
    hint: Option<String>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl<Code> Error<Code> {
    /// Starts an error. `message` is one line in lower case, without a full stop and without a secret.
    pub fn builder(kind: ErrorKind, message: impl Into<String>) -> ErrorBuilder<Code> {
        ErrorBuilder {
            kind,
            message: message.into(),
            code: None,
            outcome: Outcome::NotSent,
            retry: kind.retry(),
            operation: "",
            endpoint: None,
            hint: None,
            source: None,
        }
    }

    /// The kind of failure.
    pub const fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The broker's own code, if it answered.
    pub const fn code(&self) -> Option<&Code> {
        self.inner.code.as_ref()
    }

    /// Whether the broker may have applied what was asked.
    pub const fn outcome(&self) -> Outcome {
        self.inner.outcome
    }

    /// Whether the same call is worth making again.
    pub const fn retry(&self) -> Retry {
        self.inner.retry
    }

    /// What was being done, such as `send` or `connect`.
    pub const fn operation(&self) -> &'static str {
        self.inner.operation
    }

    /// The server it concerns, as `host:port`, where there is one.
    pub fn endpoint(&self) -> Option<&str> {
        self.inner.endpoint.as_deref()
    }

    /// What failed, without operation, endpoint and hint.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// Opens the error again, to add what only the caller knows.
    pub fn into_builder(self) -> ErrorBuilder<Code> {
        *self.inner
    }
}

impl<Code> ErrorBuilder<Code> {
    /// Replaces what failed.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The broker's own code.
    pub fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Says how many attempts were made, behind what failed.
    pub fn attempts(mut self, count: u32) -> Self {
        let _ = write!(self.message, " (attempt {count})");
        self
    }

    /// Whether it may have been applied; default [`Outcome::NotSent`].
    pub const fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Whether to try again; the default follows from the kind.
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// What was being done.
    pub const fn operation(mut self, operation: &'static str) -> Self {
        self.operation = operation;
        self
    }

    /// The server it concerns.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// What to do about it: one clause in lower case.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The cause.
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The finished error.
    pub fn build(self) -> Error<Code> {
        Error {
            inner: Box::new(self),
        }
    }
}

impl<Code> From<ErrorBuilder<Code>> for Error<Code> {
    fn from(builder: ErrorBuilder<Code>) -> Self {
        builder.build()
    }
}

impl<Code: fmt::Display> fmt::Display for Error<Code> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        if !inner.operation.is_empty() {
            write!(f, "{}: ", inner.operation)?;
        }
        f.write_str(&inner.message)?;
        if let Some(code) = &inner.code {
            write!(f, " ({code})")?;
        }
        if let Some(endpoint) = &inner.endpoint {
            write!(f, " at {endpoint}")?;
        }
        if let Some(hint) = &inner.hint {
            write!(f, "; {hint}")?;
        }
        if f.alternate() {
            let mut cause = inner
                .source
                .as_deref()
                .map(|source| -> &dyn StdError { source });
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

/// The chain on one line, as `main` prints it when it returns an error; the alternate form (`{:#?}`) shows every part.
impl<Code: fmt::Debug + fmt::Display> fmt::Debug for Error<Code> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        if !f.alternate() {
            return write!(f, "{self:#}");
        }
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("operation", &inner.operation)
            .field("message", &inner.message)
            .field("code", &inner.code)
            .field("outcome", &inner.outcome)
            .field("retry", &inner.retry)
            .field("endpoint", &inner.endpoint)
            .field("hint", &inner.hint)
            .field("source", &inner.source)
            .finish()
    }
}

impl<Code: fmt::Debug + fmt::Display> StdError for Error<Code> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner
            .source
            .as_deref()
            .map(|source| -> &(dyn StdError + 'static) { source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Error<i32> {
        Error::builder(ErrorKind::Timeout, "no answer within 3 s")
            .operation("send")
            .endpoint("127.0.0.1:10911")
            .outcome(Outcome::Unknown)
            .hint("the copy you send again carries the same unique id")
            .source("outer")
            .build()
    }

    #[test]
    fn display_is_one_line_and_the_alternate_form_has_the_chain() {
        assert_eq!(
            sample().to_string(),
            "send: no answer within 3 s at 127.0.0.1:10911; the copy you send again carries the same unique id"
        );
        assert!(format!("{:#}", sample()).ends_with(": outer"));
    }

    #[test]
    fn debug_is_what_main_prints_and_its_alternate_form_shows_the_parts() {
        assert_eq!(format!("{:?}", sample()), format!("{:#}", sample()));
        assert!(format!("{:#?}", sample()).contains("outcome: Unknown"));
    }

    #[test]
    fn retry_follows_from_the_kind() {
        assert_eq!(sample().retry(), Retry::Later);
        assert_eq!(
            Error::<i32>::builder(ErrorKind::Auth, "no").build().retry(),
            Retry::Never
        );
    }
}
