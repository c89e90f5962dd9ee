//! Headers as properties: what is no text is written as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mq_amqp::{Table, Value};
use mq_core::Properties;
use serde_json::Value as Json;

/// The headers, but for those that the broker counts and numbers by.
pub(super) fn properties(headers: &Table) -> Properties {
    let told = headers.iter().filter(|(name, _)| !NUMBERS.contains(name));
    told.map(|(name, value)| (name.to_owned(), text(value)))
        .collect()
}

fn text(value: &Value) -> String {
    match json(value) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Bool(truth) => Json::from(*truth),
        Value::F32(number) => Json::from(*number),
        Value::F64(number) => Json::from(*number),
        Value::Decimal { scale, value } => Json::from(format!("{value}e-{scale}")),
        Value::Text(text) => Json::from(&**text),
        Value::LongString(bytes) | Value::Bytes(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::Timestamp(seconds) => Json::from(*seconds),
        Value::Array(values) => values.iter().map(json).collect(),
        Value::Table(table) => table
            .iter()
            .map(|(name, value)| (name.to_owned(), json(value)))
            .collect(),
        number => number.as_i64().map_or(Json::Null, Json::from),
    }
}

pub(super) const OFFSET: &str = "x-stream-offset";
/// They are shown as offset and redelivery count.
const NUMBERS: [&str; 2] = [OFFSET, "x-delivery-count"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_header_is_shown() {
        let death: Table = [("queue", Value::from("q")), ("count", Value::I64(2))]
            .into_iter()
            .collect();
        let headers: Table = [
            ("text", Value::from("a \"b\"")),
            ("number", Value::U8(7)),
            ("float", Value::F64(0.5)),
            ("truth", Value::Bool(true)),
            ("void", Value::Void),
            ("time", Value::Timestamp(1_700_000_000)),
            (
                "decimal",
                Value::Decimal {
                    scale: 2,
                    value: 314,
                },
            ),
            ("bytes", Value::Bytes([0xff, 0].to_vec().into())),
            ("x-death", Value::Array(vec![Value::Table(death)])),
            ("x-stream-offset", Value::I64(3)),
            ("x-delivery-count", Value::I64(1)),
        ]
        .into_iter()
        .collect();
        let shown: Vec<_> = properties(&headers)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let expected = [
            "text=a \"b\"",
            "number=7",
            "float=0.5",
            "truth=true",
            "void=null",
            "time=1700000000",
            "decimal=314e-2",
            "bytes=/wA=",
            r#"x-death=[{"count":2,"queue":"q"}]"#,
        ];
        assert_eq!(shown, expected);
    }
}
