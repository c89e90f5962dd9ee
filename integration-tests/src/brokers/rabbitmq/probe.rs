//! AMQP by hand, as much as it takes to log in and be closed.
//!
//! ```text
//!   "AMQP" 0 0 9 1 ─> start ─> start-ok ─> tune ─> tune-ok, open ─> open-ok ─> close ─> close-ok
//! ```
//! No client is used: a launcher that used ours could not tell a broker's failure from the client's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::brokers::User;
use crate::brokers::http::{connect, text};

/// One connection, without channels; errors are texts, with what the node said.
#[derive(Debug)]
pub struct Probe<S = TcpStream> {
    stream: S,
    start: Vec<u8>,
}

/// A connection by TLS.
pub type TlsProbe = Probe<StreamOwned<ClientConnection, TcpStream>>;

impl Probe {
    /// Greets the node there, and reads its answer.
    ///
    /// # Errors
    /// If that isn't connection.start.
    pub fn connect(address: SocketAddr) -> Result<Self, String> {
        Self::greet(connect(address, LIMIT)?)
    }
}

impl TlsProbe {
    /// The same over TLS.
    ///
    /// # Errors
    /// If the handshake fails, or the answer isn't connection.start.
    pub fn connect_tls(
        address: SocketAddr,
        config: std::sync::Arc<ClientConfig>,
    ) -> Result<Self, String> {
        let tls = ClientConnection::new(config, address.ip().into()).map_err(text)?;
        Self::greet(StreamOwned::new(tls, connect(address, LIMIT)?))
    }
}

impl<S: Read + Write> Probe<S> {
    fn greet(stream: S) -> Result<Self, String> {
        let start = Vec::new();
        let mut probe = Self { stream, start };
        probe
            .stream
            .write_all(b"AMQP\x00\x00\x09\x01")
            .map_err(text)?;
        probe.start = probe.expect(START)?;
        Ok(probe)
    }

    /// The mechanisms of its greeting, sorted.
    ///
    /// # Errors
    /// If the greeting is malformed.
    pub fn mechanisms(&self) -> Result<Vec<String>, String> {
        // Behind the version and the table of the server's properties.
        let rest = self.start.get(2..).and_then(long).map(|(_, rest)| rest);
        let (mechanisms, _) = rest.and_then(long).ok_or("a short greeting")?;
        let mechanisms = String::from_utf8_lossy(mechanisms);
        let mut all: Vec<_> = mechanisms.split(' ').map(str::to_owned).collect();
        all.sort();
        Ok(all)
    }

    /// Logs in by PLAIN and opens the virtual host; returns the heartbeat that the node proposes, in seconds.
    ///
    /// # Errors
    /// If either is refused.
    pub fn open(&mut self, user: User, vhost: &str) -> Result<u16, String> {
        let secret = format!("\0{}\0{}", user.name, user.secret);
        self.open_by("PLAIN", &secret, vhost)
    }

    /// The same by any mechanism.
    ///
    /// # Errors
    /// If it is refused.
    pub fn open_by(&mut self, mechanism: &str, answer: &str, vhost: &str) -> Result<u16, String> {
        let mut start_ok = vec![0; 4];
        start_ok.extend(short(mechanism));
        start_ok.extend(u32::try_from(answer.len()).map_err(text)?.to_be_bytes());
        start_ok.extend(answer.bytes());
        start_ok.extend(short("en_US"));
        self.send(START_OK, &start_ok)?;
        let tune = self.expect(TUNE)?;
        let (limits, heartbeat) = tune.split_at_checked(6).ok_or("a short tune")?;
        // As it proposes, but without heartbeats: a probe is over in a moment.
        self.send(TUNE_OK, &[limits, &[0, 0]].concat())?;
        self.send(OPEN, &[&short(vhost)[..], &[0, 0]].concat())?;
        self.expect(OPEN_OK)?;
        let heartbeat = heartbeat.try_into().map_err(text)?;
        Ok(u16::from_be_bytes(heartbeat))
    }

    /// Waits until the node closes the connection; returns its code and text.
    ///
    /// # Errors
    /// If it does something else, or nothing for two seconds.
    pub fn closed(&mut self) -> Result<(u16, String), String> {
        let close = self.expect(CLOSE)?;
        let (code, rest) = close.split_at_checked(2).ok_or("a short close")?;
        let length = usize::from(*rest.first().ok_or("a short close")?);
        let why = rest.get(1..=length).ok_or("a short close")?;
        // A node that goes down does not wait for it.
        let _ = self.send(CLOSE_OK, &[]);
        let code = code.try_into().map_err(text)?;
        Ok((
            u16::from_be_bytes(code),
            String::from_utf8_lossy(why).into_owned(),
        ))
    }

    /// Closes the connection as it should be.
    ///
    /// # Errors
    /// If the node doesn't agree.
    pub fn close(mut self) -> Result<(), String> {
        self.send(CLOSE, &[0, 200, 0, 0, 0, 0, 0])?;
        self.expect(CLOSE_OK).map(drop)
    }

    /// Writes a method of class connection, on channel 0.
    fn send(&mut self, method: u16, arguments: &[u8]) -> Result<(), String> {
        let size = u32::try_from(arguments.len() + 4).map_err(text)?;
        let head = [&[1, 0, 0][..], &size.to_be_bytes(), &CONNECTION].concat();
        let frame = [&head, &method.to_be_bytes()[..], arguments, &[END]].concat();
        self.stream.write_all(&frame).map_err(text)
    }

    /// Reads a frame that must be this method of class connection; returns its arguments.
    fn expect(&mut self, method: u16) -> Result<Vec<u8>, String> {
        let mut head = [0; 7];
        self.stream.read_exact(&mut head).map_err(text)?;
        let [kind, _, _, size @ ..] = head;
        let size = usize::try_from(u32::from_be_bytes(size)).map_err(text)?;
        if kind != 1 || size > CAP {
            return Err(format!("no method, but {}", head.escape_ascii()));
        }
        let mut payload = vec![0; size + 1];
        self.stream.read_exact(&mut payload).map_err(text)?;
        if payload.pop() != Some(END) {
            return Err("a frame without its end".to_owned());
        }
        let named = [&CONNECTION[..], &method.to_be_bytes()].concat();
        match payload.strip_prefix(&named[..]) {
            Some(arguments) => Ok(arguments.to_owned()),
            // A refusal is connection.close: its text says why.
            None => Err(format!(
                "not method {method}, but {}",
                payload.escape_ascii()
            )),
        }
    }
}

fn short(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    std::iter::once(length).chain(text.bytes()).collect()
}

/// What four bytes of length announce, and what follows.
fn long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

const START: u16 = 10;
const START_OK: u16 = 11;
const TUNE: u16 = 30;
const TUNE_OK: u16 = 31;
const OPEN: u16 = 40;
const OPEN_OK: u16 = 41;
const CLOSE: u16 = 50;
const CLOSE_OK: u16 = 51;

pub(super) const LIMIT: Duration = Duration::from_secs(2);
/// Frames of class connection are far smaller.
const CAP: usize = 1 << 20;
const CONNECTION: [u8; 2] = [0, 10];
const END: u8 = 0xCE;
