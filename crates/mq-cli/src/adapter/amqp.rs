//! AMQP 0-9-1 behind the common face.
//!
//! ```text
//!  QUEUE                   a queue, by the default exchange
//!  EXCHANGE/ROUTING.KEY    an exchange: only to send
//!  /QUEUE                  a queue whose name has a / in it
//! ```

mod place;
mod properties;
mod receive;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use futures_util::{Stream, StreamExt as _};
use mq_amqp::{Client, ClientBuilder, Error as AmqpError, ErrorKind, Message, Publisher, Queue};
use mq_core::{Clock as _, SystemClock};
use tokio::sync::OnceCell;

use self::place::Place;
pub(super) use self::receive::{recv, settle};
use super::{
    Error, Failed, Features, Options, Outgoing, QueueReady, Result, Sent, Unchanged, When,
};

/// A client of AMQP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Amqp {
    client: Client,
    /// One an exchange, made when it is first needed.
    publishers: Publishers,
    options: Arc<Options>,
}

type Publishers = Arc<Mutex<BTreeMap<String, Arc<OnceCell<Publisher>>>>>;

pub(super) const FEATURES: Features = Features {
    tags: false,
    sql_filter: false,
    retry_after: true,
    dead_letter: true,
    groups: false,
    from_earliest: true,
    compression: false,
    ordered: false,
    transactional: false,
    scheduled: false,
    cancel: false,
    exact_times: false,
    keys: false,
    properties: true,
    binary: true,
    large: true,
    release: false,
};

impl Amqp {
    pub(super) async fn connect(builder: ClientBuilder, options: Options) -> Result<Self> {
        Ok(Self {
            client: builder.connect().await?,
            publishers: Arc::default(),
            options: Arc::new(options),
        })
    }

