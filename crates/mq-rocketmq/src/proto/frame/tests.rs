use std::sync::Arc;

use super::*;
use crate::proto::{
    Encoded, Fields, Flags, HeaderParts, Language, NoFields, Reply, Request,
    command::{Heartbeat, PullMessage, PullReply, SendBatch, SendMessage, SendReply, TopicRoute},
    encode,
    message::{BatchItem, StoredMessage, decode_batch, decode_messages, encode_batch},
};

fn decode(bytes: &[u8]) -> Result<Option<Frame>, Malformed> {
    FrameDecoder::default().decode(&mut BytesMut::from(bytes))
}

#[test]
fn impossible_lengths_are_refused_at_once() {
    for (bytes, says) in [
        (&[0, 0, 0, 0][..], "0"),
        (&[0xFF, 0xFF, 0xFF, 0xFF], "-1"),
        (&[0x80, 0, 0, 0], "-2147483648"),
        (&[0, 0, 0, 3], "too short"),
        (&[1, 0, 0, 1], "above the limit"),
        (b"PRI * HTTP/2.0", "HTTP/2"),
        (b"HTTP/1.1 400 Bad Request", "HTTP answer"),
        (b"GET / HTTP/1.1", "HTTP request"),
        (&[0x16, 3, 1, 2, 0, 1], "TLS"),
        (&[0x15, 3, 3, 0, 2, 2, 70], "TLS"),
    ] {
        let error = decode(bytes).unwrap_err();
        assert_eq!(error.field, "length");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn header_must_fit_its_frame() {
    let error = decode(&[0, 0, 0, 10, 0, 0, 0, 7]).unwrap_err();
    assert_eq!(error.field, "headerLength");
    let error = decode(&[0, 0x20, 0, 0, 0, 0x10, 0, 1]).unwrap_err();
    assert_eq!(error.field, "headerLength");
    let error = decode(&[0, 0, 0, 10, 2, 0, 0, 6]).unwrap_err();
    assert_eq!(error.field, "serializeType");
    let error = decode(&[0, 0, 0, 4, 0, 0, 0, 0]).unwrap_err();
    assert_eq!(error.field, "header");
}

#[test]
fn a_malformed_frame_poisons_the_decoder() {
    let mut decoder = FrameDecoder::default();
    let error = decoder
        .decode(&mut BytesMut::from(&[0; 8][..]))
        .unwrap_err();
    let sound = pull_reply().0;
    assert_eq!(decoder.decode(&mut BytesMut::from(&sound[..])), Err(error));
}

#[test]
fn bodies_are_views_of_the_read_buffer() {
    let (whole, _) = pull_reply();
    let mut buf = BytesMut::from(&whole[..]);
    let range = buf.as_ptr_range();
    let frame = FrameDecoder::default().decode(&mut buf).unwrap().unwrap();
    assert!(!frame.body.is_empty() && range.contains(&frame.body.as_ptr()));
}

#[test]
fn a_length_alone_buys_no_memory() {
    let mut buf = BytesMut::from(&[0, 0xFF, 0xFF, 0xFF, 0, 0, 0, 9][..]);
    assert_eq!(FrameDecoder::default().decode(&mut buf), Ok(None));
    assert!(buf.capacity() <= 128 << 10, "{}", buf.capacity());
}

#[test]
fn frames_follow_each_other() {
    let (whole, _) = pull_reply();
    let mut buf = BytesMut::new();
    for _ in 0..3 {
        buf.extend_from_slice(&whole);
    }
    let mut decoder = FrameDecoder::default();
    for _ in 0..3 {
        assert!(decoder.decode(&mut buf).unwrap().is_some());
    }
    assert_eq!(decoder.decode(&mut buf), Ok(None));
}

/// A million frames, each a sound one with some bytes changed: no panic, nothing larger than the cap.
/// `MQ_FUZZ_FRAMES` sets another number.
#[test]
fn frames_mutated() {
    let frames = std::env::var("MQ_FUZZ_FRAMES").map_or(1_000_000, |n| n.parse().unwrap());
    let corpus = corpus();
    let mut random = fastrand::Rng::with_seed(0x6d71);
    let (mut sound_length, mut decoded, mut malformed) = (0_u64, 0_u64, 0_u64);
    for _ in 0..frames {
        let (whole, parse) = &corpus[random.usize(..corpus.len())];
        let mut bytes = mutate(whole, &mut random);
        let valid = (4..=MAX_FRAME).contains(&length_of(&bytes));
        sound_length += u64::from(valid);
        // Half of the decoders have a lower cap, so that sound lengths meet it too.
        let cap = if random.bool() { MAX_FRAME } else { 600 };
        let room = bytes.capacity();
        match FrameDecoder::new(cap).decode(&mut bytes) {
            Ok(Some(frame)) => {
                decoded += 1;
                assert!(frame.body.len() <= cap && footprint(&frame.header) <= 2 * cap);
                parse(&frame);
            }
            Ok(None) => assert!(bytes.capacity() <= room + (64 << 10) + cap.min(128 << 10)),
            Err(_) => malformed += 1,
        }
    }
    assert!(
        sound_length * 2 >= frames,
        "{sound_length} of {frames} have a valid length"
    );
    assert!(
        decoded > frames / 20 && malformed > frames / 20,
        "{decoded} {malformed}"
    );
}

fn length_of(bytes: &[u8]) -> usize {
    peek_u32(bytes, 0).map_or(0, |length| usize::try_from(length).unwrap())
}

/// What the decoded strings hold.
fn footprint(header: &Header) -> usize {
    let ext: usize = header
        .ext
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    ext + header.remark.as_ref().map_or(0, String::capacity)
}

/// Changes, cuts, grows; in three of four cases the prefix is set right again.
fn mutate(whole: &[u8], random: &mut fastrand::Rng) -> BytesMut {
    let mut bytes = BytesMut::from(whole);
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..bytes.len());
        match random.u8(..8) {
            0 => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes[at] = *random.choice(b"{}[]\",:\\\0\x01\x7f\xff-09").unwrap(),
            3 if bytes.len() > 16 => bytes.truncate(at.max(8)),
            4 => {
                let tail = bytes.split_off(at);
                bytes.extend((0..random.usize(..9)).map(|_| random.u8(..)));
                bytes.unsplit(tail);
            }
            5 => {
                let end = (at + 4).min(bytes.len());
                let number = random
                    .choice([0, 1, -1, i32::MAX, i32::MIN, 70_000])
                    .unwrap();
                bytes[at..end].copy_from_slice(&i32::to_be_bytes(number)[..end - at]);
            }
            6 => {
                let from = random.usize(..bytes.len());
                bytes[at] = bytes[from];
            }
            _ => bytes[at] = bytes[at].wrapping_add(1),
        }
    }
    if random.u8(..4) > 0 && bytes.len() >= 8 {
        let length = u32::try_from(bytes.len() - 4).unwrap();
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        if random.bool() {
            bytes[4..8].copy_from_slice(&whole[4..8]);
        }
    }
    bytes
}

