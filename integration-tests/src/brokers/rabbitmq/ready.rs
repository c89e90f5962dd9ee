//! Asks a node whether it serves: a login to the virtual host, a greeting over TLS, an answer of the management.
//!
//! ```text
//!   "AMQP" 0 0 9 1 ─> connection.start ─> start-ok PLAIN ─> tune ─> tune-ok, open ─> open-ok ─> close ─> close-ok
//! ```
//! No client is used: a launcher that used ours could not tell a broker's failure from the client's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::ClientConnection;

use super::User;
use crate::brokers::Certificates;

/// Whether it greets: the first frame of AMQP.
pub(super) fn greets(address: SocketAddr) -> Result<(), String> {
    start(&mut connect(address)?)
}

/// Whether it greets over TLS, with the launcher's certificate on both sides.
pub(super) fn greets_by_tls(address: SocketAddr) -> Result<(), String> {
    let config = Certificates::made().and_then(|made| made.client_config());
    let mut tls =
        ClientConnection::new(config.map_err(text)?, address.ip().into()).map_err(text)?;
    start(&mut rustls::Stream::new(&mut tls, &mut connect(address)?))
}

/// Whether the user may open the virtual host.
pub(super) fn opens(address: SocketAddr, user: User, vhost: &str) -> Result<(), String> {
    let mut stream = connect(address)?;
    start(&mut stream)?;
    let secret = format!("\0{}\0{}", user.name, user.secret);
    let mut start_ok = vec![0; 4];
    start_ok.extend(short("PLAIN"));
    start_ok.extend(u32::try_from(secret.len()).map_err(text)?.to_be_bytes());
    start_ok.extend(secret.bytes());
    start_ok.extend(short("en_US"));
    send(&mut stream, 11, &start_ok)?;
    let tune = expect(&mut stream, 30)?;
    // As it proposes, but for the heartbeat: this is over in a moment.
    let limits = tune.get(..6).ok_or("a short tune")?;
    send(&mut stream, 31, &[limits, &[0, 0]].concat())?;
    send(&mut stream, 40, &[&short(vhost)[..], &[0, 0]].concat())?;
    expect(&mut stream, 41)?;
    send(&mut stream, 50, &[0, 200, 0, 0, 0, 0, 0])?;
    expect(&mut stream, 51).map(drop)
}

/// Whether the management answers that user.
pub(super) fn manages(address: SocketAddr, user: User) -> Result<(), String> {
    let mut stream = connect(address)?;
    let login = BASE64_STANDARD.encode(format!("{}:{}", user.name, user.secret));
    let request = format!(
        "GET /api/overview HTTP/1.0\r\nHost: {address}\r\nAuthorization: Basic {login}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(text)?;
    let mut answer = Vec::new();
    stream.take(CAP).read_to_end(&mut answer).map_err(text)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(format!("the management answers {status:?}")),
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect_timeout(&address, LIMIT).map_err(text)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(text)?;
    stream.set_write_timeout(Some(LIMIT)).map_err(text)?;
    Ok(stream)
}

fn start(stream: &mut (impl Read + Write)) -> Result<(), String> {
    stream.write_all(b"AMQP\x00\x00\x09\x01").map_err(text)?;
    expect(stream, 10).map(drop)
}

/// Writes a method of class connection, on channel 0.
fn send(stream: &mut impl Write, method: u16, arguments: &[u8]) -> Result<(), String> {
    let size = u32::try_from(arguments.len() + 4).map_err(text)?;
    let head = [&[1, 0, 0][..], &size.to_be_bytes(), &CONNECTION];
    let frame = [&head.concat(), &method.to_be_bytes()[..], arguments, &[END]].concat();
    stream.write_all(&frame).map_err(text)
}

/// Reads a frame that must be this method of class connection; returns its arguments.
fn expect(stream: &mut impl Read, method: u16) -> Result<Vec<u8>, String> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).map_err(text)?;
    let [kind, _, _, size @ ..] = head;
    let size = u32::from_be_bytes(size);
    if kind != 1 || u64::from(size) > CAP {
        return Err(format!("no method, but {head:?}"));
    }
    let mut payload = vec![0; usize::try_from(size).map_err(text)? + 1];
    stream.read_exact(&mut payload).map_err(text)?;
    if payload.pop() != Some(END) {
        return Err("a frame without its end".to_owned());
    }
    let named = [&CONNECTION[..], &method.to_be_bytes()].concat();
    match payload.strip_prefix(&named[..]) {
        Some(arguments) => Ok(arguments.to_owned()),
        // 403 and 530 come as connection.close, with a text.
        None => Err(format!(
            "not method {method}, but {}",
            payload.escape_ascii()
        )),
    }
}

fn short(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    std::iter::once(length).chain(text.bytes()).collect()
}

fn text(cause: impl std::fmt::Display) -> String {
    cause.to_string()
}

const LIMIT: Duration = Duration::from_secs(2);
const CAP: u64 = 1 << 20;
const CONNECTION: [u8; 2] = [0, 10];
const END: u8 = 0xCE;
