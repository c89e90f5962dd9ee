//! The checks themselves, in terms of the adapter only.

use std::time::Duration;

use mq_cli::adapter::{Broker, Consume, Delivery, From, Outgoing, Sent, Settle, Subscription};

mod ordered;
mod scheduled;
mod sending;
mod settling;
mod transactional;

use self::ordered::{ordered_by_key, ordered_dead_letter, ordered_in_turn};
use self::scheduled::{scheduled_cancel, scheduled_on_time, scheduled_past};
use self::sending::{
    bodies_survive, compressed_bodies, large_body, properties_survive, send_all, send_receive,
};
use self::settling::{
    close_hands_back, dead_letter, dropped, groups, release, retry, retry_after, tag_filter,
};
use self::transactional::{committed, rolled_back};
use super::{Check, Subject};
use crate::harness::within;

/// Runs one check; a panic is a failure.
pub(super) async fn run(check: Check, subject: Subject) {
    match check {
        Check::SendReceive => send_receive(subject).await,
        Check::PropertiesSurvive => properties_survive(subject).await,
        Check::BodiesSurvive => bodies_survive(subject).await,
        Check::LargeBody => large_body(subject).await,
        Check::CompressedBodies => compressed_bodies(subject).await,
        Check::SendAll => send_all(subject).await,
        Check::Retry => retry(subject).await,
        Check::RetryAfter => retry_after(subject).await,
        Check::Dropped => dropped(subject).await,
        Check::Release => release(subject).await,
        Check::DeadLetter => dead_letter(subject).await,
        Check::TagFilter => tag_filter(subject).await,
        Check::CloseHandsBack => close_hands_back(subject).await,
        Check::Groups => groups(subject).await,
        Check::Committed => committed(subject).await,
        Check::RolledBack => rolled_back(subject).await,
        Check::ScheduledOnTime => scheduled_on_time(subject).await,
        Check::ScheduledPast => scheduled_past(subject).await,
        Check::ScheduledCancel => scheduled_cancel(subject).await,
        Check::OrderedByKey => ordered_by_key(subject).await,
        Check::OrderedInTurn => ordered_in_turn(subject).await,
        Check::OrderedDeadLetter => ordered_dead_letter(subject).await,
    }
}

async fn send_numbers(broker: &Broker, topic: &str, numbers: std::ops::Range<usize>) -> Vec<Sent> {
    let mut sent = Vec::new();
    for number in numbers {
        let message = Outgoing::new(topic, number.to_string());
        sent.push(broker.send(message).await.expect("stored"));
    }
    sent
}

async fn earliest(broker: &Broker, topic: &str, group: &str) -> Subscription {
    let mut consume = Consume::new(topic, group);
    consume.from = From::Earliest;
    broker.consume(&consume).await.expect("a subscription")
}

async fn next(subscription: &Subscription) -> Delivery {
    within(LIMIT, "a delivery", subscription.recv())
        .await
        .expect("no error")
        .expect("not closed")
}

fn number(delivery: &Delivery) -> usize {
    let text = std::str::from_utf8(&delivery.message.body).expect("a number");
    text.parse().expect("a number")
}

async fn ack(delivery: Delivery) {
    delivery.settle(Settle::Ack).await.expect("still ours");
}

async fn end(broker: Broker, subscriptions: impl IntoIterator<Item = Subscription>) {
    for subscription in subscriptions {
        subscription.close().await;
    }
    broker.close().await.expect("nothing has failed");
}

/// Ends a wait that would never end; never reached when things are right.
const LIMIT: Duration = Duration::from_secs(30);