    /// The protocol's own client, for what goes beyond the common face.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    pub(super) async fn send(&self, message: Outgoing) -> Result<Sent, Failed> {
        let (publisher, place, ready) = match self.ready(&message).await {
            Ok(ready) => ready,
            Err(error) => {
                return Err(Failed {
                    error,
                    message: Box::new(message),
                    id: None,
                });
            }
        };
        match publisher.send(ready).await {
            Ok(receipt) => Ok(Sent {
                id: receipt.unique_id().to_owned(),
                topic: message.destination,
                // Into which queues an exchange has led it, the broker does not say.
                queue: place.into_queue().unwrap_or_default(),
                offset: None,
                durable: true,
                handle: None,
                at_once: false,
            }),
            Err(failed) => Err(Failed {
                id: failed.message.message_id().map(str::to_owned),
                error: failed.error.into(),
                message: Box::new(message),
            }),
        }
    }

    /// By whom a message is sent, and as what.
    async fn ready(&self, message: &Outgoing) -> Result<(Publisher, Place, Message)> {
        check(message)?;
        let place = Place::parse(&message.destination)?;
        let publisher = self.publisher(place.exchange()).await?;
        let mut ready = Message::new(place.routing_key().to_owned(), message.body.clone())
            .timestamp(SystemClock.wall());
        for (name, value) in message.properties.iter() {
            ready = ready.header(name.to_owned(), value.to_owned());
        }
        Ok((publisher, place, ready))
    }

    async fn publisher(&self, exchange: &str) -> Result<Publisher> {
        // All who wait for it go on together, and so in their order.
        let cell = Arc::clone(self.publishers().entry(exchange.to_owned()).or_default());
        let made = cell.get_or_try_init(|| async {
            let options = &self.options;
            let mut builder = self.client.publisher(exchange.to_owned());
            builder = builder.window(options.max_in_flight);
            if let Some(timeout) = options.send_timeout {
                builder = builder.timeout(timeout);
            }
            builder.build().await
        });
        Ok(made.await?.clone())
    }

    fn publishers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<OnceCell<Publisher>>>> {
        self.publishers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One by one, as the protocol has it, and all under way together.
    pub(super) async fn send_batch(&self, messages: Vec<Outgoing>) -> Vec<Result<Sent, Failed>> {
        join_all(messages.into_iter().map(|message| self.send(message))).await
    }

    /// As many at a time as the options say; results in the order of the input.
    pub(super) fn send_all<S>(
        &self,
        messages: S,
    ) -> impl Stream<Item = Result<Sent, Failed>> + Send + use<S>
    where
        S: Stream<Item = Outgoing> + Send + 'static,
    {
        let this = self.clone();
        let most = this.options.max_in_flight;
        let sends = messages.map(move |message| {
            let this = this.clone();
            async move { this.send(message).await }
        });
        sends.buffered(most)
    }

    pub(super) async fn describe(&self, name: &str) -> Result<QueueReady> {
        let queue = Place::queue(name)?;
        let told = self.client.queue(&queue).await?;
        Ok(QueueReady {
            queue: told.name,
            visible: told.messages,
            consumers: told.consumers,
        })
    }

    /// Says what was made.
    pub(super) async fn create_topic(
        &self,
        name: &str,
        queues: Option<u32>,
    ) -> Result<Vec<String>, Unchanged> {
        if queues.is_some() {
            return Err(unchanged(invalid("an AMQP queue is one queue")));
        }
        let queue = Place::queue(name).map_err(unchanged)?;
        self.client
            .declare_queue(Queue::classic(queue.clone()))
            .await?;
        Ok(vec![queue])
    }

    /// Says what is gone.
    pub(super) async fn delete_topic(&self, name: &str) -> Result<Vec<String>, Unchanged> {
        let queue = Place::queue(name).map_err(unchanged)?;
        // To delete what is not there is no error of the broker's, and looks like a mistyped name.
        let there = self.client.queue(&queue).await;
        there.map_err(|error| error.into_builder().operation("delete queue").build())?;
        self.client.delete_queue(&queue).await?;
        Ok(vec![queue])
    }

    pub(super) async fn close(&self) -> Result<()> {
        let made: Vec<_> = self.publishers().values().map(Arc::clone).collect();
        let mut first = Ok(());
        for publisher in made.iter().filter_map(|cell| cell.get()) {
            if let Err(unheard) = publisher.flush().await {
                let failed = unheard.last.into_iter().next();
                first = first.and(failed.map_or(Ok(()), |failed| Err(failed.error.into())));
            }
        }
        self.client.close().await;
        first
    }
}

/// What AMQP's messages don't have, refused.
fn check(message: &Outgoing) -> Result<()> {
    if message.key.is_some() {
        return Err(unsupported("AMQP's messages have no keys"));
    }
    if message.tag.is_some() {
        return Err(unsupported("AMQP's messages have no tags"));
    }
    if message.ordering_key.is_some() {
        return Err(unsupported(NO_ORDER));
    }
    match message.when {
        Some(When::At(_) | When::After(_) | When::Level(_)) => Err(no_schedule()),
        None => Ok(()),
    }
}

pub(super) fn no_transactions(message: Outgoing) -> Failed {
    Failed {
        error: unsupported("this version has no transactions over AMQP"),
        message: Box::new(message),
        id: None,
    }
}

pub(super) fn no_schedule() -> Error {
    unsupported("this version schedules nothing over AMQP")
}

pub(super) fn no_groups() -> Error {
    unsupported("AMQP has no consumer groups")
}

pub(super) fn no_list() -> Error {
    unsupported("AMQP can't list queues")
}

fn unsupported(told: &str) -> Error {
    AmqpError::builder(ErrorKind::Unsupported, told)
        .build()
        .into()
}

fn invalid(told: &str) -> Error {
    AmqpError::builder(ErrorKind::Invalid, told).build().into()
}

pub(super) fn unchanged(error: Error) -> Unchanged {
    Unchanged {
        error,
        partial: false,
    }
}

const NO_ORDER: &str = "this version keeps no order of keys over AMQP";
