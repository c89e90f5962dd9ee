//! TLS with the cluster's CA, and a token from a file that may be replaced while the client runs.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mq_pulsar::{Auth, Client, Message, Secret};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_PULSAR_TLS_URL")?;
    let ca = std::fs::read(std::env::var("MQ_PULSAR_TLS_CA")?)?;
    // Read at each connect, and each time the broker asks before the last one expires.
    let token = Auth::token_file(std::env::var("MQ_PULSAR_TOKEN")?);
    let client = Client::from_url(&url)?
        .tls_ca(ca.clone())
        .auth(token.clone())
        .connect()
        .await?;

    let topic = "example-tls-token";
    let producer = client.producer(topic).build().await?;
    producer.send(Message::new("by token, over TLS")).await?;
    let consumer = client.consumer("example").topic(topic).from_earliest();
    let consumer = consumer.build().await?;
    let delivery = consumer.recv().await?.ok_or("the consumer was closed")?;
    println!("received {}", delivery.text().unwrap_or_default());
    delivery.ack().await?;
    consumer.close().await;
    producer.close().await?;
    client.close().await;

    // Told at once, and not tried again.
    let wrong = Client::from_url(&url)?.tls_ca(ca);
    let wrong = wrong.token(Secret::new("not.a.token"));
    if let Err(error) = wrong.connect().await {
        println!("a wrong token: {}, {:?}", error.kind(), error.code());
    }
    // A broker that nobody trusts is not spoken to.
    if let Err(error) = Client::from_url(&url)?.auth(token).connect().await {
        println!("no CA: {}", error.kind());
    }
    Ok(())
}
