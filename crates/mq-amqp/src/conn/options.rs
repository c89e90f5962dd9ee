//! What a connection needs to know.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use mq_core::{Endpoint, Propagator, Secret};

use super::TlsConfig;
use crate::proto::{Table, Writer};

/// How a client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// User and password in one text; what every server has.
    Plain,
    /// User and password in a table; RabbitMQ's older own.
    AmqPlain,
    /// Who the client certificate says.
    External,
}

impl Mechanism {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
            Self::External => "EXTERNAL",
        }
    }
}

/// Options of every connection of a client.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) vhost: String,
    pub(crate) user: String,
    pub(crate) secret: Mutex<Secret>,
    /// `None`: the first of ours that the server has too.
    pub(crate) mechanism: Option<Mechanism>,
    pub(crate) name: Option<String>,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) heartbeat: Duration,
    pub(crate) frame_max: u32,
    pub(crate) channel_max: u16,
    pub(crate) connect_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) max_message: u64,
    pub(crate) propagator: Option<Arc<dyn Propagator>>,
}

impl Options {
    pub(crate) fn secret(&self) -> Secret {
        self.secret
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_secret(&self, secret: Secret) {
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = secret;
    }

    /// What the mechanism answers.
    pub(super) fn response(&self, mechanism: Mechanism) -> Bytes {
        let secret = self.secret();
        let mut out = BytesMut::new();
        match mechanism {
            Mechanism::Plain => {
                out.put_u8(0);
                out.put_slice(self.user.as_bytes());
                out.put_u8(0);
                out.put_slice(secret.expose().as_bytes());
            }
            Mechanism::AmqPlain => {
                let mut table = Table::new();
                table.insert("LOGIN", self.user.clone());
                table.insert("PASSWORD", secret.expose().to_owned());
                table.encode(&mut Writer::new(&mut out));
                // The table without its length: the response has one of its own.
                return out.split_off(4).freeze();
            }
            Mechanism::External => {}
        }
        out.freeze()
    }
}
