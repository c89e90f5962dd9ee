//! Frames of a client with bytes changed: what can be read is answered once, and the server holds no more than its limits.

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use mq_cmq::proto::tcp::{
    self, BatchDelete, BatchPublish, BatchPull, BatchSend, Confirm, ConfirmItem, Delete, Publish,
    Pull, Send, encode, state,
};
use mq_cmq::proto::{SignatureMethod, SigningKey};

use super::*;
use crate::cmq::auth::Auth;
use crate::cmq::clock::Time;
use crate::cmq::engine::Engine;
use crate::cmq::faults::Faults;
use crate::cmq::spec::{Limits, QueueSpec, TopicSpec};

/// A million; 100 million with `MQ_SOAK=1`, or as many as `MQ_FUZZ_FRAMES` says.
fn count() -> u64 {
    let soak = std::env::var("MQ_SOAK").is_ok_and(|it| it == "1");
    let usual = if soak { 100_000_000 } else { 1_000_000 };
    std::env::var("MQ_FUZZ_FRAMES").map_or(usual, |it| it.parse().unwrap())
}

#[tokio::test]
async fn frames_mutated() {
    let (count, corpus, shared) = (count(), corpus(), shared());
    let mut dice = fastrand::Rng::with_seed(0x636d_7102);
    let mut known = Bench::new(&shared);
    known.say(&login()).await;
    assert!(known.connection.login.is_some());
    let mut stranger = Bench::new(&shared);
    let (mut refused, mut short) = (0_u64, 0_u64);
    for _ in 0..count {
        let frame = mutate(&corpus[dice.usize(..corpus.len())], &mut dice);
        let bench = if dice.u8(..16) == 0 {
            &mut stranger
        } else {
            &mut known
        };
        match bench.take(frame).await {
            Taken::Whole => {}
            Taken::Part => short += 1,
            Taken::Garbage => refused += 1,
        }
        if stranger.connection.login.is_some() {
            stranger = Bench::new(&shared);
        }
    }
    let read = known.packets + stranger.packets;
    let seldom = count / 50;
    assert!(
        [read, refused, short].iter().all(|it| *it > seldom),
        "{read} {refused} {short}"
    );
    for queue in ["q", "t"] {
        let state = shared
            .with(|engine, now| engine.queue_state(now, queue))
            .unwrap();
        let most = u64::try_from(LIMIT / 256).unwrap();
        assert!(
            (1..=most).contains(&(state.active + state.inactive)),
            "{queue}"
        );
    }
}

enum Taken {
    Whole,
    Part,
    Garbage,
}

/// One connection without a socket.
struct Bench {
    connection: Connection,
    outgoing: mpsc::Receiver<Out>,
    packets: u64,
    answers: u64,
}

impl Bench {
    fn new(shared: &Arc<Shared>) -> Self {
        let patience = Patience {
            connections: 1,
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
        };
        let (out, outgoing) = mpsc::channel(OUTGOING);
        let connection = Connection {
            shared: Arc::clone(shared),
            number: 7,
            patience,
            out,
            login: None,
            until: soon(patience.head),
            frame: None,
            waiting: JoinSet::new(),
        };
        Self {
            connection,
            outgoing,
            packets: 0,
            answers: 0,
        }
    }

    async fn take(&mut self, mut frame: BytesMut) -> Taken {
        let known = self.connection.login.is_some();
        let mut decoder = FrameDecoder::new(if known { FRAME } else { FRAME_OF_STRANGERS });
        let room = frame.capacity();
        loop {
            let decoded = decoder.decode(&mut frame);
            assert!(
                frame.capacity() <= room,
                "what is announced takes no memory"
            );
            match decoded {
                Ok(Some(packet)) => self.handle(packet).await,
                Ok(None) if frame.is_empty() => return Taken::Whole,
                Ok(None) => return Taken::Part,
                Err(_) => return Taken::Garbage,
            }
        }
    }

    async fn say(&mut self, packet: &Packet) {
        self.handle(packet.clone()).await;
    }

    /// Each is answered at once, or waits for a message.
    async fn handle(&mut self, packet: Packet) {
        let number = packet.seqno;
        let waits = [cmd::PULL, cmd::BATCH_PULL].contains(&packet.cmd);
        assert!(self.connection.handle(packet).await.is_continue());
        self.packets += 1;
        let mut answered = false;
        while let Ok(out) = self.outgoing.try_recv() {
            let Out::Packet(answer) = out else {
                panic!("no fault was injected");
            };
            // Questions have a number of the server's.
            self.answers += u64::from(answer.query.is_none());
            answered |= answer.query.is_none() && answer.seqno == number;
        }
        assert!(answered || waits, "{number}");
        let waiting = u64::try_from(self.connection.waiting.len()).unwrap();
        assert!(self.answers <= self.packets && self.answers + waiting >= self.packets);
    }
}

