//! What a broker tells about topics over its own protocol, to somebody who neither sends nor receives.
//!
//! ```text
//!  topics            GetTopicsOfNamespace
//!  partitions        PartitionedMetadata, which makes nothing here
//!  last_message_id   Subscribe, for nothing and leaving nothing ─► GetLastMessageId ─► CloseConsumer
//! ```
// apache/pulsar: BinaryProtoLookupService, ConsumerImpl.getLastMessageIdAsync

use std::sync::Arc;

use mq_core::ErrorKind;

use crate::client::Client;
use crate::conn::{Connection, Key, Lane, Outbox, now};
use crate::error::{Error, Result, invalid};
use crate::message_id::MessageId;
use crate::proto::api::{self, command_get_topics_of_namespace, command_subscribe};
use crate::proto::{Incoming, Malformed};
use crate::topic::TopicName;

impl Client {
    /// The whole names of all topics of a namespace, `tenant/namespace`, sorted. Of a partitioned topic the names of its partitions; of topics
    /// that are not persistent those that are in use.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for what is no namespace; `Auth` without the permission; `Connect` or `Timeout`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing is changed.
    pub async fn topics(&self, namespace: &str) -> Result<Vec<String>> {
        if !is_namespace(namespace) {
            let message = format!("\"{namespace}\" is no namespace: write tenant/namespace");
            return Err(invalid("topics", message));
        }
        let ask = api::CommandGetTopicsOfNamespace {
            namespace: namespace.to_owned(),
            mode: Some(command_get_topics_of_namespace::Mode::All.into()),
            ..api::CommandGetTopicsOfNamespace::default()
        };
        // Not asked again: of a namespace that is not there brokers say what they say when they are not ready.
        let asked = self.shared.topics(ask).await;
        let mut topics = asked
            .map_err(|error| doing(error, "topics", namespace))?
            .topics;
        topics.sort();
        topics.dedup();
        Ok(topics)
    }

    /// How many partitions a topic has; 0 if it is not partitioned.
    ///
    /// # Errors
    ///
    /// Kind `NotFound` if there is no such topic, but for brokers before 3.0.6, which tell 0 then; `Invalid` for what is no topic's name.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing is changed.
    pub async fn partitions(&self, topic: &str) -> Result<u32> {
        let (topic, shared) = (TopicName::parse(topic)?, &self.shared);
        let deadline = now() + shared.options.operation_timeout;
        let ask = async || shared.partitions(&topic, false).await;
        let asked = shared.retrying(deadline, ask).await;
        asked.map_err(|error| doing(error, "partitions", topic.as_str()))
    }

    /// The place of the last message of a topic without partitions, or of one partition; `None` if it holds none. Takes the permission to consume.
    ///
    /// # Errors
    ///
    /// Kind `NotFound` if there is no such topic; `Auth` if it may not be consumed.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: the subscription that this takes for a moment is gone with it.
    pub async fn last_message_id(&self, topic: &str) -> Result<Option<MessageId>> {
        let (topic, shared) = (TopicName::parse(topic)?, &self.shared);
        let deadline = now() + shared.options.operation_timeout;
        let look = async || self.look_at_end(&topic).await;
        let looked = shared.retrying(deadline, look).await;
        let last = looked.map_err(|error| doing(error, "last message id", topic.as_str()))?;
        // apache/pulsar: an entry of -1 is before the first.
        let is_there = last.entry_id.cast_signed() >= 0;
        let number = |number: i32| number.max(-1);
        let (partition, index) = (number(last.partition()), number(last.batch_index()));
        Ok(is_there.then(|| MessageId::at(last.ledger_id, last.entry_id, partition, index)))
    }

    async fn look_at_end(&self, topic: &TopicName) -> Result<api::MessageIdData> {
        let shared = &self.shared;
        let connection = shared.connection_of(topic).await?;
        let consumer_id = shared.next_id();
        let subscribe = api::CommandSubscribe {
            topic: topic.as_str().to_owned(),
            subscription: format!("mq-look-{:016x}", fastrand::u64(..)),
            sub_type: command_subscribe::SubType::Exclusive.into(),
            consumer_id,
            durable: Some(false),
            force_topic_creation: Some(false),
            ..api::CommandSubscribe::default()
        };
        let (key, within) = (
            Key::Consumer(consumer_id),
            Some(shared.options.operation_timeout),
        );
        connection
            .open(key, Arc::new(Onlooker), subscribe, within)
            .await?;
        let _leave = Leave(&connection, key);
        let ask = api::CommandGetLastMessageId {
            consumer_id,
            ..api::CommandGetLastMessageId::default()
        };
        let answer = connection.ask(ask).await?.get_last_message_id_response;
        let answer = answer.ok_or_else(|| strange(&connection, "last message id"))?;
        Ok(answer.last_message_id)
    }
}

/// A consumer that asks for no message.
struct Onlooker;

impl Lane for Onlooker {
    fn fill(&self, _: &mut Outbox) -> bool {
        false
    }

    fn incoming(&self, _: Incoming) -> Result<(), Malformed> {
        Ok(())
    }

    fn lost(&self, _: &Error) {}
}

struct Leave<'a>(&'a Connection, Key);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

// apache/pulsar: NamedEntity
fn is_namespace(text: &str) -> bool {
    let good = |it: char| it.is_ascii_alphanumeric() || "-=:._".contains(it);
    let parts = text.split('/');
    parts.clone().count() == 2
        && parts
            .clone()
            .all(|it| !it.is_empty() && it.chars().all(good))
}

/// Brokers do not always say of what they speak.
fn doing(error: Error, operation: &'static str, of: &str) -> Error {
    let named = format!("{}: {of}", error.message());
    let is_named = error.message().contains(of);
    let builder = error.into_builder().operation(operation);
    if is_named {
        return builder.build();
    }
    builder.message(named).build()
}

fn strange(connection: &Connection, operation: &'static str) -> Error {
    let message = "the broker answered with something else";
    let error = Error::builder(ErrorKind::Protocol, message).operation(operation);
    error.endpoint(connection.endpoint()).build()
}
