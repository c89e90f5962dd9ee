//! Traffic control: at most 20 messages a second, by whatever number of handlers; the rest waits at the broker.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use mq_rocketmq::{Client, ConsumeFrom, Message, RateLimit, Settle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_ROCKETMQ_URL").unwrap_or_else(|_| {
        println!("MQ_ROCKETMQ_URL is not set; trying rocketmq://127.0.0.1:9876");
        "rocketmq://127.0.0.1:9876".to_owned()
    });
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let (topic, group) = (format!("calls-{run}"), format!("callers-{run}"));

    let client = Client::from_url(&url)?.connect().await?;
    let producer = client.producer("rate-limit-producer").build().await?;
    for number in 1..=42 {
        producer
            .send(Message::new(&topic, format!("call {number}")))
            .await?;
    }

    // What no handler is let through to for 3 s would be delivered again later.
    let limit = RateLimit::per_second(20).wait(Duration::from_secs(3));
    let consumer = client
        .consumer(&group)
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .rate_limit(limit)
        .build()
        .await?;
    let handle = consumer.handle();
    let begun = SystemTime::UNIX_EPOCH.elapsed()?;
    let left = AtomicUsize::new(42);
    consumer
        .run(move |_| {
            let last = left.fetch_sub(1, Ordering::AcqRel) == 1;
            let handle = handle.clone();
            async move {
                if last {
                    // Closing waits for this handler: not here.
                    tokio::spawn(async move { handle.close().await });
                }
                Ok::<_, mq_rocketmq::Error>(Settle::Ack)
            }
        })
        .await?;
    // Two at once, then one every 50 ms.
    let took = SystemTime::UNIX_EPOCH.elapsed()?.saturating_sub(begun);
    let slow = took >= Duration::from_millis(1900);
    println!("42 messages in 2 s or more: {slow}");
    client.close().await?;
    Ok(())
}
