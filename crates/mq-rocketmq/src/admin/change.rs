//! What became of a change that several servers have to carry out.

use std::collections::BTreeSet;
use std::fmt;

use mq_core::{ErrorKind, Outcome, Retry};

use crate::error::{Error, Result};

/// A change that every broker concerned has carried out; made by [`Admin`](super::Admin).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed {
    /// The topic or group, without the client's namespace.
    pub name: String,
    /// The names of the brokers where it now is as it was asked for, sorted.
    pub brokers: Vec<String>,
}

/// A change that was not carried out, or not everywhere. With `?` it becomes its [`Error`].
#[derive(Clone)]
#[non_exhaustive]
pub struct ChangeError {
    /// What failed: the operation, the server, and why. A refusal comes before other failures, and what can't be mended by trying again
    /// before what can. Its message also tells what is done and what else failed.
    pub error: Error,
    /// Who has carried it out: brokers by name, nameservers by endpoint, sorted. Every change may be made again: what is done stays as it is.
    pub done: Vec<String>,
    /// Who has not, or perhaps, named in the same way.
    pub failed: Vec<String>,
}

impl ChangeError {
    /// Whether the change may stand somewhere: some servers have carried it out, or one did not answer.
    pub fn is_partial(&self) -> bool {
        !self.done.is_empty() || self.error.outcome() == Outcome::Unknown
    }
}

impl From<Error> for ChangeError {
    /// Nothing was changed yet.
    fn from(error: Error) -> Self {
        Self {
            error,
            done: Vec::new(),
            failed: Vec::new(),
        }
    }
}

impl From<ChangeError> for Error {
    fn from(failed: ChangeError) -> Self {
        failed.error
    }
}

impl fmt::Debug for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeError")
            .field("error", &self.error)
            .field("done", &self.done)
            .field("failed", &self.failed)
            .finish()
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for ChangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

/// Who has done it so far, and who has not.
#[derive(Debug, Default)]
pub(super) struct Progress {
    done: BTreeSet<String>,
    failed: Vec<(String, Error)>,
}

impl Progress {
    /// One more server has answered, or not. Who fails once has not done it.
    pub(super) fn note<T>(&mut self, server: &str, result: Result<T>) {
        match result {
            Ok(_) if !self.failed.iter().any(|(name, _)| name == server) => {
                self.done.insert(server.to_owned());
            }
            Ok(_) => {}
            Err(error) => {
                self.done.remove(server);
                self.failed.push((server.to_owned(), error));
            }
        }
    }

    pub(super) const fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Who has done it, or what went wrong.
    pub(super) fn end(mut self) -> Result<Vec<String>, ChangeError> {
        let done: Vec<String> = self.done.into_iter().collect();
        self.failed.sort_by_key(|(_, error)| {
            (
                error.kind() != ErrorKind::Auth,
                error.retry() != Retry::Never,
            )
        });
        let unknown = self
            .failed
            .iter()
            .any(|(_, error)| error.outcome() == Outcome::Unknown);
        let mut failed = self.failed.into_iter();
        let Some((first, error)) = failed.next() else {
            return Ok(done);
        };
        let mut others: Vec<String> = failed.map(|(name, _)| name).collect();
        let mut seen = BTreeSet::from([first.clone()]);
        others.retain(|name| seen.insert(name.clone()));
        let mut message = format!("{first}: {}", error.message());
        if !others.is_empty() {
            message = format!("{message}, and failed too at {}", others.join(", "));
        }
        if !done.is_empty() {
            message = format!("{message}, but done at {}", done.join(", "));
        }
        let outcome = if unknown {
            Outcome::Unknown
        } else {
            error.outcome()
        };
        let builder = error.into_builder().message(message).outcome(outcome);
        others.push(first);
        others.sort_unstable();
        Err(ChangeError {
            error: builder.build(),
            done,
            failed: others,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: ErrorKind, outcome: Outcome) -> Result<()> {
        Err(Error::builder(kind, "no")
            .operation("create topic")
            .outcome(outcome)
            .build())
    }

    #[test]
    fn a_part_that_is_done_is_told_with_the_worst_failure() {
        let mut progress = Progress::default();
        progress.note("c", Ok(()));
        progress.note("a", Ok(()));
        progress.note("a", failure(ErrorKind::Timeout, Outcome::Unknown));
        progress.note("d", failure(ErrorKind::Rejected, Outcome::Rejected));
        progress.note("b", failure(ErrorKind::Auth, Outcome::Rejected));
        progress.note("b", Ok(()));
        let failed = progress.end().unwrap_err();
        assert_eq!(failed.error.kind(), ErrorKind::Auth);
        assert_eq!(failed.error.outcome(), Outcome::Unknown);
        assert_eq!(
            failed.to_string(),
            "create topic: b: no, and failed too at d, a, but done at c"
        );
        assert_eq!(failed.failed, ["a", "b", "d"]);
        assert!(failed.done == ["c"] && failed.is_partial());
    }

    #[test]
    fn nothing_done_is_nothing_partial() {
        let mut progress = Progress::default();
        progress.note("a", failure(ErrorKind::Auth, Outcome::Rejected));
        let failed = progress.end().unwrap_err();
        assert!(!failed.is_partial());
        let mut progress = Progress::default();
        progress.note("b", Ok(()));
        progress.note("a", Ok(()));
        assert_eq!(progress.end().unwrap(), ["a", "b"]);
    }
}
