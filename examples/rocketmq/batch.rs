//! A batch: a hundred messages in one request, stored together or not at all, and received one by one.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_rocketmq::{Client, ConsumeFrom, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_ROCKETMQ_URL").map_err(|_| "MQ_ROCKETMQ_URL is not set")?;
    let client = Client::from_url(&url)?.connect().await?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let (topic, group) = (format!("batch-{run}"), format!("batch-group-{run}"));

    let producer = client.producer("batch-producer").build().await?;
    let messages = (0..100).map(|number| Message::new(&topic, format!("line {number}")));
    let mut queues = BTreeSet::new();
    let results = producer.send_batch(messages).await;
    println!("sent     {} messages", results.len());
    // One result a message, in the order of the messages; what is larger than the broker takes goes in several requests.
    for result in results {
        match result {
            Ok(receipt) => drop(queues.insert((receipt.broker().to_owned(), receipt.queue()))),
            Err(failed) => println!("failed   {failed} ({})", failed.outcome()),
        }
    }
    println!("stored   in {} queue", queues.len());

    let consumer = client
        .consumer(&group)
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .build()
        .await?;
    let (mut count, mut last) = (0, String::new());
    while count < 100 {
        let delivery = tokio::time::timeout(Duration::from_secs(20), consumer.recv())
            .await??
            .ok_or("the consumer was closed")?;
        last = String::from_utf8_lossy(delivery.body()).into_owned();
        delivery.ack().await?;
        count += 1;
    }
    println!("received {count} messages, the last: {last}");
    client.close().await?;
    Ok(())
}
