//! A TCP proxy that understands the remoting protocol: clients that ask it for a route stay on it. It records what passes
//! and breaks it, frame by frame and byte by byte.
//!
//! ```text
//!   client ──► 127.0.0.1:a ──► nameserver          105 → route: broker-a is 127.0.0.1:b   (rewritten)
//!   client ──► 127.0.0.1:b ──► broker-a            one port an upstream, opened when a route names it
//!                   │
//!        up    cut into frames ─► count, record ─► faults, policy ─► toxics ─► the same bytes to the server
//!        down  the same from server to client, with other toxics
//! ```
//!
//! **Three ways to break things.** [Toxics](Toxic) work on bytes and are added and removed while it runs
//! ([`Proxy::toxics`]): latency, bandwidth, slicer, timeout, reset, black hole, limit, refusal. [Faults](faults) strike
//! exactly one frame ([`Proxy::inject`]): lose it, cut it in the middle, hold it until told. A [`Policy`] decides about
//! every frame, from the start. And [`Proxy::cut`] ends what is connected, now.
//!
//! **What is counted and recorded** is what the proxy read, as it was read, whatever happens to it later.
//!
//! **Ends travel in line**, behind what was read before them: a close as a close, a reset as a reset. Bytes that are no
//! frame end their connection at once, as they would at a broker.
//!
//! **Pulsar's protocol** is cut into frames too ([`Builder::pulsar`]): they are recorded, and a lookup's answer keeps clients here. Toxics and cuts work,
//! nothing is counted or decided about.
//!
//! **Other protocols** pass [raw](Builder::raw): toxics and cuts work, and there are no frames to count or to decide about.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use mq_dev::proxy::{Ending, Proxy, Toxic, faults};
//! # async fn example() -> std::io::Result<()> {
//! let proxy = Proxy::builder("127.0.0.1:9876").start().await?;
//!
//! // The broker stores the second message and its answer is lost.
//! let lost = proxy.inject(faults::drop_reply(310, 2));
//!
//! // The cable is pulled, and put back.
//! let pulled = proxy.toxics().add(Toxic::blackhole().at("127.0.0.1:10911"));
//! proxy.toxics().remove(pulled);
//!
//! // The broker dies.
//! proxy.toxics().add(Toxic::refuse().at("127.0.0.1:10911"));
//! proxy.cut_at("127.0.0.1:10911", Ending::Reset);
//! # Ok(())
//! # }
//! ```

use std::{
    fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
};

use tokio::runtime::Handle;

use self::shared::{Shared, Speaks};

mod connection;
pub mod faults;
mod link;
mod passing;
mod policy;
mod port;
mod pulsar;
mod record;
mod route;
mod shared;
mod toxic;
mod toxics;