/// All messages together.
const LIMIT: usize = 1 << 20;

fn shared() -> Arc<Shared> {
    let time = Time::still(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let limits = Limits {
        bytes: LIMIT,
        ..Limits::default()
    };
    let mut engine = Engine::new(time.now(), 0, limits);
    let t = QueueSpec::new("t").transactional(Duration::from_secs(5), 2);
    for queue in [QueueSpec::new("q"), t] {
        engine.create_queue(time.now(), queue).unwrap();
    }
    engine
        .create_topic(time.now(), TopicSpec::new("news"))
        .unwrap();
    let mut auth = Auth::new(Duration::from_secs(300), true);
    auth.add("AKIDdev", "dev-secret", None).unwrap();
    let (push, _) = mpsc::channel(1);
    Arc::new(Shared::new(
        engine,
        time,
        auth,
        Faults::new(Vec::new(), 0),
        push,
    ))
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
    let most = u32::try_from(FRAME).unwrap();
    let length = match dice.u8(..8) {
        0..6 => u32::try_from(bytes.len()).unwrap(),
        6 => [0, 5, 6, 7, 4096, most, most + 1, u32::MAX][dice.usize(..8)],
        _ => return bytes,
    };
    bytes[..2].fill(0);
    bytes[2..6].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// One of each command.
fn corpus() -> Vec<Vec<u8>> {
    let with = |cmd, change: fn(&mut Packet)| {
        let mut packet = Packet::new(1, cmd);
        change(&mut packet);
        packet
    };
    let packets = [
        login(),
        with(cmd::HEARTBEAT, |_| {}),
        with(cmd::SEND, |it| it.send = Some(message(None))),
        with(cmd::SEND, |it| it.send = Some(message(Some(1)))),
        with(cmd::BATCH_SEND, |it| it.batch_send = Some(messages())),
        with(cmd::PULL, |it| it.pull = Some(receive())),
        with(cmd::BATCH_PULL, |it| it.batch_pull = Some(receive_all())),
        with(cmd::DELETE, |it| {
            it.delete = Some(Delete {
                queue: "q".into(),
                handle: 7,
            });
        }),
        with(cmd::BATCH_DELETE, |it| {
            it.batch_delete = Some(BatchDelete {
                queue: "q".into(),
                handles: vec![7, 8],
            });
        }),
        with(cmd::PUBLISH, |it| it.publish = Some(news())),
        with(cmd::BATCH_PUBLISH, |it| it.batch_publish = Some(all_news())),
        with(cmd::TRANSACTION_CONFIRM, |it| {
            let items = vec![ConfirmItem {
                message_id: 7,
                state: state::COMMIT,
            }];
            it.confirm = Some(Confirm {
                queue: "t".into(),
                items,
            });
        }),
    ];
    let framed = packets.iter().map(|packet| {
        let mut out = BytesMut::new();
        encode(packet, &mut out).unwrap();
        out.to_vec()
    });
    framed.collect()
}

fn login() -> Packet {
    let key = SigningKey::new(SignatureMethod::HmacSha256, "dev-secret").unwrap();
    let auth = Some(tcp::Auth {
        secret_id: "AKIDdev".into(),
        signature: tcp::signature(&key, "client@1", "AKIDdev"),
        client_id: "client@1".into(),
        method: key.method().wire_name().into(),
    });
    Packet {
        auth,
        ..Packet::new(1, cmd::AUTH)
    }
}

fn message(transaction: Option<i32>) -> Send {
    Send {
        queue: if transaction.is_some() { "t" } else { "q" }.into(),
        body: Some(Bytes::from_static("plain 中".as_bytes())),
        delay_seconds: None,
        transaction,
        first_query_interval: transaction.map(|_| 5000),
    }
}

fn messages() -> BatchSend {
    BatchSend {
        queue: "q".into(),
        bodies: vec!["a".into(), "b".into()],
        ..BatchSend::default()
    }
}

fn receive() -> Pull {
    Pull {
        queue: "q".into(),
        wait_seconds: Some(0),
        visibility_seconds: Some(3),
    }
}

fn receive_all() -> BatchPull {
    BatchPull {
        queue: "t".into(),
        most: 16,
        wait_seconds: Some(30),
        visibility_seconds: None,
    }
}

fn news() -> Publish {
    Publish {
        topic: "news".into(),
        body: Bytes::from_static(b"x"),
        tags: vec!["tag".into()],
        routing_key: Some("a.b".into()),
    }
}

fn all_news() -> BatchPublish {
    BatchPublish {
        topic: "news".into(),
        bodies: vec!["x".into(), "y".into()],
        tags: Vec::new(),
        routing_key: None,
    }
}
