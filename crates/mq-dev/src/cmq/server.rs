//! The server, as a program holds it.

mod builder;

use std::fmt::{self, Write as _};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mq_cmq::ErrorCode;
use mq_cmq::proto::limits::Refusal;
use tokio::task::JoinSet;

pub use self::builder::Builder;
use super::clock::VirtualClock;
use super::engine::{Engine, Saved};
use super::faults::Fault;
use super::shared::Shared;
use super::spec::{Limits, QueueSpec, Seed, SubscriptionSpec, TopicSpec};

/// A CMQ server in this process. Dropping it closes its port and its connections, and forgets what it holds.
pub struct DevServer {
    address: SocketAddr,
    gateway: Option<SocketAddr>,
    credentials: (String, String),
    limits: Limits,
    settings: EngineSettings,
    shared: Arc<Shared>,
    /// Accepting, the timer, pushes: they end with it.
    tasks: JoinSet<()>,
}

/// What an engine is told that takes the place of another.
#[derive(Debug, Clone, Copy)]
struct EngineSettings {
    seed: u64,
    auto_create: bool,
    push_http: bool,
    /// Of its clock, in milliseconds.
    lag: u64,
}

/// What is in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct QueueCounts {
    /// Messages that can be received.
    pub active: u64,
    /// Messages that were received and not deleted.
    pub held: u64,
    /// Messages whose delay has not ended.
    pub delayed: u64,
    /// Messages that were deleted and can be had again.
    pub rewindable: u64,
    /// Receives that wait.
    pub waiting: u64,
    /// Half messages of which nobody knows yet whether they will be messages: in none of the others.
    pub half: u64,
    /// Half messages that were rolled back because their sender was asked as often as may be.
    pub unanswered: u64,
}

/// Why the server did not do it: the code that a client would have got, and a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
#[non_exhaustive]
pub struct Refused {
    /// The code.
    pub code: ErrorCode,
    /// What is wrong, in one line.
    pub message: String,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code,
            message: refusal.message,
        }
    }
}

impl DevServer {
    /// A server that is to be started.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// For clients of this workspace: `cmq+http://id:key@127.0.0.1:port`, with the first of the credentials. The address of this machine stands
    /// for one that means all of its addresses.
    pub fn url(&self) -> String {
        self.url_of("http")
    }

    /// For clients of this workspace over TCP: `cmq+tcp://id:key@127.0.0.1:port`, where they ask over HTTP for the gateway's address.
    pub fn tcp_url(&self) -> String {
        self.url_of("tcp")
    }

    fn url_of(&self, transport: &str) -> String {
        let (id, key) = &self.credentials;
        let (id, key) = (encoded(id), encoded(key));
        format!("cmq+{transport}://{id}:{key}@{}", self.reachable())
    }

    /// For this workspace's client of the control plane: as [`url`](Self::url), with the scheme `cmq+tc3+http` and a region, of which the server takes any.
    pub fn control_url(&self) -> String {
        let url = self.url().replacen("cmq+http", "cmq+tc3+http", 1);
        format!("{url}?region=ap-guangzhou")
    }

