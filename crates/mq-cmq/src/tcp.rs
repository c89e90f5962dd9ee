//! CMQ over TCP: the same queues, topics and consumers, and transactions, which CMQ has nowhere else.
//!
//! ```text
//!  send, receive, delete, publish ─► Shared::ask ─► route of the queue or topic (HTTP, at the name server; kept) ─► gateway ─► packet
//!  management                     ─► Shared::ask ─► HTTP
//!  gateway asks about a half message ─► Checkers ─► the queue's checker ─► confirm
//! ```

mod builder;
mod checkers;
mod prepared;
mod transaction;

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub use self::builder::TcpClientBuilder;
pub(crate) use self::checkers::Checkers;
pub use self::checkers::{Pending, Verdict};
pub use self::prepared::Prepared;
pub use self::transaction::{Begin, TransactError, TransactionalProducer};
use crate::client::Client;
use crate::error::{Result, refused};
use crate::ordered::Ordered;
use crate::proto::limits;
use crate::queue::Queue;
use crate::topic::Topic;

/// A client that speaks CMQ's TCP protocol, with the name server's HTTP for routes and management. Cheap to clone; all clones share its
/// connections, one to each gateway, on which many requests are under way at a time.
///
/// Which gateways serve a queue or topic is asked for when it is first used, and again when one fails; a connection that breaks is made
/// again, with jittered pauses, and authenticates again. Consumers go on by themselves.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use mq_cmq::TcpClient;
///
/// let client = TcpClient::from_url("cmq+tcp://AKIDxxx:key@127.0.0.1:8080")?.build()?;
/// let orders = client.queue("orders")?.visibility(Duration::from_secs(120))?;
/// orders.send("hello").await?;
/// if let Some(message) = orders.receive(Duration::from_secs(10)).await? {
///     orders.delete(message.handle()).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TcpClient {
    client: Client,
    checkers: Arc<Checkers>,
}

impl TcpClient {
    /// Starts a client from `cmq+tcp://id:key@host[:port][?option=value&…]`, the address of the name server, which speaks HTTP; the port is 80
    /// if none is given. Options: those of [`Client::from_url`], and `gateway=host:port`, see [`TcpClientBuilder::gateways`].
    ///
    /// # Errors
    ///
    /// As for [`Client::from_url`].
    pub fn from_url(url: &str) -> Result<TcpClientBuilder> {
        TcpClientBuilder::from_url(url)
    }

    /// A handle of the queue `name`; nothing is sent.
    ///
    /// # Errors
    ///
    /// As for [`Client::queue`].
    pub fn queue(&self, name: &str) -> Result<TcpQueue> {
        self.client.queue(name).map(TcpQueue)
    }

    /// A handle of the topic `name`; nothing is sent.
    ///
    /// # Errors
    ///
    /// As for [`Client::topic`].
    pub fn topic(&self, name: &str) -> Result<Topic> {
        self.client.topic(name)
    }

    /// As [`Client::ordered`].
    ///
    /// # Errors
    ///
    /// As for [`Client::ordered`].
    pub fn ordered(&self, name: &str, shards: usize) -> Result<Ordered> {
        self.client.ordered(name, shards)
    }

    /// Begins transactions on a queue that is a transactional one, and answers the server's questions about them by `checker`, also about those
    /// of a former life of this program. See [`TransactionalProducer`].
    ///
    /// At most 64 checkers run at a time, further questions wait for their turn; one that takes more than 10 s is dropped, and its answer counts as
    /// [`Verdict::Unknown`]. A queue has one checker in a client; a later one takes its place. Tasks of the client connect to the queue's gateways from now on, and stay
    /// connected.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: as for [`Client::queue`].
    pub fn transactional<F, Fut>(&self, queue: &str, checker: F) -> Result<TransactionalProducer>
    where
        F: Fn(Pending) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Verdict> + Send + 'static,
    {
        let queue = self.client.queue(queue)?;
        Ok(TransactionalProducer::new(&self.checkers, queue, checker))
    }

    /// The same client for what takes a [`Client`]: its handles speak TCP where they can, and management goes over HTTP.
    pub const fn as_client(&self) -> &Client {
        &self.client
    }

    /// As [`Client::close`].
    pub fn close(&self) {
        self.client.close();
    }
}

impl fmt::Debug for TcpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpClient")
            .field("name_server", &self.client)
            .finish_non_exhaustive()
    }
}

/// A queue over TCP: everything that a [`Queue`] is, and a visibility timeout of its own. Made by [`TcpClient::queue`].
#[derive(Debug, Clone)]
pub struct TcpQueue(Queue);

impl TcpQueue {
    /// Messages that this handle receives are invisible to others for so long, in whole seconds rounded up, whatever the queue was told. The
    /// consumers that are made from it reckon with it.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: not 1 s to 12 h.
    // tencentyun/cmq-java-tcp-sdk, cmq.proto: cmq_tcp_pull_msg_req.visible_timeout; the SDK itself does not offer it
    pub fn visibility(self, timeout: Duration) -> Result<Self> {
        let seconds = limits::visibility_seconds(timeout);
        let seconds = seconds.map_err(|refusal| refused("visibility", refusal))?;
        Ok(Self(self.0.leased(seconds)))
    }
}

impl Deref for TcpQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.0
    }
}

#[cfg(test)]
mod tests;
