//! A server on loopback that is no broker, and counts what it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mq_rocketmq::proto::{
    Flags, Frame, FrameDecoder, Header, HeaderCodec, HeaderParts, Language, NoFields, ResponseCode,
    encode,
};

/// What a [`Listener`] does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Reads and never says anything.
    Silent,
    /// Answers the first bytes as a web server would.
    Http,
    /// Closes at once.
    Hangup,
    /// Knows no topic, and says so to the first question, as a nameserver would. Reads on in silence.
    Nameserver,
    /// Refuses every question as an access control does.
    Refuses,
}

/// Listens until the process ends.
#[derive(Debug, Clone)]
pub struct Listener {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Header>>>,
}

impl Listener {
    /// Listens on a free port of loopback.
    pub fn start(behaviour: Behaviour) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let listener = Self {
            addr: socket.local_addr().expect("an address"),
            connections: Arc::default(),
            bytes: Arc::default(),
            requests: Arc::default(),
        };
        let counted = listener.clone();
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let counted = counted.clone();
                std::thread::spawn(move || counted.serve(stream, behaviour));
            }
        });
        listener
    }

    /// An address of loopback at which nobody listens.
    pub fn nobody() -> SocketAddr {
        // The port is free again as soon as the listener is dropped, and rarely given out at once.
        let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        socket.local_addr().expect("an address")
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many bytes were read from them.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    /// The headers of all requests until now; only one that answers reads them.
    pub fn requests(&self) -> Vec<Header> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn serve(&self, mut stream: TcpStream, behaviour: Behaviour) {
        if behaviour == Behaviour::Hangup {
            return;
        }
        // A test that hangs must not keep the thread for ever.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(120)));
        let mut buf = [0; 16 * 1024];
        let (mut decoder, mut unread) = (FrameDecoder::default(), BytesMut::new());
        let mut answers = 0;
        while let Ok(count @ 1..) = stream.read(&mut buf) {
            self.bytes.fetch_add(count, Ordering::SeqCst);
            let code = match behaviour {
                Behaviour::Http => {
                    let _ = stream.write_all(HTTP);
                    return;
                }
                Behaviour::Nameserver => ResponseCode::TOPIC_NOT_EXIST,
                Behaviour::Refuses => ResponseCode::NO_PERMISSION,
                _ => continue,
            };
            unread.extend_from_slice(buf.get(..count).unwrap_or_default());
            while let Ok(Some(request)) = decoder.decode(&mut unread) {
                let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
                requests.push(request.header.clone());
                drop(requests);
                if behaviour == Behaviour::Refuses || answers == 0 {
                    let _ = stream.write_all(&answer(&request, code));
                    answers += 1;
                }
            }
        }
    }
}

fn answer(request: &Frame, code: ResponseCode) -> Bytes {
    let parts = HeaderParts {
        code: code.0,
        flags: Flags::RESPONSE,
        remark: Some("check signature failed."),
        language: Language::JAVA,
        version: 513,
        codec: HeaderCodec::Json,
    };
    let mut head = encode(&parts, &NoFields, &[], 0);
    head.set_opaque(request.header.opaque);
    head.into_bytes()
}

const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