    /// For other clients: `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.reachable())
    }

    fn reachable(&self) -> SocketAddr {
        reachable(self.address)
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where its TCP gateway listens, if it was started with [`Builder::gateway`].
    pub const fn gateway_addr(&self) -> Option<SocketAddr> {
        self.gateway
    }

    /// Secret id and secret key, the first that it accepts.
    pub fn credentials(&self) -> (&str, &str) {
        (&self.credentials.0, &self.credentials.1)
    }

    /// Makes a queue.
    ///
    /// # Errors
    /// What the service would refuse.
    pub fn create_queue(&self, spec: QueueSpec) -> Result<(), Refused> {
        self.shared
            .with(|engine, now| engine.create_queue(now, spec))?;
        Ok(())
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// What the service would refuse.
    pub fn create_topic(&self, spec: TopicSpec) -> Result<(), Refused> {
        self.shared
            .with(|engine, now| engine.create_topic(now, spec))?;
        Ok(())
    }

    /// Makes a subscription.
    ///
    /// # Errors
    /// What the service would refuse.
    pub fn subscribe(&self, spec: SubscriptionSpec) -> Result<(), Refused> {
        self.shared
            .with(|engine, now| engine.subscribe(now, spec))?;
        Ok(())
    }

    /// Makes all of a seed that does not exist yet; what exists stays as it is.
    ///
    /// # Errors
    /// What the service would refuse; what came before it in the seed is made.
    pub fn seed(&self, seed: Seed) -> Result<(), Refused> {
        self.shared.with(|engine, now| plant(engine, now, seed))
    }

    /// What is in a queue; `None` if there is none of that name.
    pub fn counts(&self, queue: &str) -> Option<QueueCounts> {
        self.shared.with(|engine, now| {
            let state = engine.queue_state(now, queue).ok()?;
            let (half, unanswered) = engine.halves(queue);
            Some(QueueCounts {
                active: state.active,
                held: state.inactive,
                delayed: state.delayed,
                rewindable: state.rewindable,
                waiting: engine.waiting(queue) as u64,
                half,
                unanswered,
            })
        })
    }

    /// How many requests of this action were signed well until now, such as `SendMessage`.
    pub fn requests(&self, action: &str) -> u64 {
        self.shared.counts.of(action)
    }

    /// Lets this go wrong from now on; gives it back, to ask whether it struck.
    pub fn inject(&self, fault: Fault) -> Fault {
        self.shared.faults.add(fault.clone());
        if let Some(disorder) = self.shared.faults.disorder() {
            self.shared.with(|engine, _| engine.disorder(disorder));
        }
        fault
    }

    /// The clock, if it was started with [`Builder::virtual_clock`].
    pub fn clock(&self) -> Option<VirtualClock> {
        let is_virtual = matches!(self.shared.time, super::clock::Time::Virtual(_));
        is_virtual.then(|| VirtualClock::new(Arc::clone(&self.shared)))
    }

    /// Writes down all that it holds, as JSON: queues with their messages, topics, subscriptions, pushes.
    ///
    /// Messages that are held stay so, and can be deleted by their handles, until their visibility ends by the calendar; delays and
    /// retention go on while nobody runs. The server stands still while it copies, not while it writes.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn snapshot(&self, to: impl io::Write) -> io::Result<()> {
        let saved = self.shared.with(Engine::save);
        serde_json::to_writer(to, &saved).map_err(io::Error::from)
    }

    /// Closes all connections, as a restart does; the state stays. New connections are accepted.
    pub fn restart(&self) {
        self.shared.life.send_modify(|life| *life += 1);
    }

    /// Tells clients another address from now on that ask where the gateway is, as [`Builder::advertise`] does from the start: it has moved. Connections
    /// stay, and who does not ask again is told nothing. Without a [gateway](Builder::gateway) nobody is told anything.
    pub fn advertise(&self, address: impl Into<String>) {
        if self.gateway.is_some() {
            self.shared.lead_to(Some(address.into()));
        }
    }

    /// Forgets all logins of TCP connections, which stay open: the next request of each is refused with 306 until it logs in again, as the
    /// service does after a while.
    pub fn expire_logins(&self) {
        self.shared.logins.fetch_add(1, Ordering::AcqRel);
    }

    /// Closes all connections and goes on with what a [`snapshot`](Self::snapshot) holds, in the place of all that there is.
    ///
    /// # Errors
    /// It is no snapshot, or one of another version; nothing has changed then.
    pub fn restart_from(&self, from: impl io::Read) -> io::Result<()> {
        let saved = read(from)?;
        self.shared.replace(|running, now| {
            let mut engine = self.settings.engine(now, self.limits);
            // Pushes that are on their way, and handles that clients have, are those of the running one.
            engine.go_on_behind(running);
            engine.restore(now, saved).map_err(damaged)?;
            self.restart();
            Ok(engine)
        })
    }

    /// Closes everything.
    ///
    /// # Cancel safety
    /// The tasks are told to end at first poll; dropped after that, only the waiting ends.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }

    /// Closes everything, and writes down what there is then: nothing that was answered is missing. See [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    /// Writing failed.
    ///
    /// # Cancel safety
    /// As [`close`](Self::close); nothing is written then.
    pub async fn close_into(mut self, to: impl io::Write + Send) -> io::Result<()> {
        self.tasks.shutdown().await;
        self.snapshot(to)
    }
}

impl fmt::Debug for DevServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevServer")
            .field("address", &self.address)
            .field("secret_id", &self.credentials.0)
            .finish_non_exhaustive()
    }
}

impl EngineSettings {
    fn engine(self, now: u64, limits: Limits) -> Engine {
        let mut engine = Engine::new(now, self.seed, limits);
        engine.auto_create(self.auto_create);
        engine.push_http(self.push_http);
        engine.lag(self.lag);
        engine
    }
}

fn plant(engine: &mut Engine, now: u64, seed: Seed) -> Result<(), Refused> {
    let there = |made: Result<String, Refusal>, exists: ErrorCode| match made {
        Err(refusal) if refusal.code != exists => Err(Refused::from(refusal)),
        _ => Ok(()),
    };
    for queue in seed.queues {
        there(engine.create_queue(now, queue), ErrorCode::QUEUE_EXISTS)?;
    }
    for topic in seed.topics {
        there(engine.create_topic(now, topic), ErrorCode::QUEUE_EXISTS)?;
    }
    for one in seed.subscriptions {
        there(engine.subscribe(now, one), ErrorCode::SUBSCRIPTION_EXISTS)?;
    }
    Ok(())
}

/// An address that can be connected to: this machine's for one that means all of its addresses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn read(from: impl io::Read) -> io::Result<Saved> {
    serde_json::from_reader(io::BufReader::new(from)).map_err(io::Error::from)
}

fn damaged(refusal: Refusal) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, refusal.message)
}

/// As a URL's user part has it.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
