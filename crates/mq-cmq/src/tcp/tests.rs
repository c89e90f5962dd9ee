//! The client against a scripted gateway.

mod links;
mod options;
mod queues;
mod quiet;
mod transactions;

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
    ended: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Packet>>>,
    _task: tokio::task::JoinSet<()>,
}

impl Gateway {
    /// Checks the signature, and asks the script about everything else.
    async fn start(script: impl FnMut(&Packet) -> Option<Vec<Packet>> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let [connections, ended] = <[Arc<AtomicUsize>; 2]>::default();
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
        let mut tasks = tokio::task::JoinSet::new();
        let (count, log) = (Arc::clone(&connections), Arc::clone(&seen));
        let over = Arc::clone(&ended);
        tasks.spawn(async move {
            let mut each = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let conversation = converse(stream, Arc::clone(&script), Arc::clone(&log));
                let over = Arc::clone(&over);
                each.spawn(async move {
                    conversation.await;
                    over.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            connections,
            ended,
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

    /// Of the connections, how many are over.
    fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
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

/// Lets seconds pass, each with what happens in it.
async fn pass(seconds: u64) {
    for _ in 0..seconds {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(1)).await;
        // By the machine's time again: paused, it would run on whenever everybody waits for a socket.
        tokio::time::resume();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Answers every question over HTTP with the gateway's address.
struct NameServer {
    address: String,
    gateway: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    hangs_up: Arc<AtomicUsize>,
    _task: tokio::task::JoinSet<()>,
}

impl NameServer {
    async fn start(gateway: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let gateway = Arc::new(Mutex::new(gateway.to_owned()));
        let [asked, hangs_up] = <[Arc<AtomicUsize>; 2]>::default();
        let mut tasks = tokio::task::JoinSet::new();
        let (told, count) = (Arc::clone(&gateway), Arc::clone(&asked));
        let unheard = Arc::clone(&hangs_up);
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = BytesMut::new();
                // The form's last parameter is its signature.
                while !String::from_utf8_lossy(&request).contains("Signature=") {
                    assert!(stream.read_buf(&mut request).await.unwrap() > 0);
                }
                if count.fetch_add(1, Ordering::SeqCst) < unheard.load(Ordering::SeqCst) {
                    continue;
                }
                let to = told.lock().unwrap().clone();
                let body = format!(r#"{{"code":0,"message":"","requestId":"1","addr":["{to}"]}}"#);
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
                );
                let _ = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        Self {
            address,
            gateway,
            asked,
            hangs_up,
            _task: tasks,
        }
    }

    /// Ends the connection in the place of the first answers.
    fn hang_up(&self, times: usize) {
        self.hangs_up.store(times, Ordering::SeqCst);
    }

    fn lead_to(&self, gateway: &str) {
        gateway.clone_into(&mut self.gateway.lock().unwrap());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}