type Parse = fn(&Frame);

fn corpus() -> Vec<(Vec<u8>, Parse)> {
    let mut corpus = Vec::new();
    for codec in [HeaderCodec::Json, HeaderCodec::Binary] {
        let send = send_message();
        corpus.push(request(&send, codec));
        corpus.push(request(&SendBatch(send), codec));
        corpus.push(request(
            &PullMessage {
                topic: "topic".into(),
                ..Default::default()
            },
            codec,
        ));
        corpus.push(request(&heartbeat(), codec));
        corpus.push(reply(
            &SendReply {
                message_id: "0A".repeat(16),
                ..Default::default()
            },
            codec,
        ));
        corpus.push(reply(&route(), codec));
        corpus.push(whole(
            codec,
            Flags::RESPONSE,
            1,
            Some("no such thing"),
            &NoFields,
            b"",
            |_| {},
        ));
    }
    corpus.push(pull_reply());
    corpus
}

fn send_message() -> SendMessage {
    let topic: Arc<str> = "topic".into();
    let item = |n: u8| BatchItem {
        body: vec![n; 20].into(),
        properties: [("KEYS", "a b"), ("TAGS", "x")].into_iter().collect(),
        ..Default::default()
    };
    let properties = Some("KEYS\u{1}1\u{2}WAIT\u{1}true\u{2}".to_owned());
    let body = encode_batch(&[item(1), item(2)]);
    SendMessage {
        topic,
        properties,
        body,
        ..Default::default()
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        client_id: "10.0.0.1@1".to_owned(),
        consumers: vec![crate::proto::command::ConsumerData {
            group_name: "group".to_owned(),
            subscriptions: vec![crate::proto::command::Subscription::default()],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn route() -> TopicRoute {
    TopicRoute {
        queues: vec![crate::proto::command::QueueData::default()],
        brokers: vec![crate::proto::command::BrokerData {
            broker_addrs: [(0, "127.0.0.1:10911".to_owned())].into_iter().collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn pull_reply() -> (Vec<u8>, Parse) {
    let mut messages = BytesMut::new();
    for offset in 0..3 {
        let mut message = StoredMessage::new("topic", Bytes::from_static(b"hello"));
        message.queue_offset = offset;
        message.properties = [("TAGS", "x")].into_iter().collect();
        message.encode(&mut messages);
    }
    let pull = PullReply {
        next_offset: 3,
        messages: messages.freeze(),
        ..Default::default()
    };
    let (bytes, _) = reply(&pull, HeaderCodec::Binary);
    (bytes, |frame| {
        let _ = PullReply::parse(&frame.header.ext, &frame.body);
        walk(&frame.body);
    })
}

/// Every decoder of bodies must be done after as many steps as there are bytes at most.
fn walk(body: &Bytes) {
    let covered: usize = decode_messages(body.clone())
        .map(|message| match message {
            Ok(message) => {
                assert!(message.body.len() + message.topic.len() <= body.len());
                91
            }
            Err(bad) => bad.raw.len(),
        })
        .sum();
    assert!(covered <= body.len());
    assert!(decode_batch(body.clone()).count() <= body.len() / 22 + 1);
}

fn request<R: Request>(request: &R, codec: HeaderCodec) -> (Vec<u8>, Parse) {
    whole(
        codec,
        Flags::REQUEST,
        R::CODE.0,
        None,
        request,
        &request.body(),
        |frame| {
            let _ = R::parse(&frame.header.ext, &frame.body);
            walk(&frame.body);
        },
    )
}

fn reply<R: Reply>(reply: &R, codec: HeaderCodec) -> (Vec<u8>, Parse) {
    whole(
        codec,
        Flags::RESPONSE,
        0,
        None,
        reply,
        &reply.body(),
        |frame| {
            let _ = R::parse(&frame.header.ext, &frame.body);
        },
    )
}

fn whole(
    codec: HeaderCodec,
    flags: Flags,
    code: i32,
    remark: Option<&str>,
    fields: &impl Fields,
    body: &[u8],
    parse: Parse,
) -> (Vec<u8>, Parse) {
    let parts = HeaderParts {
        code,
        flags,
        remark,
        language: Language::JAVA,
        version: 513,
        codec,
    };
    let encoded: Encoded = encode(&parts, fields, &[], body.len());
    let mut bytes = encoded.into_bytes().to_vec();
    bytes.extend_from_slice(body);
    (bytes, parse)
}

#[test]
fn fuzz_frames() {
    bolero::check!()
        .with_iterations(20_000)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| {
            let mut buf = BytesMut::from(&bytes[..]);
            let mut decoder = FrameDecoder::default();
            while let Ok(Some(_)) = decoder.decode(&mut buf) {}
        });
}
