//! Where messages go that can't be consumed: one parameter, with JSON in it.
//!
//! Source: Tencent Cloud's documents of the CMQ API (product 406, `CreateQueue`, `SetQueueAttributes` and `GetQueueAttributes`). Its SDKs have
//! no such parameter.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::proto::Malformed;
use crate::proto::answer::{self, number, text};

/// Where messages go that can't be consumed, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DeadLetterRule<'a> {
    /// The name of the other queue.
    #[serde(rename = "deadLetterQueue")]
    pub queue: &'a str,
    /// 0: received too often; 1: too old.
    pub policy: u32,
    /// With policy 0: 1 to 1000.
    #[serde(rename = "maxReceiveCount", skip_serializing_if = "Option::is_none")]
    pub max_receives: Option<u32>,
    /// With policy 1: 300 to 43200.
    #[serde(rename = "maxTimeToLive", skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u32>,
}

impl DeadLetterRule<'_> {
    /// The value of the parameter `deadLetterPolicy`.
    pub(super) fn json(&self) -> String {
        // Texts and numbers, which JSON has.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Where messages go that can't be consumed, as it is told; what is left out is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Fields", into = "Fields")]
pub struct DeadLetterState {
    /// The name of the other queue.
    pub queue: String,
    /// 0: received too often; 1: too old.
    pub policy: u64,
    /// For policy 0.
    pub max_receives: u64,
    /// For policy 1.
    pub max_age_seconds: u64,
}

impl DeadLetterState {
    /// Reads the value of the parameter `deadLetterPolicy`.
    ///
    /// # Errors
    ///
    /// It is not a JSON object of the right types.
    pub fn parse(json: &str) -> Result<Self, Malformed> {
        answer::parse(json.as_bytes())
    }
}

/// As it travels: the other queue under the documents' name, and under that of the control plane.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Fields {
    #[serde(deserialize_with = "text")]
    dead_letter_queue: String,
    #[serde(deserialize_with = "text")]
    dead_letter_queue_name: String,
    #[serde(deserialize_with = "number")]
    policy: u64,
    #[serde(deserialize_with = "number")]
    max_receive_count: u64,
    #[serde(deserialize_with = "number")]
    max_time_to_live: u64,
}

impl From<Fields> for DeadLetterState {
    fn from(fields: Fields) -> Self {
        // The documents say of an answer's `deadLetterQueue` that it is the id: a name is better.
        let queue = if fields.dead_letter_queue_name.is_empty() {
            fields.dead_letter_queue
        } else {
            fields.dead_letter_queue_name
        };
        Self {
            queue,
            policy: fields.policy,
            max_receives: fields.max_receive_count,
            max_age_seconds: fields.max_time_to_live,
        }
    }
}

impl From<DeadLetterState> for Fields {
    fn from(state: DeadLetterState) -> Self {
        Self {
            dead_letter_queue: state.queue.clone(),
            dead_letter_queue_name: state.queue,
            policy: state.policy,
            max_receive_count: state.max_receives,
            max_time_to_live: state.max_age_seconds,
        }
    }
}

/// Of an object, or of a text that holds one: the documents call it a string and show none.
pub(super) fn state<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<DeadLetterState>, D::Error> {
    let read = match Value::deserialize(from)? {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => serde_json::from_str(&text),
        other => serde_json::from_value(other),
    };
    // Without what stands there.
    read.map(Some)
        .map_err(|_| de::Error::custom("deadLetterPolicy is not what was expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::action::QueueState;

    #[test]
    fn a_rule_is_read_as_it_was_written() {
        let rule = DeadLetterRule {
            queue: "dead",
            policy: 1,
            max_receives: None,
            max_age_seconds: Some(300),
        };
        let expected = r#"{"deadLetterQueue":"dead","policy":1,"maxTimeToLive":300}"#;
        assert_eq!(rule.json(), expected);
        let read = DeadLetterState::parse(&rule.json()).unwrap();
        assert_eq!((read.queue.as_str(), read.policy), ("dead", 1));
        assert_eq!((read.max_receives, read.max_age_seconds), (0, 300));
        for garbage in ["", "dead", "7", r#"{"policy":"x"}"#] {
            assert!(DeadLetterState::parse(garbage).is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_state_is_read_in_every_form() {
        for policy in [
            r#"{"deadLetterQueue":"dead","policy":0,"maxReceiveCount":3}"#,
            r#"{"deadLetterQueue":"queue-1","deadLetterQueueName":"dead","policy":0,"maxReceiveCount":"3"}"#,
            r#""{\"deadLetterQueue\":\"dead\",\"policy\":0,\"maxReceiveCount\":3}""#,
        ] {
            let answer = format!(r#"{{"code":0,"deadLetterPolicy":{policy}}}"#);
            let state: QueueState = answer::parse(answer.as_bytes()).unwrap();
            let state = state.dead_letter.unwrap();
            assert_eq!(
                (state.queue.as_str(), state.max_receives),
                ("dead", 3),
                "{policy}"
            );
            let written = serde_json::to_string(&state).unwrap();
            assert_eq!(DeadLetterState::parse(&written).unwrap(), state);
        }
        for none in ["null", r#""""#] {
            let answer = format!(r#"{{"code":0,"deadLetterPolicy":{none}}}"#);
            let state: QueueState = answer::parse(answer.as_bytes()).unwrap();
            assert_eq!(state.dead_letter, None);
        }
        let canary = answer::parse::<QueueState>(br#"{"deadLetterPolicy":"canary"}"#);
        assert!(!canary.unwrap_err().to_string().contains("canary"));
    }
}
