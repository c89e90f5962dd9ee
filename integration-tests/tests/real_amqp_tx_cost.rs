//! What transactions cost beside confirms: figures for `docs/benchmarks.md`. It only fails where nothing moves.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use integration_tests::harness::amqp::{Kind, connect, queue_of};
use integration_tests::harness::{now, size};
use mq_amqp::{Client, Message};

const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(2);

/// How many messages a measurement may send: what the profile's 512 MB hold, for a quorum queue keeps in memory what its log has not yet
/// rolled over, purged or not.
fn most() -> u32 {
    size(3_000, 20_000)
}

fn message(queue: &str) -> Message {
    Message::new(queue.to_owned(), vec![7; 1024])
}

/// Messages a second, so many a transaction.
async fn transactions(client: &Client, queue: &str, messages: usize) -> f64 {
    let mut channel = client.tx_channel().build().await.unwrap();
    let (begun, mut sent) = (now(), 0_u32);
    while now() - begun < TIME && sent < most() {
        let tx = channel.begin().await.unwrap();
        for _ in 0..messages {
            tx.publish("", message(queue)).await.unwrap();
            sent += 1;
        }
        tx.commit().await.unwrap();
    }
    f64::from(sent) / (now() - begun).as_secs_f64()
}

/// Messages a second, so many in the window.
async fn confirms(client: &Client, queue: &str, window: usize) -> f64 {
    let publisher = client.publisher("").window(window).build().await.unwrap();
    let begun = now();
    let messages = stream::repeat_with(|| message(queue)).take(most() as usize);
    let messages = messages.take_while(|_| std::future::ready(now() - begun < TIME));
    let mut results = pin!(publisher.send_all(messages));
    let mut sent = 0_u32;
    while let Some(result) = results.next().await {
        result.unwrap();
        sent += 1;
    }
    f64::from(sent) / (now() - begun).as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    *rates.get(rates.len() / 2).unwrap()
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tx_costs_a_round_trip_a_commit() {
    let client = connect().await;
    for kind in [Kind::Classic, Kind::Quorum] {
        let queue = queue_of(kind, "cost").await;
        let usual = confirms(&client, &queue, 1000).await;
        println!("{kind:?}: {usual:.0} messages/s with confirms and the usual window");
        client.purge_queue(&queue).await.unwrap();
        for count in [1, 10, 100] {
            let (mut by_tx, mut by_confirm) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                by_tx.push(transactions(&client, &queue, count).await);
                by_confirm.push(confirms(&client, &queue, count).await);
                client.purge_queue(&queue).await.unwrap();
            }
            println!(
                "{kind:?}, {count}: {:.0} messages/s in transactions, {:.0} with confirms; of {by_tx:.0?} and {by_confirm:.0?}",
                median(by_tx.clone()),
                median(by_confirm.clone())
            );
            assert!(by_tx.iter().all(|rate| *rate > 1.0));
        }
    }
    client.close().await;
}
