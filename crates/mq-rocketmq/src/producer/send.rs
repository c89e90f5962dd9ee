//! The calls of a producer, as futures.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use mq_core::{ErrorKind, Outcome, later};
use tokio::sync::oneshot;

use super::batch::send_batch;
use super::ending::{Ended, Failed, Hearing, Payload, Stored};
use super::lanes::Lane;
use super::operation::{Operation, Plan};
use super::pack::pack_one;
use super::shared::ProducerShared;
use super::window::Window;
use super::{Durability, Producer, Receipt, timed};
use crate::Message;
use crate::conn::{QueueId, TopicRoute};
use crate::consumer::QueueRef;
use crate::error::{Error, Result, SendError, closed, invalid};

/// What governs one call.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) timeout: Option<Duration>,
    pub(super) queue: Option<QueueRef>,
}

macro_rules! call {
    ($(#[$doc:meta])* $name:ident, $input:ty, $output:ty, $run:ident) => {
        $(#[$doc])*
        #[must_use = "nothing is sent until it is awaited"]
        pub struct $name {
            producer: Producer,
            input: $input,
            options: Options,
        }

        impl $name {
            pub(super) const fn new(producer: Producer, input: $input) -> Self {
                Self { producer, input, options: Options { timeout: None, queue: None } }
            }

            /// How long this call may take, from its first poll; default the producer's.
            pub const fn timeout(mut self, timeout: Duration) -> Self {
                self.options.timeout = Some(timeout);
                self
            }

            /// The queue to send to, one of [`Producer::queues`]; default by the ordering key, or else in turn. Sends to a queue that is named
            /// go one by one and never to another broker: it keeps the order in which they began. An ordering key travels, but decides nothing then.
            pub fn queue(mut self, queue: &QueueRef) -> Self {
                self.options.queue = Some(queue.clone());
                self
            }
        }

        impl IntoFuture for $name {
            type Output = $output;
            type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + std::marker::Send>>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin($run(self.producer, self.input, self.options))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("input", &self.input).finish_non_exhaustive()
            }
        }
    };
}

call! {
    /// A send of one message: await it. Made by [`Producer::send`].
    Send, Message, Result<Receipt, SendError>, send
}
call! {
    /// A send whose receipt is awaited later: await it for room in the window. Made by [`Producer::enqueue`].
    Enqueue, Message, Result<Confirm, SendError>, enqueue
}
call! {
    /// A send without an answer: await it. Made by [`Producer::send_oneway`].
    SendOneway, Message, Result<(), SendError>, send_oneway
}
call! {
    /// A send of many messages: await it. Made by [`Producer::send_batch`].
    SendBatch, Vec<Message>, Vec<Result<Receipt, SendError>>, send_batch
}

/// A message under way. Makes progress without being polled; await it for the receipt.
///
/// Dropped before the end, a failure is reported by the next [`Producer::flush`].
#[must_use = "await it for the receipt, or flush the producer later"]
pub struct Confirm {
    end: oneshot::Receiver<Ended>,
    producer: Arc<ProducerShared>,
}

impl Future for Confirm {
    type Output = Result<Receipt, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.end).poll(context));
        Poll::Ready(one_receipt(ended, &self.producer))
    }
}

impl fmt::Debug for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirm").finish_non_exhaustive()
    }
}

async fn send(
    producer: Producer,
    message: Message,
    options: Options,
) -> Result<Receipt, SendError> {
    let shared = &producer.shared;
    let (_place, hearing) = begin(shared, message, &options, false).await?;
    one_receipt(hearing.end.await, shared)
}

async fn send_oneway(
    producer: Producer,
    message: Message,
    options: Options,
) -> Result<(), SendError> {
    let (_place, hearing) = begin(&producer.shared, message, &options, true).await?;
    match hearing.end.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(failed)) => Err(one_error(failed)),
        Err(_) => Err(lost()),
    }
}

