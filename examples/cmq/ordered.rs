//! Order by key, which CMQ itself does not keep: numbered messages, two queues, and a step that fails once.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_cmq::Client;
use mq_cmq::ordered::OrderedMessage;
use tokio::time::timeout;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_URL").unwrap_or_else(|_| DEV.to_owned());
    let client = Client::from_url(&url)?.build()?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    // The queues orders-…-0 and orders-…-1.
    let orders = client.ordered(&format!("orders-{run}"), 2)?;
    for shard in orders.shards() {
        let queue = client.create_queue(shard.name());
        queue.visibility(Duration::from_secs(1)).await?;
    }

    let producer = orders.producer();
    for step in ["created", "paid", "shipped"] {
        for order in ["order-1", "order-2"] {
            producer.send(OrderedMessage::new(order, step)).await?;
        }
    }

    // Of all consumers that run, one may have a shard: this one has both.
    let consumer = orders.consumer().build()?;
    let (mut steps, mut failed, mut done) = (BTreeMap::<String, Vec<String>>::new(), false, 0);
    while done < 6 {
        let delivery = timeout(Duration::from_secs(20), consumer.recv())
            .await??
            .ok_or("the consumer was closed")?;
        let order = steps.entry(delivery.key().unwrap_or("none").to_owned());
        let order = order.or_default();
        if delivery.body() == "paid" && !std::mem::replace(&mut failed, true) {
            // It comes again after the visibility timeout; "shipped" waits for it.
            delivery.nack().await?;
            continue;
        }
        order.push(delivery.body().to_owned());
        delivery.ack().await?;
        done += 1;
    }
    for (order, steps) in steps {
        println!("{order}: {}", steps.join(", "));
    }
    consumer.close().await;
    for shard in orders.shards() {
        client.delete_queue(shard.name()).await?;
    }
    Ok(())
}
const DEV: &str = "cmq+http://AKIDdev:dev-secret@127.0.0.1:8080"; // as of `mq dev cmq --listen 127.0.0.1:8080`
