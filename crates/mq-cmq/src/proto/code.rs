//! CMQ's error codes: one flat table of number, module code, name, kind, whether trying again helps, meaning, and what to do.

use std::fmt;

use mq_core::{ErrorKind, Retry};

/// How CMQ said no: the `code` of its answer, and the module code that its message begins with, as in `(10200)no message`.
///
/// The number alone does not tell what happened (4000 stands for some forty things), the module code alone neither (10470 is a bad
/// handle under 4000, a subscription that exists under 4490). Both are kept as they came, known or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode {
    number: u32,
    module: Option<u32>,
}

struct Row {
    code: ErrorCode,
    name: &'static str,
    kind: ErrorKind,
    retry: Retry,
    text: &'static str,
    hint: &'static str,
}

impl ErrorCode {
    /// A code as the service sends it. `module` is `None` where its message has none.
    pub const fn new(number: u32, module: Option<u32>) -> Self {
        Self { number, module }
    }

    /// What the `result` of a TCP packet means: a module code, two numbers of the protocol's own, or, failing these, a number.
    pub fn of_result(result: i32) -> Self {
        let result = result.unsigned_abs();
        match result {
            306 => return Self::NOT_AUTHENTICATED,
            307 => return Self::ALREADY_AUTHENTICATED,
            _ => {}
        }
        // Of module codes with two rows, the queue's comes first.
        let row = TABLE.iter().find(|row| row.code.module == Some(result));
        row.map_or_else(|| Self::new(result, None), |row| row.code)
    }

    /// The `code` of the answer, such as 4440.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// The module code, such as 10100.
    pub const fn module(self) -> Option<u32> {
        self.module
    }

    /// Its name in this crate, such as `QUEUE_NOT_FOUND`, if it is in the table.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }

    /// What it means, in a few words, if it is in the table.
    pub fn text(self) -> Option<&'static str> {
        self.row().map(|row| row.text)
    }

    /// What kind of failure it is. A code that is not in the table is judged by its number, else as `Rejected`.
    pub fn kind(self) -> ErrorKind {
        self.nearest().map_or(ErrorKind::Rejected, |row| row.kind)
    }

    /// Whether the same request may succeed after a pause.
    pub fn is_retryable(self) -> bool {
        self.nearest().is_some_and(|row| row.retry == Retry::Later)
    }

    /// Whether the service asks for a slower pace (4420, 4480): nothing was applied.
    pub const fn is_throttling(self) -> bool {
        matches!(self.number, 4420 | 4480)
    }

    /// What to do about it, where that is known.
    pub fn hint(self) -> Option<&'static str> {
        self.row()
            .map(|row| row.hint)
            .filter(|hint| !hint.is_empty())
    }

    /// Its row; without a module code, the only row with its number.
    fn row(self) -> Option<&'static Row> {
        if self.module.is_some() {
            return TABLE.iter().find(|row| row.code == self);
        }
        let mut same = TABLE.iter().filter(|row| row.code.number == self.number);
        same.next().filter(|_| same.next().is_none())
    }

    fn nearest(self) -> Option<&'static Row> {
        let same = |row: &&Row| row.code.number == self.number;
        self.row().or_else(|| TABLE.iter().find(same))
    }
}

/// `4440/10100 QUEUE_NOT_FOUND`, as far as it is known.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        if let Some(module) = self.module {
            write!(f, "/{module}")?;
        }
        self.name().map_or(Ok(()), |name| write!(f, " {name}"))
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! codes {
    ($($number:literal $module:literal $name:ident $kind:ident $retry:ident $text:literal $hint:literal)*) => {
        impl ErrorCode {
            $(
                #[doc = concat!($number, "/", $module, ": ", $text, ".")]
                pub const $name: Self = Self::new($number, Some($module));
            )*
        }

        const TABLE: &[Row] = &[$(Row {
            code: ErrorCode::$name,
            name: stringify!($name),
            kind: ErrorKind::$kind,
            retry: Retry::$retry,
            text: $text,
            hint: $hint,
        },)*];
    };
}

