//! Huawei DMS's normal messages: sends without waiting for each answer, receives with a handler.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mq_rocketmq::{Client, ConsumeFrom, Message, Settle};
use tokio::{sync::Semaphore, time::timeout};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_ROCKETMQ_URL").map_err(|_| "MQ_ROCKETMQ_URL is not set")?;
    let client = Client::from_url(&url)?.connect().await?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let topic = format!("TopicTest-{run}");

    let producer = client.producer("ProducerGroupName").build().await?;
    let mut confirms = Vec::new();
    for number in 0..COUNT {
        let message = Message::new(&topic, format!("Hello world {number}"))
            .tag("TagA")
            .key(format!("OrderID{number}"))
            .property("property", "test");
        // Waits only while the window is full; the answer comes later.
        confirms.push(producer.enqueue(message).await?);
    }
    for confirm in confirms {
        match confirm.await {
            Ok(receipt) => println!("sent     {}", receipt.unique_id()),
            // Not stored, or unknown; the message is in `failed.message`, to be sent again.
            Err(failed) => println!("failed   {} ({})", failed, failed.outcome()),
        }
    }

    let consumer = client
        .consumer(&format!("consumer-{run}"))
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .build()
        .await?;
    let (handle, received) = (consumer.handle(), Arc::new(Semaphore::new(0)));
    let handler = Arc::clone(&received);
    tokio::spawn(async move {
        let _all = timeout(Duration::from_secs(30), received.acquire_many(COUNT)).await;
        handle.close().await;
    });
    consumer
        .run(move |message| {
            let property = message.properties().get("property").unwrap_or("-");
            println!("received {:?}, property {property}", message.body());
            handler.add_permits(1);
            async { Ok::<_, Infallible>(Settle::Ack) }
        })
        .await?;
    client.close().await?;
    Ok(())
}
const COUNT: u32 = 3;
