//! A reader: a topic from its beginning to its end, and later on from where that was; nothing is acknowledged, and nobody else has less.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::SystemTime;

use mq_pulsar::{Client, Message, MessageId};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_PULSAR_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    // New in each run: nothing is left over from the last one.
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let topic = format!("example-reader-{run}");
    // Without retention a broker keeps only what a subscription has not acknowledged.
    let archive = client.consumer("archive").topic(&topic).build().await?;
    let producer = client.producer(&topic).build().await?;
    for number in 0..3 {
        producer
            .send(Message::new(format!("event {number}")))
            .await?;
    }

    let place = read(&client, &topic, MessageId::EARLIEST).await?;
    println!("read to the end");
    for number in 3..5 {
        producer
            .send(Message::new(format!("event {number}")))
            .await?;
    }
    // As text, so that it can be kept in a file.
    read(&client, &topic, place.parse()?).await?;

    archive.close().await;
    producer.close().await?;
    client.close().await;
    Ok(())
}

/// Reads what is there behind a place, and says where that ended.
async fn read(client: &Client, topic: &str, place: MessageId) -> Result<String, Box<dyn Error>> {
    let reader = client.reader(topic).start_after(place).build().await?;
    let mut place = place;
    while reader.has_message_available().await? {
        let message = reader.next().await?.ok_or("the reader was closed")?;
        println!("read {}", message.text().unwrap_or_default());
        place = message.id();
    }
    reader.close().await;
    Ok(place.to_string())
}

const LOCAL: &str = "pulsar://127.0.0.1:6650";
