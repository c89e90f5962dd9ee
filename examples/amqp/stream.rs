//! A stream keeps its messages: two readers each read them all, one of them from the middle on.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::SystemTime;

use mq_amqp::{Client, Message, Queue, Value};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let name = format!(
        "example-stream-{}",
        SystemTime::UNIX_EPOCH.elapsed()?.as_millis()
    );
    client
        .declare_queue(Queue::stream(name.clone()).max_age("1h"))
        .await?;
    let publisher = client.publisher("").build().await?;
    for number in 0..6 {
        publisher
            .send(Message::new(name.clone(), format!("event {number}")))
            .await?;
    }

    for (who, offset) in [
        ("from the first", Value::from("first")),
        ("from offset 4", Value::from(4_i64)),
    ] {
        let reader = client
            .consumer(name.clone())
            .stream_offset(offset.clone())
            .prefetch(10)
            .build()
            .await?;
        let mut at = offset.as_i64().unwrap_or_default();
        while at < 6 {
            let delivery = reader.recv().await?.ok_or("the reader was closed")?;
            let offset = delivery.header("x-stream-offset").and_then(Value::as_i64);
            // The broker begins with the chunk that holds the offset.
            if offset >= Some(at) {
                println!("{who}: {}", delivery.text().unwrap_or_default());
                at += 1;
            }
            // Nothing is deleted: an ack makes room for the next.
            delivery.ack().await?;
        }
        reader.close().await;
    }
    client.delete_queue(&name).await?;
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
