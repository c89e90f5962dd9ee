//! HTTP as a broker's management speaks it, a request a connection. It blocks, and needs no client.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Where to ask, as whom, and how long to wait.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    /// The header `Authorization`.
    pub(super) authorization: Option<String>,
    pub(super) limit: Duration,
}

impl Door {
    /// Asks with this JSON, or none; returns what is answered with a status of success.
    pub(super) fn ask(&self, method: &str, path: &str, told: &str) -> Result<String, String> {
        let mut stream = connect(self.address, self.limit)?;
        let authorization = self.authorization.as_ref();
        let authorization = authorization
            .map(|value| format!("Authorization: {value}\r\n"))
            .unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\n{authorization}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{told}",
            self.address,
            told.len()
        );
        stream.write_all(request.as_bytes()).map_err(text)?;
        let mut answer = String::new();
        stream.take(CAP).read_to_string(&mut answer).map_err(text)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
        let status = head.lines().next().unwrap_or_default();
        match status.split(' ').nth(1) {
            Some(code) if code.starts_with('2') => Ok(body.to_owned()),
            _ => Err(format!("the management answers {status:?}: {body}")),
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A connection that waits no longer than that for anything.
pub(super) fn connect(address: SocketAddr, limit: Duration) -> Result<TcpStream, String> {
    let stream = TcpStream::connect_timeout(&address, limit).map_err(text)?;
    stream.set_read_timeout(Some(limit)).map_err(text)?;
    stream.set_write_timeout(Some(limit)).map_err(text)?;
    Ok(stream)
}

/// The cause as a text.
pub(super) fn text(cause: impl fmt::Display) -> String {
    cause.to_string()
}

const CAP: u64 = 16 << 20;
