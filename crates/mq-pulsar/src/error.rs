//! The crate's errors, and how what a broker says becomes one.

use std::fmt;

use mq_core::{ErrorKind, Outcome, Retry};

use crate::proto::api;

/// What went wrong: kind, the broker's code, whether it may have been applied, whether to try again.
pub type Error = mq_core::Error<ErrorCode>;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The broker's own code, `ServerError` of its protocol (`PulsarApi.proto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $theirs:ident;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self(api::ServerError::$theirs as i32);)*
        }
    };
}

codes! {
    /// Who connects is not who it says, or says nothing.
    AUTHENTICATION = AuthenticationError;
    /// Who is connected may not do this.
    AUTHORIZATION = AuthorizationError;
    /// Another consumer has the subscription for itself, or it is of another type.
    CONSUMER_BUSY = ConsumerBusy;
    /// The topic has no backlog quota left.
    QUOTA_EXCEEDED = ProducerBlockedQuotaExceededError;
    /// The same, of a broker that is asked to answer so.
    QUOTA_EXCEEDED_EXCEPTION = ProducerBlockedQuotaExceededException;
    /// The checksum of a message was wrong when it came.
    CHECKSUM = ChecksumError;
    /// There is no such topic.
    TOPIC_NOT_FOUND = TopicNotFound;
    /// There is no such subscription.
    SUBSCRIPTION_NOT_FOUND = SubscriptionNotFound;
    /// The topic takes no messages any more.
    TOPIC_TERMINATED = TopicTerminatedError;
    /// A producer of this name is connected, or the topic is another one's alone.
    PRODUCER_BUSY = ProducerBusy;
    /// Another producer has taken the topic over.
    PRODUCER_FENCED = ProducerFenced;
}

impl ErrorCode {
    /// The name that the protocol gives it, such as `TopicNotFound`; `None` if it is one of a later version.
    pub fn name(self) -> Option<&'static str> {
        api::ServerError::try_from(self.0)
            .ok()
            .map(|code| code.as_str_name())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.name() {
            Some(name) => write!(f, " {name}"),
            None => Ok(()),
        }
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

/// What a broker's refusal means.
pub(crate) fn refused(code: i32, text: &str) -> Error {
    let (kind, retry, hint) = judge(code);
    let mut error = Error::builder(kind, words(text))
        .code(ErrorCode(code))
        .outcome(Outcome::Rejected)
        .retry(retry);
    if let Some(hint) = hint {
        error = error.hint(hint);
    }
    error.build()
}

/// The broker's words in one line, without the Java class that it may begin with.
pub(crate) fn words(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    let rest = match line.split_once(": ") {
        Some((class, rest)) if class.contains('.') && !class.contains(' ') => rest,
        _ => line,
    };
    if rest.is_empty() {
        return "the broker refused without saying why".to_owned();
    }
    rest.to_owned()
}

type Judgement = (ErrorKind, Retry, Option<&'static str>);

// apache/pulsar: ClientCnx.getPulsarClientException, PulsarClientException.isRetriableError
fn judge(code: i32) -> Judgement {
    use ErrorKind::{Auth, Busy, Invalid, NotFound, Rejected, Unsupported};
    use api::ServerError as Code;
    let Ok(code) = Code::try_from(code) else {
        return (Rejected, Retry::Never, None);
    };
    let (kind, retry) = match code {
        Code::MetadataError
        | Code::PersistenceError
        | Code::ServiceNotReady
        | Code::TooManyRequests
        | Code::ProducerBlockedQuotaExceededError
        | Code::ProducerBlockedQuotaExceededException
        | Code::TransactionCoordinatorNotFound => (Busy, Retry::Later),
        Code::AuthenticationError | Code::AuthorizationError => (Auth, Retry::Never),
        Code::TopicNotFound | Code::SubscriptionNotFound | Code::TransactionNotFound => {
            (NotFound, Retry::Never)
        }
        Code::UnsupportedVersionError => (Unsupported, Retry::Never),
        Code::InvalidTopicName => (Invalid, Retry::Never),
        Code::UnknownError
        | Code::ChecksumError
        | Code::ConsumerBusy
        | Code::ConsumerNotFound
        | Code::ConsumerAssignError
        | Code::ProducerBusy => (Rejected, Retry::Later),
        _ => (Rejected, Retry::Never),
    };
    let hint = match code {
        Code::AuthenticationError => "check the token, or what else the client authenticates with",
        Code::AuthorizationError => {
            "give the role permission to produce or consume in the namespace"
        }
        Code::ConsumerBusy => {
            "another consumer has the subscription for itself, or subscribed with another type"
        }
        Code::ProducerBusy => "a producer of this name is connected, or has the topic for itself",
        Code::ProducerFenced => "another producer has taken the topic over",
        Code::ProducerBlockedQuotaExceededError | Code::ProducerBlockedQuotaExceededException => {
            "consume what is there, or raise the backlog quota"
        }
        Code::TopicNotFound => "create the topic, or check its name, tenant and namespace",
        Code::ServiceNotReady => "the broker is starting, or hands the topic over",
        _ => return (kind, retry, None),
    };
    (kind, retry, Some(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_failed_with_its_code_and_whether_to_try_again() {
        let text = "org.apache.pulsar.broker.service.BrokerServiceException$ConsumerBusyException: Exclusive consumer is already connected\n\tat x";
        let error = refused(api::ServerError::ConsumerBusy as i32, text);
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert_eq!(error.retry(), Retry::Later);
        assert_eq!(error.code(), Some(&ErrorCode::CONSUMER_BUSY));
        assert_eq!(error.message(), "Exclusive consumer is already connected");
        assert_eq!(error.outcome(), Outcome::Rejected);
        let later = refused(9999, "");
        assert_eq!(
            later.to_string(),
            "the broker refused without saying why (9999)"
        );
    }
}
