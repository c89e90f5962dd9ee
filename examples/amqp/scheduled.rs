//! Messages that are delivered later, on a RabbitMQ without plugins: the one that is due first comes first.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_amqp::{Client, Message, Queue};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let reminders =
        Queue::classic(format!("example-reminders-{run}")).expires(Duration::from_secs(60));
    let reminders = client.declare_queue(reminders).await?.name;
    // The first one in a virtual host makes what all of them use.
    let scheduler = client.scheduler().build().await?;

    for (text, millis) in [("in 2 s", 2000), ("in 0.5 s", 500)] {
        let message = Message::new(reminders.clone(), text);
        let delay = Duration::from_millis(millis);
        scheduler.deliver_after(message, delay).await?;
    }
    let past = SystemTime::UNIX_EPOCH;
    let message = Message::new(reminders.clone(), "long past");
    let receipt = scheduler.deliver_at(message, past).await?;
    let handle = receipt.scheduled().ok_or("it was scheduled")?;
    println!("delivered at once: {}", handle.is_past());

    let consumer = client.consumer(reminders).build().await?;
    for _ in 0..3 {
        let delivery = consumer.recv().await?.ok_or("the consumer was closed")?;
        let due = delivery.scheduled_for().ok_or("it was scheduled")?;
        // An error if it were early.
        due.elapsed()?;
        println!("received {}", delivery.text().unwrap_or_default());
        delivery.ack().await?;
    }
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
