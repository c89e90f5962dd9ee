//! What passes between a client and a CMQ server, recorded request by request.
//!
//! ```text
//!   client ──► Recorder ──► server        Exchange { request: line, headers, body; answer: line, headers, body }
//! ```

use std::io;
use std::net::SocketAddr;

use mq_cmq::proto::form;

use super::super::tap::{Streams, Tap};

/// A request and its answer, as they were on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Line, headers, an empty line, body.
    pub request: String,
    /// The same.
    pub answer: String,
}

impl Exchange {
    /// Reads what [`write`](Self::write) wrote, and skips comments before the first one.
    pub fn read_all(text: &str) -> Vec<Self> {
        let blocks = text.split(BEGIN).skip(1);
        let parts = blocks.filter_map(|block| {
            let (_, messages) = block.split_once('\n')?;
            messages.split_once(ANSWER)
        });
        let wire = |message: &str| {
            let message = message.trim_end_matches('\n');
            let (head, body) = message.split_once("\n\n").unwrap_or((message, ""));
            format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n"))
        };
        parts
            .map(|(request, answer)| Self {
                request: wire(request),
                answer: wire(answer),
            })
            .collect()
    }

    /// As fixtures are written: with the line ends of text files.
    pub fn write(&self) -> String {
        let text = |message: &str| message.replace("\r\n", "\n").trim_end().to_owned();
        let (request, answer) = (text(&self.request), text(&self.answer));
        format!("{BEGIN}{}\n{request}{ANSWER}{answer}\n", self.action())
    }

    /// The method, the path without the query, and the `Host` header of the request: what is signed before its parameters.
    pub fn target(&self) -> (&str, &str, &str) {
        let (head, _) = Self::split(&self.request);
        let mut words = head.split(' ');
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let host = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("host").then_some(value)
        });
        (method, path, host.unwrap_or_default())
    }

    /// The head of a message, and its body.
    pub fn split(message: &str) -> (&str, &str) {
        message.split_once("\r\n\r\n").unwrap_or((message, ""))
    }

    /// The parameters of the request, decoded, in the order in which they came; empty where there are none.
    pub fn params(&self) -> Vec<(String, String)> {
        let (head, body) = Self::split(&self.request);
        let target = head.split(' ').nth(1).unwrap_or_default();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let form = if body.is_empty() { query } else { body };
        form::decode(form.as_bytes(), 200).unwrap_or_default()
    }

    /// The action, as the client wrote it.
    pub fn action(&self) -> String {
        let params = self.params();
        let action = params.into_iter().find(|(key, _)| key == "Action");
        action.map(|(_, value)| value).unwrap_or_default()
    }

    /// The body of the answer.
    pub fn answered(&self) -> &str {
        Self::split(&self.answer).1
    }
}

/// Stands between a client and a server on loopback. Dropped, it closes its connections.
#[derive(Debug)]
pub struct Recorder(Tap);

impl Recorder {
    /// Begins to listen.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        Tap::start(server).await.map(Self)
    }

    /// Where clients are to connect.
    pub const fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// What was answered until now, connection by connection.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.0.streams().iter().flat_map(pairs).collect()
    }
}

/// Request by request: nobody here sends a second one before the first is answered.
fn pairs(streams: &Streams) -> Vec<Exchange> {
    let (mut up, mut down) = (streams.up.as_slice(), streams.down.as_slice());
    let mut found = Vec::new();
    while let (Some((request, more_up)), Some((answer, more_down))) = (message(up), message(down)) {
        found.push(Exchange { request, answer });
        (up, down) = (more_up, more_down);
    }
    found
}

/// The first whole message, and what comes behind it.
fn message(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(bytes.get(..end)?).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Some(0), |length| length.trim().parse().ok())?;
    let (message, rest) = bytes.split_at_checked(end + length)?;
    Some((String::from_utf8_lossy(message).into_owned(), rest))
}

const BEGIN: &str = "=== ";
const ANSWER: &str = "\n--- answer\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_by_their_length() {
        let streams = Streams {
            up: b"GET /?Action=A HTTP/1.1\r\nHost: h\r\n\r\nPOST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nAction=B&cPOST".to_vec(),
            down: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]".to_vec(),
        };
        let pairs = pairs(&streams);
        let actions: Vec<String> = pairs.iter().map(Exchange::action).collect();
        assert_eq!(actions, ["A", "B"]);
        let answers: Vec<&str> = pairs.iter().map(Exchange::answered).collect();
        assert_eq!(answers, ["{}", "[]"]);
        let text: String = pairs.iter().map(Exchange::write).collect();
        assert_eq!(Exchange::read_all(&format!("# comment\n{text}")), pairs);
        assert_eq!(pairs[0].target(), ("GET", "/", "h"));
    }
}
