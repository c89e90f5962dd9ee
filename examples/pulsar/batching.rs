//! Batches: a thousand messages in a few entries, compressed. One of them is acknowledged: after a restart all the others come again, and that one does not.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_pulsar::{Client, Compression, Consumer, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_PULSAR_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let topic = format!("example-batches-{run}");

    let producer = client
        .producer(&topic)
        .batch_messages(100)
        .linger(Duration::from_millis(10))
        .compression(Compression::Zstd)
        .build()
        .await?;
    let mut under_way = Vec::new();
    for number in 0..1000 {
        let message = Message::new(format!("line {number}"));
        under_way.push(producer.enqueue(message).await?);
    }
    let mut entries = BTreeSet::new();
    for confirm in under_way {
        let id = confirm.await?.id().ok_or("it was sent before")?;
        entries.insert((id.ledger(), id.entry()));
    }
    println!("1000 in few entries: {}", entries.len() <= 100);

    let consumer = subscribe(&client, &topic).await?;
    let first = consumer.recv().await?.ok_or("the consumer was closed")?;
    println!("acknowledged: {:?}", first.text());
    first.ack().await?;
    consumer.close().await;

    let consumer = subscribe(&client, &topic).await?;
    for number in 1..1000 {
        let delivery = consumer.recv().await?.ok_or("the consumer was closed")?;
        if number == 1 || number == 999 {
            println!("came again:   {:?}", delivery.text());
        }
        delivery.ack().await?;
    }
    consumer.close().await;
    client.close().await;
    Ok(())
}

async fn subscribe(client: &Client, topic: &str) -> Result<Consumer, mq_pulsar::Error> {
    let named = client.consumer("printer").topic(topic);
    named.from_earliest().build().await
}

const LOCAL: &str = "pulsar://127.0.0.1:6650";
