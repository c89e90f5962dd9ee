//! What the codec costs: `cargo bench -p mq-pulsar --features unstable-proto`. Allocations are counted once, before the times.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark, which prints figures and fails by panicking"
)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mq_pulsar::proto::{
    BatchReader, BatchWriter, Entry, EntryId, FrameDecoder, Incoming, Invalid, Metadata, Receipt,
    SendHead, SingleMetadata, encode,
};

const MESSAGES: i32 = 1000;
const PAYLOAD: &[u8] = &[b'x'; 128];

/// As pulsar-perf sends them: a sequence id, and nothing else.
fn plain() -> SingleMetadata {
    SingleMetadata {
        sequence_id: Some(1_234_567),
        ..SingleMetadata::default()
    }
}

/// With a key, a property and an event time.
fn keyed() -> SingleMetadata {
    SingleMetadata {
        partition_key: Some("order-10086".into()),
        properties: vec![("traceparent".into(), "00-4bf92f3577b34da6-01".into())],
        event_time: Some(1_795_253_972_385),
        ..plain()
    }
}

fn metadata(len: usize) -> Metadata {
    Metadata {
        producer_name: "standalone-0-17".into(),
        sequence_id: 1_234_567,
        publish_time: 1_795_253_972_385,
        num_messages_in_batch: Some(MESSAGES),
        highest_sequence_id: Some(1_235_566),
        uncompressed_size: u32::try_from(len).ok(),
        ..Metadata::default()
    }
}

/// A whole batch: its messages, its metadata, and the head of the frame.
fn send(single: &SingleMetadata, writer: &mut BatchWriter, out: &mut BytesMut) -> Bytes {
    for _ in 0..MESSAGES {
        writer.append(single, PAYLOAD);
    }
    let payload = writer.take();
    let mut said = BytesMut::new();
    metadata(payload.len()).encode(&mut said);
    let head = SendHead {
        producer_id: 1,
        sequence_id: 1_234_567,
        highest_sequence_id: Some(1_235_566),
        num_messages: MESSAGES,
        ..SendHead::default()
    };
    out.clear();
    encode::send(out, &head, &said, &payload);
    payload
}

/// The same batch as the broker delivers it.
fn delivered(single: &SingleMetadata) -> Bytes {
    let (mut body, mut out) = (BytesMut::new(), BytesMut::new());
    let payload = send(single, &mut BatchWriter::default(), &mut out);
    let mut said = BytesMut::new();
    metadata(payload.len()).encode(&mut said);
    encode::body(&mut body, &said, &payload);
    body.extend_from_slice(&payload);
    let id = EntryId {
        ledger: 4711,
        entry: 17,
        partition: 3,
    };
    let entry = Entry {
        consumer_id: 1,
        id,
        redelivery_count: 0,
        ack_set: Vec::new(),
        consumer_epoch: None,
        content: Err(Invalid::Compression(0)),
    };
    let mut out = BytesMut::new();
    encode::message(&mut out, &entry, body.len());
    out.extend_from_slice(&body);
    out.freeze()
}

/// Every message of the frame, each with its payload; the count is checked.
fn receive(buf: &mut BytesMut) {
    let frame = FrameDecoder::default().decode(buf).unwrap();
    let Some(Incoming::Message(entry)) = frame else {
        unreachable!("a MESSAGE was written")
    };
    let content = entry.content.unwrap();
    let count = content.metadata.num_messages_in_batch.unwrap();
    let singles = BatchReader::new(content.payload, count);
    let mut read = 0;
    for single in singles {
        black_box(single.unwrap());
        read += 1;
    }
    assert_eq!(read, 1000);
}

fn receipts() -> Bytes {
    let mut out = BytesMut::new();
    for sequence_id in 0..1000 {
        let id = EntryId {
            ledger: 4711,
            entry: sequence_id,
            partition: -1,
        };
        let receipt = Receipt {
            producer_id: 1,
            sequence_id,
            highest_sequence_id: sequence_id,
            id: Some(id),
        };
        encode::receipt(&mut out, &receipt);
    }
    out.freeze()
}

fn all_receipts(buf: &mut BytesMut) {
    let mut decoder = FrameDecoder::default();
    while let Some(incoming) = decoder.decode(buf).unwrap() {
        black_box(incoming);
    }
}

fn acks(ids: &[encode::AckId], out: &mut BytesMut) {
    let ack = encode::Ack {
        consumer_id: 1,
        ids,
        ..encode::Ack::default()
    };
    out.clear();
    encode::ack(out, &ack);
}

/// Allocations and bytes a message, of a thousand.
fn count(what: &str, run: &mut dyn FnMut()) {
    let counted = allocation_counter::measure(run);
    let (times, bytes) = (counted.count_total, counted.bytes_total);
    println!("{what}: {times} allocations, {bytes} bytes for 1000 messages");
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(1000));
    for (name, single) in [("plain", plain()), ("keyed", keyed())] {
        let (mut writer, mut out) = (BatchWriter::with_capacity(256 << 10), BytesMut::new());
        let what = format!("encode a batch of 1000, {name}");
        count(&what, &mut || drop(send(&single, &mut writer, &mut out)));
        group.bench_function(&what, |bench| {
            bench.iter(|| send(&single, &mut writer, &mut out));
        });
        let frame = delivered(&single);
        let what = format!("decode a batch of 1000, {name}");
        let mut buf = BytesMut::from(&frame[..]);
        count(&what, &mut || receive(&mut buf));
        group.bench_function(&what, |bench| {
            let fresh = || BytesMut::from(&frame[..]);
            bench.iter_batched(fresh, |mut buf| receive(&mut buf), BATCH);
        });
    }
    let frames = receipts();
    let mut buf = BytesMut::from(&frames[..]);
    count("decode 1000 receipts", &mut || all_receipts(&mut buf));
    group.bench_function("decode 1000 receipts", |bench| {
        let fresh = || BytesMut::from(&frames[..]);
        bench.iter_batched(fresh, |mut buf| all_receipts(&mut buf), BATCH);
    });
    let ids: Vec<_> = (0..1000)
        .map(|entry| encode::AckId {
            ledger: 4711,
            entry,
            ..encode::AckId::default()
        })
        .collect();
    let mut out = BytesMut::with_capacity(64 << 10);
    count("encode an ack of 1000", &mut || acks(&ids, &mut out));
    group.bench_function("encode an ack of 1000", |bench| {
        bench.iter(|| acks(&ids, &mut out));
    });
    group.finish();
}

const BATCH: criterion::BatchSize = criterion::BatchSize::LargeInput;

criterion_group!(benches, codec);
criterion_main!(benches);
