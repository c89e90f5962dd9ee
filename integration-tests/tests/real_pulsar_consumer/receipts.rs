//! Acknowledgements that the broker confirms, those that come too late, and pauses that grow.

use std::time::Duration;

use integration_tests::harness::pulsar::{
    Manage, WAIT, acked, connect, fill, next, numbers, only, some,
};
use integration_tests::harness::{now, until, within};
use mq_pulsar::{ConsumerBuilder, ErrorKind, Outcome};

/// Whoever has waited for an acknowledgement finds it done; one after the other does not take 100 ms each.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_an_acknowledgement_with_receipt_is_the_brokers_when_it_returns() {
    let (client, manage) = (connect().await, Manage::shared());
    for (kind, sets) in [
        (ConsumerBuilder::exclusive as fn(_) -> _, true),
        (ConsumerBuilder::shared, true),
        (ConsumerBuilder::shared, false),
    ] {
        let topic = manage.topic("receipts").await;
        manage.subscribe(&topic, "s").await;
        fill(&client, &topic, 100).await;
        let consumer = kind(client.consumer("s").topic(&topic));
        let consumer = consumer.ack_receipts(true).batch_index_acks(sets);
        let consumer = consumer.build().await.unwrap();
        let all = some(&consumer, 100).await;
        assert_eq!(manage.backlog(&topic, "s").await, 10);
        let begun = now();
        for (at, delivery) in all.into_iter().enumerate() {
            delivery.ack().await.unwrap();
            if at == 49 {
                assert_eq!(manage.backlog(&topic, "s").await, 5, "{sets}");
            }
        }
        assert_eq!(manage.backlog(&topic, "s").await, 0, "{sets}");
        assert!(
            now() - begun < Duration::from_secs(4),
            "they were held back"
        );
        consumer.close().await;
    }
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_everything_up_to_a_message_is_the_brokers_with_the_receipt() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("receipts").await;
    manage.subscribe(&topic, "s").await;
    fill(&client, &topic, 30).await;
    let consumer = client.consumer("s").topic(&topic).ack_receipts(true);
    let consumer = consumer.build().await.unwrap();
    let mut all = some(&consumer, 30).await;
    let rest = all.split_off(20);
    all.pop().unwrap().ack_cumulative().await.unwrap();
    assert_eq!(manage.backlog(&topic, "s").await, 1);
    for covered in all.into_iter().chain(rest) {
        covered.ack().await.unwrap();
    }
    assert_eq!(manage.backlog(&topic, "s").await, 0);
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_an_acknowledgement_that_nobody_can_be_told_is_stale() {
    let (client, manage) = (connect().await, Manage::shared());
    for receipts in [false, true] {
        let own = connect().await;
        let topic = manage.topic("stale").await;
        manage.subscribe(&topic, "s").await;
        fill(&client, &topic, 2).await;
        let consumer = own.consumer("s").topic(&topic).ack_receipts(receipts);
        let consumer = consumer.build().await.unwrap();
        let mut all = some(&consumer, 2).await;
        own.close().await;
        // The consumer hears of it by a task of its own.
        until(WAIT, "the subscription is gone", async || {
            let consumers = &manage.stats(&topic).await["subscriptions"]["s"]["consumers"];
            consumers.as_array().is_some_and(Vec::is_empty)
        })
        .await;
        let told = within(WAIT, "an answer", all.remove(0).ack())
            .await
            .unwrap_err();
        assert_eq!(
            (told.kind(), told.outcome()),
            (ErrorKind::Stale, Outcome::NotSent)
        );
        let again = client.consumer("s").topic(&topic).build().await.unwrap();
        assert_eq!(numbers(&some(&again, 2).await), [0, 1]);
    }
}

/// It comes again, and whoever has it still can't settle what is another one's now.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_a_message_that_is_not_settled_in_time_comes_again() {
    for kind in [ConsumerBuilder::shared, ConsumerBuilder::exclusive] {
        let (client, manage) = (connect().await, Manage::shared());
        let topic = manage.topic("timeout").await;
        manage.subscribe(&topic, "s").await;
        fill(&client, &topic, 10).await;
        let timeout = Duration::from_millis(1200);
        let consumer = kind(client.consumer("s").topic(&topic));
        let consumer = consumer.ack_timeout(timeout).build().await.unwrap();
        let begun = now();
        let mut all = some(&consumer, 10).await;
        let late = all.remove(4);
        for delivery in all {
            delivery.ack().await.unwrap();
        }
        let again = next(&consumer).await;
        assert!(now() - begun >= timeout, "before its time");
        assert_eq!((again.text(), again.id()), (Some("4"), late.id()));
        let told = late.ack().await.unwrap_err();
        assert_eq!(told.kind(), ErrorKind::Stale, "it is another one's");
        again.ack().await.unwrap();
        only(&client, &topic, &consumer).await;
        acked(&manage, &topic, "s").await;
        assert_eq!(consumer.counts().expired, 1);
        consumer.close().await;
    }
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_pauses_after_negative_acknowledgements_grow() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("backoff").await;
    manage.subscribe(&topic, "s").await;
    fill(&client, &topic, 1).await;
    let (least, most) = (Duration::from_millis(300), Duration::from_secs(1));
    let consumer = client.consumer("s").topic(&topic).shared();
    let consumer = consumer.nack_backoff(least, most, 2.0);
    let consumer = consumer.build().await.unwrap();
    let mut delivery = next(&consumer).await;
    for (count, pause) in [(1, 300), (2, 600), (3, 1000), (4, 1000)] {
        let begun = now();
        delivery.nack().await.unwrap();
        delivery = next(&consumer).await;
        let (took, pause) = (now() - begun, Duration::from_millis(pause));
        assert!(took >= pause && took < pause + least, "{count}: {took:?}");
        assert_eq!(delivery.redelivery_count(), count);
    }
    delivery.ack().await.unwrap();
    acked(&manage, &topic, "s").await;
    for wrong in [
        client
            .consumer("s")
            .topic(&topic)
            .ack_timeout(Duration::from_millis(999)),
        client
            .consumer("s")
            .topic(&topic)
            .nack_backoff(most, least, 2.0),
        client
            .consumer("s")
            .topic(&topic)
            .nack_backoff(least, most, 0.5),
    ] {
        let told = wrong.build().await.unwrap_err();
        assert_eq!(told.kind(), ErrorKind::Invalid);
    }
}