async fn enqueue(
    producer: Producer,
    message: Message,
    options: Options,
) -> Result<Confirm, SendError> {
    let (_place, hearing) = begin(&producer.shared, message, &options, false).await?;
    let confirm = Confirm {
        end: hearing.end,
        producer: Arc::clone(&producer.shared),
    };
    match hearing.admission.await {
        Ok(()) => Ok(confirm),
        // Not admitted: it ended in the line.
        Err(_) => Err(confirm.await.err().unwrap_or_else(lost)),
    }
}

/// Checks and packs one message and puts it into the line.
async fn begin(
    shared: &Arc<ProducerShared>,
    mut message: Message,
    options: &Options,
    oneway: bool,
) -> Result<(Place, Hearing), SendError> {
    let deadline = deadline(shared, options.timeout);
    let topic: Arc<str> = shared.client.namespace.wrap(message.topic()).into();
    let ready = prepare(shared, &mut message).and_then(|()| {
        let lane = lane(&topic, &message, options.queue.as_ref())?;
        Ok((lane, pack_one(shared, &message)?))
    });
    match ready {
        Ok((lane, packed)) => {
            let plan = Plan {
                topic,
                payload: Payload::One(Box::new(message)),
                packed,
                deadline,
                oneway,
                lane,
            };
            start(shared, plan).await.map_err(one_error)
        }
        Err(error) => Err(SendError::new(error, message)),
    }
}

/// What the order of a message is kept by: the queue that was asked for, else its key. `topic` is the message's, with its namespace.
pub(super) fn lane(
    topic: &Arc<str>,
    message: &Message,
    queue: Option<&QueueRef>,
) -> Result<Option<Lane>> {
    let Some(queue) = queue else {
        let key = message.ordering_key_text();
        return Ok(key.map(|key| Lane::Key {
            topic: Arc::clone(topic),
            key: key.into(),
        }));
    };
    if queue.topic() != message.topic() {
        let found = format!(
            "the message is for topic \"{}\", the queue is of \"{}\"",
            message.topic(),
            queue.topic()
        );
        return Err(invalid("send", found));
    }
    Ok(Some(Lane::Queue(QueueId {
        topic: Arc::clone(topic),
        broker: queue.broker().into(),
        id: queue.queue(),
    })))
}

/// Finds the route, chooses a queue, and joins the line.
pub(super) async fn start(
    shared: &Arc<ProducerShared>,
    plan: Plan,
) -> Result<(Place, Hearing), Failed> {
    match usable_route(shared, &plan).await {
        Ok(route) => join(shared, plan, &route),
        Err(error) => Err(Failed {
            error: in_send(error),
            payload: plan.payload,
        }),
    }
}

/// Chooses a queue of the route, and joins the line.
pub(super) fn join(
    shared: &Arc<ProducerShared>,
    plan: Plan,
    route: &TopicRoute,
) -> Result<(Place, Hearing), Failed> {
    let together = plan.lane.is_some().then(|| shared.joining.lock());
    let (operation, hearing) = Operation::new(Arc::clone(shared), plan, route)?;
    let window = Arc::clone(&shared.window);
    let ticket = window.join(operation);
    drop(together);
    Ok((Place { window, ticket }, hearing))
}

/// The route, as far as what is scheduled may go by it.
async fn usable_route(shared: &ProducerShared, plan: &Plan) -> Result<Arc<TopicRoute>> {
    let route = find_route(shared, &plan.topic, plan.deadline).await?;
    timed::ready(shared, plan, route).await
}

pub(super) async fn find_route(
    shared: &ProducerShared,
    topic: &str,
    deadline: Instant,
) -> Result<Arc<TopicRoute>> {
    if let Some(route) = shared.client.routes.cached_for_publishing(topic) {
        return Ok(route);
    }
    let finding = shared.client.routes.for_publishing(topic);
    let found = tokio::time::timeout_at(deadline.into(), finding).await;
    found.unwrap_or_else(|_| Err(no_route_in_time(topic)))
}

