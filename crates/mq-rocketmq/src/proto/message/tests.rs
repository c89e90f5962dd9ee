use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use mq_core::Properties;

use super::*;

fn bytes_of(message: &StoredMessage) -> Bytes {
    let mut buf = BytesMut::new();
    message.encode(&mut buf);
    buf.freeze()
}

fn sample(queue_offset: i64) -> StoredMessage {
    let mut message = StoredMessage::new("topic", Bytes::from_static(b"hello"));
    message.queue_offset = queue_offset;
    message.queue_id = 3;
    message.physical_offset = 1000 + queue_offset;
    message.properties = [("TAGS", "a")].into_iter().collect();
    message
}

#[test]
fn layout() {
    let mut message = sample(7);
    message.born_host = ([10, 0, 0, 1], 5000).into();
    message.store_host = ([10, 0, 0, 2], 10911).into();
    let bytes = bytes_of(&message);
    assert_eq!(bytes.len(), 91 + 5 + 5 + 7);
    assert_eq!(&bytes[..8], [0, 0, 0, 108, 0xDA, 0xA3, 0x20, 0xA7]);
    assert_eq!(bytes[12..16], 3_i32.to_be_bytes());
    assert_eq!(bytes[20..28], 7_i64.to_be_bytes());
    assert_eq!(bytes[48..56], [10, 0, 0, 1, 0, 0, 0x13, 0x88]);
    assert_eq!(&bytes[84..], b"\0\0\0\x05hello\x05topic\0\x07TAGS\x01a\x02");
    assert!(message.body_crc_matches());
    assert_eq!(body_crc(b"123456789"), 0x4BF4_3926);
}

#[test]
fn long_topics_are_written_as_v2() {
    let mut message = StoredMessage::new("t".repeat(128), Bytes::new());
    let read = StoredMessage::decode(&bytes_of(&message)).unwrap();
    assert_eq!(
        (read.version, &read.topic),
        (MessageVersion::V2, &message.topic)
    );
    message.topic = "t".repeat(127).into();
    let read = StoredMessage::decode(&bytes_of(&message)).unwrap();
    assert_eq!(read.version, MessageVersion::V1);
}

#[test]
fn a_bad_message_is_isolated() {
    let mut body = BytesMut::new();
    for offset in 0..3 {
        sample(offset).encode(&mut body);
    }
    let one = body.len() / 3;
    // The length of the second message's topic.
    body[one + 84 + 4 + 5] = 99;
    let read: Vec<_> = decode_messages(body.clone().freeze()).collect();
    assert_eq!(read.len(), 3);
    assert_eq!(read[0].as_ref().unwrap().queue_offset, 0);
    assert_eq!(read[2].as_ref().unwrap(), &sample(2));
    let bad = read[1].as_ref().unwrap_err();
    assert_eq!((bad.queue_offset, bad.queue_id), (Some(1), Some(3)));
    assert_eq!(
        (bad.physical_offset, bad.reason.field),
        (Some(1001), "topic")
    );
    assert_eq!(bad.raw, body[one..2 * one]);
    // An unknown magic leaves nothing to be believed.
    body[one + 4] = 0;
    let read: Vec<_> = decode_messages(body.freeze()).collect();
    assert_eq!(read[1].as_ref().unwrap_err().queue_offset, None);
    assert!(read[2].is_ok());
}

#[test]
fn an_unusable_length_ends_the_walk_with_the_remainder() {
    for length in [0, 90, -1, i32::MAX, 1 << 20] {
        let mut body = BytesMut::new();
        for offset in 0..3 {
            sample(offset).encode(&mut body);
        }
        let one = body.len() / 3;
        body[one..one + 4].copy_from_slice(&i32::to_be_bytes(length));
        let read: Vec<_> = decode_messages(body.clone().freeze()).collect();
        assert_eq!(read.len(), 2);
        let bad = read[1].as_ref().unwrap_err();
        assert_eq!(bad.raw, body[one..]);
        assert_eq!(bad.reason.field, "totalSize");
    }
}

#[test]
fn properties_that_are_written_otherwise_stay_as_they_are() {
    for text in [
        "",
        "a\u{1}b",
        "a\u{1}b\u{2}a\u{1}c\u{2}",
        "\u{2}\u{2}",
        "x\u{2}k\u{1}\u{2}",
        "\u{1}v\u{2}",
    ] {
        let item = batch_item_with(text);
        let read = BatchItem::decode(&item).unwrap();
        let mut again = BytesMut::new();
        read.encode(&mut again);
        assert_eq!(again, item, "{text:?}");
        // What is read of them is what a map of them has.
        let map = read.properties.to_properties();
        for name in ["a", "k", "x", ""] {
            assert_eq!(read.properties.get(name), map.get(name), "{text:?}");
        }
    }
}

