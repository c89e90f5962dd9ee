//! rocketmq-client-rust: as many tasks as may be in flight, each awaiting its sends; or a push consumer.
//!
//! Awaited sends cost it half of what callbacks do.
#![recursion_limit = "512"]

#[path = "../../meter.rs"]
mod meter;

use std::{
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use meter::{Job, Sends, Spent, Window};
use rocketmq_client_rust::{
    ClientResult, ClientRuntime, ClientRuntimeConfig, ConsumeConcurrentlyContext,
    ConsumeConcurrentlyStatus, DefaultMQProducer, DefaultMQPushConsumer, MQPushConsumer,
    MessageListenerConcurrently,
};
use rocketmq_model::common::{
    consumer::consume_from_where::ConsumeFromWhere,
    message::{message_ext::MessageExt, message_single::Message},
};
use rocketmq_runtime::{RuntimeConfig, RuntimeOwner};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let job = Job::from_env()?;
    let owner = RuntimeOwner::plan(RuntimeConfig {
        thread_name: "bench".to_owned(),
        ..RuntimeConfig::default()
    })?
    .build()?;
    let telemetry = rocketmq_observability::install_global(
        &rocketmq_observability::TelemetryBootstrapConfig::default(),
    )?;
    let runtime = ClientRuntime::try_new(
        owner.root_context().component("client"),
        ClientRuntimeConfig::default(),
        telemetry.handle(),
    )?;
    match job.mode.as_str() {
        "drain" => drain(&runtime, job).await?,
        "send" => send(&runtime, &job).await?,
        other => return Err(format!("send or drain, not {other}").into()),
    }
    // Its figures are printed; how tidily it ends is not measured.
    std::process::exit(0)
}

async fn send(runtime: &Arc<ClientRuntime>, job: &Job) -> Result<(), Box<dyn Error>> {
    let mut producer = DefaultMQProducer::builder(Arc::clone(runtime))
        .producer_group(job.group.clone())
        .name_server_addr(job.namesrv.clone())
        .build();
    producer.start().await?;
    send_all(&producer, job, job.warm).await?;
    let window = Window::begin();
    let sends = send_all(&producer, job, job.count).await?;
    window.end().print_sends("send", job.count, sends);
    Ok(())
}

async fn send_all(
    producer: &DefaultMQProducer,
    job: &Job,
    count: u64,
) -> Result<Sends, Box<dyn Error>> {
    let sends = Arc::new(Sends::new(count));
    let mut tasks = JoinSet::new();
    for _ in 0..job.in_flight {
        let sends = Arc::clone(&sends);
        let (producer, topic, size) = (producer.clone(), job.topic.clone(), job.size);
        tasks.spawn(async move {
            let mut micros = Vec::new();
            while sends.take() {
                let message = Message::builder()
                    .topic(topic.as_str())
                    .body_slice(&vec![b'x'; size])
                    .build_unchecked();
                let begun = Instant::now();
                match producer.send_with_timeout(message, 3000).await {
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

async fn drain(runtime: &Arc<ClientRuntime>, job: Job) -> Result<(), Box<dyn Error>> {
    let mut consumer = DefaultMQPushConsumer::builder(Arc::clone(runtime))
        .consumer_group(job.group.clone())
        .name_server_addr(job.namesrv.clone())
        .consume_from_where(ConsumeFromWhere::ConsumeFromFirstOffset)
        // At its default of 20 its own queue refuses calls on 2 cores, and the messages come again 10 s later.
        .consume_thread_min(THREADS)
        .consume_thread_max(THREADS)
        .build();
    consumer.subscribe(job.topic.clone(), "*").await?;
    let (done, mut ended) = tokio::sync::mpsc::channel(1);
    let (count, warm, size) = (job.count, job.warm, job.size);
    consumer.register_message_listener_concurrently(Counter {
        warm,
        all: warm + count,
        size,
        seen: AtomicU64::new(0),
        redelivered: AtomicU64::new(0),
        window: Mutex::default(),
        done,
    });
    consumer.start().await?;
    let (spent, redelivered) = tokio::time::timeout(LIMIT, ended.recv())
        .await?
        .ok_or("the listener is gone")?;
    spent.print_drain("drain", count, redelivered);
    // Offsets are persisted; what it says on the way out is of no interest.
    let _ = tokio::time::timeout(Duration::from_secs(5), consumer.shutdown()).await;
    Ok(())
}

struct Counter {
    warm: u64,
    all: u64,
    size: usize,
    seen: AtomicU64,
    redelivered: AtomicU64,
    window: Mutex<Option<Window>>,
    done: tokio::sync::mpsc::Sender<(Spent, u64)>,
}

impl MessageListenerConcurrently for Counter {
    fn consume_message(
        &self,
        messages: &[&MessageExt],
        _: &ConsumeConcurrentlyContext,
    ) -> ClientResult<ConsumeConcurrentlyStatus> {
        for message in messages {
            let again = message.reconsume_times() > 0;
            self.redelivered
                .fetch_add(u64::from(again), Ordering::Relaxed);
            let length = message.body().map_or(0, |body| body.len());
            assert_eq!(length, self.size, "a body of another size");
            let seen = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
            if seen == self.warm {
                *self.window.lock().unwrap_or_else(PoisonError::into_inner) = Some(Window::begin());
            } else if seen == self.all
                && let Some(window) = self
                    .window
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take()
            {
                let _ = self
                    .done
                    .try_send((window.end(), self.redelivered.load(Ordering::Relaxed)));
            }
        }
        Ok(ConsumeConcurrentlyStatus::ConsumeSuccess)
    }
}

const THREADS: u32 = 8;
const LIMIT: Duration = Duration::from_secs(120);
