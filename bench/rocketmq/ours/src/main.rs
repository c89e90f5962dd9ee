//! mq-rocketmq: as many tasks as may be in flight, each awaiting its sends; or one loop of `recv` and `ack`.

#[path = "../../meter.rs"]
mod meter;

use std::{error::Error, sync::Arc, time::Instant};

use meter::{Job, Sends, Window};
use mq_rocketmq::{Client, ConsumeFrom, Message, Producer};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let job = Job::from_env()?;
    let client = Client::builder()
        .nameserver(job.namesrv.as_str())
        .connect()
        .await?;
    if job.drains {
        drain(&client, &job).await?;
    } else {
        send(&client, &job).await?;
    }
    client.close().await?;
    Ok(())
}

async fn send(client: &Client, job: &Job) -> Result<(), Box<dyn Error>> {
    let window = usize::try_from(job.in_flight)?;
    let producer = client
        .producer(&job.group)
        .max_in_flight(window)
        .build()
        .await?;
    send_all(&producer, job, job.warm).await?;
    let window = Window::begin();
    let sends = send_all(&producer, job, job.count).await?;
    window.end().print_sends(job.count, sends);
    Ok(())
}

async fn send_all(producer: &Producer, job: &Job, count: u64) -> Result<Sends, Box<dyn Error>> {
    let sends = Arc::new(Sends::new(count));
    let mut tasks = JoinSet::new();
    for _ in 0..job.in_flight {
        let sends = Arc::clone(&sends);
        let (producer, topic, size) = (producer.clone(), job.topic.clone(), job.size);
        tasks.spawn(async move {
            let mut micros = Vec::new();
            while sends.take() {
                let message = Message::new(topic.as_str(), vec![b'x'; size]);
                let begun = Instant::now();
                match producer.send(message).await {
                    Ok(_) => {
                        micros.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX))
                    }
                    Err(error) => sends.failed(&error),
                }
            }
            sends.took(micros);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Arc::into_inner(sends).ok_or_else(|| "a sender is left".into())
}

async fn drain(client: &Client, job: &Job) -> Result<(), Box<dyn Error>> {
    let consumer = client
        .consumer(&job.group)
        .subscribe(&job.topic, "*")
        .from(ConsumeFrom::First)
        .build()
        .await?;
    let mut redelivered = 0;
    let mut window = None;
    for number in 0..job.warm + job.count {
        let Some(delivery) = consumer.recv().await? else {
            return Err("the consumer ended".into());
        };
        redelivered += u64::from(delivery.attempt() > 1);
        if delivery.body().len() != job.size {
            return Err(format!("a body of {} bytes", delivery.body().len()).into());
        }
        delivery.ack().await?;
        if number + 1 == job.warm {
            window = Some(Window::begin());
        }
    }
    let window = window.ok_or("BENCH_WARM is at least 1 here")?;
    window.end().print_drain(job.count, redelivered);
    consumer.close().await;
    Ok(())
}
