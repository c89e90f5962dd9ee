//! The client: what its producers and consumers share.

mod builder;
mod lookup;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub use self::builder::ClientBuilder;
pub(crate) use self::lookup::pauses;
use crate::conn::{Options, Pool, Tasks};
use crate::error::Result;
use crate::producer::{Memory, ProducerBuilder};

/// A client of one cluster. Cheap to clone; all clones share its connections, one a broker.
///
/// When the last clone is dropped, with everything made of it, its connections are cut; [`close`](Self::close) ends them well.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) options: Arc<Options>,
    pub(crate) pool: Pool,
    /// Which of the service's addresses worked last.
    first: AtomicUsize,
    /// Producers and consumers are numbered by the client, so that none is taken for another one's.
    ids: AtomicU64,
    /// The bytes that all producers may have under way.
    pub(crate) memory: Arc<Memory>,
    pub(crate) tasks: Arc<Tasks>,
}

impl Shared {
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

impl Client {
    /// Options from `pulsar://host[:port][,host…]`, or `pulsar+ssl://`. See [`ClientBuilder::from_url`].
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::from_url`].
    pub fn from_url(url: &str) -> Result<ClientBuilder> {
        ClientBuilder::from_url(url)
    }

    /// Options with nothing in them but defaults: `localhost:6650`.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    async fn connect(options: Options) -> Result<Self> {
        let options = Arc::new(options);
        let tasks = Arc::new(Tasks::of_this_runtime());
        let first = fastrand::usize(..options.endpoints.len().max(1));
        let shared = Arc::new(Shared {
            pool: Pool::new(Arc::clone(&options), &tasks),
            first: first.into(),
            ids: 1.into(),
            memory: Arc::new(Memory::new(options.memory)),
            tasks,
            options,
        });
        shared.reach().await?;
        Ok(Self { shared })
    }

    /// Options of a producer: `topic`, `tenant/namespace/topic` or a whole name.
    pub fn producer(&self, topic: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder::new(self.clone(), topic.into())
    }

    /// Ends the connections. What is under way on producers is not waited for: flush or close them before.
    ///
    /// Cancel safe, but not undone: from the first poll on no connection is made. Called again, it ends the others.
    pub async fn close(&self) {
        self.shared.pool.close().await;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("hosts", &self.shared.options.endpoints)
            .finish_non_exhaustive()
    }
}
