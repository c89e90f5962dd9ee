//! TLS: the broker's CA, and a client certificate in the place of a password.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mq_amqp::{Client, Mechanism, Message, Queue};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // amqps://user:password@host:5671/vhost?cacertfile=ca.pem says the same as these lines; certfile and keyfile are the client's.
    let url = std::env::var("MQ_AMQP_TLS_URL")?;
    let ca = std::fs::read(std::env::var("MQ_AMQP_TLS_CA")?)?;
    let by_password = Client::from_url(&url)?.tls_ca(ca.clone()).connect().await?;
    send_and_receive(&by_password, "by password").await?;

    let certificate = std::fs::read(std::env::var("MQ_AMQP_TLS_CERT")?)?;
    let key = std::fs::read(std::env::var("MQ_AMQP_TLS_KEY")?)?;
    let by_certificate = Client::from_url(&url)?
        .tls_ca(ca)
        .tls_identity(certificate, key)
        .mechanism(Mechanism::External)
        .connect()
        .await?;
    send_and_receive(&by_certificate, "by certificate").await?;

    // A broker that nobody trusts is not spoken to.
    if let Err(error) = Client::from_url(&url)?.connect().await {
        println!("refused: {}", error.kind());
    }
    Ok(())
}

async fn send_and_receive(client: &Client, how: &str) -> Result<(), Box<dyn Error>> {
    let queue = client.declare_queue(Queue::temporary()).await?;
    let publisher = client.publisher("").build().await?;
    publisher
        .send(Message::new(queue.name.clone(), how.to_owned()))
        .await?;
    let consumer = client.consumer(queue.name).build().await?;
    let delivery = consumer.recv().await?.ok_or("the consumer was closed")?;
    println!("received {}", delivery.text().unwrap_or_default());
    delivery.ack().await?;
    client.close().await;
    Ok(())
}
