//! A direct exchange leads by the routing key: one queue wants errors, another one everything.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mq_amqp::{Binding, Client, Exchange, Message, Queue};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let exchange = "example-routing";
    client
        .declare_exchange(Exchange::direct(exchange).transient().auto_delete())
        .await?;
    let errors = client.declare_queue(Queue::temporary()).await?;
    let all = client.declare_queue(Queue::temporary()).await?;
    client
        .bind(
            Binding::queue(errors.name.clone())
                .to(exchange)
                .key("error"),
        )
        .await?;
    for key in ["info", "warning", "error"] {
        client
            .bind(Binding::queue(all.name.clone()).to(exchange).key(key))
            .await?;
    }

    let publisher = client.publisher(exchange).build().await?;
    for level in ["info", "warning", "error"] {
        publisher
            .send(Message::new(level, format!("a line of level {level}")))
            .await?;
    }
    for (who, queue, count) in [("errors", errors.name, 1), ("all", all.name, 3)] {
        let consumer = client.consumer(queue).build().await?;
        for _ in 0..count {
            let delivery = consumer.recv().await?.ok_or("the consumer was closed")?;
            println!("{who}: {}", delivery.text().unwrap_or_default());
            delivery.ack().await?;
        }
    }
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
