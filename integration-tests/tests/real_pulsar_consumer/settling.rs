//! What becomes of a message that was handed out.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use integration_tests::harness::pulsar::{
    Manage, WAIT, acked, connect, fill, next, numbers, only, some,
};
use integration_tests::harness::{now, within};
use mq_pulsar::{ConsumerBuilder, Settle};

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_what_is_given_back_comes_again_and_nothing_else() {
    for kind in [ConsumerBuilder::shared, ConsumerBuilder::exclusive] {
        let (client, manage) = (connect().await, Manage::shared());
        let topic = manage.topic("nack").await;
        manage.subscribe(&topic, "s").await;
        fill(&client, &topic, 21).await;
        let delay = Duration::from_millis(1500);
        let builder = kind(client.consumer("s").topic(&topic)).nack_delay(delay);
        let consumer = builder.build().await.unwrap();
        let all = some(&consumer, 21).await;
        let (begun, mut held) = (now(), Vec::new());
        for delivery in all {
            match delivery.text().unwrap() {
                "5" | "17" => drop(delivery.nack().await),
                "6" | "18" => held.push(delivery),
                _ => delivery.ack().await.unwrap(),
            }
        }
        let again = some(&consumer, 2).await;
        assert!(now() - begun >= delay, "before its time");
        let mut numbers = numbers(&again);
        numbers.sort_unstable();
        assert_eq!(numbers, [5, 17]);
        if matches!(again[0].redelivery_count(), 1..) {
            assert_eq!(again[0].attempt(), 2);
        }
        for delivery in again.into_iter().chain(held) {
            delivery.ack().await.unwrap();
        }
        only(&client, &topic, &consumer).await;
        acked(&manage, &topic, "s").await;
        consumer.close().await;
    }
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_a_delivery_that_is_dropped_is_counted_and_comes_again() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("dropped").await;
    manage.subscribe(&topic, "s").await;
    fill(&client, &topic, 1).await;
    let builder = client.consumer("s").topic(&topic).shared();
    let builder = builder.nack_delay(Duration::from_millis(100));
    let consumer = builder.build().await.unwrap();
    drop(next(&consumer).await);
    let again = next(&consumer).await;
    assert_eq!((again.attempt(), consumer.counts().dropped), (2, 1));
    again.ack().await.unwrap();
    acked(&manage, &topic, "s").await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_handlers_that_fail_or_panic_get_their_message_again() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("run").await;
    manage.subscribe(&topic, "s").await;
    fill(&client, &topic, 50).await;
    let builder = client.consumer("s").topic(&topic).shared();
    let builder = builder.nack_delay(Duration::from_millis(200));
    let consumer = builder.build().await.unwrap();
    let (handled, handle) = (Arc::new(AtomicU32::new(0)), consumer.handle());
    let count = Arc::clone(&handled);
    let running = tokio::spawn(async move {
        let ran = consumer.run(move |received| {
            let count = Arc::clone(&count);
            async move {
                let number: u32 = received.text().unwrap().parse().unwrap();
                if received.attempt() == 1 {
                    match number {
                        7 => return Err("not now"),
                        8 => panic!("a handler may panic"),
                        9 => return Ok(Settle::Release),
                        _ => {}
                    }
                }
                count.fetch_add(1, Ordering::SeqCst);
                Ok(Settle::Ack)
            }
        });
        ran.await.map(|()| consumer)
    });
    acked(&manage, &topic, "s").await;
    handle.close().await;
    let consumer = within(WAIT, "the end", running).await.unwrap().unwrap();
    // Of a batch those that are still handled may not come twice.
    assert_eq!(handled.load(Ordering::SeqCst), 50);
    let after = consumer.run(|_| async { Ok::<_, Infallible>(Settle::Ack) });
    within(WAIT, "the end", after).await.unwrap();
}
