//! Sends with an exact time: only to brokers that keep it, and what those answer.
//!
//! ```text
//!  first scheduled send ─► brokers of the route whose version is unknown are asked, the first that has timers is enough
//!  every attempt ─► queues of brokers that are known to have timers ─► last look when it is written
//! ```

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mq_core::{Endpoint, ErrorKind, Outcome, Retry};

use super::operation;
use super::shared::ProducerShared;
use super::target::Target;
use crate::client::Shared;
use crate::conn::{QueueId, TopicRoute};
use crate::error::{Error, Result, closed};
use crate::proto::command::SendReply;
use crate::proto::{Frame, ResponseCode};
use crate::schedule::{Made, Plan, RECALLS, ScheduledHandle, TIMERS, Way, no_timers};

/// What of `route` the plan may use: all of it, unless it needs timers and a broker is not known to have them; `None` if none is known to.
pub(super) fn usable(
    client: &Shared,
    plan: Option<&Plan>,
    route: Arc<TopicRoute>,
) -> Option<Arc<TopicRoute>> {
    if plan.is_none_or(|plan| !plan.needs_timers) {
        return Some(route);
    }
    let keeps = |broker: &str| has_timers(client, &route, broker);
    if masters(&route).all(keeps) {
        return Some(route);
    }
    if !masters(&route).any(keeps) {
        return None;
    }
    let only = route.with_publish(|queue| keeps(&queue.broker));
    Some(Arc::new(only))
}

/// The part of the route that a send may use, once it is known: brokers that have not said their version yet are asked. What keeps an order
/// has its queue given, and its broker only is asked.
///
/// Cancel-safe, and safe to leave unpolled.
///
/// # Errors
///
/// Kind `Unsupported`: no broker of the route has timers. Else as asking fails; nothing was sent in either case.
pub(super) async fn ready(
    shared: &ProducerShared,
    plan: &operation::Plan,
    route: Arc<TopicRoute>,
) -> Result<Arc<TopicRoute>> {
    let (client, schedule) = (&shared.client, plan.packed.plan.as_ref());
    if schedule.is_none_or(|plan| !plan.needs_timers) {
        return Ok(route);
    }
    let until = plan.deadline.into();
    let in_time = |asked: Result<Result<()>, tokio::time::error::Elapsed>| {
        asked.unwrap_or_else(|_| Err(no_version_in_time()))
    };
    if let Some(lane) = &plan.lane {
        let master = Target::of_lane(shared, &route, lane)?.endpoint;
        if client.versions.of(&master).is_none() {
            in_time(tokio::time::timeout_at(until, ask(client, [&master])).await)?;
        }
        return may_go(client, schedule, &master).map(|()| route);
    }
    if let Some(usable) = usable(client, schedule, Arc::clone(&route)) {
        return Ok(usable);
    }
    let unknown = masters(&route).filter_map(|broker| route.master(broker));
    let unknown = unknown.filter(|master| client.versions.of(master).is_none());
    in_time(tokio::time::timeout_at(until, ask(client, unknown)).await)?;
    usable(client, schedule, Arc::clone(&route))
        .ok_or_else(|| no_timers("every broker of the topic is of 4.x and"))
}

/// Asks until one has timers.
async fn ask(client: &Shared, brokers: impl IntoIterator<Item = &Endpoint>) -> Result<()> {
    let asked = brokers
        .into_iter()
        .map(|master| client.versions.ask(&client.connections, master));
    let mut asked: FuturesUnordered<_> = asked.collect();
    let mut failed = None;
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(Ok(version)) if version >= TIMERS => return Ok(()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => failed = Some(error),
            Err(_) => failed = Some(closed("send", "client")),
        }
    }
    // One that did not answer may have had them.
    failed.map_or(Ok(()), |error| {
        // Whatever became of the question, the message has not left.
        Err(error.into_builder().outcome(Outcome::NotSent).build())
    })
}

/// Whether what is about to be written to this broker may be: it is known to have timers; where the dialect says that all have, it is not
/// known to have none.
pub(super) fn may_go(client: &Shared, plan: Option<&Plan>, to: &Endpoint) -> Result<()> {
    let Some(plan) = plan.filter(|plan| plan.way == Way::Timer) else {
        return Ok(());
    };
    let known = client.versions.of(to);
    if known.map_or(!plan.needs_timers, |version| version >= TIMERS) {
        return Ok(());
    }
    let error = no_timers("a broker that has not said that it is of 5.x");
    Err(error.into_builder().endpoint(to.to_string()).build())
}

