//! The crate's errors, and how what a server says becomes one.

use mq_core::{ErrorKind, Outcome, Retry};

pub(crate) use crate::proto::ReplyCode;

/// What went wrong: kind, the server's code, whether it may have been applied, whether to try again.
pub type Error = mq_core::Error<ReplyCode>;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An argument that can't be accepted.
pub(crate) fn invalid(operation: &'static str, message: impl Into<String>) -> Error {
    Error::builder(ErrorKind::Invalid, message)
        .operation(operation)
        .build()
}

/// The object the call was made on is closed.
pub(crate) fn closed(operation: &'static str, what: &str) -> Error {
    Error::builder(ErrorKind::Closed, format!("the {what} is closed"))
        .operation(operation)
        .build()
}

/// What a server's `channel.close` or `connection.close` means.
pub(crate) fn refused(code: u16, text: &str) -> Error {
    let code = ReplyCode(code);
    let (kind, retry, hint) = judge(code, text);
    let mut error = Error::builder(kind, words(code, text))
        .code(code)
        .outcome(Outcome::Rejected)
        .retry(retry);
    if let Some(hint) = hint {
        error = error.hint(hint);
    }
    error.build()
}

/// The server's words without the code's name, which `Display` of the code says.
fn words(code: ReplyCode, text: &str) -> String {
    let name = code.name().unwrap_or_default();
    let rest = text.strip_prefix(name).unwrap_or(text);
    let rest = rest.strip_prefix(" - ").unwrap_or(rest).trim();
    if rest.is_empty() {
        return "the server refused without saying why".to_owned();
    }
    rest.to_owned()
}

type Judgement = (ErrorKind, Retry, Option<&'static str>);

fn judge(code: ReplyCode, text: &str) -> Judgement {
    match code {
        ReplyCode::CONNECTION_FORCED => (ErrorKind::Disconnected, Retry::Later, None),
        ReplyCode::ACCESS_REFUSED
            if text.contains("in exclusive use") || text.contains("exclusive access") =>
        {
            (
                ErrorKind::Rejected,
                Retry::Later,
                Some("another consumer has the queue for itself"),
            )
        }
        ReplyCode::ACCESS_REFUSED if text.contains("reserved prefix") => (
            ErrorKind::Invalid,
            Retry::Never,
            Some("names that begin with \"amq.\" are the server's own"),
        ),
        ReplyCode::ACCESS_REFUSED => (
            ErrorKind::Auth,
            Retry::Never,
            Some("check user and password, and the user's permissions in this virtual host"),
        ),
        ReplyCode::NOT_FOUND if is_away(text) => (
            ErrorKind::Busy,
            Retry::Later,
            Some("the queue is there, and its node or process is away or starting"),
        ),
        ReplyCode::NOT_FOUND => (
            ErrorKind::NotFound,
            Retry::Never,
            Some("declare it first, or check its name and the virtual host"),
        ),
        ReplyCode::RESOURCE_LOCKED => (
            ErrorKind::Rejected,
            Retry::Later,
            Some("an exclusive queue belongs to the connection that declared it"),
        ),
        ReplyCode::NOT_ALLOWED => not_allowed(text),
        ReplyCode::CONTENT_TOO_LARGE | ReplyCode::RESOURCE_ERROR => {
            (ErrorKind::Busy, Retry::Later, None)
        }
        ReplyCode::COMMAND_INVALID if text.contains("unknown exchange type") => (
            ErrorKind::Unsupported,
            Retry::Never,
            Some("the server lacks the plugin of that exchange type"),
        ),
        ReplyCode::NOT_IMPLEMENTED => (ErrorKind::Unsupported, Retry::Never, None),
        ReplyCode::FRAME_ERROR
        | ReplyCode::SYNTAX_ERROR
        | ReplyCode::COMMAND_INVALID
        | ReplyCode::CHANNEL_ERROR
        | ReplyCode::UNEXPECTED_FRAME => (ErrorKind::Protocol, Retry::Never, None),
        ReplyCode::INTERNAL_ERROR => (ErrorKind::Rejected, Retry::Later, None),
        _ => (ErrorKind::Rejected, Retry::Never, None),
    }
}

/// Whether a queue that the server does not find is one that it knows. What it does not know is "no queue 'name' in vhost 'name'".
// rabbitmq-server: rabbit_amqqueue.erl, priv_absent
fn is_away(text: &str) -> bool {
    let told = words(ReplyCode::NOT_FOUND, text);
    let away = [
        "is down or inaccessible",
        "process is stopped by supervisor",
        "has crashed and failed to restart",
        "due to timeout",
        "may be stopping or being demoted",
    ];
    !told.starts_with("no ") && away.iter().any(|words| told.contains(words))
}

// rabbitmq-server: rabbit_reader.erl and rabbit_access_control.erl, "vhost ~ts not found", "access to vhost '~ts' refused for user '~ts'"
fn not_allowed(text: &str) -> Judgement {
    if text.contains("vhost") && text.contains("not found") {
        let hint = "check the virtual host's name; in a URL it stands behind the host, with % for what a path can't have";
        return (ErrorKind::NotFound, Retry::Never, Some(hint));
    }
    if text.contains("access to vhost") {
        let hint = "give the user permissions in this virtual host";
        return (ErrorKind::Auth, Retry::Never, Some(hint));
    }
    (ErrorKind::Rejected, Retry::Never, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_away_is_not_gone() {
        let judged = |text: &str| {
            let error = refused(404, &format!("NOT_FOUND - {text}"));
            (error.kind(), error.retry())
        };
        for text in [
            "home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible",
            "queue 'q' in vhost '/' process is stopped by supervisor",
            "queue 'q' in vhost '/' has crashed and failed to restart",
            "failed to perform operation on queue 'q' in vhost '/' due to timeout",
            "failed to perform operation on queue 'q' in vhost '/': its master replica {q,rabbit@b} may be stopping or being demoted",
        ] {
            assert_eq!(judged(text), (ErrorKind::Busy, Retry::Later), "{text}");
        }
        for text in [
            "no queue 'q' in vhost '/'",
            "no queue 'lost due to timeout' in vhost '/'",
        ] {
            assert_eq!(judged(text), (ErrorKind::NotFound, Retry::Never), "{text}");
        }
    }
}
