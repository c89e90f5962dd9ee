//! Sending without waiting: a thousand under way, and a receipt or an error for each, in order.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use futures_util::StreamExt as _;
use mq_pulsar::{Client, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_PULSAR_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let producer = client.producer("example-async-confirm").window(1000);
    let producer = producer.build().await?;

    // Awaited later: the window holds what is under way, and more waits.
    let first = producer.enqueue(Message::new("first")).await?;
    let second = producer.enqueue(Message::new("second")).await?;
    for confirm in [first, second] {
        let receipt = confirm.await?;
        println!("confirmed after {} attempt", receipt.attempts());
    }

    let messages = futures_util::stream::iter(0..10_000).map(|at| {
        let text = if at == 5_000 {
            // More than a broker takes.
            "x".repeat(6 << 20)
        } else {
            at.to_string()
        };
        Message::new(text).key(at.to_string())
    });
    let mut results = std::pin::pin!(producer.send_all(messages));
    let mut stored = 0;
    while let Some(result) = results.next().await {
        match result {
            Ok(_receipt) => stored += 1,
            // The message comes back; the others are not disturbed.
            Err(failed) => println!(
                "message {} failed: {}, {}",
                failed.message.key_text().unwrap_or_default(),
                failed.kind(),
                failed.outcome()
            ),
        }
    }
    println!("stored {stored}");

    // Of what nobody awaits the failures are told here.
    drop(producer.enqueue(Message::new("last")).await?);
    producer.flush().await?;
    println!("and the last");
    producer.close().await?;
    client.close().await;
    Ok(())
}

const LOCAL: &str = "pulsar://127.0.0.1:6650";
