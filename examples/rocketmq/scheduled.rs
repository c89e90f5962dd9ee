//! Scheduled messages: at a time, after a while, and by a level, which brokers of 4.x have too.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_rocketmq::{Client, ConsumeFrom, ErrorKind, Message, ScheduledHandle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_ROCKETMQ_URL").unwrap_or_else(|_| {
        println!("MQ_ROCKETMQ_URL is not set; trying rocketmq://127.0.0.1:9876");
        "rocketmq://127.0.0.1:9876".to_owned()
    });
    // On Huawei DMS and Tencent TDMQ: ?dialect=dms, ?dialect=tdmq, in the URL or by .dialect(…).
    let client = Client::from_url(&url)?.connect().await?;
    let producer = client.producer("scheduled-producer").build().await?;
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed()?;
    let topic = format!("scheduled-{}", since_1970.as_millis());
    let begun = SystemTime::UNIX_EPOCH + since_1970;

    let in_3_s = begun + Duration::from_secs(3);
    let mut sent = 0;
    for message in [
        Message::new(&topic, "at a time").deliver_at(in_3_s),
        Message::new(&topic, "after a while").deliver_after(Duration::from_secs(2)),
        Message::new(&topic, "by level 1").delay_level(1),
    ] {
        match producer.send(message).await {
            Ok(receipt) => {
                let due = receipt.scheduled().and_then(ScheduledHandle::due);
                println!("sent     {}", due.map_or("by a level", |_| "for a time"));
                sent += 1;
            }
            // Never delivered at once instead: a broker of 4.x is told nothing.
            Err(failed) if failed.error.kind() == ErrorKind::Unsupported => {
                println!("not sent {}", failed.error);
            }
            Err(failed) => return Err(failed.into()),
        }
    }

    let consumer = client
        .consumer("scheduled-consumer")
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .build()
        .await?;
    for _ in 0..sent {
        if let Some(delivery) = consumer.recv().await? {
            let body = String::from_utf8_lossy(delivery.body());
            println!("received {body}, later by {} s", begun.elapsed()?.as_secs());
            delivery.ack().await?;
        }
    }
    client.close().await?;
    Ok(())
}