pub use self::faults::Fault;
pub use self::policy::{Action, Ending, Observed, Policy};
pub use self::record::{Direction, PulsarFrame, Recorded};
pub use self::toxic::{Toxic, ToxicId};
pub use self::toxics::Toxics;

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
            speaks: Speaks::Remoting,
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

    /// What goes wrong with bytes: to add to and to remove from, at any time.
    pub fn toxics(&self) -> Toxics {
        Toxics::new(Arc::clone(&self.shared))
    }

    /// Makes this happen to the frame it is made for, counted from now; gives it back, to ask whether it struck.
    ///
    /// Every fault counts each frame of its kind, and the [policy](Builder::policy) is asked about each as well; if several
    /// strike the same frame, the one injected first has its way, and the policy the last.
    pub fn inject(&self, fault: Fault) -> Fault {
        self.shared.inject(fault.clone());
        fault
    }

    /// Passes on what [`Action::Hold`] holds now. What is decided to be held later is held until the next time.
    pub fn release(&self) {
        self.shared.release();
    }

    /// Ends every connection at once, whatever is under way and even in a [black hole](Toxic::blackhole); says how many.
    /// New ones are accepted, see [`Toxic::refuse`]. They count as open until their sockets are closed.
    pub fn cut(&self, ending: Ending) -> usize {
        self.shared.cut(ending, |_| true)
    }

    /// The same for those to one upstream, `host:port` as the route names it.
    pub fn cut_at(&self, upstream: &str, ending: Ending) -> usize {
        self.shared.cut(ending, |it| it == upstream)
    }

    /// The upstreams known until now and what stands in for each: first the one the proxy was started with, then the
    /// brokers in the order in which routes named them.
    pub fn upstreams(&self) -> Vec<(String, SocketAddr)> {
        let ports = self.shared.ports();
        let pair = |port: &Arc<port::Port>| (port.upstream.to_string(), port.addr);
        ports.iter().map(pair).collect()
    }

    /// What stands in for this upstream, `host:port` as the route will name it; opened now if no route did yet.
    ///
    /// # Errors
    /// No port could be opened, or there are 64 upstreams already.
    pub fn stand_in(&self, upstream: &str) -> io::Result<SocketAddr> {
        self.shared.stand_in(upstream)
    }

    /// How many connections are open through the proxy now.
    pub fn connections(&self) -> usize {
        self.shared.connections(|_| true)
    }

    /// How many connections to this upstream are open now, `host:port` as the route names it.
    pub fn connections_to(&self, upstream: &str) -> usize {
        self.shared.connections(|it| it == upstream)
    }

    /// How many connections for this upstream were accepted until now, those that have ended included.
    pub fn accepted_for(&self, upstream: &str) -> u64 {
        let ports = self.shared.ports();
        let port = ports.iter().find(|port| &*port.upstream == upstream);
        port.map_or(0, |port| port.accepted())
    }

    /// Waits until `is_so` of this proxy; asked again whenever a connection began or ended and whenever a frame was decided
    /// about. It has no deadline of its own.
    ///
    /// # Cancel safety
    /// Dropped, only the waiting ends.
    pub async fn until(&self, is_so: impl Fn(&Self) -> bool + Send + Sync) {
        loop {
            let mut changed = pin!(self.shared.changed().notified());
            changed.as_mut().enable();
            if is_so(self) {
                return;
            }
            changed.await;
        }
    }

    /// What was recorded until now, in the order it was read; empty unless [`Builder::record`] was set.
    ///
    /// Recording ends at 64 MiB, see [`is_complete`](Self::is_complete).
    pub fn transcript(&self) -> Vec<Recorded> {
        self.shared.transcript()
    }

    /// The same of a proxy for [Pulsar's protocol](Builder::pulsar).
    pub fn pulsar_frames(&self) -> Vec<PulsarFrame> {
        self.shared.pulsar_frames()
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
    speaks: Speaks,
    policy: Box<dyn Policy>,
}

impl Builder {
    /// Passes bytes as they come, of whatever protocol: nothing is cut into frames, counted, recorded or decided about, and no route is rewritten.
    /// Toxics and cuts work, connections are counted. Default: RocketMQ's remoting protocol is expected.
    pub const fn raw(mut self, raw: bool) -> Self {
        self.speaks = if raw {
            Speaks::Anything
        } else {
            Speaks::Remoting
        };
        self
    }

    /// Expects Pulsar's binary protocol: frames are recorded for [`Proxy::pulsar_frames`], and where a lookup's answer names a broker, it names what
    /// stands in for it here. Over TLS bytes pass as they come, lookups' answers too.
    pub const fn pulsar(mut self) -> Self {
        self.speaks = Speaks::Pulsar;
        self
    }

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
    #[expect(clippy::unused_async, reason = "needs a runtime, and this says so")]
    pub async fn start(self) -> io::Result<Proxy> {
        if !self.upstream.contains(':') {
            let reason = format!("upstream \"{}\" is not host:port", self.upstream);
            return Err(io::Error::new(ErrorKind::InvalidInput, reason));
        }
        let shared = Shared::new(self.record, self.speaks, self.policy, Handle::current());
        let shared = Arc::new(shared);
        let addr = shared.stand_in(&self.upstream)?;
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