/// The brokers of the queues that can be written, each once.
fn masters(route: &TopicRoute) -> impl Iterator<Item = &str> {
    let queues = route.publish.iter().enumerate();
    queues.filter_map(|(at, queue)| {
        // Sorted: a broker's queues stand together.
        let before = at
            .checked_sub(1)
            .and_then(|before| route.publish.get(before));
        let is_new = before.is_none_or(|before| before.broker != queue.broker);
        is_new.then_some(&*queue.broker)
    })
}

fn has_timers(client: &Shared, route: &TopicRoute, broker: &str) -> bool {
    let master = route.master(broker);
    master.is_some_and(|master| client.versions.is_at_least(master, TIMERS))
}

/// A refusal in terms of the schedule, where it is about that; and whether another attempt can help, if that is said.
pub(super) fn refine(error: Error, frame: &Frame, plan: Option<&Plan>) -> (Error, Option<bool>) {
    if plan.is_none_or(|plan| plan.way == Way::Level) {
        return (error, None);
    }
    let remark = frame.header.remark.as_deref().unwrap_or_default();
    let code = ResponseCode(frame.header.code);
    let told = |kind, retry, hint: &'static str| {
        let told = Error::builder(kind, error.message())
            .code(code)
            .operation(error.operation())
            .outcome(Outcome::Rejected)
            .retry(retry)
            .hint(hint);
        let endpoint = error.endpoint().unwrap_or_default();
        told.endpoint(endpoint).build()
    };
    // apache/rocketmq: SendMessageProcessor.handlePutMessageResult, the three answers of the timer
    if code == ResponseCode::MESSAGE_ILLEGAL && remark.contains("timer message illegal") {
        let hint = "the broker's timerMaxDelaySec is the limit, 3 days by default";
        return (
            told(ErrorKind::Unsupported, Retry::Never, hint),
            Some(false),
        );
    }
    if remark.contains("timerWheelEnable") {
        let hint = "set timerWheelEnable=true at the broker, or use delay_level(1..=18)";
        return (
            told(ErrorKind::Unsupported, Retry::Never, hint),
            Some(false),
        );
    }
    if remark.contains("timer message is under flow control") {
        let hint = "too many messages are due at that moment: choose another, or raise timerCongestNumEachSlot at the broker";
        return (told(ErrorKind::Busy, Retry::Later, hint), Some(true));
    }
    (error, None)
}

/// A success of a broker that turns out to be of 4.x, and has delivered the message at once: it was another one when it was asked, or the
/// dialect was said wrongly.
pub(super) fn check_kept(
    client: &Shared,
    plan: Option<&Plan>,
    frame: &Frame,
    from: &Endpoint,
) -> Result<()> {
    let Some(plan) = plan.filter(|plan| plan.way == Way::Timer) else {
        return Ok(());
    };
    if frame.header.version >= TIMERS {
        return Ok(());
    }
    // The next one is not even sent.
    client.versions.learn(from, frame.header.version);
    let (found, hint) = if plan.needs_timers {
        (
            "the broker is of 4.x since a moment ago and",
            "the message is stored, and delivered at once: brokers should not be exchanged for older ones under a client",
        )
    } else {
        (
            "the dialect is \"apache5\", but the broker is of 4.x and",
            "the message is stored, and delivered at once; later ones are refused here. Say dialect(Dialect::Auto), and delay_level(1..=18) for this broker",
        )
    };
    Err(no_timers(found)
        .into_builder()
        .outcome(Outcome::Unknown)
        .endpoint(from.to_string())
        .hint(hint)
        .build())
}

/// What the sender of a scheduled message gets.
pub(super) fn handle(
    client: &Shared,
    plan: &Plan,
    reply: &mut SendReply,
    place: (&QueueId, &Endpoint),
    unique_id: &str,
    doubtful: bool,
) -> ScheduledHandle {
    let (queue, endpoint) = place;
    let recall = reply.recall_handle.take().filter(|text| !text.is_empty());
    // apache/rocketmq: SendMessageProcessor.attachRecallHandle gives one to whatever waits for a timer.
    let says_so = || plan.way == Way::Timer && client.versions.is_at_least(endpoint, RECALLS);
    let at_once = recall.is_none() && plan.way != Way::Level && (plan.is_past || says_so());
    ScheduledHandle::new(Made {
        unique_id: unique_id.to_owned(),
        message_id: reply.message_id.clone(),
        recall,
        at_once,
        doubtful,
        ..Made::new(plan, queue, endpoint.clone())
    })
}

fn no_version_in_time() -> Error {
    Error::builder(
        ErrorKind::Timeout,
        "no broker of the topic said in time whether it has timers",
    )
    .operation("send")
    .hint("say the dialect if you know it, as dialect(Dialect::Apache5): then none is asked")
    .build()
}
