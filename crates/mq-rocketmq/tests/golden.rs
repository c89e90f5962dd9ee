//! Frames recorded from the Java client and broker: we read them, and what we write reads the same.
//!
//! ```text
//!   fixtures/java-5.5.0/{json,binary}/<code>-<name>-{request,response}.hex
//!     # a comment                     the command that captured it, versions
//!     0000012a 00000115 7b22…         a whole frame, as hexadecimal text on any number of lines
//!                                     a blank line ends it, another may follow
//! ```
#![cfg(feature = "unstable-proto")]

use std::{fmt, fs, path::PathBuf};

use bytes::{Bytes, BytesMut};
use mq_rocketmq::proto::{
    ExtFields, Fields, Frame, FrameDecoder, Header, HeaderCodec, Reply, Request, RequestCode,
    ResponseCode,
    command::{
        ConsumeStats, ConsumerList, ConsumerOffset, Done, FoundOffset, GetConsumeStats,
        GetConsumerList, GetMaxOffset, GetMinOffset, GetRoute, GetTopicList, Heartbeat,
        HeartbeatReply, MaxOffset, MinOffset, NotifyConsumersChanged, PullMessage, PullReply,
        QueryOffset, SearchOffset, SendBack, SendBatch, SendMessage, SendReply, TopicList,
        TopicRoute, Unregister, UpdateOffset,
    },
    message::{StoredMessage, decode_batch, decode_messages, encode_batch, properties},
};

/// Every command we use. The answer is absent where Java asks oneway.
fn commands() -> Vec<Command> {
    vec![
        request::<GetRoute>("get-route").answered_by::<TopicRoute>(),
        request::<SendMessage>("send-message")
            .answered_by::<SendReply>()
            .and(sent_properties),
        request::<SendBatch>("send-batch")
            .answered_by::<SendReply>()
            .and(sent_batch),
        request::<PullMessage>("pull-message")
            .answered_by::<PullReply>()
            .and(pulled_messages),
        request::<Heartbeat>("heartbeat").answered_by::<HeartbeatReply>(),
        request::<Unregister>("unregister").answered_by::<Done>(),
        request::<GetConsumerList>("consumer-list").answered_by::<ConsumerList>(),
        request::<QueryOffset>("query-offset").answered_by::<ConsumerOffset>(),
        request::<UpdateOffset>("update-offset"),
        request::<SearchOffset>("search-offset").answered_by::<FoundOffset>(),
        request::<GetMaxOffset>("max-offset").answered_by::<MaxOffset>(),
        request::<GetMinOffset>("min-offset").answered_by::<MinOffset>(),
        request::<SendBack>("send-back").answered_by::<Done>(),
        request::<NotifyConsumersChanged>("consumers-changed"),
        request::<GetTopicList>("topic-list").answered_by::<TopicList>(),
        request::<GetConsumeStats>("consume-stats").answered_by::<ConsumeStats>(),
    ]
}

#[test]
fn recorded_frames_read_and_write_the_same() {
    let (mut missing, mut frames) = (Vec::new(), 0);
    for codec in [HeaderCodec::Json, HeaderCodec::Binary] {
        for command in commands() {
            frames += command.check("request", codec, command.request, &mut missing);
            if let Some(response) = command.response {
                frames += command.check("response", codec, response, &mut missing);
            }
        }
    }
    println!("{frames} frames compared");
    assert!(
        missing.is_empty(),
        "{} fixtures are missing:\n{}",
        missing.len(),
        missing.join("\n")
    );
}

type Check = fn(&Frame);

struct Command {
    code: RequestCode,
    name: &'static str,
    request: Check,
    response: Option<Check>,
    bytes: Option<Check>,
}

fn request<R: Request + PartialEq + fmt::Debug>(name: &'static str) -> Command {
    Command {
        code: R::CODE,
        name,
        request: same_request::<R>,
        response: None,
        bytes: None,
    }
}

impl Command {
    fn answered_by<R: Reply + PartialEq + fmt::Debug>(mut self) -> Self {
        self.response = Some(same_reply::<R>);
        self
    }

    /// A further check, of bodies whose bytes the format fixes.
    fn and(mut self, bytes: Check) -> Self {
        self.bytes = Some(bytes);
        self
    }

    fn check(
        &self,
        role: &str,
        codec: HeaderCodec,
        same: Check,
        missing: &mut Vec<String>,
    ) -> usize {
        let folder = if codec == HeaderCodec::Json {
            "json"
        } else {
            "binary"
        };
        let file = format!("{folder}/{}-{}-{role}.hex", self.code.0, self.name);
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/java-5.5.0")
            .join(&file);
        let Ok(text) = fs::read_to_string(path) else {
            missing.push(file);
            return 0;
        };
        let frames = frames_of(&text);
        assert!(!frames.is_empty(), "{file} holds no frame");
        for bytes in &frames {
            println!("{file}");
            let frame = decode(bytes);
            assert_eq!(frame.header.codec, codec);
            assert_eq!(frame.header.flags.is_response(), role == "response");
            if role == "request" {
                assert_eq!(frame.header.code, self.code.0);
            }
            same_header(&frame);
            same(&frame);
            if let Some(check) = self.bytes {
                check(&frame);
            }
        }
        frames.len()
    }
}

