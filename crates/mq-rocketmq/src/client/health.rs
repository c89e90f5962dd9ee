//! How the servers are, and what happened: for choosing a broker, and for the user to look at.
//!
//! ```text
//!   drivers ── connected, failed, lost ──┐
//!   sends ──── slow, no answer in time ──┼──► Board ──► brokers to avoid ──► choice of queues
//!   upkeep ─── asked and answered ───────┘      ├──► Health (a look)
//!                                               └──► Events (lossy)
//! ```
//!
//! Who is away stays so until it answers: that a connection stands says little of a frozen process or a proxy without its server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mq_core::Endpoint;
use tokio::sync::{Notify, broadcast};

/// What happened to a client; from [`Client::events`](crate::Client::events).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection stands.
    Connected {
        /// The nameserver or broker, `host:port`.
        endpoint: String,
    },
    /// A connection could not be made; it is tried again when something wants it.
    ConnectFailed {
        /// The nameserver or broker, `host:port`.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// A connection broke or was given up.
    Disconnected {
        /// The nameserver or broker, `host:port`.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// A topic's queues or brokers have changed.
    RouteChanged {
        /// The topic, with its namespace.
        topic: String,
    },
    /// A consumer took queues on or gave some up.
    Rebalanced {
        /// The group, with its namespace.
        group: String,
        /// The topic, with its namespace.
        topic: String,
        /// How many queues of the topic the consumer has now.
        queues: usize,
    },
    /// A consumer goes on elsewhere in a queue: somebody sought, an operator has set the group's offset, or the broker does not have the
    /// messages at the offset (any more). What lies between is skipped, or comes again.
    OffsetMoved {
        /// The group, with its namespace.
        group: String,
        /// The topic, with its namespace.
        topic: String,
        /// The broker's name.
        broker: String,
        /// The queue's number at that broker.
        queue: i32,
        /// Where it would have pulled next.
        from: i64,
        /// Where it goes on.
        to: i64,
    },
    /// A [broadcasting](crate::ConsumerBuilder::broadcast) consumer goes on without a message: it was to be a dead letter, or has failed
    /// as often as it may.
    MessageSkipped {
        /// The group, with its namespace.
        group: String,
        /// The topic, with its namespace.
        topic: String,
        /// The broker's name.
        broker: String,
        /// The queue's number at that broker.
        queue: i32,
        /// The message's offset in the queue.
        offset: i64,
        /// How often it was delivered.
        attempts: u32,
    },
    /// An [ordered](crate::ConsumerBuilder::ordered) consumer goes on without a message: the broker has confirmed that it is in the
    /// dead-letter queue.
    MessageParked {
        /// The group, with its namespace.
        group: String,
        /// The topic, with its namespace.
        topic: String,
        /// The broker's name.
        broker: String,
        /// The queue's number at that broker.
        queue: i32,
        /// The message's offset in the queue.
        offset: i64,
        /// How often it was delivered.
        attempts: u32,
    },
    /// A [broadcasting](crate::ConsumerBuilder::broadcast) consumer could not write its file. It goes on, and tries again within 5 s; a
    /// restart before that succeeds brings messages again.
    OffsetsNotStored {
        /// The group, with its namespace.
        group: String,
        /// Why, in a line that names the file.
        reason: String,
    },
    /// A consumer has ended by itself, and says why: login or permission was refused, or the group may not consume.
    ConsumerFailed {
        /// The group, with its namespace.
        group: String,
        /// Why, in a line.
        reason: String,
    },
}

/// The events of a client from the call of [`Client::events`](crate::Client::events) on. Lossy: who is more than 256 events behind
/// misses the oldest.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next event; `None` when the client is gone.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// How the servers are that a client has spoken to; from [`Client::health`](crate::Client::health).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Nameservers and brokers, sorted by their text.
    pub peers: Vec<PeerHealth>,
}

impl Health {
    /// Whether no server is known to be away.
    pub fn is_good(&self) -> bool {
        self.peers.iter().all(|peer| peer.failure.is_none())
    }
}

/// How one server is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerHealth {
    /// `host:port`.
    pub endpoint: String,
    /// Why its connection failed or broke, or that it did not answer a send in time; `None` once it has answered since.
    pub failure: Option<String>,
    /// Whether sends go elsewhere while they can: it is away, or was slow a moment ago.
    pub avoided: bool,
}

