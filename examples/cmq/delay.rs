//! Delayed messages: after a while, at a time, and one that the queue would not keep for so long.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_cmq::{Client, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_URL").unwrap_or_else(|_| DEV.to_owned());
    let client = Client::from_url(&url)?.build()?;
    let start = SystemTime::UNIX_EPOCH + SystemTime::UNIX_EPOCH.elapsed()?;
    let run = start.duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let queue = client
        .create_queue(format!("delay-{run}"))
        .retention(Duration::from_secs(3600))
        .await?;

    let messages = [
        Message::new("after a while").deliver_after(Duration::from_secs(1)),
        Message::new("at a time").deliver_at(start + Duration::from_secs(3)),
        // Some versions of the service lose such messages without a word; the handle knows how long its queue keeps them.
        Message::new("tomorrow").deliver_after(Duration::from_secs(86_400)),
    ];
    for message in messages {
        let what = message.body().to_owned();
        match queue.send(message).await {
            Ok(receipt) => println!("sent     {what}: due is known: {}", receipt.due().is_some()),
            Err(failed) => println!("refused  {what}: {}", failed.outcome()),
        }
    }

    for _ in 0..2 {
        let message = queue.receive(Duration::from_secs(10)).await?;
        let message = message.ok_or("nothing came in 10 s")?;
        let seconds = start.elapsed()?.as_secs();
        println!("received {}, later by {seconds} s", message.body());
        queue.delete(message.handle()).await?;
    }
    client.delete_queue(queue.name()).await?;
    Ok(())
}

/// What `mq dev cmq --listen 127.0.0.1:8080` answers to.
const DEV: &str = "cmq+http://AKIDdev:dev-secret@127.0.0.1:8080";
