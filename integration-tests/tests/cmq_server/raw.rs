//! Requests written by hand: what no client would send, too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use integration_tests::harness::{wall, within};
use mq_cmq::Client;
use mq_cmq::proto::{SignatureMethod, SigningKey, form, sign};
use mq_dev::cmq::{DevServer, QueueSpec};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const PATH: &str = "/v2/index.php";

/// A server with the queue `q`, whose visibility is 5 s.
pub(crate) async fn server() -> DevServer {
    let server = DevServer::builder().start().await.unwrap();
    server.create_queue(q()).unwrap();
    server
}

pub(crate) fn q() -> QueueSpec {
    QueueSpec::new("q").visibility(Duration::from_secs(5))
}

/// Ours, which tries once.
pub(crate) fn client(server: &DevServer) -> Client {
    let builder = Client::from_url(&server.url()).unwrap();
    builder.attempts(1).build().unwrap()
}

pub(crate) fn seconds() -> u64 {
    wall().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The parameters of a request, and how it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) key: String,
    /// `None` for a request that does not say.
    pub(crate) signature: Option<SignatureMethod>,
}

impl Request {
    /// A good one, by POST, signed by SHA-256.
    pub(crate) fn new(action: &str, pairs: &[(&str, &str)]) -> Self {
        static NONCE: AtomicU64 = AtomicU64::new(1);
        let nonce = NONCE.fetch_add(1, Ordering::Relaxed).to_string();
        let stamp = seconds().to_string();
        let common = [
            ("Action", action),
            ("SecretId", "AKIDdev"),
            ("Timestamp", &stamp),
            ("Nonce", &nonce),
        ];
        let own = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        Self {
            pairs: common.iter().chain(pairs).map(own).collect(),
            method: "POST",
            path: PATH,
            key: "dev-secret".to_owned(),
            signature: Some(SignatureMethod::HmacSha256),
        }
    }

    pub(crate) fn set(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.pairs.retain(|pair| pair.0 != key);
        self.pairs.push((key.to_owned(), value.to_string()));
        self
    }

    /// Signed, as the form.
    pub(crate) fn form(&self, host: &str) -> String {
        let mut pairs = self.pairs.clone();
        if let Some(method) = self.signature {
            pairs.push(("SignatureMethod".to_owned(), method.wire_name().to_owned()));
        }
        let method = self.signature.unwrap_or(SignatureMethod::HmacSha1);
        let key = SigningKey::new(method, &self.key).unwrap();
        let text = sign::string_to_sign(self.method, host, self.path, &pairs);
        pairs.push(("Signature".to_owned(), key.sign(&text)));
        form::encode(&pairs)
    }

    /// Signed, as the bytes of a request with these further headers.
    pub(crate) fn bytes(&self, host: &str, headers: &str) -> String {
        let form = self.form(host);
        let (method, path) = (self.method, self.path);
        if method == "GET" {
            return format!("GET {path}?{form} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        }
        let length = form.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n{form}"
        )
    }

    /// Asks on a connection of its own.
    pub(crate) async fn ask(&self, server: &DevServer) -> Value {
        let mut wire = Wire::connect(server).await;
        let host = wire.host.clone();
        wire.write(&self.bytes(&host, "")).await;
        wire.read().await.unwrap()
    }
}

/// Asks something that is signed well.
pub(crate) async fn ask(server: &DevServer, action: &str, pairs: &[(&str, &str)]) -> Value {
    Request::new(action, pairs).ask(server).await
}

/// The same, written as `Action key=value key=value`.
pub(crate) async fn said(server: &DevServer, request: &str) -> Value {
    let mut words = request.split_whitespace();
    let action = words.next().unwrap();
    let pairs: Vec<(&str, &str)> = words.map(|word| word.split_once('=').unwrap()).collect();
    ask(server, action, &pairs).await
}

/// The number of the next request: how many there were before it, and one.
pub(crate) async fn number(server: &DevServer) -> u64 {
    let answer = ask(server, "ListQueue", &[]).await;
    answer["requestId"].as_str().unwrap().parse().unwrap()
}

/// Code, and module code.
#[track_caller]
pub(crate) fn code(answer: &Value) -> (u64, u64) {
    let code = answer["code"].as_u64().unwrap();
    let message = answer["message"].as_str().unwrap();
    let module = message
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    (
        code,
        module.map_or(0, |(module, _)| module.parse().unwrap()),
    )
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
    pub(crate) host: String,
}

impl Wire {
    pub(crate) async fn connect(server: &DevServer) -> Self {
        Self {
            stream: TcpStream::connect(server.addr()).await.unwrap(),
            read: Vec::new(),
            host: server.addr().to_string(),
        }
    }

    pub(crate) async fn write(&mut self, text: impl AsRef<[u8]>) {
        // Whoever closes early is found out by what it answered.
        let _ = self.stream.write_all(text.as_ref()).await;
    }

    /// The next answer, with HTTP 200; `None` when the connection ends without.
    pub(crate) async fn read(&mut self) -> Option<Value> {
        let (status, body) = self.answer().await?;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        Some(serde_json::from_slice(&body).unwrap())
    }

    /// Status and body of the next answer; `None` when the connection ends without.
    pub(crate) async fn answer(&mut self) -> Option<(u16, Vec<u8>)> {
        within(Duration::from_secs(20), "an answer", self.whole()).await
    }

    async fn whole(&mut self) -> Option<(u16, Vec<u8>)> {
        loop {
            let end = self.read.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(self.read[..end].to_vec()).unwrap();
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")
                        .map(ToOwned::to_owned)
                });
                let length: usize = length.map_or(0, |length| length.parse().unwrap());
                if self.read.len() >= end + 4 + length {
                    let body = self.read[end + 4..end + 4 + length].to_vec();
                    self.read.drain(..end + 4 + length);
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return Some((status, body));
                }
            }
            match self.stream.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// What came of an answer that did not come whole, once the connection has ended.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.read
    }

    /// Ends when the other side ends.
    pub(crate) async fn ended(&mut self) {
        let ended = async { while self.whole().await.is_some() {} };
        within(Duration::from_secs(20), "the end of the connection", ended).await;
    }
}
