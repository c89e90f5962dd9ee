//! Seeking: a subscription is moved back, to a message and to a time, and what was done comes once more.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_pulsar::{Client, Consumer, Message, MessageId};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_PULSAR_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    // New in each run: nothing is left over from the last one.
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let topic = format!("example-seek-{run}");
    // Without retention a broker keeps only what a subscription has not acknowledged.
    let archive = client.consumer("archive").topic(&topic).build().await?;
    let consumer = client.consumer("billing").topic(&topic).build().await?;
    let producer = client.producer(&topic).build().await?;
    for number in 0..4 {
        producer
            .send(Message::new(format!("bill {number}")))
            .await?;
    }

    let ids = take(&consumer, 4).await?;
    println!("once more from the third on");
    consumer.seek(*ids.get(2).ok_or("too few")?).await?;
    take(&consumer, 2).await?;
    println!("once more from a minute ago on");
    let now = SystemTime::UNIX_EPOCH.elapsed()?;
    let before = now.saturating_sub(Duration::from_secs(60));
    consumer.seek_time(SystemTime::UNIX_EPOCH + before).await?;
    take(&consumer, 4).await?;

    archive.close().await;
    consumer.close().await;
    client.close().await;
    Ok(())
}

async fn take(consumer: &Consumer, count: usize) -> Result<Vec<MessageId>, Box<dyn Error>> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let delivery = consumer.recv().await?.ok_or("the consumer was closed")?;
        println!("billing {}", delivery.text().unwrap_or_default());
        ids.push(delivery.id());
        delivery.ack().await?;
    }
    Ok(ids)
}

const LOCAL: &str = "pulsar://127.0.0.1:6650";
