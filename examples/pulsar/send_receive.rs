//! TDMQ for Pulsar's Python guide in Rust: a token, a message with a property and a key, one that is not waited for, and both received.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mq_pulsar::{Client, Message, Secret};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // SERVICE_URL and AUTHENTICATION of the guide: the cluster's address, and the role's token.
    let url = std::env::var("MQ_PULSAR_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let mut options = Client::from_url(&url)?;
    if let Ok(token) = std::env::var("TDMQ_TOKEN") {
        options = options.token(Secret::new(token));
    }
    let client = options.connect().await?;
    // In the cloud pulsar-xxx/sdk_rust/topic1, made in the console.
    let topic = std::env::var("TDMQ_TOPIC").unwrap_or_else(|_| "example-send-receive".to_owned());

    let producer = client.producer(&topic).build().await?;
    let message = Message::new("Hello rust client, this is a msg.").property("k", "v");
    let receipt = producer.send(message.key("yourKey")).await?;
    let id = receipt.id().ok_or("it was sent before")?;
    println!("stored as {id}");

    let message = Message::new("Hello rust client, this is a async msg.").property("k", "v");
    let confirm = producer.enqueue(message.key("yourKey")).await?;
    println!("under way");
    // Instead of a callback: awaited when it suits, here or in another task.
    println!("stored after {} attempt", confirm.await?.attempts());

    let consumer = client.consumer("sub_topic1").topic(&topic);
    // The guide's new subscription would begin behind what was just sent.
    let consumer = consumer.from_earliest().build().await?;
    for _ in 0..2 {
        let next = tokio::select! {
            next = consumer.recv() => next?,
            // Ctrl-C: what is held is settled, the rest goes back.
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(delivery) = next else { break };
        let (key, property) = (delivery.key_text(), delivery.property_text("k"));
        match delivery.text() {
            Some(text) => {
                println!("received {text} key {key:?}, k={property:?}");
                delivery.ack().await?;
            }
            // It comes again after a minute; forgotten it would, too.
            None => delivery.nack().await?,
        }
    }
    consumer.close().await;
    producer.close().await?;
    client.close().await;
    Ok(())
}

const LOCAL: &str = "pulsar://127.0.0.1:6650";
