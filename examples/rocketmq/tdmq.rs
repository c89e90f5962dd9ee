//! Tencent TDMQ's Python guide: access keys and a namespace; sends a message, receives it with a handler.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;
use std::env::var;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use mq_rocketmq::{Client, ConsumeFrom, Credentials, Message, Settle};
use tokio::{sync::Notify, time::timeout};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Address, keys and topic of the cloud's console; the local broker takes any namespace, and without ACL needs no keys.
    let mut builder = match var("TDMQ_ADDRESS") {
        Ok(address) => Client::builder().nameserver(address),
        Err(_) => Client::from_url(&var("MQ_ROCKETMQ_URL").map_err(|_| HOW)?)?,
    };
    if let (Ok(access_key), Ok(secret_key)) = (var("TDMQ_ACCESS_KEY"), var("TDMQ_SECRET_KEY")) {
        builder = builder.credentials(Credentials::new(access_key, secret_key));
    }
    let namespace =
        var("TDMQ_NAMESPACE").unwrap_or_else(|_| "rocketmq-xxx|namespace_python".into());
    let client = builder.namespace(namespace).connect().await?;

    let producer = client.producer("group1").build().await?;
    // The topic's full name is rocketmq-xxx|namespace_python%topic1.
    let message = Message::new("topic1", "This is a new message.");
    let message = message.key("KEYS").tag("TAGS");
    let receipt = producer.send(message).await?;
    println!("sent     {} to {}", receipt.unique_id(), receipt.topic());

    let consumer = client
        .consumer("group11")
        .subscribe("topic1", "TAGS")
        .from(ConsumeFrom::First)
        .build()
        .await?;
    // The guide's program runs for ever; this one closes when the message has come, and after 30 s anyway.
    let (handle, came) = (consumer.handle(), Arc::new(Notify::new()));
    let handler = Arc::clone(&came);
    tokio::spawn(async move {
        let _in_time = timeout(Duration::from_secs(30), came.notified()).await;
        handle.close().await;
    });
    consumer
        .run(move |message| {
            let body = String::from_utf8_lossy(message.body());
            println!("received {} {body}", message.unique_id().unwrap_or("-"));
            handler.notify_one();
            async { Ok::<_, Infallible>(Settle::Ack) }
        })
        .await?;
    client.close().await?;
    Ok(())
}

const HOW: &str = "set TDMQ_ADDRESS to host:port of the console (with TDMQ_NAMESPACE, TDMQ_ACCESS_KEY and TDMQ_SECRET_KEY), \
    or MQ_ROCKETMQ_URL to rocketmq://host:9876";
