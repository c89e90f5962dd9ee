//! A message that has come, and what becomes of it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use bytestring::ByteString;
use serde::de::DeserializeOwned;

use super::Shared;
use super::backoff::LONGEST;
use super::content::Arrival;
use super::core::Decision;
use super::settling::{Settling, confirmed};
use crate::conn::now;
use crate::error::{Result, invalid};
use crate::message_id::MessageId;

/// What a handler decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settle {
    /// Done with it.
    Ack,
    /// It is to come again, after the consumer's [`nack_delay`](super::ConsumerBuilder::nack_delay).
    Retry,
    /// It is to come again after this time.
    RetryAfter(Duration),
    /// It is to come again after this time, by way of the retry letter topic: see [`Delivery::retry_later`].
    RetryLater(Duration),
    /// Back to the subscription, for any consumer, at once and not because of the message.
    Release,
}

/// A message that has come, without what settles it. What handlers get.
#[derive(Clone)]
pub struct Received(pub(super) Arc<Arrival>);

impl Received {
    /// The body; empty if it has none.
    pub fn body(&self) -> &Bytes {
        &self.0.payload
    }

    /// Whether it has no value, which is something else than an empty one: in a compacted topic it deletes its key.
    pub fn is_null(&self) -> bool {
        match &self.0.single {
            Some(single) => single.metadata.null_value,
            None => self.0.head.metadata.null_value,
        }
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
            let (line, column) = (cause.line(), cause.column());
            let place = format!("the body is {what} (line {line}, column {column})");
            invalid("json", place)
        })
    }

    /// The key, as it travels: of one that is no text, its Base64.
    pub fn key_text(&self) -> Option<&str> {
        self.key().map(|(key, _)| &**key)
    }

    /// The key as it was given, if there is one.
    pub fn key_bytes(&self) -> Option<Vec<u8>> {
        let (key, base64) = self.key()?;
        let decoded = base64.then(|| STANDARD.decode(&**key).ok()).flatten();
        Some(decoded.unwrap_or_else(|| key.as_bytes().to_vec()))
    }

    fn key(&self) -> Option<(&ByteString, bool)> {
        let head = &self.0.head.metadata;
        let (key, base64) = match &self.0.single {
            Some(single) => {
                let own = &single.metadata;
                (&own.partition_key, own.key_is_base64)
            }
            None => (&head.partition_key, head.key_is_base64),
        };
        Some((key.as_ref()?, base64))
    }

    /// What a `Key_Shared` subscription goes by in place of the key.
    pub fn ordering_key(&self) -> Option<&Bytes> {
        match &self.0.single {
            Some(single) => single.metadata.ordering_key.as_ref(),
            None => self.0.head.metadata.ordering_key.as_ref(),
        }
    }

    /// The properties, in their order.
    pub fn properties(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        let all = match &self.0.single {
            Some(single) => &single.metadata.properties,
            None => &self.0.head.metadata.properties,
        };
        all.iter().map(|(name, value)| (&**name, &**value))
    }

    /// A property's value.
    pub fn property_text(&self, name: &str) -> Option<&str> {
        self.properties()
            .find_map(|(own, value)| (own == name).then_some(value))
    }

    /// When what it tells of happened, if its producer said so.
    pub fn event_time(&self) -> Option<SystemTime> {
        let millis = match &self.0.single {
            Some(single) => single.metadata.event_time,
            None => self.0.head.metadata.event_time,
        };
        // Java writes 0 for none.
        millis.filter(|millis| *millis > 0).and_then(time)
    }

    /// When its producer sent it.
    pub fn publish_time(&self) -> SystemTime {
        time(self.0.head.metadata.publish_time).unwrap_or(UNIX_EPOCH)
    }

    /// The name of its producer.
    pub fn producer_name(&self) -> &str {
        &self.0.head.metadata.producer_name
    }

    /// The number that its producer gave it.
    pub fn sequence_id(&self) -> u64 {
        let own = self.0.single.as_ref();
        let own = own.and_then(|single| single.metadata.sequence_id);
        own.unwrap_or(self.0.head.metadata.sequence_id)
    }

    /// The version of its schema, as the broker's registry has it.
    pub fn schema_version(&self) -> Option<&Bytes> {
        self.0.head.metadata.schema_version.as_ref()
    }

    /// The cluster that it was replicated from.
    pub fn replicated_from(&self) -> Option<&str> {
        self.0.head.metadata.replicated_from.as_deref()
    }

    /// The whole name of its topic; of a partition, its own name.
    pub fn topic(&self) -> &str {
        &self.0.head.topic
    }

    /// Where it is stored.
    pub fn id(&self) -> MessageId {
        let index = self.0.single.as_ref().map(|_| self.0.index.cast_signed());
        let head = &self.0.head;
        let index = index.unwrap_or(-1);
        MessageId::at(head.id.ledger, head.id.entry, head.id.partition, index)
    }

    /// How often the broker delivered it before, in vain. Counted for shared and key-shared subscriptions, and as long as the topic stays with its broker;
    /// a batch is counted as one.
    pub fn redelivery_count(&self) -> u32 {
        self.0.head.redelivered
    }

    /// Which attempt it is, from 1 on, as far as [`redelivery_count`](Self::redelivery_count) knows.
    pub fn attempt(&self) -> u32 {
        self.redelivery_count().saturating_add(1)
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("topic", &self.topic())
            .field("id", &format_args!("{}", self.id()))
            .field("attempt", &self.attempt())
            .field("body", &format_args!("{} bytes", self.body().len()))
            .finish_non_exhaustive()
    }
}

