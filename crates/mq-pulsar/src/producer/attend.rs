//! The task of a producer: keeps it open at the brokers of its partitions, follows their number, and ends what is late.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::FuturesUnordered;
use mq_core::{ErrorKind, Retry};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::part::{Part, Welcome};
use super::{Handle, Setup};
use crate::client::{Shared, pauses};
use crate::conn::{Connection, Lane, now};
use crate::error::{Error, ErrorCode, Result, closed};
use crate::proto::api;
use crate::topic::TopicName;

/// A partition's producer, as it is at its broker.
struct Open {
    part: Arc<Part>,
    connection: Connection,
    topic_epoch: Option<u64>,
    /// Counts the times it was opened, so that the broker knows the later one.
    epoch: u64,
}

/// Opens it at the brokers of all partitions, and leaves the rest to a task.
///
/// # Errors
///
/// What a broker refuses, at once; and what is tried again, when the time is over.
pub(super) async fn start(setup: Setup) -> Result<(Arc<Handle>, watch::Receiver<bool>)> {
    let shared = Arc::clone(&setup.client.shared);
    let deadline = now() + shared.options.operation_timeout;
    let topic = setup.topic.clone();
    let partitions = if topic.number().is_some() {
        // One partition of a topic, by its own name.
        0
    } else {
        let count = shared.retrying(deadline, || shared.partitions(&topic, true));
        count.await?
    };
    let handle = Handle::new(setup);
    let parts = handle.add(names(&topic, 0, partitions));
    let opening = parts
        .into_iter()
        .map(|part| open_first(&handle, &shared, part, deadline));
    let opened = try_join_all(opening).await?;
    let (done, over) = watch::channel(false);
    let task = attend(
        Arc::clone(&handle),
        Arc::clone(&shared),
        opened,
        partitions,
        done,
    );
    shared.tasks.spawn(task);
    Ok((handle, over))
}

/// The names of partitions from one number up to another; of a topic without any, its own.
fn names(topic: &TopicName, from: u32, to: u32) -> Vec<TopicName> {
    if to == 0 {
        return vec![topic.clone()];
    }
    (from..to).map(|number| topic.partition(number)).collect()
}

async fn open_first(
    handle: &Handle,
    shared: &Shared,
    part: Arc<Part>,
    deadline: Instant,
) -> Result<Open> {
    let first = || async { open(handle, shared, &part, 0, None).await.map_err(at_once) };
    shared.retrying(deadline, first).await
}

/// What somebody else has to change is told, and not waited for.
fn at_once(error: Error) -> Error {
    match error.code() {
        Some(
            &ErrorCode::PRODUCER_BUSY
            | &ErrorCode::QUOTA_EXCEEDED
            | &ErrorCode::QUOTA_EXCEEDED_EXCEPTION,
        ) => error.into_builder().retry(Retry::Never).build(),
        _ => error,
    }
}

async fn open(
    handle: &Handle,
    shared: &Shared,
    part: &Arc<Part>,
    epoch: u64,
    topic_epoch: Option<u64>,
) -> Result<Open> {
    let connection = shared.connection_of(&part.topic).await?;
    let opening = part.opening();
    let known = Some(part.name()).filter(|name| !name.is_empty());
    let own = handle.setup.name.clone();
    let ask = api::CommandProducer {
        topic: part.topic.as_str().to_owned(),
        producer_id: part.id,
        epoch: Some(epoch),
        user_provided_producer_name: Some(own.is_some()),
        producer_name: known.map(|name| name.to_string()).or(own),
        producer_access_mode: Some(handle.setup.access.into()),
        topic_epoch,
        initial_subscription_name: handle.setup.initial_subscription.clone(),
        ..api::CommandProducer::default()
    };
    let waits = handle.setup.access == api::ProducerAccessMode::WaitForExclusive;
    let within = (!waits).then_some(shared.options.operation_timeout);
    let lane: Arc<dyn Lane> = Arc::<Part>::clone(part);
    let answer = connection.open(part.key(), lane, ask, within).await?;
    let Some(success) = answer.producer_success else {
        connection.leave(part.key());
        let message = "the broker answered a producer with something else";
        return Err(Error::builder(ErrorKind::Protocol, message).build());
    };
    let welcome = Welcome {
        last_sequence_id: success.last_sequence_id.unwrap_or(-1),
        name: success.producer_name.into(),
        max_message_size: connection.settled().max_message_size,
    };
    if !part.opened(&connection, welcome, opening) {
        let lost = Error::builder(
            ErrorKind::Disconnected,
            "the producer was closed as it opened",
        );
        return Err(lost.build());
    }
    Ok(Open {
        part: Arc::clone(part),
        connection,
        topic_epoch: success.topic_epoch,
        epoch: epoch + 1,
    })
}

