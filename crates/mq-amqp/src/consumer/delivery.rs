//! A message that has come, and what becomes of it.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::core::Arrival;
use super::ledger::Decision;
use super::{Shared, retry, returns};
use crate::Message;
use crate::error::{Result, closed, invalid};
use crate::proto::{BasicDeliver, Content, Properties, Value};
use crate::scheduled::arrived;

/// What a handler decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settle {
    /// Done with it.
    Ack,
    /// It is to come again, after the pause that the consumer's retry policy has for its attempt; when its attempts are used up it is dead-lettered.
    Retry,
    /// It is to come again after this time.
    RetryAfter(Duration),
    /// Nobody can handle it: to the parking queue if the consumer has one, else refused, which the queue may dead-letter. Of a stream it is passed over.
    DeadLetter,
    /// Back to the queue, for any consumer, and not because of the message. A stream takes nothing back: this consumer hands it out again.
    Release,
}

/// A message that has come, without what settles it. What handlers get.
#[derive(Clone)]
pub struct Received {
    message: Message,
    exchange: ByteString,
    redelivered: bool,
    attempt: u32,
    undecoded: Option<String>,
    scheduled_for: Option<SystemTime>,
}

impl Received {
    pub(crate) fn new(arrival: &Arrival) -> Self {
        let (mut properties, undecoded) =
            match Properties::decode(arrival.content.properties.clone()) {
                Ok(properties) => (properties, None),
                Err(malformed) => (Properties::default(), Some(malformed.to_string())),
            };
        let (exchange, key) = returns::origin(arrival, &properties);
        returns::restore(&mut properties);
        let scheduled_for = arrived::clean(&mut properties, &arrival.deliver.exchange);
        Self {
            attempt: attempt(arrival, &properties),
            message: Message::from_parts(key, properties, arrival.content.body.clone()),
            exchange,
            redelivered: arrival.deliver.redelivered,
            undecoded,
            scheduled_for,
        }
    }

    /// An answer to a request.
    pub(crate) fn reply_of(deliver: BasicDeliver, content: Content) -> Self {
        Self::new(&Arrival::new(deliver, content))
    }

