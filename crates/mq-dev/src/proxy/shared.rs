//! What all connections of a proxy share: ports, toxics, faults, counters, the record, the tasks.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::{Notify, oneshot, watch},
    task::JoinSet,
};

use super::{
    Action, Direction, Ending, Observed, Policy, Recorded,
    connection::Connection,
    faults::Fault,
    port::Port,
    record::{PulsarFrame, Transcript},
    toxic::{self, Active, ToxicId},
};

/// What is spoken through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// RocketMQ's remoting protocol.
    Remoting,
    /// Pulsar's binary protocol.
    Pulsar,
    /// Bytes pass as they come.
    Anything,
}

pub(super) struct Shared {
    policy: Box<dyn Policy>,
    faults: Mutex<Vec<Fault>>,
    toxics: watch::Sender<Active>,
    /// How often frames were released.
    released: watch::Sender<u64>,
    /// Rung at whatever can be asked about.
    changed: Notify,
    transcript: Option<Mutex<Transcript<Recorded>>>,
    pulsar: Option<Mutex<Transcript<PulsarFrame>>>,
    pub(super) speaks: Speaks,
    requests: Mutex<HashMap<i32, u64>>,
    /// In the order in which upstreams became known.
    ports: Mutex<Vec<Arc<Port>>>,
    open: Mutex<HashMap<u64, Cut>>,
    /// `None` once the proxy is closed: nothing starts any more.
    tasks: Mutex<Option<JoinSet<()>>>,
    next_connection: AtomicU64,
    next_toxic: AtomicU64,
    /// Ports open and close where users are, who may be on any thread.
    runtime: Handle,
}

/// How to end one connection.
struct Cut {
    upstream: Arc<str>,
    /// `None` once it was told.
    now: Option<oneshot::Sender<Ending>>,
}

impl Shared {
    pub(super) fn new(
        record: bool,
        speaks: Speaks,
        policy: Box<dyn Policy>,
        runtime: Handle,
    ) -> Self {
        Self {
            policy,
            faults: Mutex::default(),
            toxics: watch::Sender::default(),
            released: watch::Sender::default(),
            changed: Notify::new(),
            transcript: record.then(Mutex::default),
            pulsar: record.then(Mutex::default),
            speaks,
            requests: Mutex::default(),
            ports: Mutex::default(),
            open: Mutex::default(),
            tasks: Mutex::new(Some(JoinSet::new())),
            next_connection: AtomicU64::new(0),
            next_toxic: AtomicU64::new(0),
            runtime,
        }
    }

    pub(super) const fn changed(&self) -> &Notify {
        &self.changed
    }

    pub(super) fn requests(&self, code: i32) -> u64 {
        lock(&self.requests).get(&code).copied().unwrap_or_default()
    }

    pub(super) fn transcript(&self) -> Vec<Recorded> {
        self.transcript
            .as_ref()
            .map(|it| lock(it).frames().to_vec())
            .unwrap_or_default()
    }

    pub(super) fn pulsar_frames(&self) -> Vec<PulsarFrame> {
        self.pulsar
            .as_ref()
            .map(|it| lock(it).frames().to_vec())
            .unwrap_or_default()
    }

    pub(super) fn is_complete(&self) -> bool {
        let remoting = self.transcript.as_ref().zip(self.pulsar.as_ref());
        remoting.is_some_and(|(it, pulsar)| lock(it).is_complete() && lock(pulsar).is_complete())
    }

    pub(super) fn count(&self, code: i32) {
        *lock(&self.requests).entry(code).or_default() += 1;
    }

    pub(super) fn record(&self, recorded: impl FnOnce() -> Recorded) {
        if let Some(transcript) = &self.transcript {
            let recorded = recorded();
            let length = recorded.frame.len();
            lock(transcript).push(recorded, length);
        }
    }

    pub(super) fn record_pulsar(&self, recorded: impl FnOnce() -> PulsarFrame) {
        if let Some(transcript) = &self.pulsar {
            let recorded = recorded();
            let length = recorded.frame.len();
            lock(transcript).push(recorded, length);
        }
    }

    /// Every fault counts, the policy is asked; the first fault that strikes has its way.
    pub(super) fn decide(&self, frame: &Observed<'_>) -> Action {
        let policy = self.policy.decide(frame);
        let mut struck = None;
        for fault in &*lock(&self.faults) {
            let action = fault.strike(frame);
            struck = struck.or(action);
        }
        struck.unwrap_or(policy)
    }

    pub(super) fn inject(&self, fault: Fault) {
        let mut faults = lock(&self.faults);
        faults.retain(|it| !it.is_disarmed());
        faults.push(fault);
    }

