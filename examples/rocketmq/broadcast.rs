//! Broadcasting: two members of one group, and each gets every message. Each keeps its offsets in a file of its own.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::SystemTime;

use mq_rocketmq::{Client, ConsumeFrom, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_ROCKETMQ_URL").unwrap_or_else(|_| {
        println!("MQ_ROCKETMQ_URL is not set; trying rocketmq://127.0.0.1:9876");
        "rocketmq://127.0.0.1:9876".to_owned()
    });
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let (topic, group) = (format!("cache-{run}"), format!("caches-{run}"));
    let dir = std::env::temp_dir().join(&group);

    let client = Client::from_url(&url)?.connect().await?;
    let producer = client.producer("broadcast-producer").build().await?;
    for number in 1..=3 {
        let message = Message::new(&topic, format!("forget entry {number}"));
        producer.send(message).await?;
    }

    for member in ["first", "second"] {
        // Elsewhere these are two processes; in one, each needs a client of its own.
        let client = Client::from_url(&url)?.connect().await?;
        let consumer = client
            .consumer(&group)
            .subscribe(&topic, "*")
            // What is not in the file yet begins here.
            .from(ConsumeFrom::First)
            .broadcast(dir.join(member))
            .build()
            .await?;
        for _ in 0..3 {
            if let Some(delivery) = consumer.recv().await? {
                let body = String::from_utf8_lossy(delivery.body());
                println!("{member} member was told: {body}");
                delivery.ack().await?;
            }
        }
        consumer.close().await;
        // An error says that the file could not be written.
        consumer.closed().await?;
        client.close().await?;
    }
    client.close().await?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
