//! Work shared by two workers: each holds one message at a time, so that who is faster gets more.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use mq_amqp::{Client, Message, Queue, Settle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let queue = client.declare_queue(Queue::temporary()).await?;
    let publisher = client.publisher("").build().await?;
    for number in 1..=6 {
        publisher
            .send(Message::new(queue.name.clone(), format!("job {number}")))
            .await?;
    }

    let mut workers = Vec::new();
    for _ in 0..2 {
        let consumer = client
            .consumer(queue.name.clone())
            .prefetch(1)
            .concurrency(1)
            .build()
            .await?;
        workers.push(consumer.handle());
        tokio::spawn(async move {
            consumer
                .run(|job| async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    println!("done {}", job.text().unwrap_or_default());
                    Ok::<_, mq_amqp::Error>(Settle::Ack)
                })
                .await
        });
    }
    while client.queue(&queue.name).await?.messages > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for worker in workers {
        // Waits for what is still being handled.
        worker.close().await;
    }
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