// Source: Tencent Cloud's documents, error codes of CMQ (product 1496, document 70948; product 406, document 5903). The first row of a
// number judges codes of that number which are not listed.
codes! {
    4000 10000 INVALID_PARAMETERS Rejected Never "request parameters are not valid" ""
    4000 10010 MISSING_PARAMETERS Rejected Never "required parameters are missing" ""
    4000 10390 MISSING_PARAMETER Rejected Never "a required parameter is missing" ""
    4000 10110 BAD_PARAMETERS Rejected Never "request parameters are wrong" ""
    4000 10280 ACTION_NOT_FOUND Unsupported Never "the action does not exist" "the endpoint may serve topics only, queues only, or no management"
    4000 10310 PARAMETER_KEY_FORMAT Rejected Never "a parameter's key is not well formed" ""
    4000 10320 UNKNOWN_PARAMETER Rejected Never "there is no such parameter" ""
    4000 10330 NOT_REPEATABLE Rejected Never "a parameter can't be repeated" ""
    4000 10350 OUT_OF_RANGE Rejected Never "a parameter's value or length is out of range" ""
    4000 10360 WRONG_TYPE Rejected Never "a parameter is of the wrong type" ""
    4000 10370 BATCH_SIZE Rejected Never "a batch has too many items" "a request takes up to 16"
    4000 10380 NOT_CONSECUTIVE Rejected Never "the indices of a list are not consecutive" ""
    4000 10400 PARAMETER_NOT_FOUND Rejected Never "a parameter is not in the request" ""
    4000 10410 WRONG_HTTP_METHOD Unsupported Never "only GET and POST are supported" ""
    4000 10420 UNREADABLE_REQUEST Rejected Never "the request can't be parsed, or is over 1 MB" "send smaller bodies, or fewer in a batch"
    4000 10430 ACTION_NAME_NOT_FOUND Unsupported Never "the action's name does not exist" "queues and topics have endpoints of their own on the older service"
    4000 10450 SECRET_ID_FORMAT Auth Never "the secret id does not begin with AKID" "check the secret id"
    4000 10461 NO_CAM Auth Never "access management has no entry for this" "grant the user the right in access management"
    4100 10030 AUTHENTICATION_FAILED Auth Never "authentication failed" "check the secret key, the clock of this machine and the host by which the endpoint is called, since all are signed"
    4100 10270 SECRET_ID_NOT_FOUND Auth Never "the secret id does not exist" "check the secret id"
    4100 10080 SECRET_STATUS Auth Never "the secret is disabled" "enable the key in the console"
    4100 10031 NOT_AUTHENTICATED Auth Never "the connection is not authenticated" ""
    4100 10032 ALREADY_AUTHENTICATED Auth Never "the connection is authenticated already" ""
    4300 10040 OVERDUE Auth Never "the account is in arrears" "the service is stopped until the account is balanced"
    4420 10250 THROTTLED Busy Later "too many requests a second" "send fewer or larger batches, or ask for a higher limit"
    4480 10460 FREQUENCY_LIMITED Busy Later "the interface is called too often" "call it less often"
    6000 10050 INTERNAL_ERROR Rejected Later "an error inside the service" ""

    4440 10100 QUEUE_NOT_FOUND NotFound Never "the queue does not exist, or was deleted" "create the queue, or check its name and the region of the endpoint"
    4460 10210 QUEUE_EXISTS Rejected Never "a queue of that name exists, whatever the case of its letters" ""
    4000 10020 QUEUE_NAME_FORMAT Rejected Never "the queue's name is not well formed" "a letter, then letters, digits, `-` and `_`; up to 64 of them"
    4000 10120 EMPTY_BODY Rejected Never "the body is empty" "a body has at least one byte"
    4000 10470 HANDLE_FORMAT Rejected Never "the receipt handle is not well formed" ""
    4000 10692 DELAY_OUT_OF_RANGE Rejected Never "the delay is out of range" "a delay can't be longer than the queue keeps messages"
    4400 10230 BODY_TOO_LARGE Rejected Never "the body is larger than the queue takes" "send a smaller body, or raise the queue's maxMsgSize"
    4410 10240 HEAP_FULL Busy Later "the queue holds as many messages as it may" "consume, or raise the queue's maxMsgHeapNum"
    4430 10260 HANDLE_EXPIRED Stale Never "the receipt handle is not valid (any more)" "the message is visible again, or was received anew: its handler took longer than the visibility timeout"
    4450 10220 TOO_MANY_QUEUES Rejected Never "there are as many queues as there may be" ""
    4470 10300 BATCH_TOO_LARGE Rejected Never "the bodies of a batch are larger than a request may be" "send fewer in a batch"
    6000 10090 SEND_FAILED Rejected Later "the service could not store the message" ""
    6000 10130 RECEIVE_FAILED Rejected Later "the service could not receive" ""
    6000 10140 DELETE_FAILED Rejected Later "the service could not delete" ""
    6010 10150 PARTLY_DELETED Rejected Never "some messages could not be deleted" ""
    6020 10290 NONE_DELETED Rejected Never "none of the messages could be deleted" ""
    6040 10660 NAME_JUST_DELETED Rejected Later "a queue of that name was deleted less than 30 seconds ago" "wait for 30 seconds"
    6050 10670 NOT_REWINDABLE Rejected Never "the queue can't be rewound" "give the queue rewindSeconds first"
    4000 10680 BAD_REWIND_TIME Rejected Never "the time to rewind to is not valid, or there are too many binding keys" ""
    4000 10700 REWIND_OVER_RETENTION Rejected Never "rewindSeconds is longer than messages are kept, or the routing key is missing" ""
    6070 10690 TOO_MANY_UNACKED Busy Later "too many messages are delayed, or received and not deleted" "delete what was handled, or send fewer delayed messages"
    7000 10200 NO_MESSAGE NotFound Later "there is no message" ""

    4440 10600 TOPIC_NOT_FOUND NotFound Never "the topic does not exist" "create the topic, or check its name and the region of the endpoint"
    4450 10610 TOO_MANY_TOPICS Rejected Never "there are as many topics as there may be" ""
    4490 10470 SUBSCRIPTION_EXISTS Rejected Never "the subscription exists" ""
    4500 10480 TOO_MANY_SUBSCRIPTIONS Rejected Never "the topic has as many subscriptions as it may" ""
    4510 10570 URL_WITH_BLANKS Rejected Never "the URL has blanks" ""
    4000 10490 TOO_MANY_FILTER_TAGS Rejected Never "there are more than 5 filter tags" ""
    4000 10670 TOO_MANY_FILTER_TAGS_SET Rejected Never "there would be more than 5 filter tags" ""
    4000 10500 BAD_ENDPOINT Rejected Never "the subscription's endpoint is not valid" ""
    4000 10630 ENDPOINT_FORMAT Rejected Never "the subscription's endpoint is not well formed" ""
    4000 10510 BAD_PROTOCOL Rejected Never "the subscription's protocol is not valid" "http or queue"
    4000 10520 BAD_STRATEGY Rejected Never "the retry strategy is not valid" "BACKOFF_RETRY or EXPONENTIAL_DECAY_RETRY"
    4000 10530 BAD_CONTENT_FORMAT Rejected Never "the content format is not valid" "JSON or SIMPLIFIED"
    4000 10540 TOPIC_HAS_SUBSCRIPTIONS Rejected Never "the topic still has subscriptions" ""
    4000 10580 TOPIC_NAME_FORMAT Rejected Never "a name of topic or subscription is not well formed" "a letter, then letters, digits, `-` and `_`; up to 64 of them"
    4000 10590 SUBSCRIPTION_NAME_FORMAT Rejected Never "a name of topic or subscription is not well formed" ""
    4000 10620 NAME_FORMAT Rejected Never "a name of topic or subscription is not well formed" ""
    4000 10640 QUEUE_NEEDS_SIMPLIFIED Rejected Never "a subscription that delivers to a queue needs the format SIMPLIFIED" ""
    4000 10691 TOO_MANY_DOTS Rejected Never "a routing or binding key has too many parts" "up to 15 dots"
    4000 10710 BINDING_KEY_MISSING Rejected Never "the binding key is missing" ""
    4000 10720 TOO_MANY_TAGS Rejected Never "there are too many message tags" "up to 5 tags"
    6030 10650 NO_SUBSCRIPTION Rejected Never "the topic has no subscription: the message was not kept" "subscribe before publishing"
    6030 10730 NOTHING_MATCHES Rejected Never "no subscription matches tags or routing key: the message was not kept" ""
    6050 10740 TOPIC_FILTER_MISMATCH Rejected Never "the topic can't do this" ""

    4490 10770 TRANSACTION_NOT_FOUND Rejected Never "the transaction's message id is not valid" ""
    4490 10780 TRANSACTION_STATE Rejected Never "the transaction's state can't be changed so" ""
    4490 10790 NOT_TRANSACTIONAL Rejected Never "the queue is not a transactional one" ""
    6040 10750 CONFIRM_FAILED Rejected Later "the transaction could not be confirmed" ""
    6040 10760 PARTLY_CONFIRMED Rejected Later "some transactions could not be confirmed" ""
}

