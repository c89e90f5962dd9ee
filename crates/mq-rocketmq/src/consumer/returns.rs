//! Sending messages back, until the broker has confirmed: a message is not settled before.
//!
//! ```text
//!   send-back (36) to the message's broker ──► confirmed
//!        │ refused, or unreachable three times
//!        └──► as a normal message to %RETRY%group at any broker ──► confirmed
//!                  │ failed
//!                  └──► pause 100 ms … 3 s, and again
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mq_core::{Endpoint, ErrorKind, Properties, Retry};
use tokio::sync::oneshot;

use super::core::{Core, Phase, Return};
use super::offset::{Loan, Stale};
use super::queue::LONGEST_PAUSE;
use super::queue::Queue;
use super::received::Received;
use super::settle::{DelayLevel, Settle};
use crate::error::{Error, Result};
use crate::proto::command::{SendBack, SendMessage};
use crate::proto::message::properties;

/// Sends back what comes, many at a time, until the consumer is closed.
pub(super) async fn send_all(core: Arc<Core>) {
    let mut under_way = FuturesUnordered::new();
    let mut pausing = FuturesUnordered::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(item) = core.next_return()
        {
            under_way.push(attempt(&core, item));
        }
        tokio::select! {
            () = core.reached(Phase::Closed) => return,
            () = core.returning.notified(), if under_way.len() < AT_ONCE => {}
            Some(failed) = under_way.next(), if !under_way.is_empty() => {
                pausing.extend(failed.map(pause));
            }
            Some(item) = pausing.next(), if !pausing.is_empty() => under_way.push(attempt(&core, item)),
        }
    }
}

pub(super) async fn pause(item: Return) -> Return {
    let longer = PAUSE.saturating_mul(1 << item.tries.min(10));
    let pause = longer.min(LONGEST_PAUSE);
    tokio::time::sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
    item
}

/// One attempt; gives the message back if it is to be tried again.
pub(super) async fn attempt(core: &Core, mut item: Return) -> Option<Return> {
    if item.queue.ledger().is_revoked() {
        return None;
    }
    let Err(error) = try_once(core, &item).await else {
        look_for_retry_topic(core, &item.queue.id().broker);
        let parked = core.tell_parked(&item);
        if core.sent_back(item)
            && let Some(parked) = parked
        {
            core.shared.board.tell(|| parked);
        }
        return None;
    };
    let id = item.queue.id();
    tracing::warn!(
        group = %core.group, topic = %id.topic, broker = %id.broker, queue = id.id, offset = item.offset, tries = item.tries + 1, %error,
        "a message could not be sent back yet"
    );
    // Other refusals can pass: a broker is read-only while it is looked after.
    if error.kind() == ErrorKind::Auth {
        core.fail(error);
        return None;
    }
    item.tries = item.tries.saturating_add(1);
    Some(item)
}

async fn try_once(core: &Core, item: &Return) -> Result<()> {
    let Some(physical_offset) = item.message.physical_offset else {
        return as_message(core, item).await;
    };
    match send_back(core, item, physical_offset).await {
        Err(error) if error.retry() == Retry::Never || item.tries >= PATIENCE => {
            tracing::debug!(%error, "sent as a message instead");
            as_message(core, item).await
        }
        result => result,
    }
}

async fn send_back(core: &Core, item: &Return, physical_offset: i64) -> Result<()> {
    let id = item.queue.id();
    let route = core.shared.routes.topic(&id.topic).await?;
    let broker = route
        .master(&id.broker)
        .ok_or_else(|| no_broker(&id.broker))?;
    let request = SendBack {
        physical_offset,
        group: Arc::clone(&core.group),
        delay_level: item.level.0,
        origin_message_id: item.message.message_id(),
        origin_topic: Some(Arc::from(&*item.message.full_topic)),
        unit_mode: Some(false),
        max_reconsume_times: Some(core.config.max_redeliveries),
        broker_name: Some(Arc::clone(&id.broker)),
    };
    core.shared
        .connections
        .call(broker, &request, WAIT, "send back")
        .await
        .map(drop)
}

// apache/rocketmq: DefaultMQPushConsumerImpl.sendMessageBackAsNormalMessage
async fn as_message(core: &Core, item: &Return) -> Result<()> {
    let topic = crate::name::retry_topic(&core.group);
    let route = core.shared.routes.for_publishing(&topic).await?;
    let start = fastrand::usize(..route.publish.len().max(1));
    let queue = route
        .publish
        .iter()
        .cycle()
        .nth(start)
        .ok_or_else(|| no_broker("any"))?;
    let broker: &Endpoint = route
        .master(&queue.broker)
        .ok_or_else(|| no_broker(&queue.broker))?;
    let request = retry_message(core, item, &topic, queue.id, &queue.broker);
    core.shared
        .connections
        .call(broker, &request, WAIT, "send back")
        .await
        .map(drop)
}