async fn attend(
    handle: Arc<Handle>,
    shared: Arc<Shared>,
    opened: Vec<Open>,
    partitions: u32,
    done: watch::Sender<bool>,
) {
    tokio::join!(sweep(&handle), follow(&handle, &shared, opened, partitions),);
    done.send_replace(true);
}

/// Ends what is late, when it is.
async fn sweep(handle: &Handle) {
    loop {
        let next = handle.gate.expire(&handle.parts(), now());
        let due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = handle.gate.armed.notified() => {}
            () = handle.gate.is_over() => return,
        }
    }
}

/// Keeps all partitions open, and those that are added.
async fn follow(handle: &Handle, shared: &Shared, opened: Vec<Open>, partitions: u32) {
    let mut kept: FuturesUnordered<_> = opened
        .into_iter()
        .map(|open| keep(handle, shared, open))
        .collect();
    let mut partitions = partitions;
    loop {
        tokio::select! {
            Some(()) = kept.next() => continue,
            () = sleep(handle.setup.refresh), if partitions > 0 => {}
            () = handle.gate.is_over() => break,
        }
        // What can't be asked now is asked the next time.
        let Ok(now_there) = shared.partitions(&handle.setup.topic, false).await else {
            continue;
        };
        if now_there > partitions {
            tracing::info!(topic = %handle.setup.topic, partitions = now_there, "the topic has more partitions");
            let new = join_all(new_parts(handle, shared, partitions, now_there)).await;
            partitions = now_there;
            kept.extend(new.into_iter().map(|open| keep(handle, shared, open)));
        }
    }
    while kept.next().await.is_some() {}
}

/// Opens what was added, one after the other as they come, and only then gives messages to it.
fn new_parts<'a>(
    handle: &'a Handle,
    shared: &'a Shared,
    from: u32,
    to: u32,
) -> Vec<impl Future<Output = Open> + 'a> {
    let names = names(&handle.setup.topic, from, to);
    let parts = handle.add(names);
    parts
        .into_iter()
        .map(|part| async move { again(handle, shared, &part, 0, None).await })
        .collect()
}

/// Opens it until that succeeds. Never ends where it can't: then the producer ends.
async fn again(
    handle: &Handle,
    shared: &Shared,
    part: &Arc<Part>,
    epoch: u64,
    topic_epoch: Option<u64>,
) -> Open {
    let mut pauses = pauses();
    loop {
        match open(handle, shared, part, epoch, topic_epoch).await {
            Ok(open) => return open,
            Err(error) if error.retry() == Retry::Never => {
                tracing::error!(topic = %part.topic, %error, "the producer ends");
                handle.end(&error);
                std::future::pending::<()>().await;
            }
            Err(error) => {
                tracing::debug!(topic = %part.topic, %error, "the producer could not be opened again");
            }
        }
        sleep(pauses.next().unwrap_or(LONGEST)).await;
    }
}

/// Keeps a partition's producer open until nothing is left to do.
async fn keep(handle: &Handle, shared: &Shared, open: Open) {
    let mut open = open;
    loop {
        tokio::select! {
            () = open.part.changed.notified() => {}
            () = handle.gate.is_over() => break,
        }
        match open.part.standing() {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(topic = %open.part.topic, %error, "the producer is opened anew");
                open.connection.close(open.part.key()).await;
            }
        }
        let next = again(handle, shared, &open.part, open.epoch, open.topic_epoch);
        open = tokio::select! {
            next = next => next,
            () = handle.gate.is_over() => return handle.end(&closed("send", "producer")),
        };
    }
    open.connection.close(open.part.key()).await;
    handle.end(&closed("send", "producer"));
}

const LONGEST: Duration = Duration::from_secs(1);
