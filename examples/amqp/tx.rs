//! A transaction: what is received, what is published and what is acknowledged count together, or not at all.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mq_amqp::{Client, Message, Queue, TxChannel};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    // Not exclusive ones: those belong to the client's other connection.
    let [orders, bills] = ["mq-example-tx-orders", "mq-example-tx-bills"];
    client.declare_queue(Queue::classic(orders)).await?;
    client.declare_queue(Queue::classic(bills)).await?;
    let publisher = client.publisher("").build().await?;
    publisher.send(Message::new(orders, "a book")).await?;

    let channel = client.tx_channel().consume(orders).prefetch(10);
    let mut channel = channel.build().await?;
    for attempt in 1..=2 {
        match bill(&mut channel, bills, attempt).await {
            Ok(()) => println!("attempt {attempt}: committed"),
            // The order is back in its queue, and there is no bill.
            Err(error) => println!("attempt {attempt}: {error}"),
        }
    }

    // Committed, and not routed: told, with the message.
    let tx = channel.begin().await?;
    tx.publish("", Message::new("no such queue", "a bill").id("bill-2"))
        .await?;
    if let Err(failed) = tx.commit().await {
        for unrouted in &failed.unroutable {
            println!("came back: {:?}", unrouted.message.message_id());
        }
    }
    for name in [orders, bills] {
        let deleted = client.delete_queue(name).await?;
        println!("{name} had {deleted}");
    }
    client.close().await;
    Ok(())
}

async fn bill(channel: &mut TxChannel, bills: &str, attempt: u32) -> Result<(), Box<dyn Error>> {
    let mut tx = channel.begin().await?;
    let Some(order) = tx.recv().await? else {
        return Ok(tx.commit().await?);
    };
    let text = format!("a bill for {}", order.text().unwrap_or_default());
    tx.publish("", Message::new(bills.to_owned(), text)).await?;
    tx.ack(&order)?;
    if attempt == 1 {
        return Err("the printer is out of paper".into()); // dropped: rolled back
    }
    Ok(tx.commit().await?)
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
