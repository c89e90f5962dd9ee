//! The crate's errors, and how a broker's answer becomes one.

use std::fmt;

use mq_core::{ErrorKind, Outcome, Retry};

use crate::Message;
use crate::proto::Frame;
pub use crate::proto::ResponseCode;

/// What went wrong: kind, the broker's code, whether it may have been applied, whether to try again.
pub type Error = mq_core::Error<ResponseCode>;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A send that did not succeed, with the message given back.
///
/// The message keeps the unique id under which it was sent, so that sending it again is recognisable as the same message.
#[non_exhaustive]
pub struct SendError {
    /// What failed.
    pub error: Error,
    /// The message, as it was given, with its unique id.
    pub message: Box<Message>,
    /// The receipt, where the message is stored, but not as durably as was required.
    pub receipt: Option<Box<crate::Receipt>>,
}

impl SendError {
    pub(crate) fn new(error: Error, message: Message) -> Self {
        Self {
            error,
            message: Box::new(message),
            receipt: None,
        }
    }

    /// Whether the broker may have stored the message.
    pub const fn outcome(&self) -> Outcome {
        self.error.outcome()
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl From<SendError> for Error {
    fn from(failed: SendError) -> Self {
        failed.error
    }
}

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

/// The error of an answer whose code is not success.
pub(crate) fn answer_error(frame: &Frame, operation: &'static str, endpoint: &str) -> Error {
    let code = ResponseCode(frame.header.code);
    let remark = frame.header.remark.as_deref().unwrap_or_default();
    let (kind, retry, hint) = judge(code, remark);
    let mut error = Error::builder(kind, first_line(remark, code))
        .code(code)
        .operation(operation)
        .endpoint(endpoint)
        .outcome(Outcome::Rejected)
        .retry(retry);
    if let Some(hint) = hint {
        error = error.hint(hint);
    }
    error.build()
}

fn judge(code: ResponseCode, remark: &str) -> (ErrorKind, Retry, Option<&'static str>) {
    if refuses_login(code, remark) {
        let hint = "check the access key, the secret key and the permissions of that user";
        return (ErrorKind::Auth, Retry::Never, Some(hint));
    }
    match code {
        ResponseCode::SYSTEM_BUSY
        | ResponseCode::SERVICE_NOT_AVAILABLE
        | ResponseCode::FLOW_CONTROL
        | ResponseCode::GO_AWAY => (ErrorKind::Busy, Retry::Later, None),
        ResponseCode::SYSTEM_ERROR => (ErrorKind::Rejected, Retry::Later, None),
        ResponseCode::REQUEST_CODE_NOT_SUPPORTED => (
            ErrorKind::Unsupported,
            Retry::Never,
            Some("the peer may be another kind of server, or too old"),
        ),
        ResponseCode::TOPIC_NOT_EXIST => (
            ErrorKind::NotFound,
            Retry::Never,
            Some("create the topic, or check its name and namespace"),
        ),
        ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST => (
            ErrorKind::NotFound,
            Retry::Never,
            Some("create the group, or check its name and namespace"),
        ),
        _ => (ErrorKind::Rejected, Retry::Never, None),
    }
}

/// Whether an answer says that the keys are not (or no longer) good for this.
pub(crate) fn is_login_refused(frame: &Frame) -> bool {
    let remark = frame.header.remark.as_deref().unwrap_or_default();
    refuses_login(ResponseCode(frame.header.code), remark)
}

/// 5.x answers 16 for a refused login or permission and for other prohibitions alike; 4.x answers 1 and names its `AclException`.
fn refuses_login(code: ResponseCode, remark: &str) -> bool {
    // apache/rocketmq: AuthenticationException and AuthorizationException are the texts behind code 16.
    const MARKS: [&str; 7] = [
        "signature",
        "username",
        "user:",
        "no permission to access",
        "authentication",
        "authorization",
        "credential",
    ];
    match code {
        ResponseCode::NO_PERMISSION => {
            let remark = remark.to_lowercase();
            MARKS.iter().any(|mark| remark.contains(mark))
        }
        ResponseCode::SYSTEM_ERROR => remark.contains("AclException"),
        _ => false,
    }
}

/// The first line of a remark, without what brokers add for those who read Java (class, link to the FAQ, place in the source), at most
/// 300 characters.
fn first_line(remark: &str, code: ResponseCode) -> String {
    let line = remark.lines().next().unwrap_or_default().trim();
    let line = line
        .split_once("Exception: ")
        .map_or(line, |(_, rest)| rest);
    let line = line
        .split("For more information")
        .next()
        .unwrap_or(line)
        .trim();
    let line = without_place(line);
    let text: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
    if text.is_empty() {
        code.name().unwrap_or("the broker refused").to_lowercase()
    } else {
        text
    }
}

/// Without `, org.apache.….Class.method(Class.java:683)` at the end.
// apache/rocketmq: RemotingHelper.exceptionSimpleDesc
fn without_place(line: &str) -> &str {
    let is_place = |last: &str| {
        last.split_once('(').is_some_and(|(method, file)| {
            let named = method.contains('.') && !method.contains(char::is_whitespace);
            let known = file.contains(".java:") || JAVA_NOWHERE.contains(&file);
            named && known && file.ends_with(')')
        })
    };
    match line.rsplit_once(", ") {
        Some((text, last)) if is_place(last) => text,
        _ => line,
    }
}

impl From<crate::Unheard> for Error {
    fn from(unheard: crate::Unheard) -> Self {
        let message = unheard.to_string();
        let last = unheard
            .last
            .into_iter()
            .next_back()
            .map(|failed| failed.error);
        let (kind, outcome) = last
            .as_ref()
            .map_or((ErrorKind::Timeout, Outcome::Unknown), |last| {
                (last.kind(), last.outcome())
            });
        Self::builder(kind, message)
            .operation("flush")
            .outcome(outcome)
            .build()
    }
}

/// Java's word for a place that it doesn't know.
const JAVA_NOWHERE: [&str; 2] = ["Unknown Source)", "Native Method)"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_told_without_its_java() {
        for (remark, told) in [
            // As brokers 4.9.7 and 5.5.0 worded them.
            (
                "org.apache.rocketmq.acl.common.AclException: Check signature failed for accessKey=rocketmq, \
                 org.apache.rocketmq.acl.plain.PlainPermissionManager.validate(PlainPermissionManager.java:683)",
                "Check signature failed for accessKey=rocketmq",
            ),
            (
                "User:alice_mq has no permission to access Topic:tt from 127.0.0.1, no matched policies.",
                "User:alice_mq has no permission to access Topic:tt from 127.0.0.1, no matched policies.",
            ),
            (
                "java.lang.RuntimeException: no, really, app//a.B$$Lambda$1/0x7.run(Unknown Source)\nmore",
                "no, really",
            ),
            ("the topic, see a.b(c)", "the topic, see a.b(c)"),
            (
                "full, see b.c(d.java:1) for it",
                "full, see b.c(d.java:1) for it",
            ),
            (
                "no route\nFor more information, please visit the url, http://x",
                "no route",
            ),
            ("bad\u{1} text For more information, see", "bad text"),
            ("", "system_error"),
        ] {
            assert_eq!(first_line(remark, ResponseCode::SYSTEM_ERROR), told);
        }
    }
}
