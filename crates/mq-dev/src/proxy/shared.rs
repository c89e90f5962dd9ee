//! What all connections of a proxy share: listeners, counters, the record, the tasks.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{Policy, Recorded, connection::Connection, record::Transcript};

pub(super) struct Shared {
    pub(super) policy: Box<dyn Policy>,
    transcript: Option<Mutex<Transcript>>,
    requests: Mutex<HashMap<i32, u64>>,
    /// Upstream address, as a route names it, to our listener before it.
    listeners: Mutex<HashMap<String, SocketAddr>>,
    /// `None` once the proxy is closed: nothing starts any more.
    tasks: Mutex<Option<JoinSet<()>>>,
    next_connection: AtomicU64,
    open: AtomicUsize,
}

impl Shared {
    pub(super) fn new(record: bool, policy: Box<dyn Policy>) -> Self {
        Self {
            policy,
            transcript: record.then(Mutex::default),
            requests: Mutex::default(),
            listeners: Mutex::default(),
            tasks: Mutex::new(Some(JoinSet::new())),
            next_connection: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        }
    }

    pub(super) fn requests(&self, code: i32) -> u64 {
        lock(&self.requests).get(&code).copied().unwrap_or_default()
    }

    pub(super) fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn transcript(&self) -> Vec<Recorded> {
        self.transcript
            .as_ref()
            .map(|it| lock(it).frames().to_vec())
            .unwrap_or_default()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.transcript
            .as_ref()
            .is_some_and(|it| lock(it).is_complete())
    }

    pub(super) fn count(&self, code: i32) {
        *lock(&self.requests).entry(code).or_default() += 1;
    }

    pub(super) fn record(&self, recorded: impl FnOnce() -> Recorded) {
        if let Some(transcript) = &self.transcript {
            lock(transcript).push(recorded());
        }
    }

    /// The address of our listener before `upstream`, opened now if there is none.
    pub(super) fn stand_in(self: &Arc<Self>, upstream: &str) -> io::Result<SocketAddr> {
        if let Some(addr) = lock(&self.listeners).get(upstream) {
            return Ok(*addr);
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        self.listen(TcpListener::from_std(listener)?, upstream)
    }

    /// Forwards what comes to `listener`. Of two listeners opened at once for one upstream, the first stays.
    pub(super) fn listen(
        self: &Arc<Self>,
        listener: TcpListener,
        upstream: &str,
    ) -> io::Result<SocketAddr> {
        let addr = listener.local_addr()?;
        let mut listeners = lock(&self.listeners);
        if let Some(addr) = listeners.get(upstream) {
            return Ok(*addr);
        }
        if listeners.len() >= MAX_LISTENERS {
            return Err(io::Error::other(format!(
                "more than {MAX_LISTENERS} broker addresses"
            )));
        }
        listeners.insert(upstream.to_owned(), addr);
        drop(listeners);
        self.spawn(accept(Arc::clone(self), listener, upstream.into()));
        Ok(addr)
    }

    pub(super) fn take_tasks(&self) -> JoinSet<()> {
        lock(&self.tasks).take().unwrap_or_default()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = lock(&self.tasks).as_mut() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, upstream: Arc<str>) {
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                // Out of file descriptors, most likely: without a pause this would spin.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let id = shared.next_connection.fetch_add(1, Ordering::Relaxed);
        let connection = Connection::new(id, Arc::clone(&upstream), Arc::clone(&shared));
        shared.spawn(serve(Arc::clone(&shared), connection, client));
    }
}

async fn serve(shared: Arc<Shared>, connection: Connection, client: TcpStream) {
    /// Counts down however the task ends, an abort included.
    struct Open(Arc<Shared>);
    impl Drop for Open {
        fn drop(&mut self) {
            self.0.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    shared.open.fetch_add(1, Ordering::Relaxed);
    let _open = Open(shared);
    if let Err(error) = connection.run(client).await {
        tracing::debug!(connection = connection.id(), %error, "proxied connection ended");
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A cluster of a test has two brokers.
const MAX_LISTENERS: usize = 64;
