use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use mq_core::{ErrorKind, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::proto::tcp::{
    self, Confirmed, ConfirmedItem, FrameDecoder, Packet, Pulled, TransactionQuery, cmd, state,
};
use crate::proto::{SignatureMethod, SigningKey};
use crate::{ErrorCode, Message};

/// What a scripted gateway does about a packet: `None` ends the connection.
type Script = dyn FnMut(&Packet) -> Option<Vec<Packet>> + Send;

struct Gateway {
    address: String,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Packet>>>,
    _task: tokio::task::JoinSet<()>,
}

impl Gateway {
    /// Checks the signature, and asks the script about everything else.
    async fn start(script: impl FnMut(&Packet) -> Option<Vec<Packet>> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (connections, seen) = (
            Arc::<AtomicUsize>::default(),
            Arc::<Mutex<Vec<_>>>::default(),
        );
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
        let mut tasks = tokio::task::JoinSet::new();
        let (count, log) = (Arc::clone(&connections), Arc::clone(&seen));
        tasks.spawn(async move {
            let mut each = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                each.spawn(converse(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self {
            address,
            connections,
            seen,
            _task: tasks,
        }
    }

    fn client(&self) -> TcpClient {
        let url = format!("cmq+tcp://AKID:key@127.0.0.1:1?gateway={}", self.address);
        TcpClient::from_url(&url).unwrap().build().unwrap()
    }

    fn seen(&self, cmd: i32) -> Vec<Packet> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|it| it.cmd == cmd).cloned().collect()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn converse(
    mut stream: tokio::net::TcpStream,
    script: Arc<Mutex<Box<Script>>>,
    log: Arc<Mutex<Vec<Packet>>>,
) {
    let (mut decoder, mut buf) = (FrameDecoder::default(), BytesMut::new());
    loop {
        while let Some(packet) = decoder.decode(&mut buf).unwrap() {
            log.lock().unwrap().push(packet.clone());
            let answers = match &packet.auth {
                Some(auth) => Some(vec![judge(&packet, auth)]),
                None => (script.lock().unwrap())(&packet),
            };
            let Some(answers) = answers else { return };
            let mut out = BytesMut::new();
            for answer in &answers {
                tcp::encode(answer, &mut out).unwrap();
            }
            stream.write_all(&out).await.unwrap();
        }
        if stream.read_buf(&mut buf).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

fn judge(packet: &Packet, auth: &tcp::Auth) -> Packet {
    let key = SigningKey::new(SignatureMethod::HmacSha256, "key").unwrap();
    let right = tcp::signature(&key, &auth.client_id, &auth.secret_id) == auth.signature;
    let mut answer = ok(packet);
    if !right {
        answer.result = Some(10_030);
        answer.error = Some("(10030)authentication failed".into());
    }
    answer
}

fn ok(to: &Packet) -> Packet {
    Packet {
        result: Some(0),
        request_id: Some(77),
        ..Packet::new(to.seqno, to.cmd)
    }
}

fn stored(to: &Packet) -> Packet {
    Packet {
        message_ids: vec![1 << 60],
        ..ok(to)
    }
}

fn no(to: &Packet, result: i32, text: &str) -> Packet {
    Packet {
        result: Some(result),
        error: Some(text.into()),
        ..ok(to)
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    ended.unwrap_or_else(|_| panic!("{what}"));
}

/// Answers to everything that is asked of a queue.
fn a_queue(packet: &Packet) -> Option<Vec<Packet>> {
    let pulled = Pulled {
        message_id: 7,
        handle: Some(u64::MAX),
        body: Some(Bytes::from_static(b"\xffbody")),
        original_queue: Some("queue-x".into()),
        original_dequeue_count: Some(3),
        ..Pulled::default()
    };
    Some(vec![match packet.cmd {
        cmd::SEND => stored(packet),
        cmd::PULL => Packet {
            pulled: Some(pulled),
            ..ok(packet)
        },
        cmd::BATCH_PULL => no(packet, 10_200, "(10200)no message"),
        cmd::DELETE => no(packet, 10_260, "(10260)receipt handle is invalid"),
        cmd::BATCH_DELETE => Packet {
            not_deleted: vec![tcp::NotDeleted {
                handle: 2,
                code: 10_260,
                message: "gone".into(),
            }],
            ..no(packet, 10_150, "(10150)partly")
        },
        _ => return None,
    }])
}

#[tokio::test]
async fn queues_are_served_on_one_connection_that_authenticates_once() {
    let gateway = Gateway::start(a_queue).await;
    let queue = gateway.client().queue("q").unwrap();
    let queue = queue.visibility(Duration::from_secs(90)).unwrap();
    assert_eq!(
        queue.send("x").await.unwrap().message_id(),
        "1152921504606846976"
    );
    let message = queue
        .receive(Duration::from_secs(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (message.bytes(), message.body()),
        (&b"\xffbody"[..], "\u{fffd}body")
    );
    let origin = message.origin().unwrap();
    assert_eq!((origin.queue_id.as_str(), origin.attempts), ("queue-x", 3));
    assert_eq!(queue.receive_batch(5, Duration::ZERO).await.unwrap(), []);
    let error = queue.delete(message.handle()).await.unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::HANDLE_EXPIRED));
    let handles = ["1", "2", "none"].map(crate::ReceiptHandle::new);
    let results = queue.delete_batch(&handles).await;
    let gone: Vec<bool> = results.iter().map(Result::is_err).collect();
    assert_eq!(gone, [false, true, false]);
    assert_eq!(gateway.connections(), 1);
    assert_eq!(gateway.seen(cmd::AUTH).len(), 1);
    let pulls = gateway.seen(cmd::PULL);
    let pull = pulls[0].pull.as_ref().unwrap();
    assert_eq!(
        (pull.wait_seconds, pull.visibility_seconds),
        (Some(1), Some(90))
    );
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let mut waiting = Vec::new();
    let gateway = Gateway::start(move |packet| {
        let body = packet.send.as_ref()?.body.clone()?;
        let number: u64 = std::str::from_utf8(&body).ok()?.parse().ok()?;
        waiting.push(Packet {
            message_ids: vec![number],
            ..ok(packet)
        });
        if waiting.len() < 50 {
            return Some(Vec::new());
        }
        waiting.reverse();
        Some(std::mem::take(&mut waiting))
    })
    .await;
    let queue = gateway.client().queue("q").unwrap();
    let sends = (0..50).map(|at| {
        let queue = queue.clone();
        async move { (at, queue.send(at.to_string()).await.unwrap()) }
    });
    for (at, receipt) in futures_util::future::join_all(sends).await {
        assert_eq!(receipt.message_id(), at.to_string());
    }
    assert_eq!(gateway.connections(), 1);
}

#[tokio::test]
async fn a_wrong_key_is_told_and_not_tried_in_a_storm() {
    let gateway = Gateway::start(|packet| Some(vec![stored(packet)])).await;
    let url = format!(
        "cmq+tcp://AKID:wrong@127.0.0.1:1?gateway={}",
        gateway.address
    );
    let client = TcpClient::from_url(&url).unwrap().build().unwrap();
    let queue = client.queue("q").unwrap();
    for _ in 0..20 {
        let error = queue.send("x").await.unwrap_err().error;
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Auth, Outcome::Rejected)
        );
        assert_eq!(error.code(), Some(&ErrorCode::AUTHENTICATION_FAILED));
    }
    assert!(gateway.connections() <= 3, "{}", gateway.connections());
}

#[tokio::test]
async fn who_is_forgotten_logs_in_again_and_sends_again() {
    let mut forgets = true;
    let gateway = Gateway::start(move |packet| {
        Some(vec![if std::mem::take(&mut forgets) {
            no(packet, 306, "tcp connection not authed")
        } else {
            stored(packet)
        }])
    })
    .await;
    let queue = gateway.client().queue("q").unwrap();
    queue.send("x").await.unwrap();
    assert_eq!(
        (gateway.connections(), gateway.seen(cmd::SEND).len()),
        (2, 2)
    );
}

#[tokio::test]
async fn a_cut_is_unknown_and_the_next_one_goes() {
    for end in [0, 1] {
        let mut first = true;
        let gateway = Gateway::start(move |packet| match (std::mem::take(&mut first), end) {
            (true, 0) => None,
            (true, _) => Some(vec![Packet::new(-5, 9_999)]),
            _ => Some(vec![stored(packet)]),
        })
        .await;
        let queue = gateway.client().queue("q").unwrap();
        let sent = queue.send("x").timeout(Duration::from_millis(500)).await;
        let failed = sent.unwrap_err();
        assert_eq!(failed.outcome(), Outcome::Unknown);
        let kind = [ErrorKind::Disconnected, ErrorKind::Timeout][end];
        assert_eq!((failed.error.kind(), failed.message.body()), (kind, "x"));
        queue.send("y").await.unwrap();
        assert_eq!(gateway.connections(), 2 - end);
    }
}

#[tokio::test]
async fn a_gateway_that_says_nothing_any_more_is_left() {
    let mut heard = 0;
    let gateway = Gateway::start(move |packet| {
        heard += 1;
        Some(if heard == 2 {
            Vec::new()
        } else {
            vec![stored(packet)]
        })
    })
    .await;
    let queue = gateway.client().queue("q").unwrap();
    queue.send("x").await.unwrap();
    let sent = queue.send("y").timeout(Duration::from_millis(300)).await;
    assert_eq!(sent.unwrap_err().error.kind(), ErrorKind::Timeout);
    until("it is replaced", || gateway.connections() == 1).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    queue.send("z").await.unwrap();
    assert_eq!(gateway.connections(), 2);
}

#[tokio::test]
async fn a_quiet_connection_gives_signs_of_life() {
    let gateway = Gateway::start(|packet| Some(vec![stored(packet)])).await;
    let queue = gateway.client().queue("q").unwrap();
    queue.send("x").await.unwrap();
    until("a heartbeat", || !gateway.seen(cmd::HEARTBEAT).is_empty()).await;
    queue.send("y").await.unwrap();
    assert_eq!(gateway.connections(), 1);
}

fn confirmed(to: &Packet, state: i32, code: Option<i32>) -> Packet {
    let confirm = to.confirm.clone().unwrap_or_default();
    let item = ConfirmedItem {
        message_id: confirm.items[0].message_id,
        state,
        code,
        message: code.map(|_| "no".into()),
    };
    Packet {
        confirmed: Some(Confirmed {
            queue: confirm.queue,
            items: vec![item],
        }),
        ..ok(to)
    }
}

#[tokio::test]
async fn a_transaction_is_ended_by_a_confirmed_answer() {
    let gateway = Gateway::start(|packet| {
        Some(vec![match packet.cmd {
            cmd::SEND => stored(packet),
            _ => match packet.confirm.as_ref()?.items[0].state {
                state::COMMIT => confirmed(packet, state::COMMIT, None),
                _ => confirmed(packet, state::UNKNOWN, Some(10_780)),
            },
        }])
    })
    .await;
    let client = gateway.client();
    let producer = client
        .transactional("t", |_| async { Verdict::Unknown })
        .unwrap();
    let producer = producer.first_query_after(Duration::from_secs(5));
    let prepared = producer.begin("half").await.unwrap();
    assert_eq!(prepared.id(), "1152921504606846976");
    prepared.commit().await.unwrap();
    let sent = gateway.seen(cmd::SEND);
    let send = sent[0].send.as_ref().unwrap();
    assert_eq!(
        (send.transaction, send.first_query_interval),
        (Some(1), Some(5_000))
    );
    let error = producer
        .begin("half")
        .await
        .unwrap()
        .rollback()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::TRANSACTION_STATE));
    // Dropped: nothing is sent.
    drop(producer.begin("half").await.unwrap());
    assert_eq!(gateway.seen(cmd::TRANSACTION_CONFIRM).len(), 2);
    let late = Message::new("x").deliver_after(Duration::from_secs(1));
    let refused = producer.begin(late).await.unwrap_err();
    assert_eq!(refused.outcome(), Outcome::NotSent);
    let done = producer.transact("half", |_| async { Ok::<_, &str>(Verdict::Commit) });
    assert_eq!(done.await.unwrap(), Verdict::Commit);
}

#[tokio::test]
async fn a_question_is_answered_by_the_queues_checker() {
    let mut asked = 0;
    let gateway = Gateway::start(move |packet| {
        Some(match packet.cmd {
            // Whoever gives a sign of life is asked.
            cmd::HEARTBEAT if asked < 3 => {
                asked += 1;
                let query = TransactionQuery {
                    queue: ["T", "t", "other"][asked - 1].into(),
                    message_id: asked as u64,
                };
                vec![Packet {
                    query: Some(query),
                    ..Packet::new(0, cmd::TRANSACTION_QUERY)
                }]
            }
            cmd::TRANSACTION_CONFIRM => vec![confirmed(packet, state::COMMIT, None)],
            _ => Vec::new(),
        })
    })
    .await;
    let client = gateway.client();
    let (checked, log) = (
        Arc::<Mutex<Vec<_>>>::default(),
        Arc::<Mutex<Vec<_>>>::default(),
    );
    let told = Arc::clone(&checked);
    let producer = client.transactional("t", move |pending| {
        told.lock()
            .unwrap()
            .push((pending.queue().to_owned(), pending.id().to_owned()));
        let first = pending.id() == "1";
        async move {
            if first {
                Verdict::Commit
            } else {
                Verdict::Unknown
            }
        }
    });
    let producer = producer.unwrap();
    producer.connect().await.unwrap();
    until("both questions", || checked.lock().unwrap().len() == 2).await;
    log.lock()
        .unwrap()
        .extend(gateway.seen(cmd::TRANSACTION_CONFIRM));
    let confirms = log.lock().unwrap();
    assert_eq!(confirms.len(), 1, "of the unknown one nothing is said");
    let confirm = confirms[0].confirm.as_ref().unwrap();
    assert_eq!(
        (confirm.items[0].message_id, confirm.items[0].state),
        (1, state::COMMIT)
    );
    assert_eq!(
        *checked.lock().unwrap(),
        [("T".into(), "1".into()), ("t".into(), "2".into())]
    );
}
