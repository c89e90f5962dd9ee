//! Batches: forty messages in requests of 16, one result for each, one of them refused; received and deleted 16 at a time.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_cmq::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_URL").unwrap_or_else(|_| DEV.to_owned());
    let client = Client::from_url(&url)?.build()?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let queue = client.create_queue(format!("batch-{run}")).await?;

    let bodies = (0..40).map(|number| match number {
        7 => String::new(),
        _ => format!("line {number}"),
    });
    let mut stored = 0;
    // One result a message, in the order of the messages, whatever became of the others.
    for (number, result) in queue.send_batch(bodies).await.into_iter().enumerate() {
        match result {
            Ok(_receipt) => stored += 1,
            Err(failed) => println!("line {number}: {failed} ({})", failed.outcome()),
        }
    }
    println!("stored   {stored} messages");

    let (mut received, mut deleted) = (0, 0);
    loop {
        let messages = queue.receive_batch(16, Duration::from_secs(1)).await?;
        if messages.is_empty() {
            break;
        }
        received += messages.len();
        let handles: Vec<_> = messages.iter().map(|it| it.handle().clone()).collect();
        for result in queue.delete_batch(&handles).await {
            match result {
                Ok(()) => deleted += 1,
                // This one comes again, with its own code to say why.
                Err(error) => println!("not deleted: {error}"),
            }
        }
    }
    println!("received {received} messages, deleted {deleted}");
    client.delete_queue(queue.name()).await?;
    Ok(())
}

/// What `mq dev cmq --listen 127.0.0.1:8080` answers to.
const DEV: &str = "cmq+http://AKIDdev:dev-secret@127.0.0.1:8080";