/// What the client knows of its servers.
#[derive(Debug)]
pub(crate) struct Board {
    peers: Mutex<BTreeMap<Endpoint, Peer>>,
    /// How many are away or were slow: 0 says without a lock that all are well.
    troubled: AtomicUsize,
    /// A server is away, or can be reached again: one is to be asked.
    pub(crate) trouble: Notify,
    /// A server that was away has answered.
    pub(crate) returned: Notify,
    events: broadcast::Sender<Event>,
}

#[derive(Debug, Default)]
struct Peer {
    failure: Option<Arc<str>>,
    slow_until: Option<Instant>,
}

impl Peer {
    fn is_well(&self, now: Instant) -> bool {
        self.failure.is_none() && self.slow_until.is_none_or(|until| until <= now)
    }

    /// As it was counted last: also when the time of being slow is over and nobody has looked since.
    fn is_troubled(&self) -> bool {
        self.failure.is_some() || self.slow_until.is_some()
    }
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            peers: Mutex::default(),
            troubled: AtomicUsize::new(0),
            trouble: Notify::new(),
            returned: Notify::new(),
            events: broadcast::Sender::new(EVENTS),
        }
    }

    pub(crate) fn events(&self) -> Events {
        Events(self.events.subscribe())
    }

    /// Nobody need listen.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.events.receiver_count() > 0 {
            let _ = self.events.send(event());
        }
    }

    pub(crate) fn look(&self, now: Instant) -> Health {
        let peers = self.lock();
        let all = peers.iter().map(|(endpoint, peer)| PeerHealth {
            endpoint: endpoint.to_string(),
            failure: peer.failure.as_deref().map(str::to_owned),
            avoided: !peer.is_well(now),
        });
        Health {
            peers: all.collect(),
        }
    }

    pub(crate) fn connected(&self, endpoint: &Endpoint) {
        // From now on it is among those that are shown.
        if self.change(endpoint, |peer| peer.failure.is_some()) {
            self.trouble.notify_one();
        }
        self.tell(|| Event::Connected {
            endpoint: endpoint.to_string(),
        });
    }

    pub(crate) fn connect_failed(&self, endpoint: &Endpoint, reason: &Arc<str>) {
        self.away(endpoint, reason);
        self.tell(|| Event::ConnectFailed {
            endpoint: endpoint.to_string(),
            reason: reason.to_string(),
        });
    }

    pub(crate) fn lost(&self, endpoint: &Endpoint, reason: &Arc<str>) {
        self.away(endpoint, reason);
        self.tell(|| Event::Disconnected {
            endpoint: endpoint.to_string(),
            reason: reason.to_string(),
        });
    }

    /// Nobody wants a connection to it any more.
    pub(crate) fn forgotten(&self, endpoint: &Endpoint, reason: &Arc<str>) {
        self.tell(|| Event::Disconnected {
            endpoint: endpoint.to_string(),
            reason: reason.to_string(),
        });
    }

    /// A send was not answered in time.
    pub(crate) fn unanswered(&self, endpoint: &Endpoint) {
        self.away(endpoint, &UNANSWERED.into());
    }

    fn away(&self, endpoint: &Endpoint, reason: &Arc<str>) {
        self.change(endpoint, |peer| peer.failure = Some(Arc::clone(reason)));
        self.trouble.notify_one();
    }

    /// A server has answered, whatever it was asked.
    pub(crate) fn answered(&self, endpoint: &Endpoint) {
        if self.is_away(endpoint) {
            tracing::info!(peer = %endpoint, "answers again");
            self.change(endpoint, |peer| peer.failure = None);
            self.returned.notify_one();
        }
    }

    /// A send was answered after this long.
    pub(crate) fn took(&self, endpoint: &Endpoint, time: Duration, now: Instant) {
        let pause = avoided_for(time);
        if !pause.is_zero() {
            tracing::debug!(peer = %endpoint, ?time, ?pause, "slow: sends go elsewhere for a while");
            self.change(endpoint, |peer| peer.slow_until = Some(now + pause));
        }
    }

    /// Whether sends need not choose: no server is away or slow.
    pub(crate) fn all_well(&self) -> bool {
        self.troubled.load(Ordering::Acquire) == 0
    }

    /// Whether this server is neither away nor was slow a moment ago.
    pub(crate) fn is_well(&self, endpoint: &Endpoint, now: Instant) -> bool {
        let mut peers = self.lock();
        let Some(peer) = peers.get_mut(endpoint) else {
            return true;
        };
        let is_well = peer.is_well(now);
        if peer.slow_until.is_some_and(|until| until <= now) {
            peer.slow_until = None;
            self.recount(&peers);
        }
        is_well
    }

    fn is_away(&self, endpoint: &Endpoint) -> bool {
        let peers = self.lock();
        peers
            .get(endpoint)
            .is_some_and(|peer| peer.failure.is_some())
    }

    /// The servers that are away.
    pub(crate) fn all_away(&self) -> Vec<Endpoint> {
        let peers = self.lock();
        let away = peers.iter().filter(|(_, peer)| peer.failure.is_some());
        away.map(|(endpoint, _)| endpoint.clone()).collect()
    }

    /// Servers that no route names any more are neither shown nor asked after.
    pub(crate) fn keep_only(&self, known: &BTreeSet<Endpoint>) {
        let mut peers = self.lock();
        peers.retain(|endpoint, _| known.contains(endpoint));
        self.recount(&peers);
    }

    fn change<R>(&self, endpoint: &Endpoint, change: impl FnOnce(&mut Peer) -> R) -> R {
        let mut peers = self.lock();
        let result = change(peers.entry(endpoint.clone()).or_default());
        self.recount(&peers);
        result
    }

    fn recount(&self, peers: &BTreeMap<Endpoint, Peer>) {
        let troubled = peers.values().filter(|peer| peer.is_troubled()).count();
        self.troubled.store(troubled, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Endpoint, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a broker is avoided that took so long.
// apache/rocketmq: MQFaultStrategy, latencyMax and notAvailableDuration
fn avoided_for(time: Duration) -> Duration {
    let (_, pause) = SLOW
        .into_iter()
        .rev()
        .find(|(least_ms, _)| time >= Duration::from_millis(*least_ms))
        .unwrap_or_default();
    Duration::from_secs(pause)
}

/// From so many ms on, avoided for so many s.
const SLOW: [(u64, u64); 5] = [(550, 2), (1800, 5), (3000, 6), (5000, 10), (15_000, 30)];
const EVENTS: usize = 256;
const UNANSWERED: &str = "no answer in time";

#[cfg(test)]
mod tests {
    use mq_core::{Clock as _, ManualClock};

    use super::*;

    fn clock() -> ManualClock {
        ManualClock::new(std::time::SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn the_slower_the_longer_it_is_avoided() {
        let cases = [
            (0, 0),
            (549, 0),
            (550, 2),
            (2999, 5),
            (3000, 6),
            (60_000, 30),
        ];
        for (ms, pause) in cases {
            let time = Duration::from_millis(ms);
            assert_eq!(avoided_for(time), Duration::from_secs(pause), "{ms} ms");
        }
    }

    #[test]
    fn a_slow_server_is_avoided_for_a_while_and_one_that_is_away_until_it_is_back() {
        let (board, clock) = (Board::new(), clock());
        let [a, b] = [Endpoint::new("a", 1), Endpoint::new("b", 1)];
        assert!(board.all_well());
        board.took(&a, Duration::from_millis(600), clock.now());
        board.lost(&b, &"cut".into());
        assert!(!board.all_well());
        assert!(!board.is_well(&a, clock.now()) && !board.is_well(&b, clock.now()));
        let health = board.look(clock.now());
        assert!(health.peers.iter().all(|peer| peer.avoided) && !health.is_good());
        clock.advance(Duration::from_secs(2));
        assert!(board.is_well(&a, clock.now()) && !board.is_well(&b, clock.now()));
        assert_eq!(board.all_away(), std::slice::from_ref(&b));
        board.connected(&b);
        assert!(!board.is_well(&b, clock.now()), "it has not answered yet");
        board.answered(&b);
        assert!(board.is_well(&b, clock.now()) && board.all_well());
        let c = Endpoint::new("c", 1);
        board.connected(&c);
        let health = board.look(clock.now());
        assert!(health.is_good());
        let shown: Vec<_> = health.peers.iter().map(|peer| &*peer.endpoint).collect();
        assert_eq!(shown, ["a:1", "b:1", "c:1"]);
        board.lost(&c, &"cut".into());
        board.keep_only(&[a, b].into());
        assert!(board.all_well() && board.look(clock.now()).peers.len() == 2);
    }

    #[tokio::test]
    async fn who_is_far_behind_misses_the_oldest_events_and_hears_the_newest() {
        let board = Board::new();
        let mut events = board.events();
        for port in 0..300 {
            board.connected(&Endpoint::new("a", port));
        }
        drop(board);
        let mut heard = Vec::new();
        while let Some(Event::Connected { endpoint }) = events.next().await {
            heard.push(endpoint);
        }
        assert_eq!(heard.len(), EVENTS);
        assert_eq!(heard.last().map(String::as_str), Some("a:299"));
    }
}
