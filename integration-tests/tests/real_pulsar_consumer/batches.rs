//! Messages of a batch, each settled for itself.

use integration_tests::harness::pulsar::{Manage, acked, connect, fill, next, numbers, only, some};
use mq_pulsar::{ConsumerBuilder, ErrorKind};

/// The promise on page one: with one message of a batch of ten acknowledged, nine come back, and not ten and not none.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_of_a_batch_of_ten_with_one_acknowledged_nine_come_back() {
    for kind in [ConsumerBuilder::exclusive, ConsumerBuilder::shared] {
        let (client, manage) = (connect().await, Manage::shared());
        let topic = manage.topic("nine").await;
        manage.subscribe(&topic, "s").await;
        fill(&client, &topic, 10).await;
        assert_eq!(manage.backlog(&topic, "s").await, 1, "one entry");
        let consumer = || kind(client.consumer("s").topic(&topic));

        let first = consumer().build().await.unwrap();
        let mut all = some(&first, 10).await;
        all.remove(3).ack().await.unwrap();
        drop(all);
        first.close().await;

        let second = consumer().build().await.unwrap();
        let again = some(&second, 9).await;
        assert_eq!(numbers(&again), [0, 1, 2, 4, 5, 6, 7, 8, 9]);
        for delivery in again {
            delivery.ack().await.unwrap();
        }
        only(&client, &topic, &second).await;
        acked(&manage, &topic, "s").await;
        second.close().await;
    }
}

/// Of a batch of which nothing is told before all of it is acknowledged, all comes back.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_a_broker_that_is_told_nothing_of_a_batch_delivers_all_of_it_again() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("whole").await;
    manage.subscribe(&topic, "s").await;
    fill(&client, &topic, 20).await;
    let consumer = || client.consumer("s").topic(&topic).batch_index_acks(false);

    let first = consumer().build().await.unwrap();
    let mut all = some(&first, 20).await;
    let left = all.split_off(15);
    for delivery in all {
        delivery.ack().await.unwrap();
    }
    drop(left);
    first.close().await;

    let second = consumer().build().await.unwrap();
    let again = some(&second, 10).await;
    assert_eq!(numbers(&again), (10..20).collect::<Vec<_>>());
    for delivery in again {
        delivery.ack().await.unwrap();
    }
    only(&client, &topic, &second).await;
    second.close().await;
    acked(&manage, &topic, "s").await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_everything_up_to_a_message_is_acknowledged_at_once() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("upto").await;
    manage.subscribe(&topic, "s").await;
    fill(&client, &topic, 31).await;
    let consumer = || client.consumer("s").topic(&topic);
    let first = consumer().failover().build().await.unwrap();
    let mut all = some(&first, 31).await;
    let rest = all.split_off(16);
    let last = all.pop().unwrap();
    last.ack_cumulative().await.unwrap();
    for covered in all {
        covered.ack().await.unwrap();
    }
    drop(rest);
    first.close().await;
    let second = consumer().failover().build().await.unwrap();
    let again = some(&second, 15).await;
    assert_eq!(numbers(&again), (16..31).collect::<Vec<_>>());
    let mut again = again;
    again.pop().unwrap().ack_cumulative().await.unwrap();
    drop(again);
    only(&client, &topic, &second).await;
    second.close().await;
    acked(&manage, &topic, "s").await;

    let shared = client.consumer("shared").topic(&topic).shared();
    let shared = shared.from_earliest().build().await.unwrap();
    let told = next(&shared).await.ack_cumulative().await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Invalid);
}
