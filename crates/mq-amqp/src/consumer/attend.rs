//! The task of a consumer: keeps it consuming.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use mq_core::{ErrorKind, Retry};
use tokio::sync::broadcast;
use tokio::time::{sleep, sleep_until, timeout};

use super::core::{Core, Phase};
use crate::client::{Client, Event};
use crate::conn::{Channel, Connection, Lane, Link, now};
use crate::error::{Error, Result};
use crate::proto::{BasicCancel, BasicConsume, BasicQos, Incoming, Method};
use crate::topology::Registry;

/// Begins to consume and leaves the rest to a task.
///
/// # Errors
///
/// What beginning answers.
pub(super) async fn start(
    client: &Client,
    core: &Arc<Core>,
    consume: BasicConsume,
    prefetch: u16,
) -> Result<()> {
    let attend = Attend {
        core: Arc::clone(core),
        registry: client.registry_of(),
        link: client.consuming().clone(),
        events: client.teller(),
        consume,
        prefetch,
    };
    let connection = attend.link.soon().await?;
    let open = attend.open(&connection).await?;
    begin(client, attend.run(open));
    Ok(())
}

/// Starts a task of the client.
pub(crate) fn begin(client: &Client, task: impl Future<Output = ()> + Send + 'static) {
    client.tasks().spawn(task);
}

struct Attend {
    core: Arc<Core>,
    registry: Arc<Registry>,
    link: Link,
    events: broadcast::Sender<Event>,
    consume: BasicConsume,
    prefetch: u16,
}

/// A channel on which messages come.
struct Open {
    channel: Channel,
    tag: ByteString,
}

impl Attend {
    async fn open(&self, connection: &Connection) -> Result<Open> {
        let lane: Arc<dyn Lane> = Arc::<Core>::clone(&self.core);
        let channel = Channel::open(connection, lane).await?;
        // Before anything can be delivered.
        self.core.begin(connection, channel.key());
        let qos = BasicQos {
            prefetch_size: 0,
            prefetch_count: self.prefetch,
            global: false,
        };
        channel.call(qos).await?;
        let mut consume = self.consume.clone();
        consume.queue = self.registry.present(&consume.queue);
        let begun = channel.call(consume).await;
        let begun = begun.map_err(|error| error.into_builder().operation("consume").build())?;
        let tag = match begun {
            Incoming::Method(Method::BasicConsumeOk(begun)) => begun.consumer_tag,
            _ => {
                return Err(Error::builder(
                    ErrorKind::Protocol,
                    "another answer than basic.consume-ok",
                )
                .build());
            }
        };
        Ok(Open { channel, tag })
    }

    async fn run(self, first: Open) {
        self.registry.consumer_begun(&self.consume.queue);
        self.serve_all(first).await;
        self.registry.consumer_ended(&self.consume.queue);
    }

    async fn serve_all(&self, first: Open) {
        let mut open = first;
        loop {
            self.serve(&open).await;
            if self.core.phase() != Phase::Running {
                return self.finish(open).await;
            }
            drop(open);
            match self.again().await {
                Ok(opened) => open = opened,
                Err(why) => {
                    self.core.end(why);
                    return;
                }
            }
        }
    }

    /// Until the channel is gone, the broker has cancelled the consumer, or it is to close.
    async fn serve(&self, open: &Open) {
        while self.core.phase() == Phase::Running && self.core.is_live(open.channel.key()) {
            let due = self.core.due(now());
            let pause = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.core.changed.notified() => {}
                () = self.core.earlier.notified() => {}
                () = pause => {}
            }
        }
    }

    /// Consumes again; gives up where that can't help.
    async fn again(&self) -> Result<Open, Option<Error>> {
        let (mut pause, mut told) = (SHORTEST, false);
        loop {
            let connection = tokio::select! {
                up = self.link.up() => up.map_err(|why| Some(why).filter(|why| why.kind() != ErrorKind::Closed))?,
                () = self.closing() => return Err(None),
            };
            let opening = tokio::select! {
                opening = self.open(&connection) => opening,
                () = self.closing() => return Err(None),
            };
            match opening {
                Ok(open) => return Ok(open),
                // What ended the whole connection may be another's doing.
                Err(error)
                    if error.retry() == Retry::Never
                        && error.code().is_some()
                        && !connection.is_gone() =>
                {
                    return Err(Some(error));
                }
                Err(error) => {
                    tracing::debug!(queue = %self.core.queue, %error, "could not consume again");
                    // With a connection lost all is made again, and that is told by itself.
                    if !connection.is_gone() && !std::mem::replace(&mut told, true) {
                        self.tell(error);
                    }
                }
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST),
                () = self.closing() => return Err(None),
            }
        }
    }

    /// Nobody else would: the consumer lives, and nothing comes.
    fn tell(&self, error: Error) {
        let what = format!("consumer of queue \"{}\"", self.core.queue);
        tracing::warn!(%what, %error, "not restored yet");
        // Nobody has to listen.
        drop(self.events.send(Event::NotRestored { what, error }));
    }

    async fn closing(&self) {
        while self.core.phase() == Phase::Running {
            self.core.changed.notified().await;
        }
    }

    /// Nothing more is to come: what is held may still be settled for a while.
    async fn finish(&self, open: Open) {
        let cancel = BasicCancel {
            consumer_tag: open.tag,
            nowait: false,
        };
        let ending = async {
            // Cancelled, the queue's next consumer would get what follows while this one still holds what is before it.
            if !self.core.in_order {
                let _ = open.channel.call(cancel).await;
            }
            self.core.all_settled().await;
        };
        let _ = timeout(PATIENCE, ending).await;
        // What was settled is written before the channel is closed; what was not goes back to the queue.
        // It is closed also where the answer is not waited for any more.
        let _ = timeout(ANSWER, open.channel.close()).await;
        self.core.end(None);
    }
}

/// How long a consumer that closes waits for what it has handed out.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits for the server to say that the channel is closed.
const ANSWER: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
