use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::proto::SignatureMethod;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|it| std::str::from_utf8(it).unwrap());
    pairs
        .map(|it| u8::from_str_radix(it, 16).unwrap())
        .collect()
}

fn framed(packet: &Packet) -> BytesMut {
    let mut out = BytesMut::new();
    encode(packet, &mut out).unwrap();
    out
}

fn full() -> Packet {
    let item = ConfirmedItem {
        message_id: u64::MAX,
        state: state::UNKNOWN,
        code: Some(10_770),
        message: Some("no".into()),
    };
    let pulled = Pulled {
        message_id: 7,
        handle: Some(u64::MAX),
        body: Some(Bytes::from_static(b"body")),
        dequeue_count: Some(3),
        original_queue: Some("queue-x".into()),
        original_dequeue_count: Some(2),
        ..Pulled::default()
    };
    Packet {
        result: Some(0),
        request_id: Some(9),
        message_ids: vec![1, u64::MAX],
        pulled_batch: Some(PulledBatch {
            messages: vec![pulled],
        }),
        confirmed: Some(Confirmed {
            queue: "q".into(),
            items: vec![item],
        }),
        ..Packet::new(i64::MAX, cmd::BATCH_PULL)
    }
}

/// A send of cmq-tcp-client 1.1.8, as it was on the wire.
#[test]
fn a_send_is_written_as_javas_client_writes_it() {
    let packet = Packet {
        request_id: Some(1),
        send: Some(Send {
            queue: "tq".into(),
            body: Some(Bytes::from_static("plain 中".as_bytes())),
            ..Send::default()
        }),
        ..Packet::new(1, cmd::SEND)
    };
    let wire = hex("00001f000000 0801 10fd07 5001 c20c0f 0a027471 1209 706c61696e20e4b8ad");
    assert_eq!(framed(&packet), wire);
    let mut buf = BytesMut::from(wire.as_slice());
    assert_eq!(FrameDecoder::default().decode(&mut buf), Ok(Some(packet)));
    assert!(buf.is_empty());
}

#[test]
fn the_signature_is_javas() {
    let key = SigningKey::new(SignatureMethod::HmacSha256, "secret").unwrap();
    let signed = signature(&key, "192.0.2.2@DEFAULT", "AKIDtest");
    assert_eq!(signed, "NXyCRI26eU6F8zhkNLN5pjnOpmSDTc1WtmiuDmBHyZo=");
}

#[test]
fn packets_come_back_split_and_together() {
    let (first, second) = (full(), Packet::new(2, cmd::HEARTBEAT));
    let mut wire = framed(&first);
    wire.extend(framed(&second));
    let (mut decoder, mut buf, mut read) = (FrameDecoder::default(), BytesMut::new(), Vec::new());
    for byte in &wire {
        buf.extend([*byte]);
        while let Some(packet) = decoder.decode(&mut buf).unwrap() {
            read.push(packet);
        }
    }
    assert_eq!(read, [first.clone(), second.clone()]);
    let mut decoder = FrameDecoder::default();
    assert_eq!(decoder.decode(&mut wire), Ok(Some(first)));
    assert_eq!(decoder.decode(&mut wire), Ok(Some(second)));
    assert_eq!(decoder.decode(&mut wire), Ok(None));
}

#[test]
fn what_can_not_begin_a_frame_is_an_error_for_ever() {
    for (wire, why) in [
        ("48545450", "this may not be a CMQ gateway"),
        ("0001", "00 00"),
        ("0000 05000000", "less than its own head"),
        ("0000 00000000", "less than its own head"),
        ("0000 ffffffff", "over the limit"),
        ("0000 0a000000 ffffffff", "no packet"),
    ] {
        let mut decoder = FrameDecoder::default();
        let mut buf = BytesMut::from(hex(wire).as_slice());
        let error = decoder.decode(&mut buf).unwrap_err();
        assert!(error.to_string().contains(why), "{wire}: {error}");
        let mut good = framed(&full());
        assert_eq!(decoder.decode(&mut good), Err(error));
    }
}

#[test]
fn what_is_too_large_is_not_written() {
    let body = Bytes::from(vec![b'x'; MAX_FRAME]);
    let send = Some(Send {
        body: Some(body),
        ..Send::default()
    });
    let packet = Packet {
        send,
        ..Packet::new(1, cmd::SEND)
    };
    let mut out = BytesMut::new();
    assert!(encode(&packet, &mut out).is_err() && out.is_empty());
}

#[test]
fn nothing_private_is_shown() {
    let mut packet = full();
    packet.auth = Some(Auth {
        signature: "canary".into(),
        ..Auth::default()
    });
    packet.publish = Some(Publish {
        body: Bytes::from_static(b"canary"),
        ..Publish::default()
    });
    let shown = format!("{packet:?} {:?} {:?}", packet.auth, packet.publish);
    assert!(
        !shown.contains("canary") && !shown.contains("body"),
        "{shown}"
    );
}

/// Random bytes, and frames with bytes changed: an error or a packet, never a panic, never more memory than came.
fn survives(bytes: &[u8]) {
    let (mut decoder, mut buf) = (FrameDecoder::default(), BytesMut::from(bytes));
    while let Ok(Some(_)) = decoder.decode(&mut buf) {}
    assert!(buf.capacity() <= bytes.len().max(64) * 2);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
    }

    #[test]
    fn no_mutation_panics(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let mut wire = framed(&full());
        for (at, byte) in changes {
            let at = at % wire.len();
            wire[at] = byte;
        }
        survives(&wire);
    }

    #[test]
    fn every_prefix_is_incomplete(cut in 0_usize..200) {
        let wire = framed(&full());
        let mut buf = BytesMut::from(&wire[..cut.min(wire.len() - 1)]);
        prop_assert_eq!(FrameDecoder::default().decode(&mut buf), Ok(None));
    }
}
