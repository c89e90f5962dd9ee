//! The client: one identity at one endpoint, and how a request becomes an answer.
//!
//! ```text
//!  action ─► sign, encode ─► Pool ─► answer ─► envelope ─► reply
//!              ▲                       ├ throttled (4420, 4480), or nothing had left: pause, again
//!              └───────────────────────┴ unknown: again only where that was asked for
//! ```

mod again;
mod attempt;
mod builder;
mod carrier;
mod packet;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mq_core::{Clock, ErrorKind, Outcome};

pub(crate) use self::again::{LONGEST, Patience, pauses};
pub use self::builder::ClientBuilder;
pub(crate) use self::builder::{default_port, host_header};
pub(crate) use self::carrier::Carrier;
use crate::auth::Signer;
use crate::conn::{Pool, Tasks};
use crate::error::{Error, Result};
use crate::proto::action::StoredBatch;
use crate::proto::tcp::Packet;
use crate::proto::{Action, Envelope, HttpMethod, answer};
use crate::queue::Queue;
use crate::topic::Topic;

/// A client of one CMQ endpoint over HTTP. Cheap to clone; all clones share its connections.
///
/// When the last clone and the last handle are dropped, the connections end with them: requests under way end as `Unknown`.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use mq_cmq::Client;
///
/// let client = Client::from_url("cmq+http://AKIDxxx:key@127.0.0.1:8080")?.build()?;
/// let queue = client.queue("orders")?;
/// queue.send("hello").await?;
/// if let Some(message) = queue.receive(Duration::from_secs(10)).await? {
///     println!("{}", message.body());
///     queue.delete(message.handle()).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What all handles of one client have in common.
pub(crate) struct Shared {
    pool: Pool,
    /// Where what can be goes over TCP.
    carrier: Option<Carrier>,
    signer: Signer,
    method: HttpMethod,
    https: bool,
    /// The `Host` header, and the name of the endpoint in errors.
    host: String,
    path: String,
    region: Option<String>,
    timeout: Duration,
    attempts: u32,
    resend_unknown: bool,
    pub(crate) batch_bytes: usize,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Client {
    /// Starts a client by hand; [`Client::from_url`] is shorter.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Starts a client from `cmq+http://id:key@host[:port][/path][?option=value&…]` or `cmq+https://…`.
    ///
    /// The port is 80 or 443 if none is given, the path `/v2/index.php`. Options: `signature=sha1|sha256`, `method=post|get`,
    /// `region=…`. The token of a temporary key is a secret that changes: see [`Credentials::token`](crate::Credentials::token).
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the URL can't be read, names another scheme, several hosts or an unknown option. Not retryable. The key is never part of an
    /// error.
    pub fn from_url(url: &str) -> Result<ClientBuilder> {
        ClientBuilder::from_url(url)
    }

    /// A handle of the queue `name`; nothing is sent.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, [`ErrorCode::QUEUE_NAME_FORMAT`](crate::ErrorCode::QUEUE_NAME_FORMAT): not a letter and then letters, digits, `-` and
    /// `_`, up to 64 of them.
    pub fn queue(&self, name: &str) -> Result<Queue> {
        Queue::new(Arc::clone(&self.shared), name)
    }

    /// A handle of the topic `name`; nothing is sent.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, [`ErrorCode::TOPIC_NAME_FORMAT`](crate::ErrorCode::TOPIC_NAME_FORMAT): as for [`Client::queue`].
    pub fn topic(&self, name: &str) -> Result<Topic> {
        Topic::new(Arc::clone(&self.shared), name)
    }

    pub(crate) const fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Closes all connections. Requests under way end as `Unknown`, later ones with kind `Closed`.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.host)
            .field("secret_id", &self.signer.secret_id)
            .finish_non_exhaustive()
    }
}

