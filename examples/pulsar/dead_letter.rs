//! Dead letters: what fails too often is moved aside, with where it came from; the messages beside it are done.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_pulsar::{Client, DeadLetter, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_PULSAR_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    // New in each run: nothing is left over from the last one.
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let topic = format!("example-dead-{run}");
    let producer = client.producer(&topic).build().await?;
    for text in ["good", "poison"] {
        producer.send(Message::new(text)).await?;
    }

    // Delivered once, and twice again; without a subscription letters may be deleted before anybody reads them.
    let letters = DeadLetter::after(2).initial_subscription("review");
    let consumer = client
        .consumer("billing")
        .topic(&topic)
        .shared()
        .from_earliest()
        .nack_delay(Duration::from_millis(100))
        .dead_letter(letters)
        .build()
        .await?;
    for _ in 0..4 {
        let delivery = consumer.recv().await?.ok_or("the consumer was closed")?;
        let (text, attempt) = (delivery.text().unwrap_or_default(), delivery.attempt());
        println!("handling {text}: attempt {attempt}");
        match text {
            "poison" => delivery.nack().await?,
            _ => delivery.ack().await?,
        }
    }

    let dead = format!("{topic}-billing-DLQ");
    let review = client.consumer("review").topic(dead).from_earliest();
    let review = review.build().await?;
    let letter = review.recv().await?.ok_or("the consumer was closed")?;
    println!("dead letter: {}", letter.text().unwrap_or_default());
    let from = letter
        .property_text("REAL_SUBSCRIPTION")
        .unwrap_or("nowhere");
    println!("of subscription {from}");
    letter.ack().await?;
    review.close().await;
    consumer.close().await;
    client.close().await;
    Ok(())
}

const LOCAL: &str = "pulsar://127.0.0.1:6650";
