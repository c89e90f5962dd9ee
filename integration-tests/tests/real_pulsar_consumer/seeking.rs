//! A consumer that is moved: what was here is thrown away, and what is handed out is settled by nobody.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::harness::pulsar::{
    Manage, WAIT, acked, connect, fill, next, numbers, only, some,
};
use integration_tests::harness::{until, wall, within};
use mq_pulsar::{ConsumerBuilder, Delivery, ErrorKind, Message, MessageId};

async fn ack_all(all: Vec<Delivery>) {
    for delivery in all {
        delivery.ack().await.unwrap();
    }
}

/// To the fourth message of a batch: that one and all behind it come, acknowledged or not, and nothing before.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_a_seek_goes_to_a_message_inside_of_a_batch() {
    let kinds = [
        ConsumerBuilder::exclusive,
        ConsumerBuilder::shared,
        ConsumerBuilder::failover,
        ConsumerBuilder::key_shared,
    ];
    for kind in kinds {
        let (client, manage) = (connect().await, Manage::shared());
        let topic = manage.topic("seek").await;
        manage.subscribe(&topic, "s").await;
        fill(&client, &topic, 30).await;
        let consumer = kind(client.consumer("s").topic(&topic));
        let consumer = consumer.build().await.unwrap();
        let mut all = some(&consumer, 30).await;
        let there = all[13].id();
        assert_eq!(there.batch_index(), Some(3));
        let held = all.split_off(25);
        ack_all(all).await;
        within(WAIT, "the seek", consumer.seek(there))
            .await
            .unwrap();
        let again = some(&consumer, 17).await;
        assert_eq!(numbers(&again), (13..30).collect::<Vec<_>>());
        // They are others' now, and nobody settles them for those.
        for late in held {
            let told = late.ack().await.unwrap_err();
            assert_eq!(told.kind(), ErrorKind::Stale);
        }
        ack_all(again).await;
        only(&client, &topic, &consumer).await;
        acked(&manage, &topic, "s").await;

        within(WAIT, "the seek", consumer.seek(MessageId::EARLIEST))
            .await
            .unwrap();
        let again = some(&consumer, 30).await;
        assert_eq!(numbers(&again), (0..30).collect::<Vec<_>>());
        drop(again);
        consumer.close().await;
    }
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_what_waits_to_be_handed_out_is_thrown_away_by_a_seek() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("prefetched").await;
    manage.subscribe(&topic, "s").await;
    fill(&client, &topic, 30).await;
    let consumer = client.consumer("s").topic(&topic).build().await.unwrap();
    let mut first = some(&consumer, 5).await;
    let begin = first[2].id();
    consumer.seek(MessageId::LATEST).await.unwrap();
    assert_eq!(
        first.remove(0).ack().await.unwrap_err().kind(),
        ErrorKind::Stale
    );
    only(&client, &topic, &consumer).await;
    // Whoever waits already gets what comes then.
    let (handle, consumer) = (consumer.handle(), Arc::new(consumer));
    let waiting = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { next(&consumer).await.text().unwrap().to_owned() }
    });
    tokio::task::yield_now().await;
    handle.seek(begin).await.unwrap();
    assert_eq!(within(WAIT, "the third", waiting).await.unwrap(), "2");
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_a_seek_goes_to_a_time_in_all_partitions() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.partitioned("time", 3).await;
    let consumer = client.consumer("s").topic(&topic).from_earliest();
    let consumer = consumer.build().await.unwrap();
    let producer = client.producer(&topic).build().await.unwrap();
    for at in 0..30 {
        let message = Message::new(at.to_string()).key(at.to_string());
        producer.send(message).await.unwrap();
    }
    let (sent, pause) = (wall(), Duration::from_millis(50));
    until(WAIT, "later", async || wall() > sent + pause).await;
    let there = wall();
    for at in 30..60 {
        let message = Message::new(at.to_string()).key(at.to_string());
        producer.send(message).await.unwrap();
    }
    ack_all(some(&consumer, 60).await).await;
    within(WAIT, "the seek", consumer.seek_time(there))
        .await
        .unwrap();
    let mut again = numbers(&some(&consumer, 30).await);
    again.sort_unstable();
    assert_eq!(again, (30..60).collect::<Vec<_>>());
}

/// Only the partition of the id is moved; an id of another topic is nobody's.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_a_seek_moves_the_partition_that_the_id_is_of() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.partitioned("parts", 2).await;
    let consumer = client.consumer("s").topic(&topic).from_earliest();
    let consumer = consumer.build().await.unwrap();
    let none = consumer.last_message_ids().await.unwrap();
    assert!(none.iter().all(|(_, id)| id.is_none()), "{none:?}");
    let producer = client.producer(&topic).build().await.unwrap();
    for at in 0..40 {
        let message = Message::new(at.to_string()).key(at.to_string());
        producer.send(message).await.unwrap();
    }
    let all = some(&consumer, 40).await;
    let last = [Some(0), Some(1)].map(|part| {
        let ids = all.iter().map(|one| one.id());
        ids.filter(|id| id.partition() == part).max()
    });
    let (zero, one): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|one| one.id().partition() == Some(0));
    assert!(zero.len() > 3 && !one.is_empty());
    let (there, expected) = (zero[2].id(), numbers(&zero)[2..].to_vec());
    ack_all(zero).await;
    consumer.seek(there).await.unwrap();
    let again = some(&consumer, expected.len()).await;
    assert_eq!(numbers(&again), expected);
    ack_all(one.into_iter().chain(again).collect()).await;

    let ids = consumer.last_message_ids().await.unwrap();
    for (at, (name, id)) in ids.into_iter().enumerate() {
        assert_eq!(name, format!("{topic}-partition-{at}"));
        assert_eq!(id, last[at]);
    }
    let nobody = "1:1:7".parse().unwrap();
    let told = consumer.seek(nobody).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Invalid, "{told}");
    consumer.close().await;
    for told in [
        consumer.seek(there).await,
        consumer.seek(MessageId::LATEST).await,
        consumer.seek_time(wall()).await,
        consumer.last_message_ids().await.map(drop),
    ] {
        assert_eq!(told.unwrap_err().kind(), ErrorKind::Closed);
    }
}
