//! Retry letters: a message waits in a topic of its own until its time has come, whatever happens to the consumer.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_pulsar::{Client, Message, RetryLetter};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_PULSAR_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    // New in each run: nothing is left over from the last one.
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let topic = format!("example-retry-{run}");
    let producer = client.producer(&topic).build().await?;
    producer.send(Message::new("order 1")).await?;

    // It consumes the topic in which messages wait, too.
    let consumer = client
        .consumer("billing")
        .topic(&topic)
        .shared()
        .from_earliest()
        .retry_letter(RetryLetter::new())
        .build()
        .await?;
    let pause = Duration::from_secs(1);
    let mut not_before = Duration::ZERO;
    loop {
        let delivery = consumer.recv().await?.ok_or("the consumer was closed")?;
        let text = delivery.text().unwrap_or_default().to_owned();
        let times = delivery.property_text("RECONSUMETIMES").unwrap_or("0");
        let in_time = SystemTime::UNIX_EPOCH.elapsed()? >= not_before;
        println!("{text}: put off {times} times, not too early: {in_time}");
        if times == "2" {
            delivery.ack().await?;
            break;
        }
        not_before = SystemTime::UNIX_EPOCH.elapsed()? + pause;
        // Ends when the letter is stored, and the message acknowledged.
        delivery.retry_later(pause).await?;
    }
    consumer.close().await;
    client.close().await;
    Ok(())
}

const LOCAL: &str = "pulsar://127.0.0.1:6650";
