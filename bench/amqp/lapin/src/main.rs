//! lapin: one channel; publishes and acknowledgements whose writes nobody awaits, which is its best by far.

#[allow(dead_code, reason = "groups and single senders are other protocols'")]
#[path = "../../../rocketmq/meter.rs"]
mod meter;

use std::{error::Error, process::exit, time::Instant};

use futures_util::{
    FutureExt as _, StreamExt as _,
    stream::{FuturesOrdered, FuturesUnordered},
};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions,
    },
    types::FieldTable,
};
use meter::{Job, Sends, Window};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let job = Job::from_env()?;
    // As services do: on a worker, not on the main thread.
    tokio::spawn(run(job)).await??;
    Ok(())
}

async fn run(job: Job) -> Result<(), Box<dyn Error + Send + Sync>> {
    let connection = Connection::connect(&job.namesrv, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    match job.mode.as_str() {
        "publish" => {
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await?;
            publish(&channel, &job, job.warm).await?;
            let window = Window::begin();
            let sends = publish(&channel, &job, job.count).await?;
            window.end().print_sends(&job.mode, job.count, sends);
        }
        "consume" => {
            let prefetch = u16::try_from(job.in_flight)?;
            channel
                .basic_qos(prefetch, BasicQosOptions::default())
                .await?;
            let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
            let queue = job.topic.as_str().into();
            let mut consumer = channel
                .basic_consume(queue, "bench".into(), options, table)
                .await?;
            consume(&channel, &mut consumer, job.warm).await?;
            let window = Window::begin();
            let redelivered = consume(&channel, &mut consumer, job.count).await?;
            window.end().print_drain(&job.mode, job.count, redelivered);
        }
        other => return Err(format!("there is no mode {other}").into()),
    }
    connection.close(200, "bye".into()).await?;
    // Its thread need not be waited for.
    exit(0)
}

async fn publish(channel: &Channel, job: &Job, count: u64) -> lapin::Result<Sends> {
    let body = vec![b'x'; job.size];
    let window = usize::try_from(job.in_flight).unwrap_or(usize::MAX);
    let mut flight = FuturesOrdered::new();
    let mut micros = Vec::new();
    let mut sent = 0;
    while sent < count || !flight.is_empty() {
        if sent == count || flight.len() == window {
            if let Some(took) = flight.next().await {
                micros.push(took?);
            }
        } else {
            flight.push_back(one(channel, &job.topic, &body));
            sent += 1;
        }
    }
    let sends = Sends::new(0);
    sends.took(micros);
    Ok(sends)
}

async fn one(channel: &Channel, queue: &str, body: &[u8]) -> lapin::Result<u32> {
    let begun = Instant::now();
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default().with_delivery_mode(2);
    let confirm = channel.basic_publish("".into(), queue.into(), options, body, properties);
    confirm.await?.await?;
    Ok(begun.elapsed().as_micros().try_into().unwrap_or(u32::MAX))
}

async fn consume(channel: &Channel, consumer: &mut Consumer, count: u64) -> lapin::Result<u64> {
    let mut redelivered = 0;
    let mut acks = FuturesUnordered::new();
    for _ in 0..count {
        let Some(delivery) = consumer.next().await else {
            break;
        };
        let delivery = delivery?;
        redelivered += u64::from(delivery.redelivered);
        acks.push(async move {
            let options = BasicAckOptions::default();
            channel.basic_ack(delivery.delivery_tag, options).await
        });
        while let Some(Some(done)) = acks.next().now_or_never() {
            done?;
        }
    }
    while let Some(done) = acks.next().await {
        done?;
    }
    Ok(redelivered)
}
