//! Dead letters: what fails twice goes to a queue of its own, and holds nobody up.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_cmq::{Client, DeadLetter, Settle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_URL").unwrap_or_else(|_| DEV.to_owned());
    let client = Client::from_url(&url)?.build()?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let dead = client.create_queue(format!("dead-{run}")).await?;
    let queue = client
        .create_queue(format!("work-{run}"))
        // What is not deleted comes again after this time, and not before.
        .visibility(Duration::from_secs(2))
        .dead_letter(DeadLetter::after_receives(dead.name(), 2))
        .await?;
    queue.send("good").await?;
    queue.send("poison").await?;

    let consumer = queue.consumer().build()?;
    let handle = consumer.handle();
    let working = consumer.run(|message| async move {
        println!("handling {}: attempt {}", message.body(), message.attempt());
        match message.body() {
            "poison" => Err("it can't be read"),
            _ => Ok(Settle::Ack),
        }
    });
    let burying = async {
        let letter = dead.receive(Duration::from_secs(20)).await?;
        let letter = letter.ok_or("nothing became a dead letter")?;
        println!("buried   {}", letter.body());
        dead.delete(letter.handle()).await?;
        handle.close().await;
        Ok::<_, Box<dyn Error>>(())
    };
    let (worked, buried) = tokio::join!(working, burying);
    worked?;
    buried?;
    client.delete_queue(queue.name()).await?;
    client.delete_queue(dead.name()).await?;
    Ok(())
}

/// What `mq dev cmq --listen 127.0.0.1:8080` answers to.
const DEV: &str = "cmq+http://AKIDdev:dev-secret@127.0.0.1:8080";
