//! What the flows have in common: queues, sending, receiving until all is there or nothing comes any more.

use std::collections::BTreeSet;
use std::time::Duration;

use mq_core::ErrorKind;
use mq_dev::cmq::{Builder, QueueSpec, Seed, SubscriptionSpec, TopicSpec};
use tokio::time::timeout;

use crate::adapter::{Broker, Consume, Delivery, Outgoing, Sent, Settle, Subscription};
use crate::output::say;

/// What became of a flow.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) flow: &'static str,
    pub(super) sent: usize,
    /// Those that were sent and received, each counted once.
    pub(super) came: usize,
    /// Whether all came as promised.
    pub(super) kept: bool,
    /// In a few words.
    pub(super) told: String,
}

/// What the flows need.
pub(super) fn queues(builder: Builder) -> Builder {
    let queue = |name: &str| QueueSpec::new(name).visibility(VISIBILITY);
    let mut seed = Seed::default();
    seed.queues = vec![
        queue("work"),
        queue("lost"),
        queue("retried").dead_letter("lost", 2),
        queue("alarms"),
        queue("all-news"),
        queue("europe"),
        queue("later"),
        queue("payments").transactional(FIRST_QUERY, 15),
    ];
    seed.queues
        .extend((0..SHARDS).map(|at| queue(&format!("orders-{at}"))));
    seed.topics = vec![TopicSpec::new("news"), TopicSpec::new("weather").routing()];
    seed.subscriptions = vec![
        SubscriptionSpec::to_queue("news", "everything", "all-news"),
        SubscriptionSpec::to_queue("news", "alarms", "alarms").tag("alarm"),
        SubscriptionSpec::to_queue("weather", "europe", "europe").binding_key("europe.#"),
    ];
    builder.seed(seed)
}

/// Sends, and says so. What was not stored is told, and missing later.
pub(super) async fn send(broker: &Broker, message: Outgoing) -> Option<Sent> {
    match broker.send(message).await {
        Ok(sent) => Some(sent),
        Err(failed) => {
            say(format_args!("  not sent: {failed}"));
            None
        }
    }
}

pub(super) async fn consume(broker: &Broker, topic: &str, ordered: bool) -> Option<Subscription> {
    let mut consume = Consume::new(topic, "demo");
    consume.ordered = ordered;
    match broker.consume(&consume).await {
        Ok(subscription) => Some(subscription),
        Err(error) => {
            say(format_args!("  not received from {topic}: {error}"));
            None
        }
    }
}

/// The next delivery; `None` when nothing has come for a while.
pub(super) async fn next(subscription: &Subscription) -> Option<Delivery> {
    match timeout(PATIENCE, subscription.recv()).await {
        Ok(Ok(delivery)) => delivery,
        Ok(Err(error)) => {
            say(format_args!("  receiving ended: {error}"));
            None
        }
        Err(_) => None,
    }
}

pub(super) async fn ack(delivery: Delivery) {
    let body = text(&delivery);
    match delivery.settle(Settle::Ack).await {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::Stale => {
            say(format_args!(
                "  {body}: visible again before it was acknowledged"
            ));
        }
        Err(error) => say(format_args!("  not acknowledged: {error}")),
    }
}

pub(super) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.message.body).into_owned()
}

/// Receives a queue until it has as many different bodies as were sent.
pub(super) async fn receive(broker: &Broker, queue: &str, wanted: usize) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let Some(subscription) = consume(broker, queue, false).await else {
        return seen;
    };
    while seen.len() < wanted
        && let Some(delivery) = next(&subscription).await
    {
        seen.insert(text(&delivery));
        ack(delivery).await;
    }
    subscription.close().await;
    seen
}

pub(super) const SHARDS: usize = 4;
/// Short, so that what is delivered again comes soon.
const VISIBILITY: Duration = Duration::from_secs(1);
/// How soon the server asks about a transaction that nobody has ended.
const FIRST_QUERY: Duration = Duration::from_secs(1);
/// Longer than a visibility timeout and a wait for messages.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);