    pub(super) fn released(&self) -> watch::Receiver<u64> {
        self.released.subscribe()
    }

    pub(super) fn release(&self) {
        self.released.send_modify(|times| *times += 1);
    }

    pub(super) fn next_toxic(&self) -> ToxicId {
        ToxicId(self.next_toxic.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn toxics(&self) -> watch::Receiver<Active> {
        self.toxics.subscribe()
    }

    pub(super) fn change_toxics(&self, change: impl FnOnce(&mut Active)) {
        // Under the lock, so that a port that is opened meanwhile misses nothing.
        let ports = lock(&self.ports);
        let _runtime = self.runtime.enter();
        self.toxics.send_modify(|active| {
            change(active);
            for port in &*ports {
                if let Err(error) = port.refuse(toxic::refuses(active, &port.upstream)) {
                    tracing::error!(%error, upstream = &*port.upstream, "can't listen again");
                }
            }
        });
    }

    /// Waits until no black hole swallows this direction.
    pub(super) async fn passable(&self, upstream: &str, direction: Direction) {
        let mut toxics = self.toxics();
        // Fails when there is no sender, which is here.
        let _ = toxics
            .wait_for(|active| !toxic::is_blackhole(active, upstream, direction))
            .await;
    }

    /// The address of our port before `upstream`, opened now if there is none.
    pub(super) fn stand_in(self: &Arc<Self>, upstream: &str) -> io::Result<SocketAddr> {
        let mut ports = lock(&self.ports);
        if let Some(port) = ports.iter().find(|port| &*port.upstream == upstream) {
            return Ok(port.addr);
        }
        if ports.len() >= MAX_PORTS {
            let reason = format!("more than {MAX_PORTS} broker addresses");
            return Err(io::Error::other(reason));
        }
        let _runtime = self.runtime.enter();
        let port = Arc::new(Port::open(upstream)?);
        port.refuse(toxic::refuses(&self.toxics.borrow(), upstream))?;
        let addr = port.addr;
        ports.push(Arc::clone(&port));
        drop(ports);
        self.spawn(accept(Arc::clone(self), port));
        Ok(addr)
    }

    pub(super) fn ports(&self) -> Vec<Arc<Port>> {
        lock(&self.ports).clone()
    }

    pub(super) fn connections(&self, is_meant: impl Fn(&str) -> bool) -> usize {
        let open = lock(&self.open);
        open.values().filter(|it| is_meant(&it.upstream)).count()
    }

    pub(super) fn cut(&self, ending: Ending, is_meant: impl Fn(&str) -> bool) -> usize {
        let mut open = lock(&self.open);
        let meant = open.values_mut().filter(|it| is_meant(&it.upstream));
        meant
            .filter_map(|it| it.now.take())
            // Nobody is there to hear it if the connection is just ending.
            .filter_map(|now| now.send(ending).ok())
            .count()
    }

    /// Takes what holds the proxy together: nothing starts any more, and once the tasks are gone the ports are free.
    pub(super) fn take_tasks(&self) -> JoinSet<()> {
        let tasks = lock(&self.tasks).take().unwrap_or_default();
        lock(&self.ports).clear();
        tasks
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = lock(&self.tasks).as_mut() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(task, &self.runtime);
        }
    }
}

/// A connection that counts as open until this is dropped, however its task ends.
struct Open {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.shared.open).remove(&self.id);
        self.shared.changed.notify_waiters();
    }
}

async fn accept(shared: Arc<Shared>, port: Arc<Port>) {
    let mut toxics = shared.toxics();
    loop {
        let accepted = tokio::select! {
            accepted = port.accept() => accepted,
            // The port may listen again.
            _ = toxics.changed() => continue,
        };
        match accepted {
            Ok(client) => begin(&shared, &port, client),
            Err(error) => {
                // Out of file descriptors, most likely: without a pause this would spin.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn begin(shared: &Arc<Shared>, port: &Port, client: TcpStream) {
    let id = shared.next_connection.fetch_add(1, Ordering::Relaxed);
    let (now, cut) = oneshot::channel();
    let upstream = Arc::clone(&port.upstream);
    lock(&shared.open).insert(
        id,
        Cut {
            upstream,
            now: Some(now),
        },
    );
    let open = Open {
        shared: Arc::clone(shared),
        id,
    };
    let connection = Connection::new(id, Arc::clone(&port.upstream), Arc::clone(shared));
    shared.changed.notify_waiters();
    shared.spawn(async move {
        let _open = open;
        connection.run(client, cut).await;
    });
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A cluster of a test has two brokers.
const MAX_PORTS: usize = 64;
