//! The management's API, a request a connection.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::probe::{connect, text};
use super::{GUEST, Node};
use crate::brokers::{Error, Result};

impl Node {
    /// Asks the management: `PUT /api/queues/%2F/orders`, say, with what it is to be told. Its answer is `Null` where it has none.
    ///
    /// # Errors
    /// If it doesn't answer, or refuses.
    pub fn manage(&self, method: &str, path: &str, told: &Value) -> Result<Value> {
        let answer = request(self.management_addr(), method, path, told);
        answer.map_err(|why| Error::new(format!("{method} {path}: {why}")))
    }
}

pub(super) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    told: &Value,
) -> Result<Value, String> {
    let mut stream = connect(address)?;
    let login = BASE64_STANDARD.encode(format!("{}:{}", GUEST.name, GUEST.secret));
    let body = if told.is_null() {
        String::new()
    } else {
        told.to_string()
    };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Basic {login}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).map_err(text)?;
    let mut answer = String::new();
    stream.take(CAP).read_to_string(&mut answer).map_err(text)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("204") => Ok(Value::Null),
        Some(code) if code.starts_with('2') && body.is_empty() => Ok(Value::Null),
        Some(code) if code.starts_with('2') => serde_json::from_str(body).map_err(text),
        _ => Err(format!("the management answers {status:?}: {body}")),
    }
}

const CAP: u64 = 16 << 20;