fn time(millis: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

/// A message that has come, and what settles it. Dropped without that, it comes again.
#[derive(Debug)]
#[must_use = "dropped without being settled, it is delivered again"]
pub struct Delivery {
    received: Received,
    acker: Acker,
}

impl Delivery {
    pub(super) fn new(shared: Arc<Shared>, arrival: Arrival) -> Self {
        let arrival = Arc::new(arrival);
        Self {
            received: Received(Arc::clone(&arrival)),
            acker: Acker {
                shared,
                arrival: Some(arrival),
            },
        }
    }

    /// Done with it. See [`Acker::settle`].
    pub fn ack(self) -> Settling {
        self.acker.ack()
    }

    /// Done with it, and with everything before it in its partition. See [`Acker::ack_cumulative`].
    pub fn ack_cumulative(self) -> Settling {
        self.acker.ack_cumulative()
    }

    /// It is to come again, after the consumer's [`nack_delay`](super::ConsumerBuilder::nack_delay).
    pub fn nack(self) -> Settling {
        self.acker.settle(Settle::Retry)
    }

    /// Back to the subscription, at once.
    pub fn release(self) -> Settling {
        self.acker.settle(Settle::Release)
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

/// What a delivery is settled by, once, from any task. Dropped without that, the message comes again.
#[must_use = "dropped without settling, the message is delivered again"]
pub struct Acker {
    pub(super) shared: Arc<Shared>,
    pub(super) arrival: Option<Arc<Arrival>>,
}

impl Acker {
    /// Records a decision, now; the future says whether it holds.
    ///
    /// Acknowledgements go to the broker together, after 100 ms or 1000 of them, at once when nothing else waits to be handled, and before the consumer
    /// is closed. The broker answers them only where the consumer has [`ack_receipts`](super::ConsumerBuilder::ack_receipts). Of a batch no message is
    /// acknowledged with another.
    ///
    /// The future fails with kind `Stale` where the broker can't be told: the connection was lost, and the message did not come again. Should it come here
    /// again, it is known to be done; another consumer may get it. `Stale` is also who had it for longer than
    /// [`ack_timeout`](super::ConsumerBuilder::ack_timeout).
    pub fn settle(mut self, decision: Settle) -> Settling {
        let pause = match decision {
            Settle::Ack => return self.decide(Decision::Ack),
            Settle::Retry => self.pause(),
            Settle::RetryAfter(pause) => pause,
            Settle::RetryLater(pause) => return self.retry_later(pause),
            Settle::Release => return self.decide(Decision::Again(now())),
        };
        if self.bury() {
            return Settling::known(Ok(()));
        }
        self.decide(Decision::Again(now() + pause.min(LONGEST)))
    }

    /// Done with it. See [`settle`](Self::settle).
    pub fn ack(self) -> Settling {
        self.decide(Decision::Ack)
    }

    /// Done with it, and with everything before it in its partition, handed out or not. For exclusive and failover subscriptions.
    ///
    /// The future fails with kind `Invalid` for other subscriptions, and the message comes again; and as [`settle`](Self::settle).
    pub fn ack_cumulative(self) -> Settling {
        if self.shared.core.kind.is_individual() {
            let message = "a shared subscription has no order, so nothing is before a message";
            return Settling::known(Err(invalid("ack_cumulative", message)));
        }
        self.decide(Decision::AckUpTo)
    }

    fn decide(mut self, decision: Decision) -> Settling {
        let Some(arrival) = self.arrival.take() else {
            return Settling::known(Ok(()));
        };
        match self.shared.core.settle(&arrival, decision) {
            Ok(None) => Settling::known(Ok(())),
            Ok(Some(heard)) => {
                let within = self.shared.client.shared.options.operation_timeout;
                Settling::asked(Box::pin(confirmed(heard, within)))
            }
            Err(stale) => Settling::known(Err(stale)),
        }
    }

    /// How long after a failure it comes again.
    fn pause(&self) -> Duration {
        let redelivered = self.arrival.as_ref().map(|it| it.head.redelivered);
        self.shared.nack.pause(redelivered.unwrap_or_default())
    }
}

impl Drop for Acker {
    fn drop(&mut self) {
        if let Some(arrival) = self.arrival.take() {
            let pause = self.shared.nack.pause(arrival.head.redelivered);
            self.shared.core.dropped(&arrival, pause);
        }
    }
}

impl fmt::Debug for Acker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acker").finish_non_exhaustive()
    }
}
