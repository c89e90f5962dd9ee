//! What Pulsar's own Java classes write: `tests/fixtures/README.md` says how it was made.

use bytestring::ByteString;

use super::*;

const VECTORS: &str = include_str!("../../../tests/fixtures/java-4.0.8/vectors.txt");

/// The vectors whose name begins with `of`: what stands behind it.
fn vectors(of: &str) -> Vec<Vec<&'static str>> {
    let lines = VECTORS.lines().filter(|line| !line.starts_with('#'));
    let words = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    let found: Vec<_> = words.filter(|words| words[0] == of).collect();
    assert!(!found.is_empty(), "no vector of {of}");
    found
}

fn hex(text: &str) -> Bytes {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The frame of this name.
fn frame(name: &str) -> Bytes {
    let (first, rest) = name.split_once(' ').unwrap_or((name, ""));
    let mut found = vectors(first);
    found.retain(|words| words[1..words.len() - 1].join(" ") == rest);
    assert_eq!(found.len(), 1, "{name}");
    hex(found[0].last().unwrap())
}

fn read(frame: &Bytes) -> Incoming {
    let mut buf = BytesMut::from(&frame[..]);
    // A prefix is never taken for the whole.
    for len in 0..buf.len() {
        let mut prefix = BytesMut::from(&buf[..len]);
        let none = FrameDecoder::default().decode(&mut prefix).unwrap();
        assert!(none.is_none(), "{len} bytes of it");
    }
    FrameDecoder::default().decode(&mut buf).unwrap().unwrap()
}

fn sent(name: &str) -> (Sent, Content, Bytes) {
    let frame = frame(name);
    let Incoming::Send(sent) = read(&frame) else {
        panic!("{name} is not a SEND")
    };
    let content = sent.content.clone().unwrap();
    (sent, content, frame)
}

/// Writes a SEND as a producer does it: head, then payload.
fn send(head: &SendHead, content: &Content) -> BytesMut {
    let (mut metadata, mut out) = (BytesMut::new(), BytesMut::new());
    content.metadata.encode(&mut metadata);
    encode::send(&mut out, head, &metadata, &content.payload);
    out.extend_from_slice(&content.payload);
    out
}

fn said() -> Metadata {
    Metadata {
        producer_name: "producer-7".into(),
        sequence_id: 41,
        publish_time: 1_795_253_972_385,
        ..Metadata::default()
    }
}

fn head() -> SendHead {
    SendHead {
        producer_id: 3,
        sequence_id: 41,
        num_messages: 1,
        ..SendHead::default()
    }
}

#[test]
fn a_plain_send_is_javas() {
    let (sent, content, frame) = sent("send plain");
    let payload = Bytes::from_static(b"hello");
    let metadata = said();
    assert_eq!(sent.head, head());
    assert_eq!(content, Content { metadata, payload });
    assert_eq!(send(&sent.head, &content), frame);
}

#[test]
fn a_send_without_a_checksum_is_read() {
    let (sent, content, _) = sent("send unchecked");
    assert_eq!(sent.head, head());
    assert_eq!(content.payload, "hello");
    assert_eq!(content.metadata, said());
}

#[test]
fn a_send_with_everything_is_javas() {
    let (sent, content, frame) = sent("send full");
    let txn = Some(TxnId { most: 2, least: 9 });
    let of_head = SendHead {
        txn,
        is_chunk: true,
        marker: true,
        ..head()
    };
    let texts = |pairs: &[(&'static str, &'static str)]| -> Vec<(ByteString, ByteString)> {
        let pairs = pairs.iter();
        pairs.map(|(a, b)| ((*a).into(), (*b).into())).collect()
    };
    let metadata = Metadata {
        properties: texts(&[("a", "1"), ("空", ""), ("a", "2")]),
        replicated_from: Some("west".into()),
        partition_key: Some("键".into()),
        replicate_to: vec!["east".into(), "north".into()],
        compression: Compression::Zstd,
        uncompressed_size: Some(70_000),
        event_time: Some(1_795_253_972_000),
        encryption_keys: vec![EncryptionKey {
            name: "k".into(),
            value: Bytes::from_static(&[9]),
            metadata: texts(&[("v", "1")]),
        }],
        encryption_algo: Some("AES".into()),
        encryption_param: Some(Bytes::from_static(&[1, 2, 3])),
        schema_version: Some(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 2])),
        key_is_base64: true,
        ordering_key: Some(Bytes::from_static(&[0, 0xFF])),
        deliver_at_time: Some(1_795_253_999_999),
        marker_type: Some(-1),
        txn,
        null_value: true,
        uuid: Some("producer-7-41".into()),
        num_chunks_from_msg: Some(3),
        total_chunk_msg_size: Some(140_000),
        chunk_id: Some(1),
        null_partition_key: true,
        ..said()
    };
    assert_eq!(sent.head, of_head);
    assert_eq!(content.metadata, metadata);
    assert!(content.payload.is_empty());
    assert_eq!(send(&sent.head, &content), frame);
}

