//! Answers: an envelope that every one has, and the fields of the action beside it.

mod tolerant;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use self::tolerant::{number, text};
use super::{ErrorCode, Malformed};

/// What every answer has. Code 0 is success.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Envelope {
    /// 0, or the number of an [`ErrorCode`].
    #[serde(deserialize_with = "number")]
    pub code: u64,
    /// Empty on success; else the module code in parentheses and a text.
    #[serde(default, deserialize_with = "text")]
    pub message: String,
    /// The service's name for the request, for its support.
    #[serde(default, rename = "requestId", deserialize_with = "text")]
    pub request_id: String,
}

impl Envelope {
    /// Reads the envelope of an answer; what else there is is not looked at.
    ///
    /// # Errors
    ///
    /// It is not a JSON object with a number `code`.
    pub fn parse(answer: &[u8]) -> Result<Self, Malformed> {
        parse(answer)
    }

    /// That of a success.
    pub const fn success(request_id: String) -> Self {
        Self {
            code: 0,
            message: String::new(),
            request_id,
        }
    }

    /// That of a refusal: the text behind the module code, as the service writes it.
    pub fn refusal(code: ErrorCode, text: &str, request_id: String) -> Self {
        let message = code
            .module()
            .map_or_else(|| text.to_owned(), |module| format!("({module}){text}"));
        Self {
            code: code.number().into(),
            message,
            request_id,
        }
    }

    /// The error that it tells of, if it does.
    pub fn error(&self) -> Option<ErrorCode> {
        if self.code == 0 {
            return None;
        }
        let number = u32::try_from(self.code).unwrap_or(u32::MAX);
        Some(ErrorCode::new(number, split(&self.message).0))
    }

    /// The message without its module code.
    pub fn text(&self) -> &str {
        split(&self.message).1
    }
}

/// Reads what an action answers beside the envelope.
///
/// # Errors
///
/// It is not a JSON object, or lacks a field that the reply can't be without.
pub fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Malformed> {
    // serde_json's errors tell line, column and the names of fields, not what stands there, apart from single values of a wrong type.
    serde_json::from_slice(answer).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Data => "a field is missing or of the wrong type",
            _ => "it is not JSON",
        };
        Malformed::new(format!("{what} at {place}"))
    })
}

/// Writes an answer as a server does: the envelope, the number that the client gave its request, and what the action answers.
///
/// # Errors
///
/// The reply can't be written as a JSON object.
pub fn write<T: Serialize>(
    envelope: &Envelope,
    client_request_id: Option<u64>,
    reply: Option<&T>,
) -> Result<Vec<u8>, Malformed> {
    #[derive(Serialize)]
    struct Whole<'a, T> {
        code: u64,
        message: &'a str,
        #[serde(rename = "requestId")]
        request_id: &'a str,
        #[serde(rename = "clientRequestId", skip_serializing_if = "Option::is_none")]
        client_request_id: Option<u64>,
        #[serde(flatten)]
        reply: Option<&'a T>,
    }
    let whole = Whole {
        code: envelope.code,
        message: &envelope.message,
        request_id: &envelope.request_id,
        client_request_id,
        reply,
    };
    serde_json::to_vec(&whole).map_err(|_| Malformed::new("the reply is no JSON object"))
}

/// Module code and text of `(10200)no message`.
fn split(message: &str) -> (Option<u32>, &str) {
    let parts = message
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .and_then(|(code, text)| Some((code.parse().ok()?, text)));
    parts.map_or((None, message), |(code, text)| (Some(code), text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn success_and_error() {
        let ok = Envelope::parse(br#"{"code":0,"message":"","requestId":"14534","msgId":"1"}"#);
        let ok = ok.unwrap();
        assert_eq!((ok.error(), ok.request_id.as_str()), (None, "14534"));
        let no = Envelope::parse(
            br#"{"code":7000,"message":"(10200)no message","requestId":"1","clientRequestId":18446744073709551615}"#,
        );
        let no = no.unwrap();
        assert_eq!(no.error(), Some(ErrorCode::NO_MESSAGE));
        assert_eq!(no.text(), "no message");
    }

    #[test]
    fn types_are_taken_as_they_come() {
        let envelope = Envelope::parse(br#"{"code":"4440","requestId":7}"#).unwrap();
        assert_eq!(envelope.error(), Some(ErrorCode::new(4440, None)));
        assert_eq!(envelope.request_id, "7");
        for (message, module) in [
            ("(10100)gone", Some(10100)),
            ("(10100 gone", None),
            ("(x)gone", None),
            ("", None),
            ("()", None),
        ] {
            assert_eq!(split(message).0, module, "{message}");
        }
    }

    #[test]
    fn garbage_is_refused_and_not_repeated() {
        for garbage in [
            "",
            "canary",
            "[]",
            "{}",
            r#"{"code":null}"#,
            r#"{"code":"canary"}"#,
            r#"{"code":-1}"#,
            r#"{"code":0"#,
        ] {
            let error = Envelope::parse(garbage.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{garbage}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Envelope::parse(&bytes);
        }

        #[test]
        fn an_envelope_comes_back(code in any::<u32>(), module in proptest::option::of(any::<u32>()), text in "[^()].*") {
            let message = module.map_or_else(|| text.clone(), |module| format!("({module}){text}"));
            let json = serde_json::json!({"code": code, "message": message, "requestId": "r", "more": [1]});
            let envelope = Envelope::parse(json.to_string().as_bytes()).unwrap();
            prop_assert_eq!(envelope.error(), (code != 0).then(|| ErrorCode::new(code, module)));
            prop_assert_eq!(envelope.text(), text);
        }
    }
}
