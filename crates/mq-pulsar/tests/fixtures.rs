//! What Pulsar's client for Java and a broker wrote, as it was recorded: read field by field, and written again byte by byte.
//!
//! `tests/fixtures/java/README.md` says how they came to be; `integration-tests/src/bin/capture/pulsar` is what the client was asked to do, and so
//! where the values come from that are looked for here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use mq_pulsar::proto::api::BaseCommand;
use mq_pulsar::proto::encode::{self, Ack, AckId};
use mq_pulsar::proto::{
    BatchReader, BatchWriter, Compression, Content, Entry, FrameDecoder, Incoming, Invalid,
    Receipt, Sent, Single, TxnId, decompress,
};

#[path = "fixtures/consumed.rs"]
mod consumed;
#[path = "fixtures/ours.rs"]
mod ours;
#[path = "fixtures/produced.rs"]
mod produced;
#[path = "fixtures/session.rs"]
mod session;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/java")
}

/// Every frame by the name of its file.
fn all() -> Vec<(String, Bytes)> {
    let files = fs::read_dir(directory()).unwrap();
    let names = files.filter_map(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".hex").map(str::to_owned)
    });
    let mut all: Vec<_> = names.map(|name| (name.clone(), frame(&name))).collect();
    all.sort();
    assert!(all.len() > 120, "{} frames", all.len());
    all
}

