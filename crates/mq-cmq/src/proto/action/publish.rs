//! `PublishMessage` and `BatchPublishMessage`.

use super::{Action, FromParams, Given, Stored, StoredBatch};
use crate::proto::Params;
use crate::proto::limits::Refusal;

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
