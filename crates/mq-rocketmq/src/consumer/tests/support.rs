//! What the tests of the consumer have in common.

use std::future::Future;
use std::time::{Duration, Instant};

use mq_core::Clock as _;

use super::broker::Broker;
use crate::conn::TimerClock;
use crate::{Client, ConsumeFrom, Consumer, ConsumerBuilder, Delivery};

pub(super) const RETRY: &str = "%RETRY%g";

pub(super) async fn client(broker: &Broker) -> Client {
    Client::from_url(&broker.url)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// A consumer of everything from the beginning, of topic `t` with one queue.
pub(super) async fn consumer(
    broker: &Broker,
    set: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder,
) -> Consumer {
    let builder = client(broker)
        .await
        .consumer("g")
        .subscribe("t", "*")
        .from(ConsumeFrom::First);
    set(builder).build().await.unwrap()
}

/// Time since it was started, by the clock of the timers.
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(TimerClock.now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        TimerClock.now().saturating_duration_since(self.0)
    }
}

pub(super) fn numbers(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|n| n.to_string())
}

pub(super) async fn next(consumer: &Consumer) -> Delivery {
    within(consumer.recv()).await.unwrap().expect("not closed")
}

pub(super) async fn nothing_comes(consumer: &Consumer) {
    let next = tokio::time::timeout(Duration::from_millis(500), consumer.recv()).await;
    assert!(next.is_err(), "{next:?}");
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("within 20 s")
}

pub(super) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 10 s: {what}");
}

pub(super) fn text(message: &crate::Message) -> String {
    String::from_utf8(message.body().to_vec()).unwrap()
}
