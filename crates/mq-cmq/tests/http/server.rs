//! A scripted CMQ server on loopback: it verifies each signature with its own code, and answers as it is told.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mq_cmq::{Client, ClientBuilder, Credentials, Queue};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Barrier, watch};

pub(crate) const SECRET_ID: &str = "AKIDtest";
pub(crate) const SECRET_KEY: &str = "canary-key";

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// 200 and this.
    Json(String),
    Status(u16, String),
    /// 200, this, and then the connection closes: the client is not told before.
    Last(String),
    After(Duration, String),
    /// Once as many requests are here as the barrier waits for.
    Together(Arc<Barrier>, String),
    /// The head and a part of the body; then the connection breaks.
    Half,
    /// The connection breaks after the request was read.
    Drop,
    /// No answer, for ever.
    Hang,
}

impl Reply {
    pub(crate) fn ok(fields: &str) -> Self {
        let comma = if fields.is_empty() { "" } else { "," };
        Self::Json(format!(
            r#"{{"code":0,"message":"","requestId":"1"{comma}{fields}}}"#
        ))
    }

    pub(crate) fn stored(id: &str) -> Self {
        Self::ok(&format!(r#""msgId":"{id}""#))
    }

    pub(crate) fn no(code: u32, module: u32) -> Self {
        Self::Json(format!(
            r#"{{"code":{code},"message":"({module})no","requestId":"1"}}"#
        ))
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) connection: usize,
    /// Parameters; of the control plane, headers.
    pub(crate) pairs: Vec<(String, String)>,
    /// Of the control plane: the body.
    pub(crate) json: serde_json::Value,
}

impl Seen {
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let pair = self.pairs.iter().find(|pair| pair.0 == key);
        pair.map(|pair| pair.1.as_str())
    }

    /// `name.0`, `name.1`, …, as far as they go.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let at = |at: usize| self.value(&format!("{name}.{at}"));
        (0..).map_while(at).collect()
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: String,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    script: Mutex<std::collections::VecDeque<Reply>>,
    seen: watch::Sender<Vec<Seen>>,
    connections: AtomicUsize,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Plays `script`, one reply a request; what comes later is answered with 500.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(State::default());
        *state.script.lock().unwrap() = script.into_iter().collect();
        let address = listener.local_addr().unwrap().to_string();
        let serving = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self {
            address,
            state,
            task,
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) async fn start_tls(acceptor: tokio_rustls::TlsAcceptor, reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(State::default());
        state.script.lock().unwrap().push_back(reply);
        let port = listener.local_addr().unwrap().port();
        let serving = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(serve(stream, Arc::clone(&serving)));
                }
            }
        });
        Self {
            address: format!("localhost:{port}"),
            state,
            task,
        }
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder()
            .http(&self.address)
            .credentials(Credentials::new(SECRET_ID, SECRET_KEY))
    }

    pub(crate) fn queue(&self) -> Queue {
        self.builder().build().unwrap().queue("q").unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.borrow().clone()
    }

    /// Resolves when `count` requests have come.
    pub(crate) async fn saw(&self, count: usize) {
        let mut seen = self.state.seen.subscribe();
        seen.wait_for(|seen| seen.len() >= count).await.unwrap();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let connection = state.connections.fetch_add(1, Ordering::Relaxed);
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move {
            let seen = read(request, connection).await;
            state.seen.send_modify(|all| all.push(seen));
            let reply = state.script.lock().unwrap().pop_front();
            play(reply.unwrap_or(Reply::Status(500, "the script is over".into()))).await
        }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Broken on purpose, often.
    drop(served.await);
}

async fn play(reply: Reply) -> Result<Response<Played>, &'static str> {
    let ok = |text: String| Ok(Response::new(Played::whole(text)));
    match reply {
        Reply::Json(text) => ok(text),
        Reply::After(pause, text) => {
            tokio::time::sleep(pause).await;
            ok(text)
        }
        Reply::Together(barrier, text) => {
            barrier.wait().await;
            ok(text)
        }
        Reply::Status(status, text) => {
            let answer = Response::builder().status(status);
            Ok(answer.body(Played::whole(text)).unwrap())
        }
        Reply::Last(text) => {
            let answer = Response::builder().header("connection", "close");
            Ok(answer.body(Played::whole(text)).unwrap())
        }
        Reply::Half => Ok(Response::new(Played {
            data: Some(r#"{"code":0,"message":"","#.into()),
            breaks: true,
        })),
        Reply::Drop => Err("dropped on purpose"),
        Reply::Hang => std::future::pending().await,
    }
}

/// Reads a request, and panics unless it is signed right.
async fn read(request: Request<Incoming>, connection: usize) -> Seen {
    if request.headers().contains_key("x-tc-action") {
        return crate::tc3::read(request, connection).await;
    }
    let method = request.method().to_string();
    let host = request.headers()["host"].to_str().unwrap().to_owned();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let form = if method == "GET" {
        assert!(body.is_empty());
        query
    } else {
        assert_eq!(query, "");
        String::from_utf8(body.to_vec()).unwrap()
    };
    let pairs: Vec<_> = form.split('&').map(pair).collect();
    let seen = Seen {
        method,
        connection,
        pairs,
        json: serde_json::Value::Null,
    };
    assert_eq!(seen.value("SecretId"), Some(SECRET_ID));
    let expected = signature(&seen, &host, &path);
    assert_eq!(
        seen.value("Signature"),
        Some(expected.as_str()),
        "{host}{path}"
    );
    seen
}

fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap();
    (decode(key), decode(value))
}

fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// Not the crate's own code, which could be wrong on both sides.
fn signature(seen: &Seen, host: &str, path: &str) -> String {
    let unsigned = seen.pairs.iter().filter(|pair| pair.0 != "Signature");
    let mut sorted: Vec<_> = unsigned.collect();
    sorted.sort();
    let parts: Vec<String> = sorted
        .iter()
        .map(|(key, value)| format!("{}={value}", key.replace('_', ".")))
        .collect();
    let text = format!("{}{host}{path}?{}", seen.method, parts.join("&"));
    let key = SECRET_KEY.as_bytes();
    if seen.value("SignatureMethod") == Some("HmacSHA256") {
        let mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        return STANDARD.encode(mac.chain_update(text).finalize().into_bytes());
    }
    let mac = Hmac::<sha1::Sha1>::new_from_slice(key).unwrap();
    STANDARD.encode(mac.chain_update(text).finalize().into_bytes())
}

/// A body that is whole, or breaks after its data.
#[derive(Debug)]
pub(crate) struct Played {
    data: Option<Bytes>,
    breaks: bool,
}

impl Played {
    fn whole(text: String) -> Self {
        Self {
            data: Some(text.into()),
            breaks: false,
        }
    }
}

impl Body for Played {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(match self.data.take() {
            Some(data) => Some(Ok(Frame::data(data))),
            None if self.breaks => Some(Err(std::io::Error::other("broken on purpose"))),
            None => None,
        })
    }
}

/// A port that nobody listens on: it was given to this process, and let go again.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}
