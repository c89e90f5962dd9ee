//! The group's offsets at the brokers.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::join_all;
use mq_core::{Endpoint, ErrorKind, Retry};

use crate::conn::{QueueId, parse_reply};
use crate::consumer::core::{Core, Topic};
use crate::consumer::options::ConsumeFrom;
use crate::consumer::pull;
use crate::consumer::queue::Queue;
use crate::error::{Error, Result, answer_error};
use crate::proto::ResponseCode;
use crate::proto::command::{GetMaxOffset, QueryOffset, SearchOffset, UpdateOffset};

/// Where to begin with a queue, and what the broker has stored for the group.
pub(super) async fn start(
    core: &Core,
    queue: &QueueId,
    topic: &Topic,
) -> Result<(i64, Option<i64>)> {
    let to = master(core, queue).await?;
    if let Some(stored) = stored(core, queue, &to).await? {
        // A broker may say 0 without having stored it, and would say otherwise once the queue has grown: then it is to be stored.
        return Ok((stored, Some(stored).filter(|offset| *offset > 0)));
    }
    // What was sent back before the group had an offset is not to be left out.
    let from = if topic.retry {
        ConsumeFrom::First
    } else {
        core.config.from
    };
    let first = first(core, queue, topic, &to, from).await?;
    Ok((first.max(0), None))
}

/// The group's offset; only the broker's own "there is none" is none.
async fn stored(core: &Core, queue: &QueueId, to: &Endpoint) -> Result<Option<i64>> {
    // Left to itself a broker says 0 of a queue that is still in its memory, which would be before the time that was asked for. 4.x
    // brokers do not heed this.
    let zero_if_not_found = matches!(core.config.from, ConsumeFrom::Timestamp(_)).then_some(false);
    let request = QueryOffset {
        consumer_group: Arc::clone(&core.group),
        topic: Arc::clone(&queue.topic),
        queue_id: queue.id,
        zero_if_not_found,
        ..QueryOffset::default()
    };
    let wait = core.shared.request_timeout;
    let frame = core
        .shared
        .connections
        .call_raw(to, &request, wait, "query offset")
        .await?;
    match ResponseCode(frame.header.code) {
        ResponseCode::SUCCESS => {
            let offset = parse_reply::<QueryOffset>(&frame, to, "query offset")?.offset;
            Ok((offset >= 0).then_some(offset))
        }
        ResponseCode::QUERY_NOT_FOUND => Ok(None),
        _ => Err(answer_error(&frame, "query offset", &to.to_string())),
    }
}

/// The offset of a place in a queue.
pub(in crate::consumer) async fn find(
    core: &Core,
    queue: &QueueId,
    topic: &Topic,
    from: ConsumeFrom,
) -> Result<i64> {
    let to = master(core, queue).await?;
    Ok(first(core, queue, topic, &to, from).await?.max(0))
}

async fn first(
    core: &Core,
    queue: &QueueId,
    topic: &Topic,
    to: &Endpoint,
    from: ConsumeFrom,
) -> Result<i64> {
    let (connections, wait) = (&core.shared.connections, core.shared.request_timeout);
    let (topic_name, queue_id) = (Arc::clone(&queue.topic), queue.id);
    match from {
        // apache/rocketmq: RebalancePushImpl.computePullFromWhere takes 0, and the first pull corrects it. Asking for the first offset (31)
        // takes more than the permission to subscribe.
        ConsumeFrom::First => Ok(0),
        ConsumeFrom::Last => {
            let request = GetMaxOffset {
                topic: topic_name,
                queue_id,
                ..GetMaxOffset::default()
            };
            match connections
                .call(to, &request, wait, "find last offset")
                .await
            {
                Ok(found) => Ok(found.offset),
                // It takes the permission to GET on 5.x; a pull tells as much to who may subscribe.
                Err(error) if error.kind() == ErrorKind::Auth => {
                    pull::end(core, queue, topic, to).await.map_err(|_| error)
                }
                Err(error) => Err(error),
            }
        }
        ConsumeFrom::Timestamp(time) => {
            let since = time
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            let request = SearchOffset {
                topic: topic_name,
                queue_id,
                timestamp_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
                ..SearchOffset::default()
            };
            Ok(connections
                .call(to, &request, wait, "find offset by time")
                .await?
                .offset)
        }
    }
}

/// Stores the group's offset for a queue, and waits for the broker's word.
pub(super) async fn store(core: &Core, queue: &QueueId, offset: i64) -> Result<()> {
    let _turn = core.turns.of_queue(queue).await;
    put(core, queue, offset).await
}

/// Whose [turn](super::super::turns::Turns::of_queue) it is calls it.
async fn put(core: &Core, queue: &QueueId, offset: i64) -> Result<()> {
    let (first, mut told) = (core.turns.first(queue), None);
    first
        .get_or_init(|| async { told = Some(update(core, queue, offset).await) })
        .await;
    match told {
        Some(told) => told,
        None => update(core, queue, offset).await,
    }
}

async fn update(core: &Core, queue: &QueueId, offset: i64) -> Result<()> {
    let to = master(core, queue).await?;
    let request = UpdateOffset {
        consumer_group: Arc::clone(&core.group),
        topic: Arc::clone(&queue.topic),
        queue_id: queue.id,
        commit_offset: offset,
        ..UpdateOffset::default()
    };
    let wait = core.shared.request_timeout;
    core.shared
        .connections
        .call(&to, &request, wait, "commit offset")
        .await
        .map(drop)
}

/// Persists the offsets that the brokers don't have yet. What fails is tried again next time.
pub(super) async fn persist(core: &Core, queues: &[Arc<Queue>]) {
    join_all(queues.iter().map(|queue| async move {
        let _turn = core.turns.of_queue(queue.id()).await;
        let Some(offset) = queue.ledger().unpersisted() else { return };
        match put(core, queue.id(), offset).await {
            Ok(()) => queue.ledger().persisted(offset),
            Err(error) => {
                let id = queue.id();
                tracing::warn!(group = %core.group, topic = %id.topic, broker = %id.broker, queue = id.id, %error, "the offset is not persisted yet");
            }
        }
    }))
    .await;
}

/// Persists the offsets of queues that were given up.
pub(super) async fn store_last(core: &Core, last: Vec<(QueueId, i64)>) {
    join_all(last.iter().map(|(id, offset)| async move {
        let _turn = core.turns.of_queue(id).await;
        let stored = put(core, id, *offset).await;
        core.has_left(id);
        if let Err(error) = stored {
            tracing::warn!(group = %core.group, topic = %id.topic, broker = %id.broker, queue = id.id, %error, "the last offset was not persisted: messages come again");
        }
    }))
    .await;
}

async fn master(core: &Core, queue: &QueueId) -> Result<Endpoint> {
    let route = core.shared.routes.topic(&queue.topic).await?;
    // An acting master has another number than 0.
    route
        .master(&queue.broker)
        .or_else(|| route.any(&queue.broker))
        .cloned()
        .ok_or_else(|| {
            let message = format!(
                "broker \"{}\" is not in the route of \"{}\"",
                queue.broker, queue.topic
            );
            Error::builder(ErrorKind::NotFound, message)
                .operation("find broker")
                .retry(Retry::Later)
                .build()
        })
}
