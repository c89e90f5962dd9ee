//! The control plane's error codes: one flat table of code, name, kind, whether trying again helps, meaning, and what to do.

use std::borrow::Cow;
use std::fmt;

use mq_core::{ErrorKind, Retry};

/// How the control plane said no: a word such as `ResourceInUse`, or two, such as `ResourceInUse.Queue`. Compare it with the constants:
///
/// ```
/// use mq_cmq::{ControlCode, ErrorKind};
///
/// let code = ControlCode::new("ResourceInUse.Queue");
/// assert_eq!(code, ControlCode::QUEUE_EXISTS);
/// assert_eq!(ControlCode::new("ResourceNotFound.Whatever").kind(), ErrorKind::NotFound);
/// ```
///
/// A code that is not in the table keeps its text, and is judged by its first word.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ControlCode(Cow<'static, str>);

struct Row {
    code: &'static str,
    name: &'static str,
    kind: ErrorKind,
    retry: Retry,
    text: &'static str,
    hint: &'static str,
}

impl ControlCode {
    /// A code as the service sends it.
    pub fn new(code: impl Into<String>) -> Self {
        let code = code.into();
        let known = TABLE.iter().find(|row| row.code == code);
        Self(known.map_or(Cow::Owned(code), |row| Cow::Borrowed(row.code)))
    }

    /// The code, such as `ResourceInUse.Queue`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its name in this crate, such as `QUEUE_EXISTS`, if it is in the table.
    pub fn name(&self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }

    /// What it means, in a few words, if it is in the table.
    pub fn text(&self) -> Option<&'static str> {
        self.row().map(|row| row.text)
    }

    /// What kind of failure it is. A code that is not in the table is judged by its first word, else as `Rejected`.
    pub fn kind(&self) -> ErrorKind {
        self.nearest().map_or(ErrorKind::Rejected, |row| row.kind)
    }

    /// Whether the same request may succeed after a pause.
    pub fn is_retryable(&self) -> bool {
        self.nearest().is_some_and(|row| row.retry == Retry::Later)
    }

    /// Whether the service asks for a slower pace: nothing was applied. `LimitExceeded` is not that, but a quota that no pause changes.
    pub fn is_throttling(&self) -> bool {
        self.first_word() == "RequestLimitExceeded"
    }

    /// Whether the service failed on its own side, so that nobody can say what it had done by then.
    pub fn is_uncertain(&self) -> bool {
        self.first_word() == "InternalError" || *self == Self::SEND_TIMEOUT
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        self.nearest()
            .map(|row| row.hint)
            .filter(|hint| !hint.is_empty())
    }

    fn first_word(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    fn row(&self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.code == self.0)
    }

    fn nearest(&self) -> Option<&'static Row> {
        let word = self.first_word();
        self.row()
            .or_else(|| TABLE.iter().find(|row| row.code == word))
    }
}

/// The code as the service sends it.
impl fmt::Display for ControlCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ControlCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! codes {
    ($($code:literal $name:ident $kind:ident $retry:ident $text:literal $hint:literal)*) => {
        impl ControlCode {
            $(
                #[doc = concat!("`", $code, "`: ", $text, ".")]
                pub const $name: Self = Self(Cow::Borrowed($code));
            )*
        }

        const TABLE: &[Row] = &[$(Row {
            code: $code,
            name: stringify!($name),
            kind: ErrorKind::$kind,
            retry: Retry::$retry,
            text: $text,
            hint: $hint,
        },)*];
    };
}

