//! Cancelling scheduled messages: an order is paid in time, so that its reminder must not come.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_rocketmq::{Cancel, Client, ConsumeFrom, Message, ScheduledHandle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_ROCKETMQ_URL").unwrap_or_else(|_| {
        println!("MQ_ROCKETMQ_URL is not set; trying rocketmq://127.0.0.1:9876");
        "rocketmq://127.0.0.1:9876".to_owned()
    });
    let client = Client::from_url(&url)?.connect().await?;
    let producer = client.producer("orders").build().await?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let topic = format!("reminders-{run}");

    let mut tokens = Vec::new();
    for order in 1..=3 {
        let reminder = Message::new(&topic, format!("order {order} is not paid"));
        let receipt = producer
            .send(reminder.deliver_after(Duration::from_secs(3)))
            .await?;
        let handle = receipt.scheduled().ok_or("it was scheduled")?;
        // Text, to be kept with the order; another process may cancel.
        tokens.push(handle.to_string());
    }

    let [first, second, _] = &*tokens else {
        return Err("three were sent".into());
    };
    let paid: ScheduledHandle = second.parse()?;
    match producer.cancel(&paid).await? {
        Cancel::Cancelled => println!("order 2 is paid: no reminder"),
        Cancel::TooLate => println!("order 2 is paid, but reminded of"),
        // The broker does not tell whether it found the message.
        _ => println!("order 2 is paid: the reminder is asked back"),
    }

    let consumer = client
        .consumer("reminder")
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .build()
        .await?;
    for _ in 0..2 {
        if let Some(delivery) = consumer.recv().await? {
            println!("reminded: {}", String::from_utf8_lossy(delivery.body()));
            delivery.ack().await?;
        }
    }
    let late = producer.cancel(&first.parse()?).await?;
    println!("order 1 is paid: {late}");
    client.close().await?;
    Ok(())
}
