//! Transactions: an order's message is delivered if, and only if, the order was paid. One commits, one rolls back, one is left to the checker.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::SystemTime;

use mq_rocketmq::{CheckedMessage, Client, ConsumeFrom, Message, Verdict};

/// What a database would know of the order.
fn look_up(message: &CheckedMessage) -> Verdict {
    println!("the broker asks");
    match message.body().ends_with(b"paid") {
        true => Verdict::Commit,
        false => Verdict::Rollback,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_ROCKETMQ_URL");
    let url = url.unwrap_or_else(|_| "rocketmq://127.0.0.1:9876".to_owned());
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let topic = format!("orders-{run}");
    let client = Client::from_url(&url)?.connect().await?;
    let producer = client
        .producer("order-producer")
        .checker(|message| async move { look_up(&message) })
        .topic(&topic)
        .build()
        .await?;

    let transaction = producer
        .begin(Message::new(&topic, "order 1: paid"))
        .await?;
    // Here the payment is made, and written down with transaction.id().
    transaction.commit().await?;

    // The same in one piece. An error of the local work would leave the decision to the checker.
    let message = Message::new(&topic, "order 2: no money");
    let local = |_| async { Ok::<_, std::io::Error>(Verdict::Rollback) };
    producer.transact(message, local).await?;

    let begun = producer
        .begin(Message::new(&topic, "order 3: paid"))
        .await?;
    // As if the process died here: the broker asks, for the first time after 6 s unless configured otherwise.
    drop(begun);

    let consumer = client.consumer(&format!("shipping-{run}"));
    let consumer = consumer
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .build()
        .await?;
    for _ in 0..2 {
        if let Some(delivery) = consumer.recv().await? {
            println!("ship {}", String::from_utf8_lossy(delivery.body()));
            delivery.ack().await?;
        }
    }
    client.close().await?;
    Ok(())
}
