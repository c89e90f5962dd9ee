//! The client: what its connections share.

mod builder;
mod events;

use std::fmt;
use std::sync::Arc;

use bytestring::ByteString;
use futures_util::FutureExt as _;
use mq_core::{Propagator, Secret};
use tokio::sync::{Mutex, broadcast};
use tracing::Span;

pub use self::builder::ClientBuilder;
pub use self::events::{Event, Events, Role};
use crate::conn::{Link, Options, Replay, Tasks};
use crate::consumer::{ConsumerBuilder, Received};
use crate::error::{Result, closed};
use crate::ordered::OrderedTopicBuilder;
use crate::proto::{ConnectionUpdateSecret, Hidden};
use crate::publisher::PublisherBuilder;
use crate::rpc::RpcClient;
use crate::scheduled::SchedulerBuilder;
use crate::topology::{Registry, replay};
use crate::trace;
use crate::tx::TxChannelBuilder;

/// A client of one virtual host. Cheap to clone; all clones share its connections: one to publish on, made with the first publisher, and one
/// for everything else, so that a broker which blocks publishers does not stop consumers.
///
/// When the last clone is dropped, with everything made of it, its connections are cut; [`close`](Self::close) ends them well.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use mq_amqp::{Client, Message};
///
/// let client = Client::from_url("amqp://guest:guest@127.0.0.1:5672/%2f")?.connect().await?;
/// let publisher = client.publisher("").build().await?;
/// publisher.send(Message::new("orders", "hello")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    options: Arc<Options>,
    tasks: Arc<Tasks>,
    events: broadcast::Sender<Event>,
    consuming: Link,
    publishing: Mutex<Option<Link>>,
    registry: Arc<Registry>,
    closed: std::sync::atomic::AtomicBool,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

