//! A topic: publish, and its batch.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Item, Results, cut, halve};
use crate::client::{Call, Shared};
use crate::error::{Result, SendError, refused};
use crate::message::{Receipt, TopicMessage};
use crate::proto::action::{BatchPublishMessage, PublishMessage};
use crate::proto::limits;

/// A topic of CMQ. Cheap to clone; made by [`Client::topic`](crate::Client::topic).
///
/// A topic keeps nothing: what is published goes to the subscriptions that exist and match. The service refuses what nobody would get, with
/// [`ErrorCode::NO_SUBSCRIPTION`](crate::ErrorCode::NO_SUBSCRIPTION) or
/// [`ErrorCode::NOTHING_MATCHES`](crate::ErrorCode::NOTHING_MATCHES).
#[derive(Clone)]
pub struct Topic {
    shared: Arc<Shared>,
    name: Arc<str>,
}

impl Topic {
    pub(crate) fn new(shared: Arc<Shared>, name: &str) -> Result<Self> {
        limits::topic_name(name).map_err(|refusal| refused("topic", refusal))?;
        let name = name.into();
        Ok(Self { shared, name })
    }

    /// The topic's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Publishes one message; resolves when the service has it.
    pub fn publish(&self, message: impl Into<TopicMessage>) -> Publish {
        Publish {
            topic: self.clone(),
            message: message.into(),
            call: Call::new(PUBLISH),
        }
    }

    /// Publishes many messages, up to 16 in a request, and up to
    /// [`ClientBuilder::batch_bytes`](crate::ClientBuilder::batch_bytes) of body; messages with different tags or routing keys go in
    /// different requests. One result a message, in their order; after a request that failed the others are still sent.
    ///
    /// # Errors
    ///
    /// Of each message, as for [`Topic::publish`]. The messages of a request share its outcome.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the requests that were answered are done, of one under way nothing is known, and the others were not sent.
    pub async fn publish_batch(
        &self,
        messages: impl IntoIterator<Item: Into<TopicMessage>, IntoIter: Send> + Send,
    ) -> Vec<Result<Receipt, SendError<TopicMessage>>> {
        let messages: Vec<TopicMessage> = messages.into_iter().map(Into::into).collect();
        let mut results = Results::of(messages.len());
        let mut items = Vec::with_capacity(messages.len());
        for (place, message) in messages.iter().enumerate() {
            match message.check() {
                Ok(()) => items.push(Item {
                    place,
                    key: (message.tags(), message.key()),
                    size: message.body().len(),
                }),
                Err(refusal) => results.fail(place, refused(PUBLISH, refusal)),
            }
        }
        for request in cut(items, limits::MAX_BATCH, self.shared.batch_bytes) {
            let together = |places: &[usize]| BatchPublishMessage {
                topic: &self.name,
                bodies: places
                    .iter()
                    .filter_map(|at| messages.get(*at).map(TopicMessage::body))
                    .collect(),
                tags: request.key.0.iter().map(String::as_str).collect(),
                routing_key: request.key.1,
            };
            for places in halve(&request.places, |some| self.shared.fits(&together(some))) {
                let ids = self.publish_together(together(places)).await;
                results.spread(places, ids, None);
            }
        }
        results.with(messages)
    }

    /// Messages with the same tags and routing key.
    async fn publish_together(&self, action: BatchPublishMessage<'_>) -> Result<Vec<String>> {
        let call = Call::new(PUBLISH);
        if let [body] = *action.bodies.as_slice() {
            let action = PublishMessage {
                topic: action.topic,
                body,
                tags: action.tags,
                routing_key: action.routing_key,
            };
            return Ok(vec![self.shared.call(&action, call).await?.id]);
        }
        let stored = self.shared.call(&action, call).await?;
        self.shared.ids(stored, action.bodies.len(), PUBLISH)
    }

    async fn publish_one(&self, message: &TopicMessage, call: Call) -> Result<String> {
        let action = PublishMessage {
            topic: &self.name,
            body: message.body(),
            tags: message.tag_texts(),
            routing_key: message.key(),
        };
        Ok(self.shared.call(&action, call).await?.id)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name)
            .field("endpoint", &self.shared.endpoint())
            .finish_non_exhaustive()
    }
}

/// A publish of one message: await it. Made by [`Topic::publish`].
///
/// # Errors
///
/// A [`SendError`] with the message. Kind `Invalid`: body, tags or routing key are not acceptable; nothing was sent. Kind `Connect`: nothing
/// was sent; retryable. Outcome `Rejected`: the service said no, and its code says why. Outcome `Unknown` (kinds `Timeout`, `Disconnected`,
/// `Protocol`): it may have been published; doing it again may publish it twice.
///
/// # Cancel safety
///
/// Dropped, the message may or may not be published.
#[must_use = "nothing is published until it is awaited"]
pub struct Publish {
    topic: Topic,
    message: TopicMessage,
    call: Call,
}

impl Publish {
    /// How long this call may take, its attempts included; default the client's.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout = Some(timeout);
        self
    }

    /// Whether the message is sent again when it may have been published; default the client's.
    pub const fn resend_unknown(mut self, yes: bool) -> Self {
        self.call.resend_unknown = Some(yes);
        self
    }
}

impl IntoFuture for Publish {
    type Output = Result<Receipt, SendError<TopicMessage>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(publish(self))
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

async fn publish(publish: Publish) -> Result<Receipt, SendError<TopicMessage>> {
    let Publish {
        topic,
        message,
        call,
    } = publish;
    let published = match message.check() {
        Ok(()) => topic.publish_one(&message, call).await,
        Err(refusal) => Err(refused(PUBLISH, refusal)),
    };
    match published {
        Ok(id) => Ok(Receipt::new(id, None)),
        Err(error) => Err(SendError::new(error, message)),
    }
}

const PUBLISH: &str = "publish";
