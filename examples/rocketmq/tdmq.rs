//! Tencent TDMQ's Python guide: access keys and a namespace; sends a message, receives it with a handler.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;
use std::env::var;
use std::error::Error;
use std::time::Duration;

use mq_rocketmq::{Client, ConsumeFrom, Credentials, Message, Settle};

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

    // Its full name is rocketmq-xxx|namespace_python%topic1.
    let producer = client.producer("group1").build().await?;
    let message = Message::new("topic1", "This is a new message.")
        .key("KEYS")
        .tag("TAGS");
    let receipt = producer.send(message).await?;
    println!("sent     {} to {}", receipt.unique_id(), receipt.topic());

    let consumer = client
        .consumer("group11")
        .subscribe("topic1", "TAGS")
        .from(ConsumeFrom::First)
        .build()
        .await?;
    // The guide's program runs for ever; this one closes after 5 s.
    let handle = consumer.handle();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        handle.close().await;
    });
    consumer
        .run(|message| async move {
            let body = String::from_utf8_lossy(message.body()).into_owned();
            println!("received {} {body}", message.unique_id().unwrap_or("-"));
            Ok::<_, Infallible>(Settle::Ack)
        })
        .await?;
    client.close().await?;
    Ok(())
}

const HOW: &str = "set TDMQ_ADDRESS to host:port of the console (with TDMQ_NAMESPACE, TDMQ_ACCESS_KEY and TDMQ_SECRET_KEY), \
    or MQ_ROCKETMQ_URL to rocketmq://host:9876";
