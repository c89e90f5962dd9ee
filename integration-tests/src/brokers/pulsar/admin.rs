//! The management's API, a request a connection. It blocks.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::brokers::http::Door;
use crate::brokers::{Error, Result};

/// Asks a broker's management, as the admin.
#[derive(Debug, Clone)]
pub struct Admin {
    door: Door,
}

impl Admin {
    /// Who has no token may do everything where nobody needs one.
    pub fn new(address: SocketAddr, token: Option<&str>) -> Self {
        let door = Door {
            address,
            authorization: token.map(|token| format!("Bearer {token}")),
            limit: LIMIT,
        };
        Self { door }
    }

    /// Asks: `PUT`, `/admin/v2/persistent/public/default/orders/partitions`, `4`, say. The answer is `Null` where there is none, and a text where it is
    /// no JSON.
    ///
    /// # Errors
    /// If it doesn't answer, or refuses: then with the status and what it says.
    pub fn ask(&self, method: &str, path: &str, told: &Value) -> Result<Value> {
        let told = if told.is_null() {
            String::new()
        } else {
            told.to_string()
        };
        let answer = self.door.ask(method, path, &told);
        let answer = answer.map_err(|why| Error::new(format!("{method} {path}: {why}")))?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_str(&answer).unwrap_or(Value::String(answer)))
    }

    /// Whether the broker has just sent itself a message, and received it.
    pub(super) fn healthy(&self) -> Result<(), String> {
        let answer = self.door.ask("GET", "/admin/v2/brokers/health", "")?;
        if answer == "ok" { Ok(()) } else { Err(answer) }
    }
}

/// Much of it is done before it is answered, and a machine may be busy.
const LIMIT: Duration = Duration::from_secs(30);
