//! Handlers of an ordered consumer: never two of one queue, whatever the concurrency.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::broker::Broker;
use super::support::{consumer, numbers, until, within};
use crate::{Consumer, Error, Received, Settle};

const QUEUES: i32 = 4;
const EACH: usize = 100;

/// What handlers saw, by queue, and whether any two of one queue ran at a time.
#[derive(Default)]
struct Seen {
    offsets: Mutex<BTreeMap<i32, Vec<i64>>>,
    running: Mutex<BTreeMap<i32, usize>>,
    most: AtomicUsize,
}

impl Seen {
    fn count(&self) -> usize {
        self.offsets.lock().unwrap().values().map(Vec::len).sum()
    }

    async fn handle(&self, batch: &[Received]) {
        let queue = batch[0].queue();
        {
            let mut running = self.running.lock().unwrap();
            let of_queue = running.entry(queue).or_default();
            *of_queue += 1;
            assert_eq!(*of_queue, 1, "two of one queue");
            self.most
                .fetch_max(running.values().sum(), Ordering::AcqRel);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        *self.running.lock().unwrap().get_mut(&queue).unwrap() -= 1;
        let mut offsets = self.offsets.lock().unwrap();
        let seen = offsets.entry(queue).or_default();
        for message in batch {
            assert_eq!(message.queue(), queue, "a batch is of one queue");
            seen.push(message.offset());
        }
    }

    fn is_in_order(&self) {
        let whole: Vec<i64> = (0..i64::try_from(EACH).unwrap()).collect();
        for (queue, offsets) in &*self.offsets.lock().unwrap() {
            assert_eq!(*offsets, whole, "queue {queue}");
        }
    }
}

async fn full(concurrency: usize) -> (Broker, Consumer) {
    let broker = Broker::start("t", QUEUES).await;
    for queue in 0..QUEUES {
        broker.store("t", queue, "A", numbers(0..EACH));
    }
    let consumer = consumer(&broker, |builder| {
        let builder = builder.ordered().suspend(Duration::from_millis(20));
        builder.concurrency(concurrency)
    })
    .await;
    (broker, consumer)
}

async fn watch(seen: &Seen, consumer: &Consumer, count: usize) {
    until("all are handled", || seen.count() >= count).await;
    consumer.handle().close().await;
}

#[tokio::test]
async fn handlers_run_side_by_side_for_several_queues_and_in_turn_for_each() {
    // With fewer handlers than queues each queue has its turn too.
    for concurrency in [16, 2] {
        let (broker, consumer) = full(concurrency).await;
        let seen = Arc::new(Seen::default());
        let told = Arc::clone(&seen);
        let running = consumer.run(move |message| {
            let seen = Arc::clone(&told);
            async move {
                seen.handle(&[message]).await;
                Ok::<_, Error>(Settle::Ack)
            }
        });
        let count = EACH * usize::try_from(QUEUES).unwrap();
        let (ran, ()) =
            within(async { tokio::join!(running, watch(&seen, &consumer, count)) }).await;
        ran.unwrap();
        seen.is_in_order();
        let most = concurrency.min(QUEUES.try_into().unwrap());
        assert_eq!(seen.most.load(Ordering::Acquire), most);
        assert_eq!(broker.offset("t", 3), Some(100));
    }
}

#[tokio::test]
async fn batches_are_of_one_queue_and_a_batch_that_fails_comes_again_as_it_was() {
    let (broker, consumer) = full(16).await;
    let seen = Arc::new(Seen::default());
    let (told, failed) = (Arc::clone(&seen), Arc::new(AtomicUsize::new(0)));
    let linger = Duration::from_millis(20);
    let running = consumer.run_batch(7, linger, move |batch| {
        let (seen, failed) = (Arc::clone(&told), Arc::clone(&failed));
        async move {
            assert!(batch.len() <= 7);
            // The second batch of the first queue, once.
            if batch[0].queue() == 0
                && batch[0].offset() == 7
                && failed.fetch_add(1, Ordering::AcqRel) == 0
            {
                return Ok(Settle::Retry);
            }
            seen.handle(&batch).await;
            Ok::<_, Error>(Settle::Ack)
        }
    });
    let count = EACH * usize::try_from(QUEUES).unwrap();
    let (ran, ()) = within(async { tokio::join!(running, watch(&seen, &consumer, count)) }).await;
    ran.unwrap();
    seen.is_in_order();
    assert_eq!(broker.offset("t", 0), Some(100));
}

#[tokio::test]
async fn a_handler_that_panics_suspends_its_queue() {
    let (_broker, consumer) = full(16).await;
    let seen = Arc::new(Seen::default());
    let told = Arc::clone(&seen);
    let running = consumer.run(move |message| {
        let seen = Arc::clone(&told);
        async move {
            assert!(
                message.offset() % 50 != 7 || message.attempt() > 1,
                "a handler's bug"
            );
            seen.handle(&[message]).await;
            Ok::<_, Error>(Settle::Ack)
        }
    });
    let count = EACH * usize::try_from(QUEUES).unwrap();
    let (ran, ()) = within(async { tokio::join!(running, watch(&seen, &consumer, count)) }).await;
    ran.unwrap();
    seen.is_in_order();
}
