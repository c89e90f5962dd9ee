//! Publishing with confirms: a thousand in flight, and a receipt or an error for each, in order.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use futures_util::StreamExt as _;
use mq_amqp::{Client, Message, Queue};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let queue = client.declare_queue(Queue::temporary()).await?;
    let publisher = client.publisher("").window(1000).build().await?;

    // Awaited later: the window holds what is under way, and more waits.
    let confirm = publisher
        .enqueue(Message::new(queue.name.clone(), "first").id("order-1"))
        .await?;
    let receipt = confirm.await?;
    println!(
        "confirmed {} after {} attempt",
        receipt.unique_id(),
        receipt.attempts()
    );

    let name = queue.name.clone();
    let messages = futures_util::stream::iter(0..10_000).map(move |at| {
        let key = if at == 5_000 {
            "no such queue".to_owned()
        } else {
            name.clone()
        };
        Message::new(key, at.to_string())
    });
    let mut results = std::pin::pin!(publisher.send_all(messages));
    let mut stored = 0;
    while let Some(result) = results.next().await {
        match result {
            Ok(_receipt) => stored += 1,
            // The message comes back; other senders' messages are not disturbed.
            Err(failed) => println!(
                "message {} failed: {}",
                String::from_utf8_lossy(failed.message.body()),
                failed.outcome()
            ),
        }
    }
    println!("stored {stored}");
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
