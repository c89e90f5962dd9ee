//! mq-rocketmq: as many tasks as may be in flight, each awaiting its sends or transactions; or one loop of `recv` and `ack`.

#[path = "../../meter.rs"]
mod meter;

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use meter::{Job, Sends, Window};
use mq_rocketmq::{Client, ConsumeFrom, Message, Producer, TransactionalProducer, Verdict};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let job = Job::from_env()?;
    let client = Client::from_url(&url(&job))?.connect().await?;
    match job.mode.as_str() {
        "send" | "secured" | "scheduled" | "transaction" => send(&client, &job).await?,
        "drain" | "ordered" => drain(&client, &job).await?,
        other => return Err(format!("there is no mode {other}").into()),
    }
    client.close().await?;
    Ok(())
}

/// `secured` is `send` with TLS and signed requests. The broker has a certificate that nobody has signed, and looks at no signature: the client's work
/// is the same, and the broker's is not what is measured.
fn url(job: &Job) -> String {
    if job.mode == "secured" {
        format!(
            "rocketmq://bench:12345678@{}?tls=true&tls_insecure=true",
            job.namesrv
        )
    } else {
        format!("rocketmq://{}", job.namesrv)
    }
}

/// How one message is sent.
#[derive(Clone)]
enum Sender {
    Plain(Producer),
    Later(Producer),
    Transactional(TransactionalProducer),
}

impl Sender {
    async fn new(client: &Client, job: &Job) -> Result<Self, Box<dyn Error>> {
        let builder = client
            .producer(&job.group)
            .max_in_flight(usize::try_from(job.in_flight)?);
        Ok(match job.mode.as_str() {
            "transaction" => {
                let builder = builder.checker(|_| async { Verdict::Commit });
                Self::Transactional(builder.build().await?)
            }
            "scheduled" => Self::Later(builder.build().await?),
            _ => Self::Plain(builder.build().await?),
        })
    }

    async fn send(&self, message: Message) -> Result<(), String> {
        let text = |error: &dyn Error| error.to_string();
        match self {
            Self::Plain(producer) => {
                producer.send(message).await.map_err(|error| text(&error))?;
            }
            Self::Later(producer) => {
                let message = message.deliver_at(SystemTime::now() + LATER);
                producer.send(message).await.map_err(|error| text(&error))?;
            }
            Self::Transactional(producer) => {
                let begun = producer.begin(message).await;
                let transaction = begun.map_err(|error| text(&error))?;
                transaction.commit().await.map_err(|error| text(&error))?;
            }
        }
        Ok(())
    }
}

async fn send(client: &Client, job: &Job) -> Result<(), Box<dyn Error>> {
    let sender = Sender::new(client, job).await?;
    send_all(&sender, job, job.warm).await?;
    let window = Window::begin();
    let sends = send_all(&sender, job, job.count).await?;
    window.end().print_sends(&job.mode, job.count, sends);
    Ok(())
}

async fn send_all(sender: &Sender, job: &Job, count: u64) -> Result<Sends, Box<dyn Error>> {
    let sends = Arc::new(Sends::new(count));
    let mut tasks = JoinSet::new();
    for _ in 0..job.in_flight {
        let sends = Arc::clone(&sends);
        let (sender, topic, size) = (sender.clone(), job.topic.clone(), job.size);
        tasks.spawn(async move {
            let mut micros = Vec::new();
            while sends.take() {
                let message = Message::new(topic.as_str(), vec![b'x'; size]);
                let begun = Instant::now();
                match sender.send(message).await {
                    Ok(()) => {
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
    let mut builder = client
        .consumer(&job.group)
        .subscribe(&job.topic, "*")
        .from(ConsumeFrom::First);
    if job.mode == "ordered" {
        builder = builder.ordered();
    }
    let consumer = builder.build().await?;
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
    window.end().print_drain(&job.mode, job.count, redelivered);
    consumer.close().await;
    Ok(())
}

/// Not while it is measured.
const LATER: Duration = Duration::from_secs(3600);
