//! Orders of two customers, each handled in the order in which they were sent; what fails is tried again before anything that follows it.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mq_amqp::{Client, Message, RetryPolicy, Settle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let topic = client.ordered_topic("example-ordered").partitions(4);
    let topic = topic.declare().await?;
    let publisher = topic.publisher().build().await?;
    for step in ["created", "paid", "shipped"] {
        for customer in ["anna", "ben"] {
            publisher.send(Message::new(customer, step)).await?;
        }
    }

    let pause = Duration::from_millis(100);
    let policy = RetryPolicy::in_place(pause, pause).attempts(5);
    let consumer = topic.consumer().retry(policy).build().await?;
    let (handle, (done, mut all)) = (consumer.handle(), tokio::sync::mpsc::channel(6));
    tokio::spawn(async move {
        for _ in 0..6 {
            all.recv().await;
        }
        handle.close().await;
    });
    let failed = AtomicBool::new(false);
    consumer
        .run(move |order| {
            let (customer, step) = (order.routing_key(), order.text().unwrap_or_default());
            let fails = step == "paid" && customer == "anna";
            let fails = fails && !failed.swap(true, Ordering::Relaxed);
            let outcome = if fails { "fails" } else { "is done" };
            println!("{customer}: {step} {outcome}");
            let done = done.clone();
            async move {
                if fails {
                    return Ok(Settle::Retry);
                }
                done.send(()).await.map(|()| Settle::Ack)
            }
        })
        .await?;

    for partition in 0..topic.partitions() {
        client.delete_queue(&topic.queue(partition)).await?;
    }
    client.delete_queue(&topic.parking_queue()).await?;
    client.delete_exchange(topic.name()).await?;
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
