//! The sample of TDMQ for RabbitMQ: a direct exchange, four routing keys, a queue that wants two of them, one message at a time.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mq_amqp::{Binding, Client, Exchange, Message, Queue};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // amqp://role:key@host:5672/amqp-xxx|Vhostname: the bar can stand there as it is.
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let exchange = Exchange::direct("direct_exchange").transient();
    client.declare_exchange(exchange).await?;
    let queue = client.declare_queue(Queue::temporary()).await?;
    for key in ["aaa.bbb.ccc", "aaa.bbb.ddd"] {
        let binding = Binding::queue(queue.name.clone());
        client.bind(binding.to("direct_exchange").key(key)).await?;
    }

    let publisher = client.publisher("direct_exchange").build().await?;
    for key in ["aaa.bbb.ccc", "aaa.bbb.ddd", "aaa.ccc.zzz", "xxx.yyy.zzz"] {
        let message = Message::new(key, format!("{key}: this is a new direct message."));
        // Ok: stored. Err: here that no queue wants it, which the broker alone would not say.
        match publisher.send(message).await {
            Ok(_receipt) => println!("sent     {key}"),
            Err(failed) => println!("nobody   {key} ({})", failed.outcome()),
        }
    }

    let consumer = client.consumer(queue.name).prefetch(1).build().await?;
    for _ in 0..2 {
        let next = tokio::select! {
            next = consumer.recv() => next?,
            // Ctrl-C: what is held is settled, the rest goes back.
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(delivery) = next else { break };
        println!("received {}", delivery.text().unwrap_or("no text"));
        delivery.ack().await?;
    }
    consumer.close().await;
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
