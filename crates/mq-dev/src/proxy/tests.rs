//! A nameserver and a broker of a page each, clients of a line.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use mq_core::{Clock, SystemClock};
use mq_rocketmq::proto::{ExtFields, Flags, Frame, FrameDecoder, Header, HeaderCodec, Language};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

use super::*;

mod control;
mod faults;
mod pulsar;
mod toxics;

const ROUTE: i32 = 105;
const SEND: i32 = 310;
const UNREGISTER: i32 = 35;
const CHANGED: i32 = 40;

#[tokio::test]
async fn route_keeps_clients_on_the_proxy() {
    let broker = broker().await;
    let proxy = Proxy::builder(nameserver(broker).await)
        .record(true)
        .start()
        .await
        .unwrap();

    let mut client = Peer::connect(proxy.addr()).await;
    let route = client.ask(request(ROUTE, 7)).await;
    let body = std::str::from_utf8(&route.body).unwrap();
    let addr = body
        .split('"')
        .nth(5)
        .unwrap()
        .parse::<SocketAddr>()
        .unwrap();
    assert_ne!(addr, broker);
    assert_eq!(body, nameserver_body(addr));

    // The second answer names the same stand-in.
    assert_eq!(client.ask(request(ROUTE, 8)).await.body, route.body);

    let mut client = Peer::connect(addr).await;
    assert_eq!(client.ask(request(SEND, 9)).await.header.opaque, 9);
    assert_eq!(
        (
            proxy.requests(ROUTE),
            proxy.requests(SEND),
            proxy.requests(11)
        ),
        (2, 1, 0)
    );
    assert_eq!(proxy.connections(), 2);

    let transcript = proxy.transcript();
    assert!(proxy.is_complete());
    assert_eq!(transcript.len(), 6);
    assert_eq!(transcript[1].direction, Direction::ToClient);
    assert_eq!(transcript[1].request, Some(ROUTE));
    assert_eq!(
        transcript[1].body,
        nameserver_body(broker),
        "the original bytes are recorded"
    );
    assert!(
        transcript
            .iter()
            .all(|frame| frame.frame.ends_with(&frame.body))
    );
    assert_ne!(transcript[1].connection, transcript[5].connection);
}

#[tokio::test]
async fn records_nothing_unless_told() {
    let proxy = Proxy::builder(broker().await.to_string())
        .start()
        .await
        .unwrap();
    Peer::connect(proxy.addr())
        .await
        .ask(request(SEND, 1))
        .await;
    assert!(proxy.transcript().is_empty());
    assert!(!proxy.is_complete());
}

#[tokio::test]
async fn oneway_before_the_end_still_arrives() {
    let proxy = Proxy::builder(broker().await.to_string())
        .record(true)
        .start()
        .await
        .unwrap();
    let mut first = Peer::connect(proxy.addr()).await;
    let mut other = Peer::connect(proxy.addr()).await;
    other.ask(request(SEND, 1)).await;
    first
        .write(&Header {
            flags: Flags::ONEWAY,
            ..request(UNREGISTER, 2)
        })
        .await;
    drop(first);
    // The broker tells everybody.
    assert_eq!(other.read().await.unwrap().header.code, CHANGED);
    assert_eq!(
        (proxy.requests(UNREGISTER), proxy.requests(CHANGED)),
        (1, 1)
    );
}

#[tokio::test]
async fn policy_drops_delays_and_closes() {
    let late = Duration::from_millis(100);
    let done = AtomicBool::new(false);
    let proxy = Proxy::builder(broker().await.to_string())
        .policy(
            move |frame: &Observed<'_>| match (frame.direction, frame.header.opaque) {
                (Direction::ToClient, 1) => Action::Drop,
                (Direction::ToClient, 2) => Action::Delay(late),
                (Direction::ToServer, 4) if !done.swap(true, Ordering::Relaxed) => Action::Close,
                _ => Action::Forward,
            },
        )
        .start()
        .await
        .unwrap();

    let mut client = Peer::connect(proxy.addr()).await;
    for opaque in 1..=3 {
        client.write(&request(SEND, opaque)).await;
    }
    assert_eq!(
        client.read().await.unwrap().header.opaque,
        3,
        "overtakes the delayed one"
    );
    assert_eq!(client.read().await.unwrap().header.opaque, 2);
    client.write(&request(SEND, 4)).await;
    assert!(client.read().await.is_none());

    let mut client = Peer::connect(proxy.addr()).await;
    assert_eq!(client.ask(request(SEND, 4)).await.header.opaque, 4);
}

#[tokio::test]
async fn no_frame_no_connection() {
    let proxy = Proxy::builder(broker().await.to_string())
        .start()
        .await
        .unwrap();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 16],
        &[0, 0, 0, 4, 9, 0, 0, 0],
    ] {
        let mut client = Peer::connect(proxy.addr()).await;
        client.socket.write_all(bytes).await.unwrap();
        assert!(client.read().await.is_none());
    }
}

