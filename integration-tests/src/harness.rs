//! What tests share: names, sizes, deadlines, and ways to look at a client from outside.
//!
//! Everything here panics where a test would: its callers are tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

pub mod amqp;
pub mod bomb;
mod cancel;
mod child;
pub mod cmq;
pub mod command;
mod crowd;
mod listener;
pub mod lives;
mod log;
mod meter;
pub mod provider;
pub mod pulsar;
mod traffic;
mod wire;

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mq_rocketmq::Client;

pub use self::cancel::{at_every_await, cancel_after};
pub use self::child::{Child, role};
pub use self::crowd::{Eater, PREFETCH, Sent, Stored, send_numbers};
pub use self::listener::{Behaviour, Listener};
pub use self::log::Capture;
pub use self::meter::Meter;
pub use self::traffic::{
    committed, drain, first_broker, from_first, next, ordered_topic_at, producer, text, topic,
    topic_at, topic_by_ours, topic_on_all,
};
pub use self::wire::{Answer, Wire};

/// A name for a topic or group that no other test and no other run uses.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let ms = wall()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{ms:x}-{:x}-{count}", std::process::id())
}

/// Whether the full size of a test is asked for (`MQ_SOAK=1`) instead of the one of seconds.
pub fn soak() -> bool {
    std::env::var("MQ_SOAK").is_ok_and(|value| value == "1")
}

/// The size of a test: `ci` for every merge, `full` with `MQ_SOAK=1`.
pub fn size<T>(ci: T, full: T) -> T {
    if soak() { full } else { ci }
}

/// The URL of the brokers that this run shares. A missing variable fails the test and is named.
#[track_caller]
pub fn url() -> String {
    match crate::brokers::shared() {
        Ok(shared) => shared.url().to_owned(),
        Err(why) => panic!("{why}"),
    }
}

/// The nameserver of the brokers that this run shares, `host:port`.
#[track_caller]
pub fn nameserver() -> String {
    match crate::brokers::shared() {
        Ok(shared) => shared.namesrv().to_owned(),
        Err(why) => panic!("{why}"),
    }
}

/// The version of the brokers that this run shares, as the launcher told it.
pub fn broker_version() -> String {
    std::env::var("MQ_ROCKETMQ_VERSION").unwrap_or_else(|_| "unknown".to_owned())
}

/// Whether the brokers that this run shares are of 4.x: they have no timers, and no recall.
#[track_caller]
pub fn is_4() -> bool {
    let version = std::env::var("MQ_ROCKETMQ_VERSION").expect("the launcher says the version");
    version.starts_with("4.")
}

/// A client of the brokers that this run shares.
pub async fn connect() -> Client {
    connect_to(&url()).await
}

/// A client of other brokers, with every option at its default.
pub async fn connect_to(url: &str) -> Client {
    Client::from_url(url)
        .expect("the URL is right")
        .connect()
        .await
        .expect("the brokers answer")
}

/// Awaits `future`, and fails with `what` when it takes longer than `limit`.
#[track_caller]
pub fn within<F: Future + Send>(
    limit: Duration,
    what: &str,
    future: F,
) -> impl Future<Output = F::Output> + Send {
    let at = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        let output = tokio::time::timeout(limit, future).await;
        output.unwrap_or_else(|_| panic!("{at}: not within {limit:?}: {what}"))
    }
}

/// Looks every 20 ms whether `condition` holds, and fails with `what` when it does not within `limit`.
pub async fn until(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = now() + limit;
    while !condition().await {
        assert!(now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Time that tests measure with.
#[expect(clippy::disallowed_methods, reason = "real brokers run on real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "real brokers run on real time")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

const LOOK_AGAIN: Duration = Duration::from_millis(20);
