//! Frames recorded from the Java client and broker: we read them, and what we write reads the same.
//!
//! ```text
//!   fixtures/java-5.5.0/{json,binary}/<code>-<name>-{request,response}.hex
//!     # a comment                     the command that captured it, versions
//!     0000012a 00000115 7b22…         a whole frame, as hexadecimal text on any number of lines
//!                                     a blank line ends it, another may follow
//! ```
#![cfg(feature = "unstable-proto")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test: clippy knows only functions marked as such"
)]

use std::{collections::HashSet, fmt, fs, path::PathBuf};

use bytes::{Bytes, BytesMut};
use mq_core::decompress::{self, Limits};
use mq_rocketmq::proto::{
    ExtFields, Fields, Frame, FrameDecoder, Header, HeaderCodec, Reply, Request, RequestCode,
    ResponseCode,
    command::{
        CheckTransaction, ClusterInfo, ConsumeStats, ConsumerList, ConsumerOffset, CreateGroup,
        CreateTopic, DeleteGroup, DeleteTopicAtBroker, DeleteTopicAtNameserver, Done,
        EndTransaction, FoundOffset, GetClusterInfo, GetConsumeStats, GetConsumerList, GetGroups,
        GetMaxOffset, GetMinOffset, GetRoute, GetTopicList, Groups, Heartbeat, HeartbeatReply,
        LockQueues, LockedQueues, MaxOffset, MinOffset, NotifyConsumersChanged, PullMessage,
        PullReply, QueryOffset, RecallMessage, RecallReply, SearchOffset, SendBack, SendBatch,
        SendMessage, SendMessageLong, SendReply, TopicList, TopicRoute, UnlockQueues, Unregister,
        UpdateOffset, ViewMessage, ViewedMessage,
    },
    message::{StoredMessage, decode_batch, decode_messages, encode_batch, properties},
};

/// Every command we use. The answer is absent where Java asks oneway.
fn commands() -> Vec<Command> {
    vec![
        request::<GetRoute>("route").answered_by::<TopicRoute>(),
        request::<SendMessage>("send-v2")
            .answered_by::<SendReply>()
            .and(sent_properties),
        request::<SendMessageLong>("send").answered_by::<SendReply>(),
        request::<SendBatch>("send-batch")
            .answered_by::<SendReply>()
            .and(sent_batch),
        request::<PullMessage>("pull")
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
        request::<RecallMessage>("recall").answered_by::<RecallReply>(),
        request::<ViewMessage>("view-message")
            .answered_by::<ViewedMessage>()
            .and(pulled_messages),
        request::<SendBack>("send-back").answered_by::<Done>(),
        request::<EndTransaction>("end-transaction"),
        request::<CheckTransaction>("check-transaction").and(half_message),
        request::<NotifyConsumersChanged>("consumer-ids-changed"),
        request::<LockQueues>("lock").answered_by::<LockedQueues>(),
        request::<UnlockQueues>("unlock").answered_by::<Done>(),
        request::<GetTopicList>("topic-list").answered_by::<TopicList>(),
        request::<GetConsumeStats>("consume-stats").answered_by::<ConsumeStats>(),
        request::<CreateTopic>("create-topic").answered_by::<Done>(),
        request::<GetClusterInfo>("cluster-info").answered_by::<ClusterInfo>(),
        request::<CreateGroup>("create-group").answered_by::<Done>(),
        request::<GetGroups>("groups").answered_by::<Groups>(),
        request::<DeleteGroup>("delete-group").answered_by::<Done>(),
        request::<DeleteTopicAtBroker>("delete-topic-broker").answered_by::<Done>(),
        request::<DeleteTopicAtNameserver>("delete-topic-nameserver").answered_by::<Done>(),
    ]
}

