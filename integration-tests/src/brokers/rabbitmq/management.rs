//! The management's API, a request a connection.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::probe::LIMIT;
use super::{GUEST, Node};
use crate::brokers::http::{Door, text};
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
    let login = BASE64_STANDARD.encode(format!("{}:{}", GUEST.name, GUEST.secret));
    let door = Door {
        address,
        authorization: Some(format!("Basic {login}")),
        limit: LIMIT,
    };
    let told = if told.is_null() {
        String::new()
    } else {
        told.to_string()
    };
    let answer = door.ask(method, path, &told)?;
    if answer.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&answer).map_err(text)
}
