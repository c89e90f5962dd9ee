//! A queue of its own: sends three messages, receives them, and deletes each when it is done.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_cmq::{Client, Message};
use tokio::time::timeout;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_URL").unwrap_or_else(|_| DEV.to_owned());
    let client = Client::from_url(&url)?.build()?;
    // A new name in each run: a deleted queue's name can't be used again for 30 s.
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let queue = client.create_queue(format!("example-{run}")).await?;

    for number in 1..=3 {
        let message = Message::new(format!("I am test message {number}."));
        // Err: rejected, not sent, or unknown (it may be stored); and the message back.
        match queue.send(message).await {
            Ok(_receipt) => println!("sent     message {number}"),
            Err(failed) => println!("failed   {failed} ({})", failed.outcome()),
        }
    }

    let consumer = queue.consumer().concurrency(3).build()?;
    for _ in 0..3 {
        let delivery = timeout(Duration::from_secs(20), consumer.recv())
            .await??
            .ok_or("the consumer was closed")?;
        println!(
            "received {} attempt {}",
            delivery.body(),
            delivery.attempt()
        );
        // Ok: the service has deleted it. Err: it was too late, and the message comes again.
        delivery.ack().await?;
    }
    consumer.close().await;
    println!("left     {:?}", queue.receive(Duration::ZERO).await?);
    client.delete_queue(queue.name()).await?;
    Ok(())
}

/// What `mq dev cmq --listen 127.0.0.1:8080` answers to.
const DEV: &str = "cmq+http://AKIDdev:dev-secret@127.0.0.1:8080";
