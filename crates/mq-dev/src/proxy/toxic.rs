//! What can happen to bytes on their way, in Toxiproxy's words.

use std::time::Duration;

use super::Direction;

/// One thing that goes wrong with the bytes of connections, from when it is [added](super::Toxics::add) until it is removed.
///
/// Without [`up`](Self::up) or [`down`](Self::down) it works in both directions, in each by itself; without
/// [`at`](Self::at) on the connections to every upstream. Toxiproxy's default is downstream only.
///
/// ```
/// # use std::time::Duration;
/// # use mq_dev::proxy::Toxic;
/// let slow_answers = Toxic::latency(Duration::from_millis(200), Duration::from_millis(50))
///     .down()
///     .at("127.0.0.1:10911");
/// ```
///
/// Times are kept to the millisecond, as the runtime's timer does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a toxic does nothing until it is added"]
pub struct Toxic {
    kind: Kind,
    direction: Option<Direction>,
    upstream: Option<String>,
}

impl Toxic {
    /// Everything arrives `delay` after it was read, give or take up to `jitter`; order stays, so what follows a late one
    /// is no earlier. Several latencies add up. Removed, what waits goes on at once.
    ///
    /// In the meantime reading goes on, until 1024 frames or 16 MiB wait.
    // Shopify/toxiproxy: toxics/latency.go
    pub const fn latency(delay: Duration, jitter: Duration) -> Self {
        Self::new(Kind::Latency { delay, jitter })
    }

    /// At most `bytes_per_second` of each connection, in pieces of a tenth of a second; 0 is no limit. Of several the
    /// lowest counts. The sender feels it: while bytes wait, little more is read.
    // Shopify/toxiproxy: toxics/bandwidth.go; there the unit is KB/s
    pub const fn bandwidth(bytes_per_second: u64) -> Self {
        Self::new(Kind::Bandwidth { bytes_per_second })
    }

    /// Each frame is written in pieces of `average` bytes, give or take up to `variation`, with `delay` between them,
    /// so that frames arrive in parts. A piece has at least one byte. Without a delay the receiver's kernel may put the
    /// pieces together again before they are read. Of several the one added first counts.
    // Shopify/toxiproxy: toxics/slicer.go; there halving decides the sizes, which comes to the same range
    pub const fn slicer(average: usize, variation: usize, delay: Duration) -> Self {
        Self::new(Kind::Slicer {
            average,
            variation,
            delay,
        })
    }

    /// Everything is read, counted and lost, and the connection is closed `after` this; zero: never. The time counts from
    /// when the toxic was added, or the connection made. Removing it closes the connections it was on, because bytes are
    /// missing. Compare [`blackhole`](Self::blackhole).
    // Shopify/toxiproxy: toxics/timeout.go, where the time begins anew with each piece of data; its README says it as here
    pub const fn timeout(after: Duration) -> Self {
        Self::new(Kind::Timeout { after })
    }

    /// The next bytes in its direction are not passed on; `after` them both ends of the connection are reset (RST).
    /// [`down`](Self::down) with no delay, the server has done what it was asked, and the client hears a reset instead of
    /// the answer. A connection on which nothing moves stays: [`Proxy::cut`](super::Proxy::cut) resets at once.
    // Shopify/toxiproxy: toxics/reset_peer.go; there connections older than the toxic are closed without RST, link.go
    pub const fn reset_peer(after: Duration) -> Self {
        Self::new(Kind::ResetPeer { after })
    }

    /// Nothing gets through, not even the end of a connection; nothing is lost and nothing is closed. As with a cable
    /// that was pulled, each side believes in the connection. Once 16 frames wait the proxy reads no more, so that the
    /// sender's buffers fill up. New connections are accepted and get nothing. Removed, everything goes on where it stopped.
    ///
    /// It stands before all other toxics: in a black hole nothing else happens. What the proxy still reads is counted and
    /// recorded. A connection whose end is held back counts as open. [`Proxy::cut`](super::Proxy::cut) ends it all the same.
    pub const fn blackhole() -> Self {
        Self::new(Kind::Blackhole)
    }

    /// After `bytes` in its direction each connection is closed, in mid-frame if it comes so. It counts from when the
    /// toxic was added, or the connection made. 0 closes when the first byte comes.
    // Shopify/toxiproxy: toxics/limit_data.go
    pub const fn limit_data(bytes: u64) -> Self {
        Self::new(Kind::LimitData { bytes })
    }

    /// Nobody listens: new connections are refused by the kernel. Those that exist stay, see
    /// [`Proxy::cut`](super::Proxy::cut). The port remains reserved, and listens again when the toxic is removed. The
    /// direction does not matter.
    // Shopify/toxiproxy: README, "down"
    pub const fn refuse() -> Self {
        Self::new(Kind::Refuse)
    }

    /// Only what goes to the server.
    pub const fn up(mut self) -> Self {
        self.direction = Some(Direction::ToServer);
        self
    }

    /// Only what goes to the client.
    pub const fn down(mut self) -> Self {
        self.direction = Some(Direction::ToClient);
        self
    }

    /// Only connections to this upstream: `host:port` as the route names it, or as the proxy was started with.
    pub fn at(mut self, upstream: impl Into<String>) -> Self {
        self.upstream = Some(upstream.into());
        self
    }

    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            direction: None,
            upstream: None,
        }
    }

    fn is_at(&self, upstream: &str) -> bool {
        self.upstream.as_deref().is_none_or(|it| it == upstream)
    }
}

/// Names a toxic that was added, to remove it. Never given twice by a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ToxicId(pub(super) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Latency {
        delay: Duration,
        jitter: Duration,
    },
    Bandwidth {
        bytes_per_second: u64,
    },
    Slicer {
        average: usize,
        variation: usize,
        delay: Duration,
    },
    Timeout {
        after: Duration,
    },
    ResetPeer {
        after: Duration,
    },
    Blackhole,
    LimitData {
        bytes: u64,
    },
    Refuse,
}

/// The toxics of a proxy, in the order they were added.
pub(super) type Active = Vec<(ToxicId, Toxic)>;

/// Those that work on the bytes of one direction to or from one upstream.
pub(super) fn on_bytes<'a>(
    active: &'a Active,
    upstream: &'a str,
    direction: Direction,
) -> impl Iterator<Item = (ToxicId, Kind)> + 'a {
    active
        .iter()
        .filter(move |(_, toxic)| {
            toxic.is_at(upstream)
                && toxic.direction.is_none_or(|it| it == direction)
                && toxic.kind != Kind::Refuse
        })
        .map(|(id, toxic)| (*id, toxic.kind))
}

pub(super) fn is_blackhole(active: &Active, upstream: &str, direction: Direction) -> bool {
    on_bytes(active, upstream, direction).any(|(_, kind)| kind == Kind::Blackhole)
}

pub(super) fn refuses(active: &Active, upstream: &str) -> bool {
    active
        .iter()
        .any(|(_, toxic)| toxic.kind == Kind::Refuse && toxic.is_at(upstream))
}