fn batch_item_with(properties: &str) -> Bytes {
    let mut buf = BytesMut::new();
    buf.put_u32(22 + u32::try_from(properties.len()).unwrap());
    buf.put_bytes(0, 16);
    buf.put_u16(u16::try_from(properties.len()).unwrap());
    buf.put_slice(properties.as_bytes());
    buf.freeze()
}

#[test]
fn property_text() {
    let read = properties::decode("a\u{1}b\u{2}c\u{1}d\u{1}e\u{2}empty\u{1}\u{2}no\u{2}last\u{1}z");
    let pairs: Vec<_> = read.iter().collect();
    assert_eq!(
        pairs,
        [("a", "b"), ("c", "d\u{1}e"), ("empty", ""), ("last", "z")]
    );
    assert!(properties::is_allowed("a b|c") && !properties::is_allowed("a\u{2}"));
}

#[test]
fn inner_batches_come_apart() {
    let mut batch = sample(40);
    batch.sys_flag = SysFlag::INNER_BATCH.with(SysFlag::NEED_UNWRAP);
    let item = |text: &'static str| BatchItem {
        flag: 5,
        body: text.into(),
        ..Default::default()
    };
    let body = encode_batch(&[item("a"), item("b"), item("c")]);
    let mut broken = body.to_vec();
    broken[23 + 19] = 9;
    assert!(batch.sys_flag.is_inner_batch());

    let read: Vec<_> = unwrap_batch(&batch, body).map(Result::unwrap).collect();
    let offsets: Vec<_> = read
        .iter()
        .map(|m| (m.queue_offset, &m.body[..], m.flag))
        .collect();
    assert_eq!(offsets, [(40, &b"a"[..], 5), (41, b"b", 5), (42, b"c", 5)]);
    assert_eq!(read[0].topic, "topic");
    assert!(read[0].body_crc_matches() && read[0].properties.is_empty());

    let read: Vec<_> = unwrap_batch(&batch, broken.into()).collect();
    assert_eq!(read[1].as_ref().unwrap_err().queue_offset, Some(41));
    assert_eq!(read[2].as_ref().unwrap().queue_offset, 42);
    // A batch at the end of the offsets must not overflow.
    batch.queue_offset = i64::MAX;
    assert!(unwrap_batch(&batch, encode_batch(&[item("a"), item("b")])).count() >= 1);
}

#[test]
fn flags() {
    use mq_core::decompress::Compression;
    assert_eq!(SysFlag(0x100).compression(), Ok(None));
    for (bits, kind) in [
        (0x001, Compression::Zlib),
        (0x101, Compression::Lz4),
        (0x201, Compression::Zstd),
        (0x301, Compression::Zlib),
    ] {
        assert_eq!(SysFlag(bits).compression(), Ok(Some(kind)));
        assert_eq!(SysFlag(2).compressed(kind).compression(), Ok(Some(kind)));
    }
    assert!(SysFlag(0x401).compression().is_err());
    assert_eq!(SysFlag(2).compressed(Compression::Zlib), SysFlag(0x303));
    assert_eq!(SysFlag(4).transaction(), Transaction::Prepared);
    assert_eq!(SysFlag(8).transaction(), Transaction::Committed);
    assert_eq!(SysFlag(12).transaction(), Transaction::RolledBack);
    assert_eq!(SysFlag(3).transaction(), Transaction::None);
    assert_eq!(SysFlag(0xFF).without(SysFlag::COMPRESSED), SysFlag(0xFE));
}

#[test]
fn ids() {
    let id = OffsetMessageId {
        host: ([127, 0, 0, 1], 10911).into(),
        physical_offset: 0x1234,
    };
    assert_eq!(id.to_string(), "7F00000100002A9F0000000000001234");
    assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
    let id = OffsetMessageId {
        host: (Ipv6Addr::LOCALHOST, 1).into(),
        physical_offset: -1,
    };
    assert_eq!(id.to_string().len(), 56);
    assert_eq!(id.to_string().parse(), Ok(id));

    let parts = UniqueIdParts {
        ip: Ipv4Addr::new(192, 168, 0, 1).into(),
        pid: 0xABCD,
        salt: [1, 2, 3, 4],
        since_month_ms: 0x0BEE_F000,
        counter: 9,
    };
    assert_eq!(unique_id(&parts), "C0A80001ABCD010203040BEEF0000009");
    assert_eq!(unique_id(&parts).parse(), Ok(parts));
    for wrong in ["", "C0", &"G".repeat(32), &"0".repeat(34), &"é".repeat(16)] {
        assert!(wrong.parse::<UniqueIdParts>().is_err());
        assert!(wrong.parse::<OffsetMessageId>().is_err());
    }
    // A port that does not exist.
    assert!(
        "7F00000100012A9F0000000000001234"
            .parse::<OffsetMessageId>()
            .is_err()
    );
}

fn any_host() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(Into::into)
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn any_properties() -> impl Strategy<Value = PropertyText> {
    any_map().prop_map(|map| PropertyText::from(&map))
}

