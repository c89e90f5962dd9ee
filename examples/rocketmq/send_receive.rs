//! Sends three messages to a topic of its own, receives them, and ends.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_rocketmq::{Client, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_ROCKETMQ_URL").unwrap_or_else(|_| {
        println!("MQ_ROCKETMQ_URL is not set; trying rocketmq://127.0.0.1:9876");
        "rocketmq://127.0.0.1:9876".to_owned()
    });
    let client = Client::from_url(&url)?.connect().await?;

    // New names in each run, so that nothing is left over from the last one.
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let (topic, group) = (format!("example-{run}"), format!("example-group-{run}"));

    let producer = client.producer("example-producer").build().await?;
    for number in 1..=3 {
        let message = Message::new(&topic, format!("message {number}"))
            .tag("TagA")
            .key(format!("key-{number}"));
        let receipt = producer.send(message).await?;
        println!(
            "sent     message {number} to {}/{} at offset {}",
            receipt.broker(),
            receipt.queue(),
            receipt.offset()
        );
    }

    let consumer = client
        .consumer(&group)
        .subscribe(&topic, "TagA || TagB")
        .from(mq_rocketmq::ConsumeFrom::First)
        .build()
        .await?;
    for _ in 0..3 {
        let delivery = tokio::time::timeout(Duration::from_secs(20), consumer.recv())
            .await??
            .ok_or("the consumer was closed")?;
        let body = String::from_utf8_lossy(delivery.body());
        println!("received {body}, key {}", delivery.keys().join(" "));
        delivery.ack().await?;
    }

    consumer.close().await;
    client.close().await?;
    println!("done");
    Ok(())
}
