//! Frames of a gateway with bytes changed: whatever comes, each waiter hears one end, and nothing grows.

use bytes::Bytes;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::proto::Action;
use crate::proto::action::{
    BatchDeleteMessage, BatchReceiveMessage, BatchSendMessage, ConfirmTransaction, DeleteMessage,
    ReceiveMessage, SendMessage,
};
use crate::proto::tcp::{
    Confirmed, ConfirmedItem, MAX_FRAME, NotDeleted, Pulled, PulledBatch, TransactionQuery, state,
};

/// A million; 100 million with `MQ_SOAK=1`, or as many as `MQ_FUZZ_FRAMES` says.
fn count() -> u64 {
    let soak = std::env::var("MQ_SOAK").is_ok_and(|it| it == "1");
    let usual = if soak { 100_000_000 } else { 1_000_000 };
    std::env::var("MQ_FUZZ_FRAMES").map_or(usual, |it| it.parse().unwrap())
}

#[test]
fn frames_mutated() {
    let (count, corpus) = (count(), corpus());
    let mut dice = fastrand::Rng::with_seed(0x636d_7101);
    let (mut answered, mut asked, mut ended, mut short) = (0_u64, 0_u64, 0_u64, 0_u64);
    for _ in 0..count {
        let mut bench = Bench::new();
        let waiting: [_; 3] = std::array::from_fn(|_| bench.call(SECOND));
        bench.session.out.clear();
        let mut wire = mutate(&corpus[dice.usize(..corpus.len())], &mut dice);
        let room = wire.capacity();
        let heard = bench.hear_bytes(&mut wire);
        ended += u64::from(heard.is_err());
        short += u64::from(heard.is_ok() && !wire.is_empty());
        asked += bench.asked.lock().unwrap().len() as u64;
        // What is announced takes no memory, and nothing is said to a gateway that talks nonsense.
        assert!(wire.capacity() <= room && bench.session.out.is_empty());
        bench.session.lose("the end");
        for mut waiter in waiting {
            match waiter.try_recv() {
                Ok(Ok(packet)) => {
                    unpack(&packet);
                    answered += 1;
                }
                Ok(Err(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => panic!("one hears nothing"),
            }
        }
    }
    let seldom = count / 50;
    let all = [answered, asked, ended, short];
    assert!(all.iter().all(|it| *it > seldom), "{all:?} of {count}");
}

/// Reads it as the answer to everything.
fn unpack(packet: &Packet) {
    let _ = SendMessage::unpack(packet);
    let _ = BatchSendMessage::unpack(packet);
    let _ = ReceiveMessage::unpack(packet);
    let _ = BatchReceiveMessage::unpack(packet);
    let _ = DeleteMessage::unpack(packet);
    let _ = BatchDeleteMessage::unpack(packet);
    let _ = ConfirmTransaction::unpack(packet);
}

/// Some bytes changed, cut off, put in; in three of four cases the length is set right again.
fn mutate(whole: &[u8], dice: &mut fastrand::Rng) -> BytesMut {
    let mut bytes = BytesMut::from(whole);
    for _ in 0..dice.usize(1..4) {
        let at = dice.usize(..bytes.len());
        match dice.u8(..6) {
            0 => bytes[at] ^= 1 << dice.u8(..8),
            1 => bytes[at] = dice.u8(..),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][dice.usize(..5)],
            3 if bytes.len() > 16 => bytes.truncate(at.max(8)),
            4 => {
                let tail = bytes.split_off(at);
                bytes.extend((0..dice.usize(..9)).map(|_| dice.u8(..)));
                bytes.unsplit(tail);
            }
            _ => bytes[at] = bytes[at].wrapping_add(1),
        }
    }
    if dice.u8(..4) > 0 {
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..2].fill(0);
        bytes[2..6].copy_from_slice(&length.to_le_bytes());
    } else if dice.bool() {
        let most = u32::try_from(MAX_FRAME).unwrap();
        let length = [0, 5, 6, 7, 4096, most, most + 1, u32::MAX][dice.usize(..8)];
        bytes[2..6].copy_from_slice(&length.to_le_bytes());
    }
    bytes
}

/// What gateways say, to the numbers that are waited for.
fn corpus() -> Vec<Vec<u8>> {
    let framed = said().map(|packet| {
        let mut out = BytesMut::new();
        tcp::encode(&packet, &mut out).unwrap();
        out.to_vec()
    });
    framed.into()
}

fn said() -> [Packet; 9] {
    let no = NotDeleted {
        handle: 2,
        code: 10_260,
        message: "gone".into(),
    };
    let pulled_batch = PulledBatch {
        messages: vec![pulled(), pulled()],
    };
    let confirmed = Confirmed {
        queue: "t".into(),
        items: vec![ended(None), ended(Some(10_780))],
    };
    let query = TransactionQuery {
        queue: "t".into(),
        message_id: 7,
    };
    [
        Packet {
            message_ids: vec![1, u64::MAX],
            ..ok(1, cmd::BATCH_SEND)
        },
        Packet {
            pulled: Some(pulled()),
            ..ok(1, cmd::PULL)
        },
        Packet {
            pulled_batch: Some(pulled_batch),
            ..ok(2, cmd::BATCH_PULL)
        },
        Packet {
            not_deleted: vec![no.clone(), no],
            ..ok(3, cmd::BATCH_DELETE)
        },
        Packet {
            confirmed: Some(confirmed),
            ..ok(2, cmd::TRANSACTION_CONFIRM)
        },
        Packet {
            result: Some(NOT_AUTHENTICATED),
            error: Some("tcp connection not authed".into()),
            ..ok(1, cmd::SEND)
        },
        Packet {
            query: Some(query.clone()),
            ..Packet::new(-1, cmd::TRANSACTION_QUERY)
        },
        Packet {
            query: Some(query),
            ..Packet::new(1, cmd::TRANSACTION_QUERY)
        },
        Packet::new(FIRST + 9, cmd::HEARTBEAT),
    ]
}

/// An answer to the nth request behind the login.
fn ok(nth: i64, cmd: i32) -> Packet {
    Packet {
        result: Some(0),
        request_id: Some(u64::MAX),
        ..Packet::new(FIRST + nth, cmd)
    }
}

fn pulled() -> Pulled {
    Pulled {
        message_id: 1 << 60,
        handle: Some(u64::MAX),
        body: Some(Bytes::from_static("plain 中".as_bytes())),
        enqueued: Some(1_700_000_000),
        dequeue_count: Some(3),
        original_queue: Some("queue-x".into()),
        ..Pulled::default()
    }
}

fn ended(code: Option<i32>) -> ConfirmedItem {
    ConfirmedItem {
        message_id: 7,
        state: code.map_or(state::COMMIT, |_| state::UNKNOWN),
        message: code.map(|code| format!("({code})no")),
        code,
    }
}
