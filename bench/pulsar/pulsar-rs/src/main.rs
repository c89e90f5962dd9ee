//! The crate `pulsar`: one producer whose receipts are awaited in turn, a window behind; one consumer that acknowledges each message.

#[allow(dead_code, reason = "single senders are other protocols'")]
#[path = "../../../rocketmq/meter.rs"]
mod meter;
#[path = "../../pace.rs"]
mod pace;

use std::{collections::VecDeque, time::Duration, time::Instant};

use futures::TryStreamExt as _;
use meter::{Job, Sends, Window};
use pace::{Pace, micros};
use pulsar::{
    Consumer, ConsumerOptions, Producer, ProducerOptions, Pulsar, SubType, TokioExecutor,
    consumer::InitialPosition, producer::SendFuture,
};
use tokio::{runtime::Handle, sync::mpsc, task};

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let job = Job::from_env()?;
    tokio::spawn(run(job)).await?
}

async fn run(job: Job) -> Result<(), Failed> {
    let window = window(&job);
    // 100 by default, which is less than may be in flight.
    let client = Pulsar::builder(&job.namesrv, TokioExecutor).with_outbound_channel_size(window);
    let client = client.build().await?;
    match job.mode.as_str() {
        "publish" | "single" | "paced" => sends(&client, &job).await,
        "consume" => receives(&client, &job).await,
        other => Err(format!("there is no mode {other}").into()),
    }
}

fn window(job: &Job) -> usize {
    if job.mode == "paced" {
        PACED_WINDOW
    } else {
        usize::try_from(job.in_flight).unwrap_or(usize::MAX)
    }
}

async fn sends(client: &Pulsar<TokioExecutor>, job: &Job) -> Result<(), Failed> {
    let batching = job.mode != "single";
    let options = ProducerOptions {
        batch_size: batching.then_some(1000),
        batch_byte_size: batching.then_some(128 * 1024),
        batch_timeout: batching.then_some(Duration::from_millis(1)),
        block_queue_if_full: true,
        ..ProducerOptions::default()
    };
    let builder = client.producer().with_topic(&job.topic);
    let mut producer = builder.with_options(options).build().await?;
    let (_, again) = send(producer, job, job.warm).await?;
    producer = again;
    let window = Window::begin();
    let (took, mut producer) = send(producer, job, job.count).await?;
    let spent = window.end();
    let sends = Sends::new(0);
    sends.took(took);
    spent.print_sends(&job.mode, job.count, sends);
    producer.close().await?;
    Ok(())
}

/// Gives the producer back: its sends take it by `&mut`.
async fn send(
    producer: Producer<TokioExecutor>,
    job: &Job,
    count: u64,
) -> Result<(Vec<u32>, Producer<TokioExecutor>), Failed> {
    if job.mode == "paced" {
        paced(producer, job, count).await
    } else {
        flat_out(producer, job, count).await
    }
}

async fn flat_out(
    mut producer: Producer<TokioExecutor>,
    job: &Job,
    count: u64,
) -> Result<(Vec<u32>, Producer<TokioExecutor>), Failed> {
    let window = window(job);
    let mut flight: VecDeque<(Instant, SendFuture)> = VecDeque::new();
    let mut took = Vec::new();
    let mut sent = 0;
    while sent < count || !flight.is_empty() {
        if sent == count || flight.len() == window {
            if let Some((begun, receipt)) = flight.pop_front() {
                receipt.await?;
                took.push(micros(begun));
            }
        } else {
            let begun = Instant::now();
            let body = vec![b'x'; job.size];
            flight.push_back((begun, producer.send_non_blocking(body).await?));
            sent += 1;
        }
    }
    Ok((took, producer))
}

async fn paced(
    mut producer: Producer<TokioExecutor>,
    job: &Job,
    count: u64,
) -> Result<(Vec<u32>, Producer<TokioExecutor>), Failed> {
    let (given, mut taken) = mpsc::channel::<(Instant, SendFuture)>(PACED_WINDOW);
    let receipts = tokio::spawn(async move {
        let mut took = Vec::new();
        while let Some((begun, receipt)) = taken.recv().await {
            receipt.await?;
            took.push(micros(begun));
        }
        Ok::<_, Failed>(took)
    });
    let (runtime, rate, size) = (Handle::current(), job.in_flight, job.size);
    let producer = task::spawn_blocking(move || {
        let mut pace = Pace::new(rate);
        for _ in 0..count {
            let begun = pace.next();
            let receipt = runtime.block_on(producer.send_non_blocking(vec![b'x'; size]))?;
            if given.blocking_send((begun, receipt)).is_err() {
                // One failed, and whoever awaits them says how.
                break;
            }
        }
        Ok::<_, Failed>(producer)
    })
    .await??;
    Ok((receipts.await??, producer))
}

async fn receives(client: &Pulsar<TokioExecutor>, job: &Job) -> Result<(), Failed> {
    let options = ConsumerOptions {
        initial_position: InitialPosition::Earliest,
        receiver_queue_size: Some(u32::try_from(job.in_flight)?),
        ..ConsumerOptions::default()
    };
    let builder = client.consumer().with_topic(&job.topic);
    let mut consumer: Consumer<Vec<u8>, _> = builder
        .with_subscription(&job.group)
        .with_subscription_type(SubType::Exclusive)
        .with_options(options)
        .build()
        .await?;
    receive(&mut consumer, job, job.warm).await?;
    let window = Window::begin();
    receive(&mut consumer, job, job.count).await?;
    // It does not say which were delivered before.
    window.end().print_drain(&job.mode, job.count, 0);
    // Not closed: that does not end while messages wait that nobody receives.
    Ok(())
}

async fn receive(
    consumer: &mut Consumer<Vec<u8>, TokioExecutor>,
    job: &Job,
    count: u64,
) -> Result<(), Failed> {
    for _ in 0..count {
        let Some(message) = consumer.try_next().await? else {
            return Err("the consumer ended".into());
        };
        if message.payload.data.len() != job.size {
            return Err(format!("a body of {} bytes", message.payload.data.len()).into());
        }
        consumer.ack(&message).await?;
    }
    Ok(())
}

/// More than are ever under way at a rate that the broker keeps up with.
const PACED_WINDOW: usize = 10_000;
