//! Transactions: an order's message is sent if, and only if, the order was paid.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use mq_amqp::{Client, Message, Queue, Verdict};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let queue = Queue::classic("example-paid").expires(Duration::from_secs(60));
    client.declare_queue(queue).await?;
    let publisher = client
        .publisher("")
        .checker("example-payments", |message| async move {
            println!("what became of {:?}?", message.body());
            // Here the database is asked, by message.id() or by what the message says.
            Verdict::Commit
        })
        .first_check_after(Duration::from_secs(1))
        .build()
        .await?;

    let begun = publisher.begin(Message::new("example-paid", "order 1"));
    let transaction = begun.await?;
    // Here the payment is made, and written down with transaction.id().
    transaction.commit().await?;

    // The same in one piece; an error would leave the decision to the checker.
    let pay = |_id| async { Ok::<_, std::io::Error>(Verdict::Rollback) };
    let ended = publisher.transact(Message::new("example-paid", "order 2"), pay);
    println!("order 2: {:?}", ended.await?);

    let begun = publisher.begin(Message::new("example-paid", "order 3"));
    // As if the process died here: its checker, or another publisher's of the group, is asked.
    drop(begun.await?);

    let consumer = client.consumer("example-paid").build().await?;
    for _ in 0..2 {
        if let Some(delivery) = consumer.recv().await? {
            println!("ship {}", delivery.text().unwrap_or_default());
            delivery.ack().await?;
        }
    }
    consumer.close().await;
    publisher.close().await;
    client.delete_queue("mq.tx.example-payments.0").await?;
    client.close().await;
    Ok(())
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