fn frame(name: &str) -> Bytes {
    let path = directory().join(format!("{name}.hex"));
    let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u8> = lines.flat_map(str::bytes).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn read(bytes: &[u8]) -> Incoming {
    let mut buf = BytesMut::from(bytes);
    let decoded = FrameDecoder::default().decode(&mut buf).unwrap();
    assert!(buf.is_empty(), "{} bytes are left", buf.len());
    decoded.expect("a whole frame")
}

fn command(name: &str) -> BaseCommand {
    match read(&frame(name)) {
        Incoming::Command(command) => *command,
        other => panic!("{name} is {other:?}"),
    }
}

fn sent(name: &str) -> Sent {
    match read(&frame(name)) {
        Incoming::Send(sent) => sent,
        other => panic!("{name} is {other:?}"),
    }
}

fn entry(name: &str) -> Entry {
    match read(&frame(name)) {
        Incoming::Message(entry) => entry,
        other => panic!("{name} is {other:?}"),
    }
}

fn receipt(name: &str) -> Receipt {
    match read(&frame(name)) {
        Incoming::Receipt(receipt) => receipt,
        other => panic!("{name} is {other:?}"),
    }
}

/// Checksum, metadata and payload of a frame that has them.
fn body(frame: &Bytes) -> Bytes {
    let size = u32::from_be_bytes(frame[4..8].try_into().unwrap());
    frame.slice(8 + size as usize..)
}

/// The metadata as it stands there, and the payload.
fn parts(body: &Bytes) -> (Bytes, Bytes) {
    let size = u32::from_be_bytes(body[6..10].try_into().unwrap()) as usize;
    (body.slice(10..10 + size), body.slice(10 + size..))
}

#[test]
fn every_frame_is_whole_and_no_part_of_it_is() {
    for (name, frame) in all() {
        for length in 0..frame.len() {
            let mut part = BytesMut::from(&frame[..length]);
            let decoded = FrameDecoder::default().decode(&mut part).unwrap();
            assert!(decoded.is_none(), "{name}: {length} bytes of it");
        }
        let mut two = BytesMut::from(&[&frame[..], &frame[..5]].concat()[..]);
        let decoded = FrameDecoder::default().decode(&mut two).unwrap();
        assert!(decoded.is_some(), "{name}");
        assert_eq!(two.len(), 5, "{name}: what follows is left");
    }
}

#[test]
fn every_frame_is_of_the_command_that_its_name_says() {
    for (name, frame) in all() {
        let said = name
            .rsplit('.')
            .next()
            .unwrap()
            .trim_end_matches("-2")
            .replace('-', "");
        let is = match read(&frame) {
            Incoming::Command(command) => format!("{:?}", command.r#type()).to_lowercase(),
            Incoming::Message(_) => "message".to_owned(),
            Incoming::Send(_) => "send".to_owned(),
            Incoming::Receipt(_) => "sendreceipt".to_owned(),
        };
        assert_eq!(is, said, "{name}");
    }
}

/// The rest is named in the README beside the frames, each with the reason.
#[test]
fn every_command_is_there_but_those_that_are_named() {
    use mq_pulsar::proto::api::base_command::Type;
    let there: BTreeSet<_> = all().iter().map(|(_, frame)| i32::from(frame[9])).collect();
    let missing: Vec<_> = (2..=68)
        .filter(|number| !there.contains(number))
        .filter_map(|number| Type::try_from(number).ok())
        .collect();
    let named = [
        Type::ConsumerStats,
        Type::ConsumerStatsResponse,
        Type::EndTxnOnPartition,
        Type::EndTxnOnPartitionResponse,
        Type::EndTxnOnSubscription,
        Type::EndTxnOnSubscriptionResponse,
        Type::TopicMigrated,
    ];
    assert_eq!(missing, named);
}

#[test]
fn what_was_read_is_written_again_byte_by_byte() {
    let (mut hands, mut batches) = (0, 0);
    for (name, frame) in all() {
        let mut out = BytesMut::new();
        match read(&frame) {
            Incoming::Command(command) => {
                encode::command(&mut out, &command);
                hands += usize::from(by_hand(&name, &command, &frame));
            }
            Incoming::Receipt(receipt) => encode::receipt(&mut out, &receipt),
            Incoming::Send(sent) => {
                let (metadata, payload) = parts(&sent.body);
                encode::send(&mut out, &sent.head, &metadata, &payload);
                out.extend_from_slice(&payload);
                let mut again = BytesMut::new();
                let content = sent.content.unwrap();
                content.metadata.encode(&mut again);
                assert_eq!(again, metadata, "{name}: metadata");
                batches += usize::from(batch_again(&name, &content));
            }
            Incoming::Message(entry) => {
                // The broker says of what has no partition that it has none: −1, the default, which we leave out.
                let body = body(&frame);
                encode::message(&mut out, &entry, body.len());
                out.extend_from_slice(&body);
                let Incoming::Message(again) = read(&out) else {
                    panic!("{name}")
                };
                // Of the content the text leaves out the payload: it was appended as it is.
                assert_eq!(format!("{again:?}"), format!("{entry:?}"), "{name}");
                continue;
            }
        }
        assert_eq!(out, frame, "{name}");
    }
    assert_eq!((hands, batches), (8, 6), "ACK and FLOW, and batches");
}

/// What is in a batch, written message by message. Whether it is one.
fn batch_again(name: &str, content: &Content) -> bool {
    let Some(count) = content.metadata.num_messages_in_batch else {
        return false;
    };
    let payload = produced::inflated(content);
    let mut batch = BatchWriter::default();
    for single in BatchReader::new(payload.clone(), count) {
        let single = single.unwrap();
        batch.append(&single.metadata, &single.payload);
    }
    assert_eq!(batch.take(), payload, "{name}");
    true
}

/// ACK and FLOW are written without the generated types. Whether it is one of them.
fn by_hand(name: &str, command: &BaseCommand, frame: &Bytes) -> bool {
    let mut out = BytesMut::new();
    if let Some(flow) = &command.flow {
        encode::flow(&mut out, flow.consumer_id, flow.message_permits);
    } else if let Some(ack) = &command.ack {
        let ids = ack.message_id.iter().map(|id| AckId {
            ledger: id.ledger_id,
            entry: id.entry_id,
            ack_set: id.ack_set.clone(),
            batch_size: id.batch_size,
        });
        let ids: Vec<_> = ids.collect();
        let most = ack.txnid_most_bits;
        let again = Ack {
            consumer_id: ack.consumer_id,
            cumulative: ack.ack_type() == mq_pulsar::proto::api::command_ack::AckType::Cumulative,
            ids: &ids,
            validation_error: None,
            txn: most.map(|most| TxnId {
                most,
                least: ack.txnid_least_bits.unwrap(),
            }),
            request_id: ack.request_id,
        };
        encode::ack(&mut out, &again);
    } else {
        return false;
    }
    assert_eq!(out, *frame, "{name}");
    true
}

#[test]
fn a_byte_that_is_another_is_noticed() {
    for name in ["send-plain.send", "send-batch-mixed.send"] {
        let good = frame(name);
        let begin = good.len() - body(&good).len();
        // From the checksum's first byte on, behind the two that announce it. The length of the metadata is summed as well.
        for at in begin + 2..good.len() {
            let mut bad = BytesMut::from(&good[..]);
            bad[at] ^= 0x10;
            let Incoming::Send(sent) = read(&bad) else {
                panic!("{name}")
            };
            let why = sent.content.unwrap_err();
            assert!(
                matches!(why, Invalid::Checksum { .. }),
                "{name} at {at}: {why}"
            );
        }
    }
}
