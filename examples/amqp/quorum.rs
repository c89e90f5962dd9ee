//! A quorum queue counts deliveries: after two of them a message goes to its dead letters, whoever received it.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_amqp::{Client, Message, Queue, Settle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let minute = Duration::from_secs(60);
    let dead = Queue::classic(format!("example-dead-{run}")).expires(minute);
    let dead = client.declare_queue(dead).await?;
    let orders = Queue::quorum(format!("example-orders-{run}"))
        .delivery_limit(2)
        .dead_letter_exchange("")
        .dead_letter_routing_key(dead.name.clone())
        .expires(minute);
    let orders = client.declare_queue(orders).await?;
    let publisher = client.publisher("").build().await?;
    publisher
        .send(Message::new(orders.name.clone(), "order 1"))
        .await?;

    let consumer = client.consumer(orders.name).build().await?;
    for _ in 0..3 {
        let delivery = consumer.recv().await?.ok_or("the consumer was closed")?;
        println!("attempt {}", delivery.attempt());
        // Back to the queue, for any consumer.
        delivery.settle(Settle::Release).await?;
    }
    let letters = client.consumer(dead.name).build().await?;
    let letter = letters.recv().await?.ok_or("the consumer was closed")?;
    println!("dead letter: {}", letter.text().unwrap_or_default());
    letter.ack().await?;
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
