//! mq-pulsar: one producer whose receipts are awaited in turn, a window behind; one consumer that acknowledges each message.

#[allow(dead_code, reason = "single senders are other protocols'")]
#[path = "../../../rocketmq/meter.rs"]
mod meter;
#[path = "../../pace.rs"]
mod pace;

use std::{collections::VecDeque, env, time::Duration, time::Instant};

use bytes::Bytes;
use meter::{Job, Sends, Window};
use mq_pulsar::{Client, Confirm, Consumer, Message, Producer};
use pace::{Pace, micros};
use tokio::{runtime::Handle, sync::mpsc, task};

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let job = Job::from_env()?;
    // As services do: on a worker, not on the main thread.
    tokio::spawn(run(job)).await?
}

async fn run(job: Job) -> Result<(), Failed> {
    let client = Client::from_url(&job.namesrv)?.connect().await?;
    match job.mode.as_str() {
        "publish" | "single" | "paced" => sends(&client, &job).await?,
        "consume" | "slow" => receives(&client, &job).await?,
        other => return Err(format!("there is no mode {other}").into()),
    }
    client.close().await;
    Ok(())
}

async fn sends(client: &Client, job: &Job) -> Result<(), Failed> {
    let window = if job.mode == "paced" {
        PACED_WINDOW
    } else {
        usize::try_from(job.in_flight)?
    };
    let mut builder = client.producer(job.topic.as_str()).window(window);
    if job.mode == "single" {
        builder = builder.batch_messages(1);
    }
    let producer = builder.build().await?;
    send(&producer, job, job.warm).await?;
    let window = Window::begin();
    let sends = send(&producer, job, job.count).await?;
    window.end().print_sends(&job.mode, job.count, sends);
    producer.close().await?;
    Ok(())
}

async fn send(producer: &Producer, job: &Job, count: u64) -> Result<Sends, Failed> {
    let sends = Sends::new(0);
    sends.took(if job.mode == "paced" {
        paced(producer, job, count).await?
    } else {
        flat_out(producer, job, count).await?
    });
    Ok(sends)
}

async fn flat_out(producer: &Producer, job: &Job, count: u64) -> Result<Vec<u32>, Failed> {
    let body = Bytes::from(vec![b'x'; job.size]);
    let window = usize::try_from(job.in_flight)?;
    let mut flight: VecDeque<(Instant, Confirm)> = VecDeque::new();
    let mut took = Vec::new();
    let mut sent = 0;
    while sent < count || !flight.is_empty() {
        if sent == count || flight.len() == window {
            if let Some((begun, confirm)) = flight.pop_front() {
                confirm.await?;
                took.push(micros(begun));
            }
        } else {
            let begun = Instant::now();
            let confirm = producer.enqueue(Message::new(body.clone())).await?;
            flight.push_back((begun, confirm));
            sent += 1;
        }
    }
    Ok(took)
}

/// So many a second, whether receipts come or not; what is measured begins before the send.
async fn paced(producer: &Producer, job: &Job, count: u64) -> Result<Vec<u32>, Failed> {
    let body = Bytes::from(vec![b'x'; job.size]);
    let (given, mut taken) = mpsc::channel::<(Instant, Confirm)>(PACED_WINDOW);
    let receipts = tokio::spawn(async move {
        let mut took = Vec::new();
        while let Some((begun, confirm)) = taken.recv().await {
            confirm.await?;
            took.push(micros(begun));
        }
        Ok::<_, Failed>(took)
    });
    let (runtime, producer, rate) = (Handle::current(), producer.clone(), job.in_flight);
    task::spawn_blocking(move || {
        let mut pace = Pace::new(rate);
        for _ in 0..count {
            let begun = pace.next();
            let message = Message::new(body.clone());
            let confirm = runtime.block_on(async { producer.enqueue(message).await })?;
            if given.blocking_send((begun, confirm)).is_err() {
                // One failed, and whoever awaits them says how.
                break;
            }
        }
        Ok::<_, Failed>(())
    })
    .await??;
    receipts.await?
}

async fn receives(client: &Client, job: &Job) -> Result<(), Failed> {
    let builder = client.consumer(&job.group).topic(&job.topic);
    let consumer = builder
        .from_earliest()
        .receiver_queue(u32::try_from(job.in_flight)?)
        .batch_index_acks(env::var_os("BENCH_SETS").is_some())
        .build()
        .await?;
    let pause = (job.mode == "slow").then_some(SLOW);
    receive(&consumer, job, job.warm, pause).await?;
    let window = Window::begin();
    let redelivered = receive(&consumer, job, job.count, pause).await?;
    window.end().print_drain(&job.mode, job.count, redelivered);
    consumer.close().await;
    Ok(())
}

async fn receive(
    consumer: &Consumer,
    job: &Job,
    count: u64,
    pause: Option<Duration>,
) -> Result<u64, Failed> {
    let mut redelivered = 0;
    for _ in 0..count {
        let Some(delivery) = consumer.recv().await? else {
            return Err("the consumer ended".into());
        };
        if delivery.body().len() != job.size {
            return Err(format!("a body of {} bytes", delivery.body().len()).into());
        }
        redelivered += u64::from(delivery.redelivery_count() > 0);
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        delivery.ack().await?;
    }
    Ok(redelivered)
}

/// More than are ever under way at a rate that the broker keeps up with.
const PACED_WINDOW: usize = 10_000;
/// What a slow handler does with each message.
const SLOW: Duration = Duration::from_millis(1);
