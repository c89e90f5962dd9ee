//! mq-cmq: as many tasks as may be in flight, each awaiting its sends, or its receives and deletes; over TCP with `tcp-` before the mode. For the
//! server's figures also `fill`, by batches, and `idle`, long polls of an empty queue.

#[allow(dead_code, reason = "a group, and drains without latencies, are RocketMQ's")]
#[path = "../../../rocketmq/meter.rs"]
mod meter;

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use meter::{Job, Sends, Window};
use mq_cmq::{Client, Queue, TcpClient};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let job = Job::from_env()?;
    let keys_and_host = format!("AKIDdev:dev-secret@{}", job.namesrv);
    let (client, mode) = if let Some(mode) = job.mode.strip_prefix("tcp-") {
        let client = TcpClient::from_url(&format!("cmq+tcp://{keys_and_host}"))?.build()?;
        (client.as_client().clone(), mode)
    } else {
        let client = Client::from_url(&format!("cmq+http://{keys_and_host}"))?.build()?;
        (client, job.mode.as_str())
    };
    let queue = client.queue(&job.topic)?;
    match mode {
        "send" => timed(&queue, &job, send_some).await?,
        "drain" => timed(&queue, &job, drain_some).await?,
        "fill" => fill(&queue, &job).await?,
        "idle" => idle(&queue, &job).await?,
        other => return Err(format!("there is no mode {other}").into()),
    }
    Ok(())
}

/// Once to warm up, and once that counts.
async fn timed<F>(
    queue: &Queue,
    job: &Job,
    some: impl Fn(Queue, Arc<Sends>, usize) -> F,
) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = ()> + Send + 'static,
{
    all(queue, job, job.warm, &some).await?;
    let window = Window::begin();
    let sends = all(queue, job, job.count, some).await?;
    window.end().print_sends(&job.mode, job.count, sends);
    Ok(())
}

/// Shares so many messages out among as many tasks as may be in flight.
async fn all<F>(
    queue: &Queue,
    job: &Job,
    count: u64,
    some: impl Fn(Queue, Arc<Sends>, usize) -> F,
) -> Result<Sends, Box<dyn Error>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let sends = Arc::new(Sends::new(count));
    let mut tasks = JoinSet::new();
    for _ in 0..job.in_flight {
        tasks.spawn(some(queue.clone(), Arc::clone(&sends), job.size));
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Arc::into_inner(sends).ok_or_else(|| "a task is left".into())
}

async fn send_some(queue: Queue, sends: Arc<Sends>, size: usize) {
    let body = "x".repeat(size);
    let mut micros = Vec::new();
    while sends.take() {
        let begun = Instant::now();
        match queue.send(body.as_str()).await {
            Ok(_) => micros.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX)),
            Err(error) => sends.failed(&error),
        }
    }
    sends.took(micros);
}

async fn drain_some(queue: Queue, sends: Arc<Sends>, size: usize) {
    let mut micros = Vec::new();
    while sends.take() {
        let begun = Instant::now();
        let done = async {
            let received = queue.receive(Duration::from_secs(3)).await?;
            let Some(message) = received.filter(|message| message.body().len() == size) else {
                return Ok(false);
            };
            queue.delete(message.handle()).await?;
            Ok::<_, mq_cmq::Error>(true)
        };
        match done.await {
            Ok(true) => micros.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX)),
            Ok(false) => sends.failed(&"no message, or another one"),
            Err(error) => sends.failed(&error),
        }
    }
    sends.took(micros);
}

/// As many messages as there are to be, 16 at a time.
async fn fill(queue: &Queue, job: &Job) -> Result<(), Box<dyn Error>> {
    let window = Window::begin();
    let sends = all(queue, job, job.count / 16, |queue, sends, size| async move {
        let bodies = vec!["x".repeat(size); 16];
        while sends.take() {
            for result in queue.send_batch(bodies.iter().cloned()).await {
                if let Err(error) = result {
                    sends.failed(&error);
                }
            }
        }
    })
    .await?;
    window.end().print_sends(&job.mode, job.count, sends);
    Ok(())
}

/// As many long polls as may be in flight, each once and for as many seconds as the size says.
async fn idle(queue: &Queue, job: &Job) -> Result<(), Box<dyn Error>> {
    let window = Window::begin();
    let sends = all(queue, job, job.in_flight, |queue, sends, size| async move {
        if sends.take()
            && let Err(error) = queue.receive(Duration::from_secs(size as u64)).await
        {
            sends.failed(&error);
        }
    })
    .await?;
    window.end().print_sends(&job.mode, job.in_flight, sends);
    Ok(())
}