impl Client {
    /// Options from `amqp://user:password@host[:port][,host…]/vhost[?option=value&…]`, or `amqps://`. See [`ClientBuilder::from_url`].
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::from_url`].
    pub fn from_url(url: &str) -> Result<ClientBuilder> {
        ClientBuilder::from_url(url)
    }

    /// Options with nothing in them but defaults: `guest` at `localhost:5672`, virtual host `/`.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    async fn connect(options: Options) -> Result<Self> {
        Self::over(Arc::new(options)).await
    }

    /// A client of its own with the same options, for what may cost a connection.
    pub(crate) async fn another(&self) -> Result<Self> {
        Self::over(Arc::clone(&self.shared.options)).await
    }

    async fn over(options: Arc<Options>) -> Result<Self> {
        let tasks = Arc::new(Tasks::of_this_runtime());
        let events = broadcast::Sender::new(events::KEPT);
        let registry = Arc::new(Registry::default());
        let observer = events::observer(events.clone());
        let replay = replayer(&registry, &events, true);
        let consuming = Link::connect(CONSUMING, &options, &tasks, observer, replay).await?;
        Ok(Self {
            shared: Arc::new(Shared {
                options,
                tasks,
                events,
                consuming,
                publishing: Mutex::default(),
                registry,
                closed: false.into(),
            }),
        })
    }

    /// Options of a publisher to an exchange; the default one, which leads to the queue that the routing key names, has no name.
    pub fn publisher(&self, exchange: impl Into<ByteString>) -> PublisherBuilder {
        PublisherBuilder::new(self.clone(), exchange.into())
    }

    /// Opens a channel for requests whose answers are awaited, sent to an exchange; the default one, which leads to the queue that the routing key
    /// names, has no name.
    ///
    /// Cancel safe, as [`PublisherBuilder::build`].
    ///
    /// # Errors
    ///
    /// As [`PublisherBuilder::build`].
    pub async fn rpc(&self, exchange: impl Into<ByteString>) -> Result<RpcClient> {
        RpcClient::open(self.clone(), exchange.into()).await
    }

    /// Options of an ordered topic: messages with the same key are received in the order in which they were sent.
    pub fn ordered_topic(&self, name: impl Into<ByteString>) -> OrderedTopicBuilder {
        OrderedTopicBuilder::new(self.clone(), name.into())
    }

    /// Options of a consumer of a queue.
    pub fn consumer(&self, queue: impl Into<ByteString>) -> ConsumerBuilder {
        ConsumerBuilder::new(self.clone(), queue.into())
    }

    /// Options of what delivers messages later.
    pub fn scheduler(&self) -> SchedulerBuilder {
        SchedulerBuilder::new(self.clone())
    }

    /// Options of a channel whose publishes, and decisions over what it receives, are committed together.
    pub fn tx_channel(&self) -> TxChannelBuilder {
        TxChannelBuilder::new(self.clone())
    }

    pub(crate) fn teller(&self) -> broadcast::Sender<Event> {
        self.shared.events.clone()
    }

    /// What happens to the connections, from now on. Who does not read for long misses some.
    pub fn events(&self) -> Events {
        Events::new(self.shared.events.subscribe())
    }

    /// Gives the server a new password or token before the old one expires; connections that are made from then on use it too. One that the server
    /// does not take is not kept: it closes the connection, which is made again with the old one.
    ///
    /// Cancel safe: the new one is kept as soon as the server has taken it on one connection. Called again, it is given to all of them.
    ///
    /// # Errors
    ///
    /// What a server says that does not take it, or has no such thing. After `Timeout` and `Disconnected` the server may have taken it: call again.
    pub async fn update_secret(&self, secret: Secret) -> Result<()> {
        give_secret(&self.shared.consuming, &secret).await?;
        // Not before, since a reconnect with what the server refuses would be the last one.
        self.shared.options.set_secret(secret.clone());
        let publishing = self.shared.publishing.lock().await.clone();
        match publishing {
            Some(link) => give_secret(&link, &secret).await,
            None => Ok(()),
        }
    }

    /// Ties a span to who sent a message, by the [`propagator`](ClientBuilder::propagator); for those who receive by
    /// [`recv`](crate::Consumer::recv) and have a span of their own. To be called before the span is entered.
    pub fn continue_trace(&self, span: &Span, received: &Received) {
        if let Some(propagator) = self.propagator() {
            trace::extract(propagator, span, received.message().properties(), 1);
        }
    }

    /// Ends the connections well. What is under way on publishers is not waited for: flush or close them before.
    ///
    /// Cancel safe, but not undone: from the first poll on no publisher is made, and a connection whose turn has come ends by itself. Called again, it
    /// ends the others.
    pub async fn close(&self) {
        self.shared
            .closed
            .store(true, std::sync::atomic::Ordering::Release);
        let publishing = self.shared.publishing.lock().await.clone();
        if let Some(link) = publishing {
            link.close().await;
        }
        self.shared.consuming.close().await;
    }

    /// The publishing connection, made when it is first needed.
    pub(crate) async fn publishing(&self) -> Result<Link> {
        let mut publishing = self.shared.publishing.lock().await;
        if self
            .shared
            .closed
            .load(std::sync::atomic::Ordering::Acquire)
        {
            return Err(closed("connect", "client"));
        }
        if let Some(link) = &*publishing {
            return Ok(link.clone());
        }
        let observer = events::observer(self.shared.events.clone());
        // Exclusive queues are the other connection's.
        let replay = replayer(&self.shared.registry, &self.shared.events, false);
        let link = Link::connect(
            PUBLISHING,
            &self.shared.options,
            &self.shared.tasks,
            observer,
            replay,
        )
        .await?;
        *publishing = Some(link.clone());
        Ok(link)
    }

    pub(crate) fn propagator(&self) -> Option<&dyn Propagator> {
        self.shared.options.propagator.as_deref()
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    pub(crate) fn registry_of(&self) -> Arc<Registry> {
        Arc::clone(&self.shared.registry)
    }

    pub(crate) fn consuming(&self) -> &Link {
        &self.shared.consuming
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.shared.tasks
    }
}

async fn give_secret(link: &Link, secret: &Secret) -> Result<()> {
    let method = ConnectionUpdateSecret {
        new_secret: Hidden(secret.expose().to_owned().into()),
        reason: ByteString::from_static("renewed"),
    };
    link.soon().await?.call(method).await.map(drop)
}

fn replayer(registry: &Arc<Registry>, events: &broadcast::Sender<Event>, own: bool) -> Replay {
    let (registry, events) = (Arc::clone(registry), events.clone());
    Arc::new(move |connection| {
        let (registry, events) = (Arc::clone(&registry), events.clone());
        async move {
            // Nobody has to listen.
            let tell = |happened| drop(events.send(Event::from(happened)));
            replay(&registry, &connection, own, tell).await
        }
        .boxed()
    })
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("hosts", &self.shared.options.endpoints)
            .field("vhost", &self.shared.options.vhost)
            .finish_non_exhaustive()
    }
}

const CONSUMING: &str = "consuming";
const PUBLISHING: &str = "publishing";