impl ErrorCode {
    /// 4000/10680 under a topic: too many binding keys. The service uses the number twice.
    pub const TOO_MANY_BINDING_KEYS: Self = Self::BAD_REWIND_TIME;
    /// 4000/10700 under a topic: the routing key is missing. The service uses the number twice.
    pub const ROUTING_KEY_MISSING: Self = Self::REWIND_OVER_RETENTION;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_own_code() {
        assert!(TABLE.len() > 60);
        for row in TABLE {
            assert_eq!(row.code.name(), Some(row.name));
            assert_eq!(row.code.kind(), row.kind);
            assert_eq!(row.code.is_retryable(), row.retry == Retry::Later);
            let shown = format!("{} {}", row.code.number, row.name);
            assert_eq!(
                row.code
                    .to_string()
                    .replace(&format!("/{}", row.code.module.unwrap()), ""),
                shown
            );
        }
    }

    #[test]
    fn what_callers_match_on() {
        for (code, kind, later) in [
            (ErrorCode::QUEUE_NOT_FOUND, ErrorKind::NotFound, false),
            (ErrorCode::HANDLE_EXPIRED, ErrorKind::Stale, false),
            (ErrorCode::AUTHENTICATION_FAILED, ErrorKind::Auth, false),
            (ErrorCode::THROTTLED, ErrorKind::Busy, true),
            (ErrorCode::FREQUENCY_LIMITED, ErrorKind::Busy, true),
            (ErrorCode::HEAP_FULL, ErrorKind::Busy, true),
            (ErrorCode::INTERNAL_ERROR, ErrorKind::Rejected, true),
            (ErrorCode::EMPTY_BODY, ErrorKind::Rejected, false),
        ] {
            assert_eq!((code.kind(), code.is_retryable()), (kind, later), "{code}");
        }
        assert!(ErrorCode::THROTTLED.is_throttling() && !ErrorCode::HEAP_FULL.is_throttling());
    }

    #[test]
    fn an_unknown_code_is_judged_by_its_number() {
        let unknown = ErrorCode::new(4100, Some(99_999));
        assert_eq!(unknown.to_string(), "4100/99999");
        assert_eq!((unknown.name(), unknown.kind()), (None, ErrorKind::Auth));
        // One row has this number, several have that.
        assert_eq!(ErrorCode::new(7000, None).name(), Some("NO_MESSAGE"));
        assert_eq!(ErrorCode::new(4440, None).name(), None);
        assert_eq!(ErrorCode::new(4440, None).kind(), ErrorKind::NotFound);
        assert_eq!(ErrorCode::new(1, None).kind(), ErrorKind::Rejected);
        assert!(!ErrorCode::new(1, None).is_retryable());
    }
}