#[test]
fn recorded_frames_read_and_write_the_same() {
    let commands = commands();
    let (mut seen, mut frames) = (HashSet::new(), 0);
    for folder in ["json", "binary"] {
        for file in fs::read_dir(fixtures().join(folder)).expect("fixtures") {
            let file = file
                .expect("a file")
                .file_name()
                .into_string()
                .expect("UTF-8");
            let Some(name) = file.strip_suffix(".hex") else {
                continue;
            };
            let (command, role) = which(&commands, name);
            frames += command.check(folder, &file, role);
            seen.insert(format!("{folder}/{name}"));
        }
    }
    println!("{frames} frames of {} files compared", seen.len());
    let missing: Vec<_> = commands.iter().flat_map(Command::files).collect();
    let missing: Vec<_> = missing
        .into_iter()
        .filter(|file| !seen.contains(file))
        .collect();
    assert!(
        missing.is_empty(),
        "{} fixtures are missing:\n{}",
        missing.len(),
        missing.join("\n")
    );
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/java-5.5.0")
}

/// `acl-310-send-v2-request`: the command is what the first number says, the role comes last.
fn which<'a>(commands: &'a [Command], name: &'a str) -> (&'a Command, &'a str) {
    let code = name.split('-').find_map(|part| part.parse().ok());
    let command = commands.iter().find(|command| Some(command.code.0) == code);
    let command = command.unwrap_or_else(|| panic!("{name}: not in the table"));
    (command, name.rsplit('-').next().unwrap_or_default())
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

    /// The files that must be there, others may.
    fn files(&self) -> Vec<String> {
        let file =
            |folder: &str, role: &str| format!("{folder}/{}-{}-{role}", self.code.0, self.name);
        let mut files = vec![file("json", "request"), file("binary", "request")];
        if self.response.is_some() {
            files.extend([file("json", "response"), file("binary", "response")]);
        }
        files
    }

    fn check(&self, folder: &str, file: &str, role: &str) -> usize {
        let text = fs::read_to_string(fixtures().join(folder).join(file)).expect("a file");
        let frames = frames_of(&text);
        assert!(!frames.is_empty(), "{file} holds no frame");
        for bytes in &frames {
            println!("{folder}/{file}");
            let frame = decode(bytes);
            let response = role == "response";
            assert_eq!(frame.header.flags.is_response(), response);
            // A broker writes JSON of its own accord, and answers some binary requests (320) with JSON too.
            if folder == "json" {
                assert_eq!(frame.header.codec, HeaderCodec::Json);
            } else if !response && !OF_ITS_OWN_ACCORD.contains(&self.code) {
                assert_eq!(frame.header.codec, HeaderCodec::Binary);
            }
            same_header(&frame);
            if response {
                self.response.expect("an answer")(&frame);
            } else {
                assert_eq!(frame.header.code, self.code.0);
                (self.request)(&frame);
            }
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

/// Ext fields in any order, and once: Java's are a hash map, and with a signature its binary form holds them twice
/// (`RocketMQSerializable` writes a fast header, then the map that the hook has filled from it).
fn sorted(ext: &ExtFields) -> Vec<(&str, &str)> {
    let mut sorted: Vec<_> = ext.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
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
    assert_eq!(encode_batch(&items), frame.body);
}

fn pulled_messages(frame: &Frame) {
    let mut again = BytesMut::new();
    for message in decode_messages(frame.body.clone()) {
        let message: StoredMessage = message.expect("a message");
        assert!(message.body_crc_matches());
        if let Some(compression) = message.sys_flag.compression().expect("a known compression") {
            let plain = decompress::bounded(compression, &message.body, Limits::default());
            assert!(plain.expect("a compressed body").len() > message.body.len());
        }
        message.encode(&mut again);
    }
    if frame.header.flags.is_response() {
        assert_eq!(again, frame.body);
    }
}

fn half_message(frame: &Frame) {
    let message = StoredMessage::decode(&frame.body).expect("a message");
    assert!(message.body_crc_matches());
    for name in ["UNIQ_KEY", "PGROUP", "TRANSACTION_CHECK_TIMES"] {
        assert!(message.properties.get(name).is_some(), "{name}");
    }
    let mut again = BytesMut::new();
    message.encode(&mut again);
    assert_eq!(again, frame.body);
}

/// What a broker asks of clients.
const OF_ITS_OWN_ACCORD: [RequestCode; 2] = [
    RequestCode::NOTIFY_CONSUMER_IDS_CHANGED,
    RequestCode::CHECK_TRANSACTION_STATE,
];
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
