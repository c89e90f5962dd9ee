//! The batches of a queue.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use mq_core::Outcome;

use super::{DELETE, Queue, ReceiptHandle, SEND, due};
use crate::batch::{Item, Results, cut, halve};
use crate::client::{Answered, Call, Shared};
use crate::error::{Error, ErrorCode, Result, SendError, refused, rejected};
use crate::message::{Message, Receipt};
use crate::proto::Envelope;
use crate::proto::action::{BatchDeleteMessage, BatchSendMessage, DeleteMessage, SendMessage};
use crate::proto::limits::{self, Refusal};

pub(super) async fn send(queue: &Queue, messages: Vec<Message>) -> Vec<Result<Receipt, SendError>> {
    let (shared, kept) = (&queue.shared, queue.known.retention());
    let now = shared.clock.wall();
    let mut results = Results::of(messages.len());
    let mut items = Vec::with_capacity(messages.len());
    for (place, message) in messages.iter().enumerate() {
        match check(message, now, kept) {
            Ok(key) => items.push(Item {
                place,
                key,
                size: message.body().len(),
            }),
            Err(refusal) => results.fail(place, refused(SEND, refusal)),
        }
    }
    for request in cut(items, limits::MAX_BATCH, shared.batch_bytes) {
        let together = |places: &[usize]| BatchSendMessage {
            queue: &queue.name,
            bodies: places
                .iter()
                .filter_map(|at| messages.get(*at).map(Message::body))
                .collect(),
            delay_seconds: request.key,
        };
        for places in halve(&request.places, |some| shared.fits(&together(some))) {
            // The requests before this one took their time: what is due at a time has less to wait.
            let now = shared.clock.wall();
            let left = places.iter().filter_map(|at| messages.get(*at));
            let left = left.filter_map(|it| it.delay_seconds(now, None).ok().flatten());
            let action = BatchSendMessage {
                delay_seconds: left.max(),
                ..together(places)
            };
            let due = due(now, action.delay_seconds);
            let ids = send_together(shared, action).await;
            results.spread(places, ids, due);
        }
    }
    results.with(messages)
}

fn check(
    message: &Message,
    now: SystemTime,
    kept: Option<Duration>,
) -> Result<Option<u32>, Refusal> {
    limits::body(message.body(), limits::MAX_BODY)?;
    message.delay_seconds(now, kept)
}

async fn send_together(shared: &Shared, action: BatchSendMessage<'_>) -> Result<Vec<String>> {
    let call = Call::new(SEND);
    if let [body] = *action.bodies.as_slice() {
        let action = SendMessage {
            queue: action.queue,
            body,
            delay_seconds: action.delay_seconds,
        };
        return Ok(vec![shared.call(&action, call).await?.id]);
    }
    let stored = shared.call(&action, call).await?;
    shared.ids(stored, action.bodies.len(), SEND)
}

pub(super) async fn delete_one(queue: &Queue, handle: &ReceiptHandle, call: Call) -> Result<()> {
    let action = DeleteMessage {
        queue: &queue.name,
        handle: handle.as_str(),
    };
    queue.shared.call(&action, call).await.map(|_| ())
}

pub(super) async fn delete(
    queue: &Queue,
    handles: &[ReceiptHandle],
    call: Call,
) -> Vec<Result<()>> {
    let shared = &queue.shared;
    let mut results = Vec::with_capacity(handles.len());
    let requests = handles.chunks(limits::MAX_BATCH);
    for some in requests.flat_map(|it| halve(it, |part| shared.fits(&together(queue, part)))) {
        let each = match shared.ask(&together(queue, some), call).await {
            Ok(answered) => each(shared, &answered, some),
            Err(error) => Err(error),
        };
        match each {
            Ok(each) => results.extend(each),
            Err(error) => results.extend(some.iter().map(|_| Err(error.clone()))),
        }
    }
    results
}

fn together<'a>(queue: &'a Queue, handles: &'a [ReceiptHandle]) -> BatchDeleteMessage<'a> {
    BatchDeleteMessage {
        queue: &queue.name,
        handles: handles.iter().map(ReceiptHandle::as_str).collect(),
    }
}

/// Whose delete failed, and why.
fn each(
    shared: &Shared,
    answered: &Answered,
    handles: &[ReceiptHandle],
) -> Result<Vec<Result<()>>> {
    let reply = shared.reply::<BatchDeleteMessage<'_>>(answered, DELETE)?;
    let mut told: HashMap<&str, Error> = HashMap::with_capacity(reply.errors.len());
    for failed in &reply.errors {
        let envelope = Envelope {
            request_id: answered.envelope.request_id.clone(),
            ..failed.envelope()
        };
        let error = rejected(DELETE, shared.endpoint(), failed.code(), &envelope);
        told.insert(&failed.handle, error);
    }
    let named = handles.iter().any(|it| told.contains_key(it.as_str()));
    // Of those that are not named: 6020 means none of them, 6010 the others unless nobody is named.
    let unnamed = answered.envelope.error().and_then(|code| {
        let error = rejected(DELETE, shared.endpoint(), code, &answered.envelope);
        match code.number() {
            number if number == ErrorCode::NONE_DELETED.number() => Some(error),
            _ if named => None,
            _ => Some(error.into_builder().outcome(Outcome::Unknown).build()),
        }
    });
    let result = |handle: &ReceiptHandle| {
        let Some(error) = told.get(handle.as_str()).or(unnamed.as_ref()) else {
            return Ok(());
        };
        let error = error.clone();
        // An earlier attempt may have deleted it, and this be the reason why it is gone.
        Err(if answered.unsure {
            error.into_builder().outcome(Outcome::Unknown).build()
        } else {
            error
        })
    };
    Ok(handles.iter().map(result).collect())
}
