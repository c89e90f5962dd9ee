//! Order by key: the messages of an order go to one queue and come one after the other; orders of other queues come beside them.
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
    let (topic, group) = (format!("orders-{run}"), format!("shops-{run}"));

    let client = Client::from_url(&url)?.connect().await?;
    let producer = client.producer("ordered-producer").build().await?;
    for step in ["created", "paid", "shipped"] {
        for order in ["order-1", "order-2", "order-3"] {
            let message = Message::new(&topic, step).ordering_key(order);
            producer.send(message).await?;
        }
    }

    let consumer = client
        .consumer(&group)
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .ordered()
        .build()
        .await?;
    let mut lines = Vec::new();
    while lines.len() < 9 {
        let Some(delivery) = consumer.recv().await? else {
            break;
        };
        let order = delivery.ordering_key_text().unwrap_or_default().to_owned();
        lines.push((order, String::from_utf8_lossy(delivery.body()).into_owned()));
        delivery.ack().await?;
    }
    // Stable: the steps of an order stay as they came.
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    for (order, step) in lines {
        println!("{order} {step}");
    }
    client.close().await?;
    Ok(())
}
