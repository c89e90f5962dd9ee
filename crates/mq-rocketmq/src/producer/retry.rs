//! The producer's own task: makes further attempts, and ends sends that wait too long in the line.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mq_core::ErrorKind;
use tokio::sync::mpsc;

use super::operation::Operation;
use super::shared::ProducerShared;
use super::window::{Entry as _, Window};
use crate::auth::Hope;
use crate::error::Error;

/// A send to be tried again, and why.
pub(crate) struct Again {
    operation: Box<Operation>,
    error: Error,
}

impl Again {
    /// It waits for other keys.
    fn is_refused(&self) -> bool {
        self.error.kind() == ErrorKind::Auth
    }
}

/// Gives a failed send to the retry task. There is room: as many as the window admits fit into the channel.
pub(super) fn hand_over(operation: Box<Operation>, error: Error) {
    let retries = operation.shared().retries.clone();
    if let Err(refused) = retries.try_send(Again { operation, error }) {
        let Again { operation, error } = refused.into_inner();
        operation.give_up(error);
    }
}

/// Starts the task; it ends with the last clone of the producer.
pub(super) fn start(producer: &Arc<ProducerShared>, retries: mpsc::Receiver<Again>) {
    let window = Arc::clone(&producer.window);
    let tasks = Arc::clone(&producer.client.tasks);
    tasks.spawn(work(Arc::downgrade(producer), window, retries));
}

async fn work(
    producer: Weak<ProducerShared>,
    window: Arc<Window<Operation>>,
    mut retries: mpsc::Receiver<Again>,
) {
    let mut pending: BTreeMap<(Instant, u64), Again> = BTreeMap::new();
    let mut count = 0u64;
    loop {
        let Some((now, lanes)) = producer.upgrade().map(|producer| {
            let now = producer.client.clock.now();
            (now, producer.sweep_lanes(now))
        }) else {
            return;
        };
        let line = window.sweep(now);
        while let Some(entry) = pending.first_entry().filter(|entry| entry.key().0 <= now) {
            let (key, again) = entry.remove_entry();
            match again.operation.keys() {
                Hope::Asking(_) if now < again.operation.deadline() => {
                    pending.insert((now + KEYS, key.1), again);
                }
                Hope::Asking(_) => again.operation.give_up(again.error),
                Hope::None if again.is_refused() => again.operation.give_up(again.error),
                Hope::None | Hope::Renewed => again.operation.again(),
            }
        }
        let next = pending.keys().next().map(|(at, _)| *at);
        let wake = [line, lanes, next].into_iter().flatten().min();
        tokio::select! {
            again = retries.recv() => {
                let Some(again) = again else { return };
                count += 1;
                let pause = pause(&again);
                // Not `now`: it may be long ago that this round began.
                let at = again.operation.shared().client.clock.now() + pause;
                if pause.is_zero() {
                    again.operation.again();
                } else if at >= again.operation.deadline() {
                    again.operation.give_up(again.error);
                } else {
                    tracing::trace!(error = %again.error, ?pause, "pause before the next attempt");
                    pending.insert((at, count), again);
                }
            }
            () = sleep_until(wake) => {}
            () = window.changed.notified() => {}
        }
    }
}

/// None before another broker is tried; before the same one again, a little and more each time.
fn pause(again: &Again) -> Duration {
    let operation = &again.operation;
    if again.is_refused() {
        return KEYS;
    }
    if operation.has_alternative() {
        return Duration::ZERO;
    }
    SAME_BROKER * operation.attempt() + Duration::from_millis(fastrand::u64(..50))
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// How often it is looked whether other keys have come.
const KEYS: Duration = Duration::from_millis(20);
/// Before the second attempt at the same broker, and as much more before each further one.
pub(super) const SAME_BROKER: Duration = Duration::from_millis(100);