/// Comments out, blank lines between frames.
fn frames_of(text: &str) -> Vec<Vec<u8>> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'));
    let lines: Vec<&str> = lines.collect();
    let digits = |lines: &[&str]| lines.concat().replace(char::is_whitespace, "");
    lines
        .split(|line| line.is_empty())
        .map(digits)
        .filter(|digits| !digits.is_empty())
        .map(|digits| {
            let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal text");
            (0..digits.len()).step_by(2).map(byte).collect()
        })
        .collect()
}

fn decode(bytes: &[u8]) -> Frame {
    let mut buf = BytesMut::from(bytes);
    let frame = FrameDecoder::default().decode(&mut buf).expect("a frame");
    assert!(buf.is_empty(), "{} bytes after the frame", buf.len());
    frame.expect("a whole frame")
}

fn same_header(frame: &Frame) {
    let mut again = frame.header.encode(frame.body.len()).into_bytes().to_vec();
    again.extend_from_slice(&frame.body);
    assert_eq!(decode(&again), *frame);
}

/// Ext fields in any order: Java's are a hash map.
fn sorted(ext: &ExtFields) -> Vec<(&str, &str)> {
    let mut sorted: Vec<_> = ext.iter().collect();
    sorted.sort_unstable();
    sorted
}

fn same_request<R: Request + PartialEq + fmt::Debug>(frame: &Frame) {
    let request = R::parse(&frame.header.ext, &frame.body).expect("a request");
    same_fields(&request, &frame.header);
    let mut ext = ExtFields::new();
    request.fields(&mut ext);
    assert_eq!(R::parse(&ext, &request.body()).expect("our own"), request);
    same_body(&request.body(), &frame.body);
}

fn same_reply<R: Reply + PartialEq + fmt::Debug>(frame: &Frame) {
    if frame.header.code != ResponseCode::SUCCESS.0 && frame.header.ext.is_empty() {
        return;
    }
    let reply = R::parse(&frame.header.ext, &frame.body).expect("a reply");
    same_fields(&reply, &frame.header);
    let mut ext = ExtFields::new();
    reply.fields(&mut ext);
    assert_eq!(R::parse(&ext, &reply.body()).expect("our own"), reply);
    same_body(&reply.body(), &frame.body);
}

/// What Java wrote and what we write of it, field by field; nothing may get lost but what belongs to every request.
fn same_fields(fields: &impl Fields, header: &Header) {
    let mut ours = ExtFields::new();
    fields.fields(&mut ours);
    let mut theirs = sorted(&header.ext);
    theirs.retain(|(key, _)| !OF_EVERY_COMMAND.contains(key));
    assert_eq!(sorted(&ours), theirs, "code {}", header.code);
}

/// The same bytes, or JSON that says the same.
fn same_body(ours: &Bytes, theirs: &Bytes) {
    if ours == theirs {
        return;
    }
    let value = |bytes: &[u8]| {
        let standard = mq_rocketmq::proto::json::standard(bytes).expect("JSON");
        serde_json::from_slice::<serde_json::Value>(&standard).expect("JSON")
    };
    assert_eq!(normal(value(ours)), normal(value(theirs)));
}

/// Sets and object keys come in any order, and a null says what absence says.
fn normal(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(normal).collect();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        Value::Object(map) => {
            let key = |key: String| match serde_json::from_str::<Value>(&key) {
                Ok(object @ Value::Object(_)) => normal(object).to_string(),
                _ => key,
            };
            let entries = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                entries
                    .map(|(name, value)| (key(name), normal(value)))
                    .collect(),
            )
        }
        other => other,
    }
}

fn sent_properties(frame: &Frame) {
    let Some(text) = frame.header.ext.text("i") else {
        return;
    };
    assert_eq!(properties::encode(&properties::decode(text)), text);
}

fn sent_batch(frame: &Frame) {
    if frame.header.flags.is_response() {
        return;
    }
    sent_properties(frame);
    let items: Vec<_> = decode_batch(frame.body.clone())
        .collect::<Result<_, _>>()
        .expect("items");
    assert!(items.len() > 1, "a batch of {}", items.len());
    assert!(items.iter().all(|item| item.verbatim_properties.is_none()));
    assert_eq!(encode_batch(&items), frame.body);
}

fn pulled_messages(frame: &Frame) {
    let mut again = BytesMut::new();
    for message in decode_messages(frame.body.clone()) {
        let message: StoredMessage = message.expect("a message");
        assert!(message.body_crc_matches());
        assert_eq!(message.verbatim_properties, None);
        message.encode(&mut again);
    }
    if frame.header.flags.is_response() {
        assert_eq!(again, frame.body);
    }
}

/// Fields that any request may carry: signature, namespaces, and what a hook adds.
const OF_EVERY_COMMAND: [&str; 7] = [
    "AccessKey",
    "Signature",
    "SecurityToken",
    "ns",
    "nsd",
    "lo",
    "oway",
];
