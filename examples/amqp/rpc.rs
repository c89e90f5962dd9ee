//! Requests with answers, over the broker's direct reply-to.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use mq_amqp::{Client, Message, Queue, SendError, Settle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    let client = Client::from_url(&url)?.connect().await?;
    let queue = client.declare_queue(Queue::temporary()).await?;
    let server = client.consumer(queue.name.clone()).build().await?;
    let answers = client.publisher("").mandatory(false).build().await?;
    tokio::spawn(async move {
        server
            .run(move |request| {
                let answers = answers.clone();
                async move {
                    let number: u64 = request
                        .text()
                        .and_then(|text| text.parse().ok())
                        .unwrap_or_default();
                    if let Some(answer) = request.reply(fibonacci(number).to_string()) {
                        answers.send(answer).await?;
                    }
                    Ok::<_, SendError>(Settle::Ack)
                }
            })
            .await
    });

    let rpc = client.rpc("").await?;
    for number in [10, 30] {
        let request = Message::new(queue.name.clone(), number.to_string());
        let answer = rpc.call(request).timeout(Duration::from_secs(5)).await?;
        println!(
            "fibonacci({number}) = {}",
            answer.text().unwrap_or_default()
        );
    }
    // Nobody is there: told at once, not by a time-out.
    if let Err(error) = rpc.call(Message::new("no such server", "1")).await {
        println!("{}", error.kind());
    }
    client.close().await;
    Ok(())
}

fn fibonacci(number: u64) -> u64 {
    (0..number).fold((0, 1), |(a, b), _| (b, a + b)).0
}

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/";
