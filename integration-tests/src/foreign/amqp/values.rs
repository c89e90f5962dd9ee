//! What a message carries, between JSON and our own types: a value is an object with one entry, named by the wire's letter for its type.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use bytestring::ByteString;
use mq_amqp::{Properties, Table, Value};
use serde_json::{Value as Json, json};

use super::super::Failure;

/// A message as a foreign client got it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The exchange.
    pub exchange: String,
    /// The routing key.
    pub key: String,
    /// Whether the broker has delivered it before.
    pub redelivered: bool,
    /// Everything beside the body, tables in the order of their names.
    pub properties: Properties,
    /// The body.
    pub body: Bytes,
}

impl Seen {
    /// Reads a message of an answer.
    ///
    /// # Errors
    /// [`Failure::Output`] for one that is not as `foreign/amqp-python/main.py` says.
    pub fn read(message: &Json) -> Result<Self, Failure> {
        let wrong = || Failure::Output(format!("no message: {message}"));
        let text = |name: &str| message.get(name).and_then(Json::as_str);
        let properties = message.get("properties").and_then(read_properties);
        Ok(Self {
            exchange: text("exchange").ok_or_else(wrong)?.to_owned(),
            key: text("key").ok_or_else(wrong)?.to_owned(),
            redelivered: message
                .get("redelivered")
                .and_then(Json::as_bool)
                .ok_or_else(wrong)?,
            properties: sorted_properties(properties.ok_or_else(wrong)?),
            body: text("body").and_then(from_base64).ok_or_else(wrong)?,
        })
    }

