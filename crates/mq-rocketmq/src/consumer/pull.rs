//! One long poll (11): what is asked, and what the answer means.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mq_core::{Endpoint, ErrorKind, Retry};

use super::core::{Core, Topic};
use super::queue::Queue;
use crate::conn::{QueueId, parse_reply};
use crate::error::{Error, Result, answer_error};
use crate::proto::ResponseCode;
use crate::proto::command::{PullMessage, PullReply, pull_flag};

/// What a pull brought. `next` is where to go on.
#[derive(Debug)]
pub(crate) enum Answer {
    Found {
        body: Bytes,
        next: i64,
        delta: i64,
        replica: i64,
    },
    Nothing {
        next: i64,
        replica: i64,
    },
    /// The offset that was asked for is not in the queue.
    Moved {
        next: i64,
    },
}

impl Answer {
    /// The replica that the broker wants the next pull to go to.
    pub(crate) const fn next_replica(&self) -> i64 {
        match self {
            Self::Found { replica, .. } | Self::Nothing { replica, .. } => *replica,
            Self::Moved { .. } => MASTER,
        }
    }
}

/// Asks `replica` of the queue's broker, or the master if there is no such replica.
pub(crate) async fn pull(core: &Core, queue: &Queue, replica: i64) -> Result<Answer> {
    let (endpoint, is_master) = endpoint(core, queue, replica).await?;
    let from = queue.ledger().next();
    let request = request(core, queue.id().id, queue.topic(), from);
    let (code, reply) = ask(core, &endpoint, &request, WAIT).await?;
    judge(code, reply, from, is_master, &endpoint)
}

/// The offset after a queue's last message, as a pull tells it.
pub(super) async fn end(core: &Core, queue: &QueueId, topic: &Topic, to: &Endpoint) -> Result<i64> {
    let request = PullMessage {
        max_messages: 1,
        sys_flag: pull_flag::SUBSCRIPTION,
        suspend_timeout_ms: 0,
        ..request(core, queue.id, topic, 0)
    };
    let (_, reply) = ask(core, to, &request, core.shared.request_timeout).await?;
    Ok(reply.max_offset)
}

async fn ask(
    core: &Core,
    to: &Endpoint,
    request: &PullMessage,
    wait: Duration,
) -> Result<(ResponseCode, PullReply)> {
    let frame = core
        .shared
        .connections
        .call_raw(to, request, wait, "pull")
        .await?;
    let code = ResponseCode(frame.header.code);
    match code {
        ResponseCode::SUCCESS
        | ResponseCode::PULL_NOT_FOUND
        | ResponseCode::PULL_RETRY_IMMEDIATELY
        | ResponseCode::PULL_OFFSET_MOVED => {
            Ok((code, parse_reply::<PullMessage>(&frame, to, "pull")?))
        }
        _ => Err(answer_error(&frame, "pull", &to.to_string())),
    }
}

fn judge(
    code: ResponseCode,
    reply: PullReply,
    from: i64,
    is_master: bool,
    endpoint: &Endpoint,
) -> Result<Answer> {
    let (next, replica) = (reply.next_offset, reply.suggested_broker_id);
    match code {
        ResponseCode::SUCCESS => {
            let delta = reply.offset_delta.unwrap_or(0);
            Ok(Answer::Found {
                body: reply.messages,
                next,
                delta,
                replica,
            })
        }
        // A replica may lag behind: only the master's word moves the offset.
        ResponseCode::PULL_OFFSET_MOVED if is_master && next >= 0 => Ok(Answer::Moved { next }),
        ResponseCode::PULL_OFFSET_MOVED => Err(Error::builder(
            ErrorKind::Rejected,
            format!("offset {from} is not in the queue, says a replica or without saying what is"),
        )
        .operation("pull")
        .endpoint(endpoint.to_string())
        .retry(Retry::Later)
        .build()),
        _ => Ok(Answer::Nothing {
            next: next.max(from),
            replica,
        }),
    }
}

fn request(core: &Core, queue_id: i32, topic: &Topic, from: i64) -> PullMessage {
    PullMessage {
        consumer_group: Arc::clone(&core.group),
        topic: Arc::clone(&topic.name),
        queue_id,
        queue_offset: from,
        max_messages: core.config.pull_batch,
        // The filter comes along, so that a broker that has restarted since the last heartbeat knows it.
        // No offset comes along (pull_flag::COMMIT): brokers store it in another thread than an offset that is told by itself, and
        // neither looks at which is higher, so that the offset of an old pull could undo that of a close.
        // apache/rocketmq: PullMessageProcessor.tryCommitOffset, ConsumerOffsetManager.commitOffset warns of a lower one and stores it
        sys_flag: pull_flag::SUSPEND | pull_flag::SUBSCRIPTION,
        suspend_timeout_ms: SUSPEND_MS,
        subscription: Some(topic.subscription.expression.as_str().into()),
        subscription_version: core.version,
        expression_type: Some("TAG".into()),
        ..PullMessage::default()
    }
}

async fn endpoint(core: &Core, queue: &Queue, replica: i64) -> Result<(Endpoint, bool)> {
    let id = queue.id();
    let route = core.shared.routes.topic(&id.topic).await?;
    let master = route.master(&id.broker);
    let chosen = if replica == MASTER {
        master
    } else {
        route.by_id(&id.broker, replica).or(master)
    };
    let chosen = chosen.or_else(|| route.any(&id.broker)).ok_or_else(|| {
        Error::builder(
            ErrorKind::NotFound,
            format!(
                "broker \"{}\" is not in the route of \"{}\"",
                id.broker, id.topic
            ),
        )
        .operation("pull")
        .retry(Retry::Later)
        .build()
    })?;
    Ok((chosen.clone(), master == Some(chosen)))
}

/// The number of a broker's master.
pub(crate) const MASTER: i64 = 0;
// apache/rocketmq: DefaultMQPushConsumerImpl, BROKER_SUSPEND_MAX_TIME_MILLIS and CONSUMER_TIMEOUT_MILLIS_WHEN_SUSPEND
const SUSPEND_MS: i64 = 15_000;
const WAIT: Duration = Duration::from_secs(30);
