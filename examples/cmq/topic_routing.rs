//! A topic with routing keys: binding keys choose by words, `*` for one of them and `#` for any number.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_cmq::{Client, Filter, TopicMessage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_URL").unwrap_or_else(|_| DEV.to_owned());
    let client = Client::from_url(&url)?.build()?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let name = format!("routes-{run}");
    let topic = client.create_topic(&name).filter(Filter::Routing).await?;

    let mut queues = Vec::new();
    for (subscriber, binding) in [("one-word", "a.*.c"), ("ends-in-c", "#.c"), ("all", "#")] {
        let queue = client.create_queue(format!("{subscriber}-{run}")).await?;
        topic
            .subscribe(subscriber)
            .queue(queue.name())
            .binding_keys([binding])
            .await?;
        queues.push((subscriber, binding, queue));
    }

    for route in ["a.b.c", "a.b.x", "a.c.d", "x.y.z", "x.y.c"] {
        topic
            .publish(TopicMessage::new(route).routing_key(route))
            .await?;
    }

    for (subscriber, binding, queue) in queues {
        let mut routes = Vec::new();
        // Until nothing more comes for a second.
        while let Some(message) = queue.receive(Duration::from_secs(1)).await? {
            queue.delete(message.handle()).await?;
            routes.push(message.into_body());
        }
        routes.sort();
        println!("{binding:5} received {}", routes.join(" "));
        topic.subscription(subscriber)?.unsubscribe().await?;
        client.delete_queue(queue.name()).await?;
    }
    client.delete_topic(&name).await?;
    Ok(())
}

/// What `mq dev cmq --listen 127.0.0.1:8080` answers to.
const DEV: &str = "cmq+http://AKIDdev:dev-secret@127.0.0.1:8080";