    /// An answer to this request, to be sent by a publisher to the default exchange; `None` if no answer is waited for.
    ///
    /// ```no_run
    /// # async fn run(client: mq_amqp::Client, request: mq_amqp::Received) -> Result<(), Box<dyn std::error::Error>> {
    /// let answers = client.publisher("").mandatory(false).build().await?;
    /// if let Some(answer) = request.reply("42") {
    ///     answers.send(answer).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn reply(&self, body: impl Into<Bytes>) -> Option<Message> {
        let properties = self.message.properties();
        let answer = Message::new(properties.reply_to.clone()?, body).transient();
        Some(match &properties.correlation_id {
            Some(id) => answer.correlation_id(id.clone()),
            None => answer,
        })
    }

    /// The message.
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// The body.
    pub const fn body(&self) -> &Bytes {
        self.message.body()
    }

    /// The body as text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.body()).ok()
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: what is wrong with it, without its content.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.body()).map_err(|cause| {
            let what = match cause.classify() {
                serde_json::error::Category::Data => "JSON of another shape than expected",
                _ => "no JSON",
            };
            let place = format!(
                "the body is {what} (line {}, column {})",
                cause.line(),
                cause.column()
            );
            invalid("json", place)
        })
    }

    /// The key that it was published with.
    pub fn routing_key(&self) -> &str {
        self.message.routing_key()
    }

    /// The exchange that it was published to; the default one has no name.
    pub fn exchange(&self) -> &str {
        &self.exchange
    }

    /// The id that its publisher gave it; the same if it comes twice.
    pub fn unique_id(&self) -> Option<&str> {
        self.message.message_id()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.message.properties().headers.as_ref()?.get(name)
    }

    /// Whether the broker has delivered it before, to whomever.
    pub const fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Which attempt it is, from 1 on, as far as that is known: quorum queues count, classic ones say only whether it is the first.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Shows another key than that of the wire.
    pub(crate) fn set_routing_key(&mut self, key: ByteString) {
        self.message.set_routing_key(key);
    }

    /// It is handed out once more.
    pub(crate) const fn count_attempt(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
    }

    /// The time for which a [`Scheduler`](crate::Scheduler) was given it, in whole milliseconds; `None` if it was not scheduled by one.
    pub const fn scheduled_for(&self) -> Option<SystemTime> {
        self.scheduled_for
    }

    /// What is wrong with its properties, if they can't be read; they are empty then.
    pub fn undecoded(&self) -> Option<&str> {
        self.undecoded.as_deref()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("message", &self.message)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// A message that has come, and what settles it. Dropped without that, it goes back to its queue.
#[derive(Debug)]
#[must_use = "dropped without being settled, it is delivered again"]
pub struct Delivery {
    received: Received,
    acker: Acker,
}

impl Delivery {
    pub(super) fn new(shared: Arc<Shared>, arrival: Arrival) -> Self {
        let mut received = Received::new(&arrival);
        arrived::explain(&mut received.message, &shared.core.queue);
        Self {
            received,
            acker: Acker {
                shared,
                arrival: Some(Box::new(arrival)),
            },
        }
    }

    /// Done with it. See [`Acker::settle`].
    pub fn ack(self) -> Settling {
        self.acker.settle(Settle::Ack)
    }

    /// Settles it. See [`Acker::settle`].
    pub fn settle(self, decision: Settle) -> Settling {
        self.acker.settle(decision)
    }

    /// The message, and what it is settled by later, from any task.
    pub fn into_parts(self) -> (Received, Acker) {
        (self.received, self.acker)
    }
}

impl Deref for Delivery {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

pub(super) fn attempt(arrival: &Arrival, properties: &Properties) -> u32 {
    let headers = properties.headers.as_ref();
    let counted = |name| headers.and_then(|headers| headers.get(name)?.as_i64());
    let before = counted(DELIVERY_COUNT)
        .into_iter()
        .chain(counted(returns::ATTEMPTS))
        .max();
    let before = before.and_then(|count| u32::try_from(count).ok());
    let before = before.unwrap_or_else(|| arrival.deliver.redelivered.into());
    before.saturating_add(arrival.handed).saturating_add(1)
}

/// What a delivery is settled by, once, from any task. Dropped without that, the message goes back to its queue.
#[must_use = "dropped without settling, the message is delivered again"]
pub struct Acker {
    shared: Arc<Shared>,
    arrival: Option<Box<Arrival>>,
}

impl Acker {
    /// Records a decision, now; the future says whether it holds.
    ///
    /// An acknowledgement is written with the next ones, at the latest when the client's task comes to it; the protocol has no answer to it. If the
    /// connection is lost before, the message is delivered again.
    ///
    /// The future fails with kind `Stale` if the delivery's channel is gone, by a lost connection or by the broker's own time-out of
    /// acknowledgements: nothing is sent then, and the broker delivers the message again.
    pub fn settle(mut self, decision: Settle) -> Settling {
        let Some(arrival) = self.arrival.take() else {
            return Settling::now(Ok(()));
        };
        let (core, tag) = (&self.shared.core, arrival.deliver.delivery_tag);
        let result = match decision {
            Settle::Ack => core.settle(arrival.epoch, tag, Decision::Ack),
            Settle::Release => core.give_back(*arrival),
            Settle::DeadLetter => {
                return returns::park(&self.shared, &arrival, returns::REFUSED);
            }
            Settle::Retry => return retry::retry(&self.shared, *arrival, None),
            Settle::RetryAfter(pause) => return retry::retry(&self.shared, *arrival, Some(pause)),
        };
        Settling::now(result)
    }

    /// Whether the message is the broker's again, whatever is decided here.
    pub(crate) fn is_stale(&self) -> bool {
        let arrival = self.arrival.as_ref();
        arrival.is_none_or(|arrival| self.shared.core.is_stale(arrival.epoch))
    }

    /// Done with it. See [`settle`](Self::settle).
    pub fn ack(self) -> Settling {
        self.settle(Settle::Ack)
    }
}

impl Drop for Acker {
    fn drop(&mut self) {
        if let Some(arrival) = self.arrival.take() {
            self.shared.core.dropped(*arrival);
        }
    }
}

impl fmt::Debug for Acker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acker").finish_non_exhaustive()
    }
}

/// Says whether a decision holds. The decision was recorded when the call was made, and holds also if this is dropped.
#[derive(Debug)]
pub struct Settling(Result<Ready<Result<()>>, oneshot::Receiver<Result<()>>>);

impl Settling {
    pub(super) fn now(result: Result<()>) -> Self {
        Self(Ok(ready(result)))
    }

    pub(super) const fn later(result: oneshot::Receiver<Result<()>>) -> Self {
        Self(Err(result))
    }
}

impl Future for Settling {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(now) => Pin::new(now).poll(cx),
            Err(later) => Pin::new(later)
                .poll(cx)
                .map(|told| told.unwrap_or_else(|_| Err(closed("settle", "client")))),
        }
    }
}

// rabbitmq.com/docs/quorum-queues, "Poison Message Handling"
const DELIVERY_COUNT: &str = "x-delivery-count";
