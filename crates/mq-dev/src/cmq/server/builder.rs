//! How a server will be.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mq_core::Secret;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{DevServer, EngineSettings, damaged, plant, reachable, read};
use crate::cmq::auth::Auth;
use crate::cmq::clock::Time;
use crate::cmq::engine::{Engine, Saved};
use crate::cmq::faults::{Fault, Faults};
use crate::cmq::front::{self, Patience};
use crate::cmq::gateway;
use crate::cmq::push::{PushTargets, push_all};
use crate::cmq::room::Room;
use crate::cmq::shared::Shared;
use crate::cmq::spec::{Limits, Seed};

/// How a [`DevServer`] will be.
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    listen: String,
    gateway: Option<String>,
    advertise: Option<String>,
    credentials: Vec<(String, Secret, Option<Secret>)>,
    skew: Duration,
    refuse_replays: bool,
    auto_create: bool,
    limits: Limits,
    virtual_clock: Option<SystemTime>,
    chance: u64,
    faults: Vec<Fault>,
    seed: Seed,
    saved: Option<Saved>,
    push: PushTargets,
    push_timeout: Duration,
    patience: Patience,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            gateway: None,
            advertise: None,
            credentials: Vec::new(),
            skew: Duration::from_secs(300),
            refuse_replays: true,
            auto_create: false,
            limits: Limits::default(),
            virtual_clock: None,
            chance: 0,
            faults: Vec::new(),
            seed: Seed::default(),
            saved: None,
            push: PushTargets::Off,
            push_timeout: Duration::from_secs(15),
            patience: Patience {
                connections: 16_384,
                head: Duration::from_secs(30),
                body: Duration::from_secs(30),
            },
        }
    }

    /// Listens at `host:port`; port 0 is any free one. Default: `127.0.0.1:0`.
    ///
    /// Whoever reaches the port and knows the credentials can do everything; it speaks no HTTPS.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// Serves CMQ's TCP protocol too, at `host:port`, with transactions; port 0 is any free one. Default: not at all, and who asks for a route is
    /// refused. As much care as for [`listen`](Self::listen).
    pub fn gateway(mut self, address: impl Into<String>) -> Self {
        self.gateway = Some(address.into());
        self
    }

    /// What clients are told that ask where the gateway is, as `host:port`: for those who reach it by another address than its own, as from
    /// outside of a container. Default: where it listens, this machine's address for one that means all. [`DevServer::advertise`] changes it.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Accepts this secret id and secret key, too. Without any: `AKIDdev` and `dev-secret`.
    pub fn credentials(mut self, id: impl Into<String>, key: impl Into<Secret>) -> Self {
        self.credentials.push((id.into(), key.into(), None));
        self
    }

    /// Accepts a temporary key, which comes with a token.
    pub fn temporary_credentials(
        mut self,
        id: impl Into<String>,
        key: impl Into<Secret>,
        token: impl Into<Secret>,
    ) -> Self {
        let token = Some(token.into());
        self.credentials.push((id.into(), key.into(), token));
        self
    }

    /// How far a request's time stamp may be from this machine's clock; default 5 minutes, in either direction.
    pub const fn max_skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// Whether a request is refused that comes a second time with the same time stamp, nonce and signature; default yes. The SDK for Node
    /// makes nonces of 16 bits: many equal requests of it within a second can be taken for replays.
    pub const fn refuse_replays(mut self, yes: bool) -> Self {
        self.refuse_replays = yes;
        self
    }

    /// Whether a queue that does not exist is made by the first send or receive; default no.
    pub const fn auto_create(mut self, yes: bool) -> Self {
        self.auto_create = yes;
        self
    }

    /// How much it takes.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Time stands still at `start` until [`VirtualClock::advance`](crate::cmq::VirtualClock::advance). Default: the machine's.
    pub const fn virtual_clock(mut self, start: SystemTime) -> Self {
        self.virtual_clock = Some(start);
        self
    }

    /// What chance goes by: of faults with a percentage, and of the pauses of pushes. Default: 0, so that two runs are alike.
    pub const fn chance(mut self, seed: u64) -> Self {
        self.chance = seed;
        self
    }

    /// Lets this go wrong from the start.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Has these queues, topics and subscriptions from the start, those of a snapshot first.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Goes on with what a [`snapshot`](DevServer::snapshot) holds.
    ///
    /// # Errors
    /// It can't be read, or is no snapshot.
    pub fn restore(mut self, from: impl io::Read) -> io::Result<Self> {
        self.saved = Some(read(from)?);
        Ok(self)
    }

    /// Where messages of HTTP subscriptions are pushed to; default nowhere.
    pub const fn push(mut self, targets: PushTargets) -> Self {
        self.push = targets;
        self
    }

    /// How long a push may take, by the machine's clock; default 15 s.
    pub const fn push_timeout(mut self, timeout: Duration) -> Self {
        self.push_timeout = timeout;
        self
    }

    /// How many connections there may be, over HTTP and over TCP each; default 16 384. What comes beyond is closed at once.
    pub const fn max_connections(mut self, most: usize) -> Self {
        self.patience.connections = most;
        self
    }

    /// How long a request's head may take, counted from the end of the one before it, so that it is the time after which an idle connection
    /// is closed as well; and how long a body may take, and the wait for room for it. Over TCP: how long a login may take, a frame, and a client
    /// that reads nothing. Default 30 s.
    pub const fn patience(mut self, time: Duration) -> Self {
        self.patience.head = time;
        self.patience.body = time;
        self
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// The port could not be opened; the snapshot is of another version; the seed holds what the service would refuse; a key is empty.
    ///
    /// # Cancel safety
    /// Dropped, nothing was started.
    pub async fn start(mut self) -> io::Result<DevServer> {
        if self.credentials.is_empty() {
            self = self.credentials(DEV_ID, DEV_KEY);
        }
        let auth = self.auth()?;
        let time = self
            .virtual_clock
            .map_or_else(Time::of_the_machine, Time::still);
        let settings = EngineSettings {
            seed: self.chance,
            auto_create: self.auto_create,
            push_http: self.push != PushTargets::Off,
            lag: time.lag(),
        };
        let engine = self.engine(settings, time.now())?;
        let listener = TcpListener::bind(&self.listen).await?;
        let address = listener.local_addr()?;
        let gateway = match &self.gateway {
            Some(at) => Some(TcpListener::bind(at).await?),
            None => None,
        };
        let gateway_address = gateway.as_ref().map(TcpListener::local_addr).transpose()?;

        let faults = Faults::new(std::mem::take(&mut self.faults), self.chance);
        let (push, jobs) = mpsc::channel(self.limits.pushes.saturating_add(1).min(1 << 20));
        let shared = Shared::new(engine, time, auth, faults, push);
        let own = gateway_address.map(|at| reachable(at).to_string());
        shared.lead_to(own.map(|own| self.advertise.take().unwrap_or(own)));
        let shared = Arc::new(shared);
        // What fell due while nobody ran is told now.
        shared.tick();
        let mut tasks = JoinSet::new();
        let room = Room::new(self.limits.requests);
        if let Some(gateway) = gateway {
            let (shared, room) = (Arc::clone(&shared), room.clone());
            tasks.spawn(gateway::serve(gateway, shared, self.patience, room));
        }
        let serving = front::serve(listener, Arc::clone(&shared), self.patience, room);
        tasks.spawn(serving);
        tasks.spawn(Arc::clone(&shared).keep_time());
        let pushing = push_all(Arc::clone(&shared), jobs, self.push, self.push_timeout);
        tasks.spawn(pushing);
        let first = self.credentials.first();
        let credentials = first.map(|(id, key, _)| (id.clone(), key.expose().to_owned()));
        Ok(DevServer {
            address,
            gateway: gateway_address,
            credentials: credentials.unwrap_or_default(),
            limits: self.limits,
            settings,
            shared,
            tasks,
        })
    }

    fn auth(&self) -> io::Result<Auth> {
        let mut auth = Auth::new(self.skew, self.refuse_replays);
        for (id, key, token) in &self.credentials {
            let token = token.as_ref().map(Secret::expose);
            let usable = !id.is_empty() && !key.expose().is_empty();
            let added = usable.then(|| auth.add(id, key.expose(), token)).flatten();
            added.ok_or_else(|| invalid("a secret id or a secret key is empty"))?;
        }
        Ok(auth)
    }

    fn engine(&mut self, settings: EngineSettings, now: u64) -> io::Result<Engine> {
        let mut engine = settings.engine(now, self.limits);
        if let Some(saved) = self.saved.take() {
            engine.restore(now, saved).map_err(damaged)?;
        }
        let seed = std::mem::take(&mut self.seed);
        plant(&mut engine, now, seed).map_err(|refused| invalid(refused.to_string()))?;
        Ok(engine)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("listen", &self.listen)
            .field("credentials", &self.credentials)
            .field("push", &self.push)
            .finish_non_exhaustive()
    }
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.into())
}

const DEV_ID: &str = "AKIDdev";
const DEV_KEY: &str = "dev-secret";
