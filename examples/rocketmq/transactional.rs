//! Transactions: an order's message is delivered if, and only if, the order was paid.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::SystemTime;

use mq_rocketmq::{Client, ConsumeFrom, Message, Verdict};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_ROCKETMQ_URL");
    let url = url.unwrap_or_else(|_| "rocketmq://127.0.0.1:9876".to_owned());
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let topic = format!("paid-orders-{run}");
    let client = Client::from_url(&url)?.connect().await?;
    let producer = client
        .producer(&format!("order-producer-{run}"))
        .checker(|message| async move {
            println!("the broker asks about {:?}", message.body());
            // Here the database is asked, by message.id() or by what the message says.
            Verdict::Commit
        })
        .topic(&topic)
        .build()
        .await?;

    let begun = producer.begin(Message::new(&topic, "order 1"));
    let transaction = begun.await?;
    // Here the payment is made, and written down with transaction.id().
    transaction.commit().await?;

    // The same in one piece; an error would leave the decision to the checker.
    let pay = |_| async { Ok::<_, std::io::Error>(Verdict::Rollback) };
    let ended = producer.transact(Message::new(&topic, "order 2"), pay);
    println!("order 2: {:?}", ended.await?);

    let begun = producer.begin(Message::new(&topic, "order 3"));
    // As if the process died here: the broker asks later.
    drop(begun.await?);

    let consumer = client
        .consumer(&format!("shipping-{run}"))
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
