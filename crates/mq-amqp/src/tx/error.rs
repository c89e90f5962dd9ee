//! What became of a commit that did not succeed.

use std::fmt;

use bytestring::ByteString;
use mq_core::{ErrorKind, Outcome};

use crate::Message;
use crate::error::Error;

/// A commit that did not succeed, or not with everything.
#[non_exhaustive]
pub struct CommitError {
    /// What failed.
    pub error: Error,
    /// What no queue took, in the order in which it was published, of a commit that was answered: the rest is applied. Empty where it is not known what became of
    /// the rest.
    pub unroutable: Vec<Unroutable>,
}

/// A message that no queue took, with the id under which it was published.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Unroutable {
    /// The exchange that it was published to; the default one has no name.
    pub exchange: ByteString,
    /// The message.
    pub message: Message,
}

impl CommitError {
    pub(super) fn new(error: Error, returned: Vec<(Unroutable, Error)>) -> Self {
        let unroutable = returned.into_iter().map(|(unrouted, _)| unrouted).collect();
        Self { error, unroutable }
    }

    /// What is known of the transaction: `NotSent` and `Rejected` say that nothing of it is applied, `Unknown` that something may be, or is.
    pub const fn outcome(&self) -> Outcome {
        self.error.outcome()
    }

    /// What kind of failure it was.
    pub const fn kind(&self) -> ErrorKind {
        self.error.kind()
    }
}

impl fmt::Debug for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitError")
            .field("error", &self.error)
            .field("unroutable", &self.unroutable)
            .finish()
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl From<Error> for CommitError {
    fn from(error: Error) -> Self {
        Self {
            error,
            unroutable: Vec::new(),
        }
    }
}

impl From<CommitError> for Error {
    fn from(failed: CommitError) -> Self {
        failed.error
    }
}