#[tokio::test]
async fn dead_upstream_and_wrong_upstream() {
    let (_reserved, dead) = dead();
    let proxy = Proxy::builder(dead.to_string()).start().await.unwrap();
    assert!(Peer::connect(proxy.addr()).await.read().await.is_none());
    let error = Proxy::builder("nowhere").start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn close_and_drop_cut_connections_and_free_the_port() {
    for drop_it in [false, true] {
        let proxy = Proxy::builder(broker().await.to_string())
            .start()
            .await
            .unwrap();
        let addr = proxy.addr();
        let mut client = Peer::connect(addr).await;
        client.ask(request(SEND, 1)).await;
        if drop_it {
            drop(proxy);
        } else {
            proxy.close().await;
            assert!(TcpStream::connect(addr).await.is_err());
        }
        assert!(client.read().await.is_none());
    }
}

fn request(code: i32, opaque: i32) -> Header {
    Header {
        code,
        language: Language::JAVA,
        version: 513,
        opaque,
        flags: Flags::REQUEST,
        remark: None,
        ext: ExtFields::new(),
        codec: HeaderCodec::Json,
    }
}

/// What an old nameserver says: integer keys without quotes.
fn nameserver_body(broker: SocketAddr) -> String {
    format!(r#"{{"brokerDatas":[{{"brokerAddrs":{{0:"{broker}"}},"brokerName":"a"}}]}}"#)
}

async fn nameserver(broker: SocketAddr) -> String {
    serve(move |_| (0, Bytes::from(nameserver_body(broker))))
        .await
        .to_string()
}

/// Answers everything with 0; an unregistration is passed on to all others, as the broker does.
async fn broker() -> SocketAddr {
    serve(|_| (0, Bytes::new())).await
}

async fn serve(answer: impl Fn(&Frame) -> (i32, Bytes) + Copy + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (changes, _) = tokio::sync::broadcast::channel::<()>(8);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (tell, mut told) = (changes.clone(), changes.subscribe());
            let mut peer = Peer {
                socket,
                buf: BytesMut::new(),
            };
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        frame = peer.read() => {
                            let Some(frame) = frame else { return };
                            if frame.header.flags.is_oneway() {
                                let _ = tell.send(());
                                return;
                            }
                            let (code, body) = answer(&frame);
                            let header = Header { code, flags: Flags::RESPONSE, ..frame.header };
                            peer.write_with(&header, &body).await;
                        }
                        Ok(()) = told.recv() => {
                            peer.write(&Header { flags: Flags::ONEWAY, ..request(CHANGED, 0) }).await;
                        }
                    }
                }
            });
        }
    });
    addr
}

/// A recording proxy before a broker.
async fn proxy() -> Proxy {
    proxy_before(broker().await).await
}

async fn proxy_before(upstream: SocketAddr) -> Proxy {
    let builder = Proxy::builder(upstream.to_string()).record(true);
    builder.start().await.unwrap()
}

/// A server of which the test plays the part.
async fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Nobody listens here, and nobody else can.
fn dead() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// The other end of a connection through the proxy.
async fn accepted(listener: &TcpListener) -> Peer {
    let (socket, _) = soon(listener.accept()).await.unwrap();
    Peer {
        socket,
        buf: BytesMut::new(),
    }
}

/// How many answers the proxy read from the server: as many requests did arrive there.
fn answers(proxy: &Proxy) -> usize {
    let transcript = proxy.transcript();
    let down = |frame: &&Recorded| frame.direction == Direction::ToClient;
    transcript.iter().filter(down).count()
}

/// What has to happen; generous, for machines that are busy.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(20);
    timeout(limit, future).await.expect("not within 20 s")
}

/// What must not happen: a test that is wrong about it may pass, but one that is right never fails.
async fn never<T>(future: impl Future<Output = T>) {
    let happened = timeout(Duration::from_millis(150), future).await;
    assert!(happened.is_err(), "it happened");
}

fn now() -> Instant {
    SystemClock.now()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct Peer {
    socket: TcpStream,
    buf: BytesMut,
}

impl Peer {
    async fn connect(addr: SocketAddr) -> Self {
        Self {
            socket: TcpStream::connect(addr).await.unwrap(),
            buf: BytesMut::new(),
        }
    }

    async fn ask(&mut self, header: Header) -> Frame {
        self.write(&header).await;
        self.read().await.unwrap()
    }

    async fn write(&mut self, header: &Header) {
        self.write_with(header, &[]).await;
    }

    async fn write_with(&mut self, header: &Header, body: &[u8]) {
        let mut bytes = header.encode(body.len()).into_bytes().to_vec();
        bytes.extend_from_slice(body);
        self.socket.write_all(&bytes).await.unwrap();
    }

    /// `None` when the connection ended.
    async fn read(&mut self) -> Option<Frame> {
        let read = async {
            loop {
                if let Some(frame) = FrameDecoder::default().decode(&mut self.buf).unwrap() {
                    return Some(frame);
                }
                if self
                    .socket
                    .read_buf(&mut self.buf)
                    .await
                    .unwrap_or_default()
                    == 0
                {
                    return None;
                }
            }
        };
        soon(read).await
    }

    /// All bytes until the end, and whether that was a close or a reset.
    async fn rest(&mut self) -> (Vec<u8>, Ending) {
        let mut bytes = self.buf.split().to_vec();
        let end = soon(self.socket.read_to_end(&mut bytes)).await;
        let ending = match end {
            Ok(_) => Ending::Close,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ending::Reset,
            Err(error) => panic!("{error}"),
        };
        (bytes, ending)
    }

    /// Nothing arrives and nothing ends.
    async fn stays_silent(&mut self) {
        assert!(self.buf.is_empty());
        never(self.socket.peek(&mut [0])).await;
    }
}
