//! What the codec costs: `cargo bench -p mq-rocketmq --features unstable-proto`. Allocations are counted once, before the times.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark, which prints figures and fails by panicking"
)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mq_core::Properties;
use mq_rocketmq::proto::command::SendMessage;
use mq_rocketmq::proto::message::{StoredMessage, decode_messages, properties};
use mq_rocketmq::proto::{
    Encoded, ExtFields, Flags, Frame, FrameDecoder, HeaderCodec, HeaderParts, Language, encode,
};

const MESSAGES: u16 = 32;
const BODY: usize = 128;

fn named() -> Properties {
    let unique = "7F000001000A1B2C3D4E5F60718293A4";
    [
        ("TAGS", "TagA"),
        ("KEYS", "OrderID188"),
        ("UNIQ_KEY", unique),
        ("WAIT", "true"),
    ]
    .into_iter()
    .collect()
}

fn request() -> SendMessage {
    SendMessage {
        producer_group: "group".into(),
        topic: "bench_send_128".into(),
        default_topic: "TBW102".into(),
        default_queue_count: 4,
        queue_id: 3,
        born_at_ms: 1_795_253_972_385,
        properties: Some(properties::encode(&named())),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        batch: Some(false),
        broker_name: Some("broker-a".into()),
        ..SendMessage::default()
    }
}

fn encoded(request: &SendMessage, codec: HeaderCodec) -> Encoded {
    let parts = HeaderParts {
        code: 310,
        flags: Flags::REQUEST,
        remark: None,
        language: Language::RUST,
        version: 479,
        codec,
    };
    encode(&parts, request, &[], BODY)
}

/// The body of a pull's answer.
fn pulled() -> Bytes {
    let mut body = BytesMut::new();
    for offset in 0..MESSAGES {
        let mut message = StoredMessage::new("bench_drain_128", Bytes::from(vec![b'x'; BODY]));
        message.properties = (&named()).into();
        message.queue_offset = i64::from(offset);
        message.encode(&mut body);
    }
    body.freeze()
}

fn sent() -> Bytes {
    let mut head = encoded(&request(), HeaderCodec::Json);
    head.set_opaque(7);
    [&head.into_bytes()[..], &[b'x'; BODY]].concat().into()
}

/// What a 5.5.0 broker answers to a send.
fn answer() -> Bytes {
    let fields: ExtFields = [
        ("queueId", "3"),
        ("TRACE_ON", "true"),
        ("MSG_REGION", "DefaultRegion"),
        ("msgId", "7F00000100002A9F00000000000F6A3C"),
        ("queueOffset", "188341"),
        ("transactionId", "7F000001000A1B2C3D4E5F60718293A4"),
    ]
    .into_iter()
    .collect();
    let parts = HeaderParts {
        code: 0,
        flags: Flags::RESPONSE,
        remark: None,
        language: Language::JAVA,
        version: 495,
        codec: HeaderCodec::Json,
    };
    encode(&parts, &fields, &[], 0).into_bytes()
}

fn frame(bytes: &Bytes) -> Frame {
    let mut buf = BytesMut::from(&bytes[..]);
    FrameDecoder::default().decode(&mut buf).unwrap().unwrap()
}

fn codec(criterion: &mut Criterion) {
    let (request, body, sent, answer) = (request(), pulled(), sent(), answer());
    let count = |what: &str, messages: u64, run: &mut dyn FnMut()| {
        let counted = allocation_counter::measure(run);
        let (times, bytes) = (counted.count_total, counted.bytes_total);
        println!(
            "{what}: {} allocations, {} bytes a message",
            times / messages,
            bytes / messages
        );
    };
    let send = |codec| drop(black_box(encoded(black_box(&request), codec)));
    count("encode send, JSON", 1, &mut || send(HeaderCodec::Json));
    count("encode send, binary", 1, &mut || send(HeaderCodec::Binary));
    let drain = || {
        for message in decode_messages(black_box(body.clone())) {
            black_box(message.unwrap());
        }
    };
    count("decode an answer to a send", 1, &mut || {
        drop(black_box(frame(&answer)));
    });
    count("decode a pulled message", MESSAGES.into(), &mut || drain());

    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    group.bench_function("encode send, JSON", |b| b.iter(|| send(HeaderCodec::Json)));
    group.bench_function("encode send, binary", |b| {
        b.iter(|| send(HeaderCodec::Binary));
    });
    group.bench_function("decode a send, JSON", |b| {
        b.iter(|| frame(black_box(&sent)));
    });
    group.bench_function("decode an answer to a send, JSON", |b| {
        b.iter(|| frame(black_box(&answer)));
    });
    group.throughput(Throughput::Elements(MESSAGES.into()));
    group.bench_function("decode 32 pulled messages", |b| b.iter(drain));
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
