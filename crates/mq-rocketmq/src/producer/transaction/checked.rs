//! What a checker gets to see.

use std::fmt;
use std::ops::Deref;
use std::time::{Duration, SystemTime};

use mq_core::Properties;

use crate::Message;
use crate::client::{Question, Shared};
use crate::consumer::inflate;

/// A half message that a broker asks about. Derefs to [`Message`]; its [`unique_id`](Message::unique_id) is the transaction's id.
pub struct CheckedMessage {
    message: Message,
    system: Properties,
    broker: String,
    unique_id: String,
    born_at_ms: i64,
    undecoded: Option<String>,
}

impl CheckedMessage {
    pub(super) fn new(question: &Question, client: &Shared) -> Self {
        let stored = &question.message;
        let (body, undecoded) = match inflate(stored) {
            Ok(body) => (body, None),
            Err(reason) => (stored.body.clone(), Some(reason)),
        };
        let topic = client.namespace.unwrap(&stored.topic);
        let (message, system) = Message::received(topic, body, stored.flag, &stored.properties);
        Self {
            message,
            system,
            broker: broker_name(question, client),
            unique_id: question.unique_id.clone(),
            born_at_ms: stored.born_at_ms,
            undecoded,
        }
    }

    /// The transaction's id, as [`Transaction::id`](super::Transaction::id) told it: the message's unique id.
    pub fn id(&self) -> &str {
        &self.unique_id
    }

    /// How often the broker has asked about it, this time included: 1 for the first. At its maximum (`transactionCheckMax`, 15 by default) the broker
    /// asks no more and moves the message to the topic `TRANS_CHECK_MAX_TIME_TOPIC`. The broker's rounds before a
    /// [first check](super::TransactionalProducerBuilder::first_check_after) that was asked for count too. 1 as well where the broker does not say.
    pub fn attempt(&self) -> u32 {
        let told = self.system.get(TIMES).and_then(|text| text.parse().ok());
        told.unwrap_or(1)
    }

    /// When the producer made it, by the producer's clock.
    pub fn born_at(&self) -> SystemTime {
        let ms = u64::try_from(self.born_at_ms).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    /// The broker that asks: its name, or where it says none, its address.
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// The properties that are the protocol's own.
    pub const fn system_properties(&self) -> &Properties {
        &self.system
    }

    /// Why the body stands as it came, if it could not be decompressed.
    pub fn undecoded(&self) -> Option<&str> {
        self.undecoded.as_deref()
    }

    /// The content alone.
    pub fn into_message(self) -> Message {
        self.message
    }
}

impl Deref for CheckedMessage {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl fmt::Debug for CheckedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedMessage")
            .field("message", &self.message)
            .field("attempt", &self.attempt())
            .field("broker", &self.broker)
            .field("undecoded", &self.undecoded)
            .finish_non_exhaustive()
    }
}

/// 4.x does not say its name, but routes do.
fn broker_name(question: &Question, client: &Shared) -> String {
    if let Some(name) = &question.asked.broker_name {
        return name.to_string();
    }
    let known = client.routes.known_brokers();
    let mut named = known.iter();
    let found = named.find(|(_, all)| all.values().any(|one| *one == question.from));
    found.map_or_else(|| question.from.to_string(), |(name, _)| name.to_string())
}

// apache/rocketmq: MessageConst.PROPERTY_TRANSACTION_CHECK_TIMES
const TIMES: &str = "TRANSACTION_CHECK_TIMES";
