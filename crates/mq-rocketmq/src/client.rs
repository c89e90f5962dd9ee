//! The client: one identity, its connections, and what producers and consumers share.

mod builder;
mod groups;
mod health;
mod presence;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use mq_core::{Clock, Endpoint};

pub use self::builder::ClientBuilder;
pub(crate) use self::groups::{Checks, Flush, GroupMember, Groups, Question};
pub(crate) use self::health::Board;
pub use self::health::{Event, Events, Health, PeerHealth};
pub(crate) use self::presence::HeartbeatTurns;
pub(crate) use self::versions::Versions;
use crate::admin::Admin;
use crate::conn::{Connections, Routes, Tasks};
use crate::consumer::ConsumerBuilder;
use crate::error::{Result, closed};
use crate::id::UniqueIds;
use crate::name::Namespace;
use crate::producer::ProducerBuilder;
use crate::schedule::Dialect;

/// A client of a RocketMQ cluster. Cheap to clone; all clones share connections and tasks.
///
/// Producers and consumers keep the client alive. When the last of them is dropped without [`Client::close`], everything stops at
/// once: sends under way end as `Unknown`, offsets of the last five seconds are not persisted.
///
/// ```no_run
/// # async fn run() -> mq_rocketmq::Result<()> {
/// use mq_rocketmq::{Client, Message};
///
/// let client = Client::from_url("rocketmq://127.0.0.1:9876")?.connect().await?;
/// let producer = client.producer("my-group").build().await?;
/// let receipt = producer.send(Message::new("my-topic", "hello")).await?;
/// println!("stored at {}", receipt.offset());
/// client.close().await
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

/// Held by everything the user holds; tasks hold only what is inside. The last drop ends the tasks.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.tasks.abort();
    }
}

/// What producers, consumers and tasks of one client have in common.
pub(crate) struct Shared {
    pub(crate) connections: Arc<Connections>,
    pub(crate) routes: Routes,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) groups: Arc<Groups>,
    turns: HeartbeatTurns,
    pub(crate) board: Arc<Board>,
    pub(crate) versions: Arc<Versions>,
    pub(crate) dialect: Dialect,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) namespace: Namespace,
    pub(crate) unique_ids: UniqueIds,
    pub(crate) request_timeout: Duration,
    client_id: Arc<str>,
    closed: AtomicBool,
}

impl Client {
    /// Starts a client by hand; [`Client::from_url`] is shorter.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Starts a client from `rocketmq://[access:secret@]host:9876[;host2:9876][/namespace][?option=value&…]`.
    ///
    /// Options: `tls=true` secures all connections. With it go `tls_ca`, `tls_cert` and `tls_key` (paths of PEM files, read at once),
    /// `tls_pin` (`sha256/…`), `tls_name` (the name to expect in certificates) and `tls_insecure=true` (nothing is verified): see
    /// [`Tls`](crate::Tls).
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the URL can't be read, names another scheme or an unknown option, or has a bad namespace, or a file that
    /// it names can't be read. Kind `Unsupported`: it asks for TLS, and the feature `tls` was left out of this build. Not retryable. The secret is never part of an error.
    pub fn from_url(url: &str) -> Result<ClientBuilder> {
        ClientBuilder::from_url(url)
    }

    /// Starts a producer of `group`, which has the client's namespace put in front.
    pub fn producer(&self, group: &str) -> ProducerBuilder {
        ProducerBuilder::new(Arc::clone(&self.handle), group)
    }

    /// Starts a consumer of `group`, which has the client's namespace put in front.
    pub fn consumer(&self, group: &str) -> ConsumerBuilder {
        ConsumerBuilder::new(Arc::clone(&self.handle), group)
    }