fn retry_message(
    core: &Core,
    item: &Return,
    topic: &str,
    queue_id: i32,
    broker: &Arc<str>,
) -> SendMessage {
    let message = &*item.message;
    // The broker moves a retry to the dead-letter queue when it was consumed more often than allowed.
    // apache/rocketmq: SendMessageProcessor.handleRetryAndDLQ
    let is_dead = item.level == DelayLevel::DEAD;
    let most = match core.config.max_redeliveries {
        // Nothing is more often than any number: let the broker count to another.
        i32::MAX if is_dead => 0,
        most => most,
    };
    let reconsumed = if is_dead {
        most.saturating_add(1)
    } else {
        message.reconsumed.saturating_add(1)
    };
    SendMessage {
        producer_group: Arc::clone(&core.group),
        topic: topic.into(),
        default_topic: crate::conn::DEFAULT_TOPIC.into(),
        default_queue_count: 1,
        queue_id,
        sys_flag: message.sys_flag.0 & BODY_BITS,
        born_at_ms: core.shared.clock.wall_ms(),
        flag: message.flag_value(),
        properties: Some(properties::encode(&retry_properties(message, item.level))),
        reconsume_times: Some(reconsumed),
        unit_mode: Some(false),
        max_reconsume_times: Some(most),
        batch: Some(false),
        broker_name: Some(Arc::clone(broker)),
        body: message.body().clone(),
    }
}

/// The message's own properties, and those that make it a retry. Java's client takes the counters from properties and sends them as
/// fields; they don't travel as properties.
fn retry_properties(message: &Received, level: DelayLevel) -> Properties {
    let mut all = message.wire.to_properties();
    for name in LEFT_OUT {
        all.remove(name);
    }
    if all.get(ORIGIN_MESSAGE_ID).is_none()
        && let Some(id) = message.message_id()
    {
        all.set(ORIGIN_MESSAGE_ID, id);
    }
    all.set("RETRY_TOPIC", &*message.full_topic);
    if level != DelayLevel::DEAD {
        all.set("DELAY", level.explicit(message.reconsumed).to_string());
    }
    all
}

/// The retry topic is made, on each broker, by the first send-back: look for it at once.
fn look_for_retry_topic(core: &Core, broker: &str) {
    let topic = crate::name::retry_topic(&core.group);
    let routes = &core.shared.routes;
    match routes.cached(&topic) {
        Some(route) if route.any(broker).is_some() => {}
        Some(_) => routes.refresh_soon(&topic),
        None => core.rebalance.notify_one(),
    }
}

impl Core {
    pub(crate) fn send_back(
        &self,
        queue: &Arc<Queue>,
        loan: Loan,
        decision: Settle,
        done: Option<oneshot::Sender<()>>,
    ) -> Result<(), Stale> {
        let level = match decision.level() {
            None | Some(DelayLevel::POLICY) => self.config.retry_level,
            Some(level) => level,
        };
        let message = queue.ledger().send_back(loan)?;
        let queue = Arc::clone(queue);
        self.to_return(Return {
            queue,
            offset: loan.offset,
            message,
            decision,
            level,
            tries: 0,
            done,
        });
        Ok(())
    }

    pub(super) fn to_return(&self, item: Return) {
        self.returns().push_back(item);
        self.returning.notify_one();
    }

    /// The broker has taken a message back, or it is given up. The answer is whether it was still here.
    pub(crate) fn sent_back(&self, item: Return) -> bool {
        let settled = item.queue.ledger().sent_back(item.offset);
        let Ok(freed) = settled else { return false };
        self.freed(&item.queue, freed);
        self.go_on(&item.queue);
        if let Some(done) = item.done {
            // Nobody need wait for it.
            let _ = done.send(());
        }
        true
    }

    pub(crate) fn next_return(&self) -> Option<Return> {
        self.returns().pop_front()
    }
}

fn no_broker(broker: &str) -> Error {
    Error::builder(
        ErrorKind::NotFound,
        format!("broker \"{broker}\" has no master in the route"),
    )
    .operation("send back")
    .retry(Retry::Later)
    .build()
}

const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
/// What belongs to the stored copy, or to a transaction or timer that is over.
const LEFT_OUT: [&str; 12] = [
    "RETRY_TOPIC",
    "DELAY",
    "TRAN_MSG",
    "MIN_OFFSET",
    "MAX_OFFSET",
    "RECONSUME_TIME",
    "MAX_RECONSUME_TIMES",
    "REAL_TOPIC",
    "REAL_QID",
    "TIMER_DELIVER_MS",
    "TIMER_DELAY_MS",
    "TIMER_DELAY_SEC",
];
/// Compression: only a body that could not be decompressed still has it.
const BODY_BITS: i32 = 1 | 7 << 8;
const AT_ONCE: usize = 64;
/// How often the message's own broker is tried before another is.
const PATIENCE: u32 = 2;
const PAUSE: Duration = Duration::from_millis(100);
// apache/rocketmq: DefaultMQPushConsumerImpl.sendMessageBack
const WAIT: Duration = Duration::from_secs(5);
