//! The envelope of answers: `{"Response":{…,"RequestId"}}`, with an `Error` in it where the service said no. HTTP's status is 200 either way.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::proto::Malformed;

/// An answer that is no error, and the request's id.
#[derive(Debug, Clone)]
pub struct Answer<R> {
    /// What the action answers.
    pub reply: R,
    /// By which the service's support finds the request.
    pub request_id: String,
}

/// The service said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The code, such as `ResourceInUse.Queue`.
    pub code: String,
    /// Its own words.
    pub message: String,
    /// By which the service's support finds the request.
    pub request_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Whole<'a> {
    #[serde(borrow)]
    response: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Common {
    error: Option<Error>,
    #[serde(default, deserialize_with = "or_default")]
    request_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Error {
    #[serde(default, deserialize_with = "or_default")]
    code: String,
    #[serde(default, deserialize_with = "or_default")]
    message: String,
}

/// Reads an answer.
///
/// # Errors
///
/// Bytes that are not the envelope, or lack what belongs to the reply.
pub fn parse<R: DeserializeOwned>(bytes: &[u8]) -> Result<Result<Answer<R>, Refused>, Malformed> {
    let malformed = |_| Malformed::new("not an answer of API 3.0");
    let whole: Whole<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
    let common: Common = serde_json::from_str(whole.response.get()).map_err(malformed)?;
    let request_id = common.request_id;
    if let Some(Error { code, message }) = common.error {
        return Ok(Err(Refused {
            code,
            message,
            request_id,
        }));
    }
    let reply = serde_json::from_str(whole.response.get());
    let reply = reply.map_err(|error| Malformed::new(format!("the reply: {}", place(&error))))?;
    Ok(Ok(Answer { reply, request_id }))
}

/// Where and how, without the text itself, which may hold anything.
fn place(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or of another type",
        _ => "not JSON",
    };
    format!("{what}, line {} column {}", error.line(), error.column())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<T> {
    response: T,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Done<'a, R> {
    #[serde(flatten)]
    reply: &'a R,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct No<'a> {
    error: Told<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Told<'a> {
    code: &'a str,
    message: &'a str,
}

/// Writes an answer.
///
/// # Errors
///
/// A reply that can't be written as JSON; those of this module can.
pub fn write<R: Serialize>(reply: &R, request_id: &str) -> Result<String, serde_json::Error> {
    let response = Done { reply, request_id };
    serde_json::to_string(&Written { response })
}

/// Writes a refusal.
///
/// # Errors
///
/// None: it is made of texts.
pub fn write_refused(refused: &Refused) -> Result<String, serde_json::Error> {
    let response = No {
        error: Told {
            code: &refused.code,
            message: &refused.message,
        },
        request_id: &refused.request_id,
    };
    serde_json::to_string(&Written { response })
}

/// `null` is what the service gives for what it does not know.
pub(crate) fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::tc3::action::{Done, QueueCreated, Queues};

    #[test]
    fn both_kinds_come_back() {
        let reply = QueueCreated {
            queue_id: "q-1".into(),
        };
        let text = write(&reply, "id-1").unwrap();
        assert_eq!(text, r#"{"Response":{"QueueId":"q-1","RequestId":"id-1"}}"#);
        let answer = parse::<QueueCreated>(text.as_bytes()).unwrap().unwrap();
        assert_eq!((answer.reply, answer.request_id.as_str()), (reply, "id-1"));
        let text = write(&Done {}, "id-2").unwrap();
        assert_eq!(text, r#"{"Response":{"RequestId":"id-2"}}"#);
        let refused = Refused {
            code: "ResourceInUse.Queue".into(),
            message: "there is one".into(),
            request_id: "id-3".into(),
        };
        let text = write_refused(&refused).unwrap();
        assert_eq!(
            text,
            r#"{"Response":{"Error":{"Code":"ResourceInUse.Queue","Message":"there is one"},"RequestId":"id-3"}}"#
        );
        assert_eq!(
            parse::<Done>(text.as_bytes()).unwrap().unwrap_err(),
            refused
        );
    }

    #[test]
    fn a_page_without_its_total_is_not_taken_for_the_last() {
        let text = r#"{"Response":{"QueueList":[{"QueueName":"q"}],"RequestId":"1"}}"#;
        assert!(parse::<Queues>(text.as_bytes()).is_err());
        let text = r#"{"Response":{"TotalCount":0,"QueueList":null,"RequestId":null}}"#;
        let page = parse::<Queues>(text.as_bytes()).unwrap().unwrap().reply;
        assert!(page.queue_list.is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_without_the_text() {
        for text in [
            "canary",
            r#"{"code":4000,"message":"canary"}"#,
            r#"{"Response":"canary"}"#,
            r#"{"Response":{"TotalCount":"canary","RequestId":"1"}}"#,
        ] {
            let error = parse::<Queues>(text.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Queues>(&bytes);
        }

        #[test]
        fn a_refusal_comes_back(code in ".{0,30}", message in ".{0,60}", request_id in ".{0,30}") {
            let refused = Refused { code, message, request_id };
            let text = write_refused(&refused).unwrap();
            prop_assert_eq!(parse::<Done>(text.as_bytes()).unwrap().unwrap_err(), refused);
        }
    }
}
