//! Global order: a topic of one queue, and a consumer that takes its messages one after the other, a failure included.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_rocketmq::{Client, ConsumeFrom, Message, TopicOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_ROCKETMQ_URL").unwrap_or_else(|_| {
        println!("MQ_ROCKETMQ_URL is not set; trying rocketmq://127.0.0.1:9876");
        "rocketmq://127.0.0.1:9876".to_owned()
    });
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let (topic, group) = (format!("ledger-{run}"), format!("ledgers-{run}"));

    let client = Client::from_url(&url)?.connect().await?;
    // One queue on each broker: where there are several, one key chooses one of them for all.
    client
        .admin()
        .create_topic(&topic, TopicOptions::new().queues(1))
        .await?;
    let producer = client.producer("ordered-producer").build().await?;
    for step in ["open", "pay", "ship", "close"] {
        producer
            .send(Message::new(&topic, step).ordering_key("all"))
            .await?;
    }

    let consumer = client
        .consumer(&group)
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .ordered()
        .suspend(Duration::from_millis(100))
        .build()
        .await?;
    let mut done = 0;
    while done < 4 {
        let Some(delivery) = consumer.recv().await? else {
            break;
        };
        let step = String::from_utf8_lossy(delivery.body()).into_owned();
        if step == "pay" && delivery.attempt() == 1 {
            println!("{step}: failed");
            delivery.nack().await?;
            continue;
        }
        println!("{step}: attempt {}", delivery.attempt());
        delivery.ack().await?;
        done += 1;
    }
    client.close().await?;
    Ok(())
}