/// What governs one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// In errors.
    pub(crate) operation: &'static str,
    /// All attempts together; the client's if not given.
    pub(crate) timeout: Option<Duration>,
    /// How long the service may take on purpose.
    pub(crate) wait: Duration,
    /// Whether to send again what may have arrived; as the client does if not given.
    pub(crate) resend_unknown: Option<bool>,
}

impl Call {
    pub(crate) const fn new(operation: &'static str) -> Self {
        Self {
            operation,
            timeout: None,
            wait: Duration::ZERO,
            resend_unknown: None,
        }
    }

    pub(crate) const fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

/// An answer with code 0, or one of the action's [`Action::ANSWERS`].
pub(crate) struct Answered {
    pub(crate) envelope: Envelope,
    body: Body,
    /// When the attempt began that was answered.
    pub(crate) begun: Instant,
    /// An earlier attempt may have been applied.
    pub(crate) unsure: bool,
}

enum Body {
    Json(Bytes),
    Packet(Box<Packet>),
}

impl Shared {
    /// Asks, and reads the reply.
    pub(crate) async fn call<A: Action + Sync>(&self, action: &A, call: Call) -> Result<A::Reply> {
        let answered = self.ask(action, call).await?;
        self.reply::<A>(&answered, call.operation)
    }

    /// Asks, again where that is right.
    pub(crate) async fn ask<A: Action + Sync>(&self, action: &A, call: Call) -> Result<Answered> {
        let timeout = call.timeout.unwrap_or(self.timeout);
        let deadline = self.clock.now() + timeout.saturating_add(call.wait).min(LONGEST);
        let patience = Patience {
            action: A::NAME,
            endpoint: &self.host,
            clock: &*self.clock,
            deadline,
            attempts: self.attempts,
        };
        let attempt = || self.attempt(action, call.operation, deadline);
        let is_worth_it = |error: &Error| self.is_worth_it(error, call);
        let (answered, unsure) = patience.ask(attempt, is_worth_it).await?;
        Ok(Answered { unsure, ..answered })
    }

    /// The reply of an answer.
    pub(crate) fn reply<A: Action>(
        &self,
        answered: &Answered,
        operation: &'static str,
    ) -> Result<A::Reply> {
        let lacking = || self.not_the_protocol(operation, "the answer lacks what belongs to it");
        match &answered.body {
            Body::Json(json) => {
                answer::parse(json).map_err(|cause| lacking().source(cause).build())
            }
            Body::Packet(packet) => A::unpack(packet).ok_or_else(|| lacking().build()),
        }
    }

    /// The ids of a batch, one a message.
    pub(crate) fn ids(
        &self,
        stored: StoredBatch,
        count: usize,
        operation: &'static str,
    ) -> Result<Vec<String>> {
        let ids: Vec<_> = stored.ids.into_iter().map(|one| one.id).collect();
        if ids.len() == count {
            return Ok(ids);
        }
        let message = format!("{} ids for {count} messages", ids.len());
        Err(self.not_the_protocol(operation, &message).build())
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.host
    }

    /// How long a call may take that says nothing else.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Tasks that end with the client.
    pub(crate) const fn tasks(&self) -> &Tasks {
        self.pool.tasks()
    }

    fn close(&self) {
        self.pool.close();
        if let Some(carrier) = &self.carrier {
            carrier.close();
        }
    }

    fn is_worth_it(&self, error: &Error, call: Call) -> bool {
        match error.outcome() {
            Outcome::Rejected => error.code().is_some_and(|code| code.is_throttling()),
            // Disconnected: from the name server, before there was a gateway to send it to.
            Outcome::NotSent => {
                matches!(error.kind(), ErrorKind::Connect | ErrorKind::Disconnected)
            }
            _ => call.resend_unknown.unwrap_or(self.resend_unknown),
        }
    }

    fn seconds(&self) -> u64 {
        u64::try_from(self.clock.wall_ms() / 1000).unwrap_or_default()
    }
}