#[test]
fn a_batch_is_javas() {
    let (sent, content, frame) = sent("send batch");
    assert_eq!(sent.head.highest_sequence_id, Some(43));
    assert_eq!(sent.head.num_messages, 3);
    assert!(content.metadata.is_batch());
    let count = content.metadata.num_messages_in_batch.unwrap();
    let singles: Vec<_> = BatchReader::new(content.payload.clone(), count)
        .map(Result::unwrap)
        .collect();
    let of = |sequence_id, event_time| SingleMetadata {
        sequence_id: Some(sequence_id),
        event_time: Some(event_time),
        ..SingleMetadata::default()
    };
    let second = SingleMetadata {
        properties: vec![("a".into(), "1".into())],
        partition_key: Some("k".into()),
        ordering_key: Some(Bytes::from_static(&[7])),
        ..of(42, 1001)
    };
    let third = SingleMetadata {
        null_value: true,
        null_partition_key: true,
        ..of(43, 1002)
    };
    for (single, (metadata, payload)) in singles.iter().zip([
        (of(41, 1000), "message 0"),
        (second, "message 1"),
        (third, ""),
    ]) {
        assert_eq!(single.metadata, metadata);
        assert_eq!(single.payload, payload);
    }
    let mut writer = BatchWriter::with_capacity(100);
    for single in &singles {
        writer.append(&single.metadata, &single.payload);
    }
    assert_eq!(writer.count(), 3);
    let metadata = content.metadata;
    let payload = writer.take();
    assert_eq!(send(&sent.head, &Content { metadata, payload }), frame);
}

#[test]
fn messages_are_the_brokers() {
    for (name, partition, redelivery_count, ack_set, lead) in [
        ("message plain", -1, 0, vec![], 0),
        ("message again", 2, 3, vec![-2, 5], 0),
        // What the broker wrote before it is left out.
        ("message indexed", -1, 0, vec![], 8),
    ] {
        let whole = frame(name);
        let Incoming::Message(entry) = read(&whole) else {
            panic!("{name} is not a MESSAGE")
        };
        let (ledger, id) = (17, 4);
        assert_eq!(
            entry.id,
            EntryId {
                ledger,
                entry: id,
                partition
            }
        );
        assert_eq!(entry.consumer_id, 5);
        assert_eq!(entry.redelivery_count, redelivery_count);
        assert_eq!(entry.ack_set, ack_set);
        let content = entry.content.clone().unwrap();
        assert_eq!(content.metadata, said());
        assert_eq!(content.payload, "hello");
        let sent = send(&head(), &content);
        // Everything from the checksum on, behind two lengths and a SEND of 8 bytes.
        let body = 16;
        let mut out = BytesMut::new();
        encode::message(&mut out, &entry, sent.len() - body + lead);
        assert_eq!(out, whole[..out.len()], "{name}");
        assert_eq!(sent[body..], whole[out.len() + lead..], "{name}");
    }
}