// Source: tencentcloud-sdk-python-tdmq 3.1.130, tdmq/v20200217/errorcodes.py, as far as actions of CMQ can have them; below it, Tencent
// Cloud's documents on the common error codes of API 3.0. A row of one word judges codes that begin with it and are not listed.
codes! {
    "ResourceInUse" RESOURCE_IN_USE Rejected Never "the resource is in use" ""
    "ResourceInUse.Queue" QUEUE_EXISTS Rejected Never "a queue of that name exists" "names of queues that differ in the case of letters only are the same"
    "ResourceInUse.Topic" TOPIC_EXISTS Rejected Never "a topic of that name exists" "names of topics that differ in the case of letters only are the same"
    "ResourceInUse.Subscription" SUBSCRIPTION_EXISTS Rejected Never "the topic has a subscription of that name" ""
    "ResourceNotFound" RESOURCE_NOT_FOUND NotFound Never "there is no such resource" "check the name and the region"
    "ResourceNotFound.Topic" TOPIC_NOT_FOUND NotFound Never "there is no such topic" "check the name and the region"
    "ResourceNotFound.Subscription" SUBSCRIPTION_NOT_FOUND NotFound Never "there is no such subscription" "check both names and the region"
    "ResourceUnavailable" RESOURCE_UNAVAILABLE Rejected Never "the resource is not available" ""
    "ResourceUnavailable.SystemUpgrade" SYSTEM_UPGRADE Busy Later "the system is being upgraded" ""
    "ResourceUnavailable.FundRequired" FUND_REQUIRED Auth Never "the account is in arrears" "balance the account"
    "ResourceInsufficient" RESOURCE_INSUFFICIENT Rejected Never "the service is short of resources" ""
    "ResourcesSoldOut" SOLD_OUT Rejected Never "the resource is sold out" ""
    "FailedOperation" FAILED_OPERATION Rejected Never "the operation failed" ""
    "FailedOperation.CmqBackendError" CMQ_BACKEND_ERROR Rejected Never "CMQ itself refused or failed" "the message is CMQ's own: a number in it is explained by ErrorCode"
    "FailedOperation.CreateTopic" CREATE_TOPIC_FAILED Rejected Never "the topic could not be made" ""
    "FailedOperation.CreateSubscription" CREATE_SUBSCRIPTION_FAILED Rejected Never "the subscription could not be made" ""
    "FailedOperation.DeleteTopics" DELETE_TOPIC_FAILED Rejected Never "the topic could not be deleted" ""
    "FailedOperation.DeleteSubscriptions" DELETE_SUBSCRIPTION_FAILED Rejected Never "the subscription could not be deleted" ""
    "FailedOperation.TopicInUse" TOPIC_IN_USE Rejected Never "the topic still has what depends on it" "delete its subscriptions first"
    "FailedOperation.SetTTL" SET_TTL_FAILED Rejected Never "the lifetime of messages could not be set" ""
    "FailedOperation.SetRetentionPolicy" SET_RETENTION_FAILED Rejected Never "the keeping of messages could not be set" ""
    "FailedOperation.MaxMessageSizeError" MESSAGE_TOO_LARGE Rejected Never "the message is over 1 MB" "send a smaller message"
    "FailedOperation.SendMsg" SEND_FAILED Rejected Later "the message could not be stored" ""
    "FailedOperation.SendMsgFailed" SEND_MESSAGE_FAILED Rejected Later "the message could not be stored" ""
    "FailedOperation.SendMessageTimeoutError" SEND_TIMEOUT Timeout Later "the service gave up storing the message" "the message may be stored"
    "FailedOperation.OperateLater" OPERATE_LATER Busy Later "something else is being done with it" ""
    "FailedOperation.CloudService" CLOUD_SERVICE Rejected Later "another service that is needed failed" ""
    "InternalError" INTERNAL_ERROR Rejected Later "an error inside the service" "it may have been applied"
    "InternalError.BrokerService" BROKER_SERVICE Rejected Later "the broker behind the service failed" "it may have been applied"
    "InternalError.Retry" INTERNAL_RETRY Rejected Later "the service asks to try again" "it may have been applied"
    "InternalError.SystemError" SYSTEM_ERROR Rejected Later "an error inside the service" "it may have been applied"
    "InvalidParameter" INVALID_PARAMETER Rejected Never "a parameter is wrong" ""
    "InvalidParameterValue" INVALID_PARAMETER_VALUE Rejected Never "a parameter's value is wrong" ""
    "InvalidParameterValue.InvalidParams" INVALID_PARAMS Rejected Never "a parameter's value is out of range" ""
    "InvalidParameterValue.AtLeastOne" AT_LEAST_ONE Rejected Never "at least one parameter is needed" ""
    "InvalidParameterValue.NeedMoreParams" NEED_MORE_VALUES Rejected Never "a parameter is missing" ""
    "InvalidParameterValue.TTL" INVALID_TTL Rejected Never "the lifetime of messages is out of range" ""
    "InvalidParameterValue.TopicNotFound" TOPIC_NAME_WRONG NotFound Never "the topic's name is wrong" ""
    "MissingParameter" MISSING_PARAMETER Rejected Never "a parameter is missing" ""
    "MissingParameter.NeedMoreParams" NEED_MORE_PARAMS Rejected Never "a parameter is missing" ""
    "UnknownParameter" UNKNOWN_PARAMETER Rejected Never "there is no such parameter" ""
    "UnknownParameter.Policy" UNKNOWN_POLICY Rejected Never "there is no such policy" ""
    "LimitExceeded" LIMIT_EXCEEDED Rejected Never "a quota is used up" "delete what is not needed, or ask for a larger quota"
    "LimitExceeded.Topics" TOO_MANY_TOPICS Rejected Never "there are as many topics or queues as there may be" "delete what is not needed, or ask for a larger quota"
    "LimitExceeded.Subscriptions" TOO_MANY_SUBSCRIPTIONS Rejected Never "there are as many subscriptions as there may be" "delete what is not needed, or ask for a larger quota"
    "LimitExceeded.RetentionSize" TOO_MUCH_RETAINED Rejected Never "there is no room for so much to be kept" ""
    "LimitExceeded.RetentionTime" RETAINED_TOO_LONG Rejected Never "messages can't be kept for so long" ""
    "OperationDenied" OPERATION_DENIED Rejected Never "the operation is denied" ""
    "OperationDenied.ConsumerRunning" CONSUMER_RUNNING Rejected Never "the subscription is still consumed" ""
    "UnsupportedOperation" UNSUPPORTED_OPERATION Unsupported Never "the operation is not supported" ""
    "AuthFailure" AUTH_FAILURE Auth Never "authentication failed" ""
    "AuthFailure.UnauthorizedOperation" UNAUTHORIZED Auth Never "access management does not allow it" "grant the user the right in access management"
    "UnauthorizedOperation" UNAUTHORIZED_OPERATION Auth Never "the operation is not allowed" "grant the user the right in access management"

    "AuthFailure.SignatureFailure" SIGNATURE_FAILURE Auth Never "the signature is wrong" "check the secret key, and the host by which the endpoint is called, since it is signed"
    "AuthFailure.SignatureExpire" SIGNATURE_EXPIRED Auth Never "the signature is too old, or from the future" "set the clock of this machine: it may be 5 minutes off"
    "AuthFailure.SecretIdNotFound" SECRET_ID_NOT_FOUND Auth Never "there is no such secret id" "check the secret id: it may be deleted or disabled"
    "AuthFailure.TokenFailure" TOKEN_FAILURE Auth Never "the token is wrong or too old" "get new temporary keys"
    "AuthFailure.InvalidSecretId" INVALID_SECRET_ID Auth Never "the secret id is not one of API 3.0" "check the secret id"
    "AuthFailure.InvalidAuthorization" INVALID_AUTHORIZATION Auth Never "the header Authorization is not well formed" ""
    "AuthFailure.MFAFailure" MFA_FAILURE Auth Never "a second factor is needed" ""
    "RequestLimitExceeded" THROTTLED Busy Later "too many requests a second" "call it less often"
    "RequestSizeLimitExceeded" REQUEST_TOO_LARGE Rejected Never "the request is too large" ""
    "ResponseSizeLimitExceeded" RESPONSE_TOO_LARGE Rejected Never "the answer would be too large" ""
    "ServiceUnavailable" SERVICE_UNAVAILABLE Busy Later "the service is not available for the moment" ""
    "DryRunOperation" DRY_RUN Rejected Never "a dry run would have succeeded" ""
    "InvalidAction" INVALID_ACTION Unsupported Never "there is no such action" "the endpoint is not that of tdmq, or of another version"
    "NoSuchVersion" NO_SUCH_VERSION Unsupported Never "there is no such version" "the endpoint is not that of tdmq"
    "NoSuchProduct" NO_SUCH_PRODUCT Unsupported Never "there is no such product" "the endpoint is not that of tdmq"
    "UnsupportedRegion" UNSUPPORTED_REGION Unsupported Never "the region does not have the service" "check the region"
    "InvalidRequest" INVALID_REQUEST Rejected Never "the request is not well formed" ""
    "UnsupportedProtocol" UNSUPPORTED_PROTOCOL Unsupported Never "the protocol is not supported" "use HTTP or HTTPS, GET or POST"
    "IpInBlacklist" IP_BLOCKED Auth Never "this address is blocked" ""
    "IpNotInWhitelist" IP_NOT_ALLOWED Auth Never "this address is not allowed" ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_own_code_and_stands_once() {
        assert!(TABLE.len() > 60);
        for row in TABLE {
            let code = ControlCode::new(row.code);
            assert_eq!(code.to_string(), row.code);
            assert_eq!(code.name(), Some(row.name));
            assert_eq!((code.kind(), code.text()), (row.kind, Some(row.text)));
            assert_eq!(code.is_retryable(), row.retry == Retry::Later);
            assert_eq!(TABLE.iter().filter(|it| it.code == row.code).count(), 1);
        }
    }

    #[test]
    fn what_callers_match_on() {
        for (code, kind, later) in [
            (ControlCode::QUEUE_EXISTS, ErrorKind::Rejected, false),
            (ControlCode::TOPIC_NOT_FOUND, ErrorKind::NotFound, false),
            (ControlCode::SIGNATURE_FAILURE, ErrorKind::Auth, false),
            (ControlCode::SIGNATURE_EXPIRED, ErrorKind::Auth, false),
            (ControlCode::TOO_MANY_TOPICS, ErrorKind::Rejected, false),
            (ControlCode::THROTTLED, ErrorKind::Busy, true),
            (ControlCode::INTERNAL_ERROR, ErrorKind::Rejected, true),
        ] {
            assert_eq!((code.kind(), code.is_retryable()), (kind, later), "{code}");
        }
    }

    #[test]
    fn an_unknown_code_is_judged_by_its_first_word() {
        for (code, kind, later) in [
            ("AuthFailure.New", ErrorKind::Auth, false),
            ("ResourceNotFound.Queue", ErrorKind::NotFound, false),
            ("LimitExceeded.Queues", ErrorKind::Rejected, false),
            (
                "RequestLimitExceeded.UinLimitExceeded",
                ErrorKind::Busy,
                true,
            ),
            ("InternalError.New", ErrorKind::Rejected, true),
            ("UnsupportedOperation.New", ErrorKind::Unsupported, false),
            ("New.Queue", ErrorKind::Rejected, false),
            ("", ErrorKind::Rejected, false),
        ] {
            let code = ControlCode::new(code);
            assert_eq!(
                (code.name(), code.to_string().as_str()),
                (None, code.as_str())
            );
            assert_eq!((code.kind(), code.is_retryable()), (kind, later), "{code}");
        }
    }

    #[test]
    fn a_quota_is_not_throttling() {
        let code = |text: &str| ControlCode::new(text);
        assert!(code("RequestLimitExceeded").is_throttling());
        assert!(code("RequestLimitExceeded.IPLimitExceeded").is_throttling());
        assert!(!code("LimitExceeded.Topics").is_throttling());
        assert!(!code("RequestSizeLimitExceeded").is_throttling());
        assert!(code("InternalError.Retry").is_uncertain());
        assert!(!code("FailedOperation.CreateTopic").is_uncertain());
    }
}
