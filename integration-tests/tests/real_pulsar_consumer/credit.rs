//! Nothing is lost, handed out twice or held up, whatever becomes of the subscription.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use integration_tests::harness::pulsar::{
    Manage, WAIT, acked, connect, fill, next, numbers, only, some,
};
use integration_tests::harness::within;
use mq_pulsar::{Consumer, Settle};

/// The topic is taken from the broker while messages are held: they are not handed out twice, and their acknowledgements count.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_what_is_held_when_the_topic_moves_is_not_handed_out_twice() {
    for shared in [false, true] {
        let (client, manage) = (connect().await, Manage::shared());
        let topic = manage.topic("moves").await;
        manage.subscribe(&topic, "s").await;
        let builder = client.consumer("s").topic(&topic);
        let builder = if shared { builder.shared() } else { builder };
        let consumer = builder.build().await.unwrap();
        fill(&client, &topic, 100).await;
        let mut held = some(&consumer, 60).await;
        let later = held.split_off(30);
        for delivery in held {
            delivery.ack().await.unwrap();
        }
        manage.unload(&topic).await;
        let rest = some(&consumer, 40).await;
        let mut numbers = numbers(&rest);
        numbers.sort_unstable();
        assert_eq!(numbers, (60..100).collect::<Vec<_>>());
        for delivery in later.into_iter().chain(rest) {
            delivery.ack().await.unwrap();
        }
        only(&client, &topic, &consumer).await;
        acked(&manage, &topic, "s").await;
        consumer.close().await;
    }
}

/// A queue of ten for ten thousand messages: the credit has to come back, also after the subscription was lost.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_credit_is_given_back_and_survives_reconnects() {
    const COUNT: usize = 5000;
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("credit").await;
    manage.subscribe(&topic, "s").await;
    fill(&client, &topic, COUNT).await;
    let consumer = client.consumer("s").topic(&topic);
    let consumer = consumer.receiver_queue(10).receiver_bytes(20);
    let consumer = consumer.build().await.unwrap();
    for at in 0..COUNT {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.text().unwrap(), at.to_string());
        delivery.ack().await.unwrap();
        if at % 1200 == 600 {
            manage.unload(&topic).await;
        }
    }
    acked(&manage, &topic, "s").await;
    assert_eq!(consumer.counts().acked, COUNT as u64);
}

/// Two of them share, and none of the messages is handled by both.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_consumers_of_a_shared_subscription_share() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("share").await;
    let mut consumers = Vec::new();
    for _ in 0..2 {
        let consumer = client.consumer("s").topic(&topic).shared();
        consumers.push(consumer.receiver_queue(20).build().await.unwrap());
    }
    fill(&client, &topic, 400).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handles: Vec<_> = consumers.iter().map(Consumer::handle).collect();
    let running = consumers.into_iter().map(|consumer| {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let ran = consumer.run(move |received| {
                let number: usize = received.text().unwrap().parse().unwrap();
                seen.lock().unwrap().push(number);
                async { Ok::<_, Infallible>(Settle::Ack) }
            });
            ran.await.unwrap();
            consumer.counts().received
        })
    });
    let running: Vec<_> = running.collect();
    acked(&manage, &topic, "s").await;
    for handle in &handles {
        handle.close().await;
    }
    for one in running {
        let received = within(WAIT, "the end", one).await.unwrap();
        assert!(received > 0, "one had none");
    }
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, (0..400).collect::<Vec<_>>());
}