#[test]
fn receipts_are_the_brokers() {
    for (name, id) in [
        ("receipt", (17, 4)),
        ("receipt duplicate", (u64::MAX, u64::MAX)),
    ] {
        let whole = frame(name);
        let Incoming::Receipt(receipt) = read(&whole) else {
            panic!("{name} is not a SEND_RECEIPT")
        };
        assert_eq!((receipt.producer_id, receipt.sequence_id), (3, 41));
        assert_eq!(receipt.highest_sequence_id, 43);
        let stored = receipt.id.unwrap();
        assert_eq!((stored.ledger, stored.entry), id);
        let mut out = BytesMut::new();
        encode::receipt(&mut out, &receipt);
        assert_eq!(out, whole);
    }
}

fn ack_id() -> encode::AckId {
    encode::AckId {
        ledger: 17,
        entry: 4,
        ..encode::AckId::default()
    }
}

#[track_caller]
fn assert_ack(name: &str, ack: &encode::Ack<'_>) {
    let mut out = BytesMut::new();
    encode::ack(&mut out, ack);
    assert_eq!(out, frame(name), "{name}");
}

#[test]
fn acks_are_javas() {
    let one = encode::Ack {
        consumer_id: 5,
        ids: &[ack_id()],
        ..encode::Ack::default()
    };
    assert_ack("ack one", &one);
    let cumulative = encode::Ack {
        cumulative: true,
        request_id: Some(77),
        ..one
    };
    assert_ack("ack cumulative", &cumulative);
    for number in 0..5 {
        let validation_error = Some(number.try_into().unwrap());
        let invalid = encode::Ack {
            validation_error,
            ..one
        };
        assert_ack(&format!("ack invalid {number}"), &invalid);
    }
    // Bits 0 to 129 without the third.
    let wanted = encode::AckId {
        ack_set: vec![!8, -1, 3],
        batch_size: Some(130),
        ..ack_id()
    };
    let txn = encode::Ack {
        ids: &[wanted],
        txn: Some(TxnId { most: 2, least: 9 }),
        request_id: Some(78),
        ..one
    };
    assert_ack("ack txn", &txn);
    let some = encode::AckId {
        ack_set: vec![0x3FE],
        ..ack_id()
    };
    let all = encode::AckId {
        ledger: 18,
        ..encode::AckId::default()
    };
    let many = encode::Ack {
        ids: &[some, all],
        request_id: Some(79),
        ..one
    };
    assert_ack("ack many", &many);
}

#[test]
fn a_flow_is_javas() {
    let mut out = BytesMut::new();
    encode::flow(&mut out, 5, 1000);
    assert_eq!(out, frame("flow"));
}

#[test]
fn hashes_are_javas() {
    let hashes = vectors("hash");
    assert!(hashes.len() > 10);
    for words in hashes {
        let [_, key, java, murmur] = words[..] else {
            panic!("{words:?}")
        };
        let key = if key == "-" { Bytes::new() } else { hex(key) };
        let text = std::str::from_utf8(&key).unwrap();
        assert_eq!(format!("{:08x}", hash::java_string(text)), java, "{text}");
        assert_eq!(format!("{:08x}", hash::murmur3(&key)), murmur, "{text}");
    }
}

#[test]
fn what_java_compresses_is_read() {
    let pieces = (0..40).map(|i| format!("message {} of a batch, ", i * i));
    let text = pieces.collect::<Vec<_>>().concat();
    let compressed = vectors("compressed");
    assert_eq!(compressed.len(), 12);
    for words in compressed {
        let [_, codec, size, data] = words[..] else {
            panic!("{words:?}")
        };
        let codec = match codec {
            "LZ4" => Compression::Lz4,
            "ZLIB" => Compression::Zlib,
            "ZSTD" => Compression::Zstd,
            _ => Compression::Snappy,
        };
        let size: u32 = size.parse().unwrap();
        let expected = match size {
            0 => "",
            1 => "x",
            _ => &text,
        };
        let (data, max) = (hex(data), text.len());
        assert_eq!(
            decompress(codec, &data, size, max).unwrap(),
            expected,
            "{codec}"
        );
        // One byte more or less isn't what was compressed; a deflater that isn't finished can't tell that there is more.
        decompress(codec, &data, size + 1, max + 1).unwrap_err();
        if size > 0 && codec != Compression::Zlib {
            decompress(codec, &data, size - 1, max).unwrap_err();
        }
    }
}