/// A place in the line, left when the future is dropped.
pub(super) struct Place {
    window: Arc<Window<Operation>>,
    ticket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.window.withdraw(self.ticket);
    }
}

pub(super) fn deadline(shared: &ProducerShared, timeout: Option<Duration>) -> Instant {
    later(shared.client.clock.now(), timeout.unwrap_or(shared.timeout))
}

pub(super) fn prepare(shared: &ProducerShared, message: &mut Message) -> Result<()> {
    shared.client.check_open("send")?;
    message.check(&shared.client.namespace, shared.max_body)?;
    let client = &shared.client;
    message.unique_id_or(|| client.unique_ids.next(client.clock.wall()));
    Ok(())
}

fn one_receipt(
    ended: Result<Ended, oneshot::error::RecvError>,
    shared: &ProducerShared,
) -> Result<Receipt, SendError> {
    receipts(ended, shared).pop().unwrap_or_else(|| Err(lost()))
}

/// One result a message.
pub(super) fn receipts(
    ended: Result<Ended, oneshot::error::RecvError>,
    shared: &ProducerShared,
) -> Vec<Result<Receipt, SendError>> {
    let stored = match ended {
        Ok(Ok(Some(stored))) => stored,
        Ok(Err(failed)) => return failed.into_send_errors().into_iter().map(Err).collect(),
        Ok(Ok(None)) | Err(_) => return vec![Err(lost())],
    };
    let Stored {
        reply,
        code,
        queue,
        payload,
        mut scheduled,
    } = stored;
    let durability = Durability::of(code).unwrap_or(Durability::AsConfigured);
    let messages = match payload {
        Payload::One(message) => vec![*message],
        Payload::Batch(messages) => messages,
    };
    let mut ids = reply.message_id.split(',');
    let mut results = Vec::with_capacity(messages.len());
    for (message, offset) in messages.into_iter().zip(reply.queue_offset..) {
        let id = ids.next().unwrap_or_default();
        let mut receipt = receipt(&message, id, &queue, offset, durability);
        // Of a batch nothing is scheduled.
        receipt.scheduled = scheduled.take();
        results.push(judge(message, receipt, shared.require_durable));
    }
    results
}

fn receipt(
    message: &Message,
    id: &str,
    queue: &QueueId,
    offset: i64,
    durability: Durability,
) -> Receipt {
    let unique_id = message.unique_id().unwrap_or_default().to_owned();
    Receipt::new(unique_id, id.to_owned(), queue.clone(), offset, durability)
}

fn judge(message: Message, receipt: Receipt, require: bool) -> Result<Receipt, SendError> {
    let why = match receipt.durability() {
        Durability::AsConfigured => return Ok(receipt),
        _ if !require => return Ok(receipt),
        Durability::FlushTimedOut => "stored, but not flushed to disk in time",
        Durability::ReplicaTimedOut => "stored, but not replicated in time",
        Durability::NoReplica => "stored, but there is no replica",
    };
    let error = Error::builder(ErrorKind::Timeout, why)
        .operation("send")
        .outcome(Outcome::Unknown)
        .hint("the message can be consumed, and is lost if the broker's disk or machine is")
        .build();
    let mut failed = SendError::new(error, message);
    failed.receipt = Some(Box::new(receipt));
    Err(failed)
}

pub(super) fn one_error(failed: Failed) -> SendError {
    failed.into_send_errors().pop().unwrap_or_else(lost)
}

pub(super) fn in_send(error: Error) -> Error {
    error.into_builder().operation("send").build()
}

fn no_route_in_time(topic: &str) -> Error {
    Error::builder(
        ErrorKind::Timeout,
        format!("no route of topic \"{topic}\" in time"),
    )
    .operation("send")
    .build()
}

/// The task that had the message is gone without a word: it can't happen while the client lives.
pub(super) fn lost() -> SendError {
    let error = closed("send", "client")
        .into_builder()
        .outcome(Outcome::Unknown)
        .build();
    SendError::new(error, Message::new("", ""))
}
