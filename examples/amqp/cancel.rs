//! A scheduled message that is taken back before its time, by a token that any process can keep.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_amqp::{Client, Message, Queue, ScheduledHandle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let unpaid = Queue::classic(format!("example-unpaid-{run}")).expires(Duration::from_secs(60));
    let unpaid = client.declare_queue(unpaid).await?.name;
    let scheduler = client.scheduler().build().await?;

    let message = Message::new(unpaid, "order 17 is not paid");
    let receipt = scheduler
        .deliver_after(message, Duration::from_secs(900))
        .cancellable()
        .await?;
    let token = receipt.scheduled().ok_or("it was scheduled")?.to_string();

    // Later, maybe elsewhere: the order was paid.
    let handle: ScheduledHandle = token.parse()?;
    println!("the first time: {}", scheduler.cancel(&handle).await?);
    println!("the second time: {}", scheduler.cancel(&handle).await?);
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
