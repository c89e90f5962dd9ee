//! amqprs: confirms come to a callback without the message they belong to, so a window is a number of permits.

#[allow(dead_code, reason = "groups and single senders are other protocols'")]
#[path = "../../../rocketmq/meter.rs"]
mod meter;

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use amqprs::{
    Ack, BasicProperties, Cancel, CloseChannel, Deliver, Nack, Return,
    callbacks::{ChannelCallback, DefaultConnectionCallback},
    channel::{
        BasicAckArguments, BasicConsumeArguments, BasicPublishArguments, BasicQosArguments,
        Channel, ConfirmSelectArguments,
    },
    connection::{Connection, OpenConnectionArguments},
    consumer::AsyncConsumer,
};
use async_trait::async_trait;
use meter::{Job, Window};
use tokio::sync::{Notify, Semaphore};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let job = Job::from_env()?;
    // As services do: on a worker, not on the main thread.
    tokio::spawn(run(job)).await??;
    Ok(())
}

async fn run(job: Job) -> Outcome<()> {
    let mut arguments = OpenConnectionArguments::try_from(job.namesrv.as_str())?;
    // It takes the path as it is written.
    let vhost = job.namesrv.rsplit('/').next().unwrap_or_default();
    arguments.virtual_host(&vhost.replace("%7C", "|"));
    let connection = Connection::open(&arguments).await?;
    connection
        .register_callback(DefaultConnectionCallback)
        .await?;
    let channel = connection.open_channel(None).await?;
    match job.mode.as_str() {
        "publish" => publish_all(&channel, &job).await?,
        "consume" => consume_all(&channel, &job).await?,
        other => return Err(format!("there is no mode {other}").into()),
    }
    channel.close().await?;
    connection.close().await?;
    Ok(())
}

async fn publish_all(channel: &Channel, job: &Job) -> Outcome<()> {
    let window = Arc::new(Semaphore::new(usize::try_from(job.in_flight)?));
    let confirms = Confirms {
        window: Arc::clone(&window),
        last: AtomicU64::new(0),
    };
    channel.register_callback(confirms).await?;
    let select = ConfirmSelectArguments::default();
    channel.confirm_select(select).await?;
    publish(channel, job, &window, job.warm).await?;
    let counted = Window::begin();
    publish(channel, job, &window, job.count).await?;
    counted.end().print_drain(&job.mode, job.count, 0);
    Ok(())
}

async fn publish(channel: &Channel, job: &Job, window: &Semaphore, count: u64) -> Outcome<()> {
    for _ in 0..count {
        window.acquire().await?.forget();
        let mut arguments = BasicPublishArguments::new("", &job.topic);
        arguments.mandatory(true);
        let properties = BasicProperties::default().with_delivery_mode(2).finish();
        let body = vec![b'x'; job.size];
        channel.basic_publish(properties, body, arguments).await?;
    }
    let all = u32::try_from(job.in_flight)?;
    drop(window.acquire_many(all).await?);
    Ok(())
}

struct Confirms {
    window: Arc<Semaphore>,
    last: AtomicU64,
}

impl Confirms {
    fn confirmed(&self, tag: u64) {
        // RabbitMQ confirms in order on one queue.
        let before = self.last.swap(tag, Ordering::Relaxed);
        let count = usize::try_from(tag.saturating_sub(before)).unwrap_or_default();
        self.window.add_permits(count);
    }
}

#[async_trait]
impl ChannelCallback for Confirms {
    async fn close(
        &mut self,
        _: &Channel,
        close: CloseChannel,
    ) -> Result<(), amqprs::error::Error> {
        eprintln!("{close}");
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.confirmed(ack.delivery_tag());
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        eprintln!("refused");
        self.confirmed(nack.delivery_tag());
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {
        eprintln!("came back");
    }
}

async fn consume_all(channel: &Channel, job: &Job) -> Outcome<()> {
    let prefetch = u16::try_from(job.in_flight)?;
    let qos = BasicQosArguments::new(0, prefetch, false);
    channel.basic_qos(qos).await?;
    let counts = Arc::new(Counts {
        warm: job.warm,
        all: job.warm + job.count,
        seen: AtomicU64::new(0),
        warmed: Notify::new(),
        done: Notify::new(),
    });
    let arguments = BasicConsumeArguments::new(&job.topic, "bench");
    channel
        .basic_consume(Taker(Arc::clone(&counts)), arguments)
        .await?;
    counts.warmed.notified().await;
    let window = Window::begin();
    counts.done.notified().await;
    window.end().print_drain(&job.mode, job.count, 0);
    Ok(())
}

struct Counts {
    warm: u64,
    all: u64,
    seen: AtomicU64,
    warmed: Notify,
    done: Notify,
}

struct Taker(Arc<Counts>);

#[async_trait]
impl AsyncConsumer for Taker {
    async fn consume(
        &mut self,
        channel: &Channel,
        deliver: Deliver,
        _: BasicProperties,
        _: Vec<u8>,
    ) {
        let ack = BasicAckArguments::new(deliver.delivery_tag(), false);
        if let Err(error) = channel.basic_ack(ack).await {
            eprintln!("{error}");
        }
        let seen = self.0.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if seen == self.0.warm {
            self.0.warmed.notify_one();
        }
        if seen == self.0.all {
            self.0.done.notify_one();
        }
    }
}
