//! The batches of a queue.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use mq_core::Outcome;

use super::{DELETE, Queue, ReceiptHandle, SEND, due};
use crate::batch::{Item, Results, cut};
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
        let bodies = request.places.iter().filter_map(|at| messages.get(*at));
        let bodies = bodies.map(Message::body).collect();
        let ids = send_together(shared, &queue.name, bodies, request.key).await;
        results.spread(&request.places, ids, due(now, request.key));
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

async fn send_together(
    shared: &Shared,
    queue: &str,
    bodies: Vec<&str>,
    delay_seconds: Option<u32>,
) -> Result<Vec<String>> {
    let call = Call::new(SEND);
    if let [body] = *bodies.as_slice() {
        let action = SendMessage {
            queue,
            body,
            delay_seconds,
        };
        return Ok(vec![shared.call(&action, call).await?.id]);
    }
    let action = BatchSendMessage {
        queue,
        bodies,
        delay_seconds,
    };
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
    for some in handles.chunks(limits::MAX_BATCH) {
        let action = BatchDeleteMessage {
            queue: &queue.name,
            handles: some.iter().map(ReceiptHandle::as_str).collect(),
        };
        let each = match shared.ask(&action, call).await {
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
        let error = told.get(handle.as_str()).or(unnamed.as_ref());
        error.map_or(Ok(()), |error| Err(error.clone()))
    };
    Ok(handles.iter().map(result).collect())
}