fn any_map() -> impl Strategy<Value = Properties> {
    let text = || "[^\u{1}\u{2}]{1,6}";
    proptest::collection::vec((text(), text()), 0..5).prop_map(Properties::from_iter)
}

fn any_message() -> impl Strategy<Value = StoredMessage> {
    let numbers = (any::<[i32; 5]>(), any::<[i64; 5]>());
    (
        numbers,
        any_host(),
        any_host(),
        any_bytes(),
        ".{0,50}",
        any_properties(),
        any::<bool>(),
    )
        .prop_map(
            |((small, large), born_host, store_host, body, topic, properties, v2)| {
                let long = v2 || topic.len() > MAX_TOPIC_V1;
                StoredMessage {
                    version: if long {
                        MessageVersion::V2
                    } else {
                        MessageVersion::V1
                    },
                    body_crc: small[0],
                    queue_id: small[1],
                    flag: small[2],
                    queue_offset: large[0],
                    physical_offset: large[1],
                    sys_flag: SysFlag(small[3])
                        .set_host_v6(born_host.is_ipv6(), store_host.is_ipv6()),
                    born_at_ms: large[2],
                    born_host,
                    stored_at_ms: large[3],
                    store_host,
                    reconsume_times: small[4],
                    prepared_transaction_offset: large[4],
                    body,
                    topic: topic.into(),
                    properties,
                }
            },
        )
}

proptest! {
    #[test]
    fn messages_round_trip(message in any_message()) {
        let bytes = bytes_of(&message);
        let read = StoredMessage::decode(&bytes).unwrap();
        prop_assert_eq!(&read, &message);
        prop_assert_eq!(bytes_of(&read), bytes);
    }

    #[test]
    fn every_strict_prefix_of_a_message_is_refused(message in any_message()) {
        let bytes = bytes_of(&message);
        for len in 0..bytes.len() {
            prop_assert!(StoredMessage::decode(&bytes.slice(..len)).is_err());
            let read: Vec<_> = decode_messages(bytes.slice(..len)).collect();
            prop_assert_eq!(read.len(), usize::from(len > 0));
            prop_assert!(read.iter().all(Result::is_err));
        }
    }

    #[test]
    fn batches_round_trip(items in proptest::collection::vec((any::<i32>(), any_bytes(), any_properties()), 0..4)) {
        let items: Vec<_> = items
            .into_iter()
            .map(|(flag, body, properties)| BatchItem { flag, body, properties })
            .collect();
        let bytes = encode_batch(&items);
        let read: Vec<_> = decode_batch(bytes.clone()).map(Result::unwrap).collect();
        prop_assert_eq!(&read, &items);
        prop_assert_eq!(encode_batch(&read), bytes);
    }

    #[test]
    fn ids_round_trip(host in any_host(), physical_offset: i64, pid: u16, salt: [u8; 4], since_month_ms: i32, counter: u16) {
        let id = OffsetMessageId { host, physical_offset };
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        let parts = UniqueIdParts { ip: host.ip(), pid, salt, since_month_ms, counter };
        prop_assert_eq!(unique_id(&parts).parse(), Ok(parts));
    }

    #[test]
    fn property_text_round_trips(properties in any_map()) {
        prop_assert_eq!(properties::decode(&properties::encode(&properties)), properties);
    }

    #[test]
    fn random_property_text_is_kept(text in "[ab\u{1}\u{2}]{0,20}") {
        let item = batch_item_with(&text);
        let mut again = BytesMut::new();
        BatchItem::decode(&item).unwrap().encode(&mut again);
        prop_assert_eq!(again, item);
    }
}

#[test]
fn fuzz_message() {
    bolero::check!()
        .with_iterations(20_000)
        .with_type::<(Vec<u8>, bool)>()
        .for_each(|(tail, right)| {
            // Random bytes seldom begin as a message: set length and magic right for half of them.
            let mut bytes = tail.clone();
            if *right && bytes.len() >= 8 {
                let total = u32::try_from(bytes.len()).unwrap();
                bytes[..4].copy_from_slice(&total.to_be_bytes());
                bytes[4..8].copy_from_slice(&MAGIC_V1.to_be_bytes());
            }
            for message in decode_messages(bytes.clone().into()).flatten() {
                assert_eq!(StoredMessage::decode(&bytes_of(&message)), Ok(message));
            }
        });
}

#[test]
fn fuzz_batch() {
    bolero::check!()
        .with_iterations(20_000)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| {
            for item in decode_batch(bytes.clone().into()).flatten() {
                let again = encode_batch([&item]);
                assert_eq!(BatchItem::decode(&again), Ok(item));
            }
        });
}

#[test]
fn fuzz_properties() {
    bolero::check!()
        .with_iterations(20_000)
        .with_type::<String>()
        .for_each(|text| {
            let read = properties::decode(text);
            assert_eq!(properties::decode(&properties::encode(&read)), read);
            let lazy = PropertyText::from(text.clone());
            for (name, value) in read.iter() {
                assert_eq!(lazy.get(name), Some(value));
            }
        });
}
