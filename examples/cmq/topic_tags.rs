//! A topic with tags: each subscription's queue gets the messages with a tag of its own, and what nobody would get is an error.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_cmq::{Client, ErrorCode, Filter, TopicMessage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_URL").unwrap_or_else(|_| DEV.to_owned());
    let client = Client::from_url(&url)?.build()?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let name = format!("tags-{run}");
    let topic = client.create_topic(&name).filter(Filter::Tags).await?;

    let mut queues = Vec::new();
    for (subscriber, tags) in [("first", vec!["TAG"]), ("second", vec!["TAG", "TAG1"])] {
        let queue = client.create_queue(format!("{subscriber}-{run}")).await?;
        topic
            .subscribe(subscriber)
            .queue(queue.name())
            .filter_tags(tags)
            .await?;
        queues.push((subscriber, queue));
    }

    for tag in ["TAG", "TAG1", "TAG2"] {
        let message = TopicMessage::new(format!("a message with {tag}")).tag(tag);
        match topic.publish(message).await {
            Ok(_receipt) => println!("published {tag}"),
            Err(failed) if failed.error.code() == Some(&ErrorCode::NOTHING_MATCHES) => {
                println!("nobody wants {tag}");
            }
            Err(failed) => return Err(failed.into()),
        }
    }

    for (subscriber, queue) in queues {
        // Until nothing more comes for a second.
        while let Some(message) = queue.receive(Duration::from_secs(1)).await? {
            println!("{subscriber} received {}", message.body());
            queue.delete(message.handle()).await?;
        }
        topic.subscription(subscriber)?.unsubscribe().await?;
        client.delete_queue(queue.name()).await?;
    }
    client.delete_topic(&name).await?;
    Ok(())
}

/// What `mq dev cmq --listen 127.0.0.1:8080` answers to.
const DEV: &str = "cmq+http://AKIDdev:dev-secret@127.0.0.1:8080";
