//! `PublishMessage` and `BatchPublishMessage`.

use bytes::Bytes;

use super::send::{bodies, stored, stored_batch};
use super::{Action, Destination, FromParams, Given, Stored, StoredBatch};
use crate::proto::Params;
use crate::proto::limits::Refusal;
use crate::proto::tcp::{BatchPublish, Packet, Publish, cmd};

/// Hands one message to the subscriptions of a topic.
#[derive(Debug, Clone)]
pub struct PublishMessage<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// At least one byte.
    pub body: &'a str,
    /// Up to 5, of up to 16 characters.
    pub tags: Vec<&'a str>,
    /// Words with dots between, up to 64 bytes.
    pub routing_key: Option<&'a str>,
}

impl Action for PublishMessage<'_> {
    const NAME: &'static str = "PublishMessage";
    type Reply = Stored;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
        to.text("msgBody", self.body);
        to.list("msgTag", self.tags.iter().copied());
        to.text_if("routingKey", self.routing_key);
    }

    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        let publish = Publish {
            topic: self.topic.to_owned(),
            body: Bytes::copy_from_slice(self.body.as_bytes()),
            tags: owned(&self.tags),
            routing_key: self.routing_key.map(ToOwned::to_owned),
        };
        let packet = Packet {
            publish: Some(publish),
            ..Packet::new(0, cmd::PUBLISH)
        };
        Some((Destination::Topic(self.topic), Box::new(packet)))
    }

    fn unpack(answer: &Packet) -> Option<Stored> {
        stored(answer)
    }
}

impl<'p> FromParams<'p> for PublishMessage<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        Ok(Self {
            topic: given.text("topicName")?,
            body: given.text("msgBody")?,
            tags: given.list_of_any_length("msgTag")?,
            routing_key: given.text_if("routingKey")?,
        })
    }
}

/// Hands up to 16 messages with the same tags and routing key to the subscriptions of a topic.
#[derive(Debug, Clone)]
pub struct BatchPublishMessage<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// Up to 16.
    pub bodies: Vec<&'a str>,
    /// Those of all messages.
    pub tags: Vec<&'a str>,
    /// That of all messages.
    pub routing_key: Option<&'a str>,
}

impl Action for BatchPublishMessage<'_> {
    const NAME: &'static str = "BatchPublishMessage";
    type Reply = StoredBatch;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
        to.list("msgBody", self.bodies.iter().copied());
        to.list("msgTag", self.tags.iter().copied());
        to.text_if("routingKey", self.routing_key);
    }

    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        let batch_publish = BatchPublish {
            topic: self.topic.to_owned(),
            bodies: bodies(&self.bodies),
            tags: owned(&self.tags),
            routing_key: self.routing_key.map(ToOwned::to_owned),
        };
        let packet = Packet {
            batch_publish: Some(batch_publish),
            ..Packet::new(0, cmd::BATCH_PUBLISH)
        };
        Some((Destination::Topic(self.topic), Box::new(packet)))
    }

    fn unpack(answer: &Packet) -> Option<StoredBatch> {
        Some(stored_batch(answer))
    }
}

impl<'p> FromParams<'p> for BatchPublishMessage<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        Ok(Self {
            topic: given.text("topicName")?,
            bodies: given.list("msgBody")?,
            tags: given.list_of_any_length("msgTag")?,
            routing_key: given.text_if("routingKey")?,
        })
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
