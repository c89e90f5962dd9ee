//! How the command ends: exit codes, and what is said of a failure.

use std::fmt;
use std::io;
use std::process::ExitCode;

use mq_core::ErrorKind;

use crate::adapter;

/// What the exit code says. Scripts rely on these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Partial = 3,
    Refused = 4,
    TimedOut = 5,
}

/// What ended the command before it was done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line can't be carried out.
    Usage(String),
    /// A client's error.
    Broker(adapter::Error),
    /// Reading or writing here failed: what was being done, and why.
    Local(String, io::Error),
    /// Whoever read the output has gone.
    ClosedPipe,
}

impl Exit {
    /// The code for one error. What became of a message is a send's own to judge.
    pub(crate) fn of(error: &adapter::Error) -> Self {
        match error.kind() {
            ErrorKind::Auth => Self::Refused,
            ErrorKind::Invalid => Self::Usage,
            ErrorKind::Timeout => Self::TimedOut,
            _ => Self::Failed,
        }
    }
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Broker(error) => Exit::of(error),
            Self::Local(..) => Exit::Failed,
            Self::ClosedPipe => Exit::Done,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Broker(error) => write!(f, "{error:#}"),
            Self::Local(what, cause) => write!(f, "{what}: {cause}"),
            Self::ClosedPipe => f.write_str("the output was closed"),
        }
    }
}

impl From<adapter::Error> for Failure {
    fn from(error: adapter::Error) -> Self {
        Self::Broker(error)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Hides the user part of anything that looks like a URL: what the argument parser quotes may hold a secret.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after
            .find(|c: char| c.is_whitespace() || c == '\'')
            .unwrap_or(after.len());
        let (address, tail) = after.split_at(end);
        match address.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str("***@");
                out.push_str(host);
            }
            None => out.push_str(address),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_from_the_kind() {
        for (kind, exit) in [
            (ErrorKind::Auth, Exit::Refused),
            (ErrorKind::Invalid, Exit::Usage),
            (ErrorKind::Timeout, Exit::TimedOut),
            (ErrorKind::Connect, Exit::Failed),
            (ErrorKind::NotFound, Exit::Failed),
        ] {
            let error = mq_rocketmq::Error::builder(kind, "no").build();
            assert_eq!(Exit::of(&error.into()), exit, "{kind}");
        }
    }

    #[test]
    fn urls_lose_their_user_part() {
        let text = "error: unexpected argument 'rocketmq://ak:s@c/r@h:1/ns' found, not http://x";
        assert_eq!(
            redact(text),
            "error: unexpected argument 'rocketmq://***@h:1/ns' found, not http://x"
        );
    }
}
