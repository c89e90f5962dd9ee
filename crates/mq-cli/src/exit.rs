//! How the command ends: exit codes, and what is said of a failure.

use std::ffi::{OsStr, OsString};
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
    /// A change that may stand in a part of the places where it should.
    Partial(adapter::Error),
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
            Self::Partial(_) => Exit::Partial,
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
            Self::Partial(error) => {
                write!(
                    f,
                    "{error:#}; the same command again completes what is missing"
                )
            }
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

impl From<adapter::Unchanged> for Failure {
    fn from(failed: adapter::Unchanged) -> Self {
        if failed.partial {
            Self::Partial(failed.error)
        } else {
            Self::Broker(failed.error)
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Hides what was typed and may be a secret, in a text that quotes what was typed. What nobody typed stays, such as the placeholders of a
/// help text.
pub(crate) fn redact(text: &str, typed: &[OsString]) -> String {
    let mut text = text.to_owned();
    let typed_secrets = typed.iter().flat_map(|argument| secrets(argument));
    for (secret, mask) in typed_secrets.chain(tokens(typed)) {
        // Some texts quote as `{:?}` does.
        let quoted = format!("{secret:?}");
        let quoted = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        text = text.replace(&secret, mask).replace(quoted, mask);
    }
    text
}

/// The values of `--token`.
fn tokens(typed: &[OsString]) -> impl Iterator<Item = (String, &'static str)> {
    let values = typed.windows(2).filter_map(|pair| match pair {
        [flag, value] if flag == TOKEN => Some(value.to_string_lossy().into_owned()),
        _ => None,
    });
    let joined = typed.iter().filter_map(|argument| {
        let argument = argument.to_string_lossy();
        let value = argument.strip_prefix(TOKEN)?.strip_prefix('=')?;
        Some(value.to_owned())
    });
    let values = values.chain(joined).filter(|value| !value.is_empty());
    values.map(|value| (value, "***"))
}

const TOKEN: &str = "--token";

/// What an argument may give away, and what to put in its place: everything before the last `@`; and of an address without one, where the
/// host may have been forgotten, all.
fn secrets(argument: &OsStr) -> Vec<(String, &'static str)> {
    let argument = argument.to_string_lossy();
    // `--flag=value`: either the whole or the value is quoted.
    let value = argument.split_once('=').map(|(_, value)| value);
    let mut found = Vec::new();
    for text in std::iter::once(&*argument).chain(value) {
        let address = text.split_once("://").map(|(_, address)| address);
        let user = address.unwrap_or(text).rsplit_once('@');
        match (user, address) {
            (Some(("", _)), _) | (None, None | Some("")) => {}
            (Some((user, _)), _) => found.push((format!("{user}@"), "***@")),
            (None, Some(address)) => found.push((format!("://{address}"), "://***")),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use mq_core::Outcome;

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
    fn a_change_that_stands_in_part_is_3_whatever_failed() {
        for (outcome, exit) in [(Outcome::Rejected, 4), (Outcome::Unknown, 3)] {
            let error = mq_rocketmq::Error::builder(ErrorKind::Auth, "no").outcome(outcome);
            let unchanged: adapter::Unchanged =
                mq_rocketmq::ChangeError::from(error.build()).into();
            assert_eq!(Failure::from(unchanged).exit() as u8, exit, "{outcome}");
        }
    }

    #[test]
    fn what_was_typed_loses_its_secret_and_what_was_not_stays() {
        let help = "--url <URL>  rocketmq://[access:secret@]host:9876[;host2:9876]";
        for (typed, text, redacted) in [
            (
                "rocketmq://ak:s@c/r@h:1/ns",
                "unexpected argument 'rocketmq://ak:s@c/r@h:1/ns' found",
                "unexpected argument 'rocketmq://***@h:1/ns' found",
            ),
            (
                "rocketmq://ak:with a blank@h:1",
                "'rocketmq://ak:with a blank@h:1' found",
                "'rocketmq://***@h:1' found",
            ),
            ("ak:key@h:1", "argument 'ak:key@h:1'", "argument '***@h:1'"),
            (
                "--count=ak:key@h:1",
                "invalid value 'ak:key@h:1' for '--count <N>'",
                "invalid value '***@h:1' for '--count <N>'",
            ),
            (
                r#"r://ak:"\@h"#,
                r#"-p "r://ak:\"\\@h" is not"#,
                r#"-p "r://***@h" is not"#,
            ),
            // The host was forgotten.
            (
                "rocketmq://ak:key",
                "'rocketmq://ak:key'",
                "'rocketmq://***'",
            ),
            (
                "rocketmq://h:1",
                "cannot connect to h:1",
                "cannot connect to h:1",
            ),
            (
                "--token=eyJx",
                "unexpected argument '--token=eyJx'",
                "unexpected argument '--token=***'",
            ),
            ("--help", help, help),
            ("rocketmq://ak:key@host:9876", help, help),
        ] {
            assert_eq!(redact(text, &[typed.into()]), redacted, "{typed}");
        }
        let typed = ["--token".into(), "eyJx".into()];
        assert_eq!(redact("no eyJx", &typed), "no ***");
    }
}
