//! One partition of a consumer: hands out one message at a time.
//!
//! ```text
//!  recv ─► a copy of what was settled? acknowledged ─► held ─► handed out ─► ack ─► the next
//!                                                       ▲           ├─ retry: after a pause ─┐
//!                                                       └───────────┴────────────────────────┘   used up: parked, confirmed ─► ack ─► the next
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytestring::ByteString;
use tokio::sync::{Mutex, OnceCell, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::delivery::OrderedDelivery;
use super::publisher::{KEY, NUMBER, PRODUCER};
use super::seen::Seen;
use crate::client::Client;
use crate::conn::now;
use crate::consumer::returns::{REASON, make_copy};
use crate::error::Result;
use crate::proto::Value;
use crate::{Acker, Consumer, Delivery, Publisher, Received, RetryPolicy};

pub(super) struct Lane {
    pub(super) consumer: Consumer,
    pub(super) client: Client,
    pub(super) policy: RetryPolicy,
    pub(super) closing: watch::Receiver<bool>,
    /// How many copies of what was settled were not handed out.
    pub(super) copies: AtomicU64,
    /// Locked by who has the message.
    pub(super) head: Arc<Mutex<Head>>,
    pub(super) parking: Parking,
}

/// Where messages go that nobody can handle; the publisher is made when it is first needed.
pub(super) struct Parking {
    pub(super) queue: ByteString,
    pub(super) publisher: Arc<OnceCell<Publisher>>,
}

/// What a lane holds, and what it has settled.
#[derive(Default)]
pub(super) struct Head {
    pub(super) held: Option<Held>,
    seen: Seen,
}

pub(super) struct Held {
    pub(super) received: Received,
    acker: Acker,
    /// Not handed out before.
    pub(super) pause_until: Option<Instant>,
    /// It is to be parked, for this reason.
    pub(super) given_up: Option<String>,
}

impl Head {
    /// What the broker delivers again, since its channel is gone, is not handed out a second time from here.
    fn let_go_of_stale(&mut self) {
        if self.held.as_ref().is_some_and(|held| held.acker.is_stale()) {
            self.held = None;
        }
    }

    /// Holds what has come; if it is a copy of what was settled, gives it back.
    fn take(&mut self, delivery: Delivery) -> Option<Acker> {
        let (mut received, acker) = delivery.into_parts();
        let known = origin(&received);
        if known.is_some_and(|(producer, number)| self.seen.contains(producer, number)) {
            return Some(acker);
        }
        if let Some(Value::Text(key)) = received.header(KEY) {
            let key = key.clone();
            received.set_routing_key(key);
        }
        self.held = Some(Held {
            received,
            acker,
            pause_until: None,
            given_up: None,
        });
        None
    }

    /// It is done with. Also if the broker can't be told: what it delivers again is a copy then.
    pub(super) async fn ack(&mut self) -> Result<()> {
        let Some(held) = self.held.take() else {
            return Ok(());
        };
        if let Some((producer, number)) = origin(&held.received) {
            self.seen.insert(producer, number);
        }
        held.acker.ack().await
    }
}

impl Lane {
    /// The next message; `None` when the consumer closes.
    ///
    /// Cancel safe: what is not handed out stays here.
    pub(super) async fn next(self: &Arc<Self>) -> Result<Option<OrderedDelivery>> {
        let mut closing = self.closing.clone();
        tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => Ok(None),
            found = self.find() => found,
        }
    }

    async fn find(self: &Arc<Self>) -> Result<Option<OrderedDelivery>> {
        loop {
            let mut head = Arc::clone(&self.head).lock_owned().await;
            head.let_go_of_stale();
            let Some(held) = &head.held else {
                let Some(delivery) = self.consumer.recv().await? else {
                    return Ok(None);
                };
                if let Some(copy) = head.take(delivery) {
                    self.copies.fetch_add(1, Ordering::Relaxed);
                    // It is recorded by the call; stale, it comes again and is known.
                    drop(copy.ack());
                }
                continue;
            };
            if let Some(at) = held.pause_until {
                sleep_until(at).await;
                if let Some(held) = &mut head.held {
                    held.pause_until = None;
                }
            } else if held.given_up.is_some() {
                if let Err(error) = self.park(&mut head).await {
                    tracing::warn!(%error, queue = self.consumer.queue(), "a message could not be parked; its partition waits");
                }
            } else {
                let received = held.received.clone();
                let delivery = OrderedDelivery::new(Arc::clone(self), head, received);
                return Ok(Some(delivery));
            }
        }
    }

    /// Puts what is held aside. Until that is confirmed, nothing that follows is handed out.
    pub(super) async fn park(&self, head: &mut Head) -> Result<()> {
        let Some(held) = &mut head.held else {
            return Ok(());
        };
        // Also if this is dropped on its way.
        held.pause_until = Some(now() + AGAIN);
        let received = &held.received;
        let mut message = received.message().clone();
        message.set_routing_key(self.parking.queue.clone());
        let properties = message.properties_mut();
        let (exchange, key) = (received.exchange().into(), received.routing_key().into());
        make_copy(properties, received.attempt(), exchange, key);
        let headers = properties.headers.get_or_insert_default();
        headers.insert(REASON, held.given_up.clone().unwrap_or_default());
        let made = self.parking.publisher.get_or_try_init(|| async {
            let publisher = self.client.publisher("");
            publisher.build().await
        });
        made.await?.send(message).await?;
        // Stale, it comes again as a copy.
        let _ = head.ack().await;
        Ok(())
    }

    /// Waits for who has the message, lets go of it, and closes the consumer, whose channel gives everything back at once.
    pub(super) async fn close(&self) {
        if let Ok(mut head) = timeout(PATIENCE, self.head.lock()).await {
            head.held = None;
        }
        self.consumer.close().await;
    }
}

/// Who numbered it, and how.
fn origin(received: &Received) -> Option<(&ByteString, u64)> {
    let Some(Value::Text(producer)) = received.header(PRODUCER) else {
        return None;
    };
    let number = received.header(NUMBER)?.as_i64()?;
    Some((producer, u64::try_from(number).ok()?))
}

/// Before a message is parked again that could not be.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a handler may take that runs when the consumer closes.
const PATIENCE: Duration = Duration::from_secs(5);
