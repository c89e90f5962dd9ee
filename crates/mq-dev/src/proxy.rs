//! A TCP proxy that understands the remoting protocol: clients that ask it for a route stay on it.
//!
//! ```text
//!   client ──► 127.0.0.1:a ──► nameserver          105 → route: broker-a is 127.0.0.1:b   (rewritten)
//!   client ──► 127.0.0.1:b ──► broker-a            one listener a broker address, made when a route names it
//!                   │
//!        per frame: count, record (original bytes), ask the policy, forward
//! ```
//!
//! Bytes that are no frame end their connection, as they would at a broker.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::net::TcpListener;

use self::shared::Shared;

mod connection;
mod policy;
mod record;
mod route;
mod shared;

pub use self::policy::{Action, Observed, Policy};
pub use self::record::{Direction, Recorded};

/// A running proxy. Dropping it cuts every connection through it.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A proxy before the nameserver (or a broker) at `upstream`, `host:port`.
    pub fn builder(upstream: impl Into<String>) -> Builder {
        Builder {
            upstream: upstream.into(),
            record: false,
            policy: Box::new(policy::forward_all),
        }
    }

    /// Where clients find the nameserver: an address of the loopback interface.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many requests with this code passed until now, in either direction, dropped ones included.
    pub fn requests(&self, code: i32) -> u64 {
        self.shared.requests(code)
    }

    /// How many connections are open through the proxy now.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// What was recorded until now, in the order it was read; empty unless [`Builder::record`] was set.
    ///
    /// Recording ends at 64 MiB, see [`is_complete`](Self::is_complete).
    pub fn transcript(&self) -> Vec<Recorded> {
        self.shared.transcript()
    }

    /// Whether every frame until now is in the [`transcript`](Self::transcript).
    pub fn is_complete(&self) -> bool {
        self.shared.is_complete()
    }

    /// Cuts every connection and frees the ports.
    ///
    /// # Cancel safety
    /// The tasks are told to end at first poll; dropped after that, only the waiting ends.
    pub async fn close(self) {
        let mut tasks = self.shared.take_tasks();
        tasks.shutdown().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The tasks own the shared state and the shared state owns the tasks: someone has to let go.
        self.shared.take_tasks().abort_all();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

/// How a [`Proxy`] will behave.
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    upstream: String,
    record: bool,
    policy: Box<dyn Policy>,
}

impl Builder {
    /// Keeps every frame in memory for [`Proxy::transcript`], up to 64 MiB. Default: nothing is kept.
    pub const fn record(mut self, record: bool) -> Self {
        self.record = record;
        self
    }

    /// Asks `policy` about each frame. Default: all are forwarded.
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Box::new(policy);
        self
    }

    /// Begins to listen on a free port of `127.0.0.1`. The upstream is connected when a client comes.
    ///
    /// # Errors
    /// The port could not be opened, or the upstream is not `host:port`.
    ///
    /// # Cancel safety
    /// Dropped, nothing was started.
    pub async fn start(self) -> io::Result<Proxy> {
        if !self.upstream.contains(':') {
            let reason = format!("upstream \"{}\" is not host:port", self.upstream);
            return Err(io::Error::new(ErrorKind::InvalidInput, reason));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Arc::new(Shared::new(self.record, self.policy));
        let addr = shared.listen(listener, &self.upstream)?;
        Ok(Proxy { addr, shared })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("upstream", &self.upstream)
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
