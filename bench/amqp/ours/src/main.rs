//! mq-amqp: one publisher whose confirms are awaited in turn, a window behind; one consumer that acknowledges each message.

#[allow(dead_code, reason = "groups and single senders are other protocols'")]
#[path = "../../../rocketmq/meter.rs"]
mod meter;

use std::{collections::VecDeque, error::Error, time::Instant};

use bytes::Bytes;
use meter::{Job, Sends, Window};
use mq_amqp::{Client, Confirm, Consumer, Message, Publisher};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let job = Job::from_env()?;
    // As services do: on a worker, not on the main thread.
    tokio::spawn(run(job)).await??;
    Ok(())
}

async fn run(job: Job) -> Result<(), Box<dyn Error + Send + Sync>> {
    let client = Client::from_url(&job.namesrv)?.connect().await?;
    match job.mode.as_str() {
        "publish" => {
            let window = usize::try_from(job.in_flight)?;
            let publisher = client.publisher("").window(window).build().await?;
            publish(&publisher, &job, job.warm).await?;
            let window = Window::begin();
            let sends = publish(&publisher, &job, job.count).await?;
            window.end().print_sends(&job.mode, job.count, sends);
        }
        "consume" => {
            let prefetch = u16::try_from(job.in_flight)?;
            let consumer = client.consumer(job.topic.as_str()).prefetch(prefetch);
            let consumer = consumer.build().await?;
            consume(&consumer, job.warm).await?;
            let window = Window::begin();
            let redelivered = consume(&consumer, job.count).await?;
            window.end().print_drain(&job.mode, job.count, redelivered);
            consumer.close().await;
        }
        other => return Err(format!("there is no mode {other}").into()),
    }
    client.close().await;
    Ok(())
}

async fn publish(publisher: &Publisher, job: &Job, count: u64) -> mq_amqp::Result<Sends> {
    let body = Bytes::from(vec![b'x'; job.size]);
    let window = usize::try_from(job.in_flight).unwrap_or(usize::MAX);
    let mut flight: VecDeque<(Instant, Confirm)> = VecDeque::new();
    let mut micros = Vec::new();
    let mut sent = 0;
    while sent < count || !flight.is_empty() {
        if sent == count || flight.len() == window {
            if let Some((begun, confirm)) = flight.pop_front() {
                confirm.await?;
                micros.push(begun.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
            }
        } else {
            let message = Message::new(job.topic.as_str(), body.clone());
            flight.push_back((Instant::now(), publisher.enqueue(message).await?));
            sent += 1;
        }
    }
    let sends = Sends::new(0);
    sends.took(micros);
    Ok(sends)
}

async fn consume(consumer: &Consumer, count: u64) -> mq_amqp::Result<u64> {
    let mut redelivered = 0;
    for _ in 0..count {
        let Some(delivery) = consumer.recv().await? else {
            break;
        };
        redelivered += u64::from(delivery.redelivered());
        delivery.ack().await?;
    }
    Ok(redelivered)
}
