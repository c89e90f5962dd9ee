//! A topic exchange leads by patterns: `*` is a word, `#` any number of them. What nobody wants is an error.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mq_amqp::{Binding, Client, Exchange, Message, Queue};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let exchange = "example-topic";
    client
        .declare_exchange(Exchange::topic(exchange).transient().auto_delete())
        .await?;
    let mut queues = Vec::new();
    for pattern in ["*.orange.*", "lazy.#"] {
        let queue = client.declare_queue(Queue::temporary()).await?;
        client
            .bind(Binding::queue(queue.name.clone()).to(exchange).key(pattern))
            .await?;
        queues.push((pattern, queue.name));
    }

    let publisher = client.publisher(exchange).build().await?;
    for key in [
        "quick.orange.rabbit",
        "lazy.orange.elephant",
        "lazy.brown.fox",
        "quick.brown.fox",
    ] {
        if let Err(failed) = publisher.send(Message::new(key, key)).await {
            println!("nobody wants {key} ({})", failed.outcome());
        }
    }
    for (pattern, queue) in queues {
        let consumer = client.consumer(queue).build().await?;
        for _ in 0..2 {
            let delivery = consumer.recv().await?.ok_or("the consumer was closed")?;
            println!("{pattern} {}", delivery.routing_key());
            delivery.ack().await?;
        }
    }
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
