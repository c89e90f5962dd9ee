//! Handlers that fail: again after a pause that the broker keeps, and after three attempts aside, with the reason.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_amqp::{Client, Message, Queue, Received, RetryPolicy, Settle, Value};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let (work, aside) = (
        format!("example-work-{run}"),
        format!("example-parking-{run}"),
    );
    for name in [&work, &aside] {
        let queue = Queue::classic(name.clone()).expires(Duration::from_secs(60));
        client.declare_queue(queue).await?;
    }
    let publisher = client.publisher("").build().await?;
    publisher.send(Message::new(work.clone(), "good")).await?;
    publisher.send(Message::new(work.clone(), "poison")).await?;

    let second = Duration::from_secs(1);
    let policy = RetryPolicy::delayed(second / 5, second).attempts(3);
    let consumer = client
        .consumer(work)
        .retry(policy)
        .parking_queue(aside.clone());
    let consumer = consumer.build().await?;
    let running = consumer.handle();
    let handling = tokio::spawn(async move { consumer.run(handle).await });
    let parked = client.consumer(aside).build().await?;
    let letter = parked.recv().await?.ok_or("the consumer was closed")?;
    let reason = letter.header("x-mq-reason").and_then(Value::as_str);
    println!(
        "parked {}: {}",
        letter.text().unwrap_or_default(),
        reason.unwrap_or_default()
    );
    letter.ack().await?;
    // Waits for what is under way: the copy is there, and its confirm is on the way.
    running.close().await;
    handling.await??;
    Ok(())
}

async fn handle(message: Received) -> Result<Settle, &'static str> {
    let text = message.text().unwrap_or_default();
    println!("handling {text}: attempt {}", message.attempt());
    if text == "good" {
        Ok(Settle::Ack)
    } else {
        Err("it can't be handled")
    }
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