    /// Reads the messages of an answer.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_all(answer: &Json) -> Result<Vec<Self>, Failure> {
        let messages = answer.get("messages").and_then(Json::as_array);
        messages.into_iter().flatten().map(Self::read).collect()
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The properties as a foreign client is given them.
pub fn properties(given: &Properties) -> Json {
    let texts = [
        ("content_type", &given.content_type),
        ("content_encoding", &given.content_encoding),
        ("correlation_id", &given.correlation_id),
        ("reply_to", &given.reply_to),
        ("expiration", &given.expiration),
        ("message_id", &given.message_id),
        ("type", &given.kind),
        ("user_id", &given.user_id),
        ("app_id", &given.app_id),
        ("cluster_id", &given.cluster_id),
    ];
    let texts = texts
        .into_iter()
        .map(|(name, text)| (name, text.as_ref().map(|text| json!(&**text))));
    let others = [
        ("headers", given.headers.as_ref().map(table)),
        ("delivery_mode", given.delivery_mode.map(Json::from)),
        ("priority", given.priority.map(Json::from)),
        ("timestamp", given.timestamp.map(Json::from)),
    ];
    let there = texts
        .chain(others)
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Json::Object(there.collect())
}

/// A table as a foreign client is given it.
pub fn table(given: &Table) -> Json {
    let pair = |(name, each): (&str, &Value)| json!([name, value(each)]);
    given.iter().map(pair).collect()
}

fn value(given: &Value) -> Json {
    match given {
        Value::Void => json!({"V": null}),
        Value::Bool(truth) => json!({"t": truth}),
        Value::I8(number) => json!({"b": number}),
        Value::U8(number) => json!({"B": number}),
        Value::I16(number) => json!({"s": number}),
        Value::U16(number) => json!({"u": number}),
        Value::I32(number) => json!({"I": number}),
        Value::U32(number) => json!({"i": number}),
        Value::I64(number) => json!({"l": number}),
        Value::F32(number) => json!({"f": number}),
        Value::F64(number) => json!({"d": number}),
        Value::Decimal { scale, value } => json!({"D": [scale, value.cast_signed()]}),
        Value::Text(text) => json!({"S": &**text}),
        Value::LongString(bytes) => json!({"Sx": BASE64_STANDARD.encode(bytes)}),
        Value::Bytes(bytes) => json!({"x": BASE64_STANDARD.encode(bytes)}),
        Value::Timestamp(seconds) => json!({"T": seconds}),
        Value::Array(values) => json!({"A": values.iter().map(value).collect::<Vec<_>>()}),
        Value::Table(inner) => json!({"F": table(inner)}),
        other => json!({"?": format!("{other:?}")}),
    }
}

fn read_properties(from: &Json) -> Option<Properties> {
    let mut read = Properties::default();
    for (name, value) in from.as_object()? {
        let text = || value.as_str().map(ByteString::from);
        let octet = || u8::try_from(value.as_u64()?).ok();
        match name.as_str() {
            "content_type" => read.content_type = Some(text()?),
            "content_encoding" => read.content_encoding = Some(text()?),
            "headers" => read.headers = Some(read_table(value)?),
            "delivery_mode" => read.delivery_mode = Some(octet()?),
            "priority" => read.priority = Some(octet()?),
            "correlation_id" => read.correlation_id = Some(text()?),
            "reply_to" => read.reply_to = Some(text()?),
            "expiration" => read.expiration = Some(text()?),
            "message_id" => read.message_id = Some(text()?),
            "timestamp" => read.timestamp = Some(value.as_u64()?),
            "type" => read.kind = Some(text()?),
            "user_id" => read.user_id = Some(text()?),
            "app_id" => read.app_id = Some(text()?),
            "cluster_id" => read.cluster_id = Some(text()?),
            _ => return None,
        }
    }
    Some(read)
}

fn read_table(from: &Json) -> Option<Table> {
    let pairs = from.as_array()?.iter();
    let pairs = pairs.map(|pair| {
        let name = ByteString::from(pair.get(0)?.as_str()?);
        Some((name, read_value(pair.get(1)?)?))
    });
    pairs.collect()
}

fn read_value(from: &Json) -> Option<Value> {
    let (letter, held) = from.as_object()?.iter().next()?;
    let number = || held.as_i64();
    Some(match letter.as_str() {
        "V" => Value::Void,
        "t" => Value::Bool(held.as_bool()?),
        "b" => Value::I8(number()?.try_into().ok()?),
        "s" => Value::I16(number()?.try_into().ok()?),
        "I" => Value::I32(number()?.try_into().ok()?),
        "l" => Value::I64(number()?),
        "f" => Value::F32(single(held.as_f64()?)),
        "d" => Value::F64(held.as_f64()?),
        "D" => Value::Decimal {
            scale: held.get(0)?.as_u64()?.try_into().ok()?,
            value: i32::try_from(held.get(1)?.as_i64()?).ok()?.cast_unsigned(),
        },
        "S" => Value::Text(held.as_str()?.into()),
        "Sx" => Value::LongString(from_base64(held.as_str()?)?),
        "x" => Value::Bytes(from_base64(held.as_str()?)?),
        "T" => Value::Timestamp(held.as_u64()?),
        "A" => Value::Array(
            held.as_array()?
                .iter()
                .map(read_value)
                .collect::<Option<_>>()?,
        ),
        "F" => Value::Table(read_table(held)?),
        _ => return None,
    })
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "it was one of 32 bits before it was written as JSON"
)]
const fn single(number: f64) -> f32 {
    number as f32
}

fn from_base64(text: &str) -> Option<Bytes> {
    BASE64_STANDARD.decode(text).ok().map(Bytes::from)
}

fn sorted_properties(mut properties: Properties) -> Properties {
    properties.headers = properties.headers.as_ref().map(sorted);
    properties
}

/// The table in the order of its names, and so those in it: the Java client's tables have no order.
pub fn sorted(table: &Table) -> Table {
    let mut pairs: Vec<(ByteString, Value)> = table
        .iter()
        .map(|(name, value)| (name.into(), sorted_value(value)))
        .collect();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    pairs.into_iter().collect()
}

fn sorted_value(value: &Value) -> Value {
    match value {
        Value::Table(inner) => Value::Table(sorted(inner)),
        Value::Array(values) => Value::Array(values.iter().map(sorted_value).collect()),
        other => other.clone(),
    }
}