    /// Lists, describes, creates and deletes topics and groups.
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.handle))
    }

    /// What happens from now on: connections made and lost, routes changed, queues taken on and given up.
    pub fn events(&self) -> Events {
        self.handle.shared.board.events()
    }

    /// How the servers are that this client has spoken to: a look, without asking any of them.
    pub fn health(&self) -> Health {
        let shared = &self.handle.shared;
        shared.board.look(shared.clock.now())
    }

    /// Asks other nameservers from now on: `host:port` each, or several separated by `;`; the port is 9876 if none is given. For clusters whose
    /// nameservers move; sends and receives go on meanwhile. A host name that stands for another address than before needs no call: it is
    /// looked up for each new connection.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: there is no address, or one can't be read; the list stays as it was. Kind `Closed`: the client is. Not retryable. Whether
    /// the servers answer is not waited for; [`Client::health`] and [`Client::events`] tell.
    pub fn set_nameservers<T: AsRef<str>>(
        &self,
        addresses: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        let shared = &self.handle.shared;
        shared.check_open("set nameservers")?;
        let addresses: Vec<_> = addresses.into_iter().collect();
        let endpoints = builder::nameservers(&addresses, "set nameservers")?;
        tracing::info!(nameservers = ?endpoints, "other nameservers");
        shared.routes.nameservers().replace(endpoints);
        shared.forget_others();
        for topic in shared.routes.topics() {
            shared.routes.refresh_soon(&topic);
        }
        Ok(())
    }

    /// Asks the [`CredentialsProvider`](crate::CredentialsProvider) now, instead of when its keys are refused. Later requests are signed
    /// with what it gives; connections stay, and what is under way too. Without a provider it does nothing.
    ///
    /// # Errors
    ///
    /// Kind `Auth`, retryable: it gave no keys within the connect timeout; the former ones stay in use. Kind `Invalid`: what it gave can't be
    /// used. Kind `Closed`: the client is.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, the keys are those of before or those that were given.
    pub async fn refresh_credentials(&self) -> Result<()> {
        let shared = &self.handle.shared;
        shared.check_open("refresh credentials")?;
        shared.connections.refresh_keys("refresh credentials").await
    }

    /// Waits for sends under way, closes consumers, tells the brokers and ends all tasks. Calling it twice is harmless.
    ///
    /// # Errors
    ///
    /// The first of the sends that failed without anybody having heard of it; or that the offsets of a
    /// [broadcasting](ConsumerBuilder::broadcast) consumer that was still open could not be stored, kind `Invalid`.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, what was not yet closed ends when the last handle is dropped.
    pub async fn close(&self) -> Result<()> {
        let shared = &self.handle.shared;
        if shared.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let members = shared.groups.members();
        let ended = join_all(members.iter().map(|member| member.shutdown())).await;
        let ended: Result<()> = ended.into_iter().collect();
        let flushed = shared.groups.flush().await;
        shared.unregister_producers().await;
        shared.tasks.abort();
        flushed.and(ended)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("client_id", &self.handle.shared.client_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl Shared {
    /// How brokers know this client: `address@process#random`, unique to each client.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(crate) fn check_open(&self, operation: &'static str) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed(operation, "client"));
        }
        Ok(())
    }

    /// Nameservers, and the brokers of the known routes.
    pub(crate) fn known_endpoints(&self) -> BTreeSet<Endpoint> {
        let nameservers = self.routes.nameservers().endpoints();
        let brokers = self.routes.known_brokers();
        let brokers = brokers.into_values().flat_map(BTreeMap::into_values);
        nameservers.iter().cloned().chain(brokers).collect()
    }

    /// Connections to addresses that are no nameserver's and that no route names end when nothing is under way on them.
    pub(crate) fn forget_others(&self) {
        let known = self.known_endpoints();
        self.connections.keep_only(&known);
        self.board.keep_only(&known);
        self.turns.keep_only(&known);
    }
}

fn client_id(address: IpAddr) -> String {
    format!("{address}@{}#{:08x}", std::process::id(), fastrand::u32(..))
}
