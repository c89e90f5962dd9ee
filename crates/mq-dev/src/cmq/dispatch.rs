//! The actions: from parameters to the state, and from there to the bytes of an answer.

mod manage;

use std::sync::Arc;

use hyper::body::Bytes;
use mq_cmq::proto::action::{
    BatchDeleteMessage, BatchPublishMessage, BatchReceiveMessage, BatchSendMessage, DeleteErrors,
    DeleteMessage, Done, Given, MessageId, Messages, NotDeleted, PublishMessage, ReceiveMessage,
    ReceivedMessage, SendMessage, Stored, StoredBatch,
};
use mq_cmq::proto::limits::{self, Refusal};
use mq_cmq::proto::{Envelope, ErrorCode, FromParams, answer};
use serde::Serialize;

use super::engine::{Delivered, Engine, Result, Want};
use super::shared::Shared;

/// What an answer says of its request.
#[derive(Debug)]
pub(super) struct Stamp {
    request_id: String,
    client_request_id: Option<u64>,
}

impl Stamp {
    pub(super) fn new(number: u64) -> Self {
        Self {
            request_id: number.to_string(),
            client_request_id: None,
        }
    }

    /// Gives the client's own number back, if it is one.
    pub(super) fn echo(&mut self, given: &Given<'_>) {
        let number = given.text_if("clientRequestId").ok().flatten();
        self.client_request_id = number.and_then(|number| number.parse().ok());
    }

    pub(super) fn refuse(&self, refusal: &Refusal) -> Bytes {
        self.refuse_with::<Done>(refusal, None)
    }

    fn refuse_with<T: Serialize>(&self, refusal: &Refusal, reply: Option<&T>) -> Bytes {
        let id = self.request_id.clone();
        let envelope = Envelope::refusal(refusal.code, &refusal.message, id);
        self.write(&envelope, reply)
    }

    fn reply<T: Serialize>(&self, reply: Result<T>) -> Bytes {
        match reply {
            Ok(reply) => self.write(&Envelope::success(self.request_id.clone()), Some(&reply)),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn write<T: Serialize>(&self, envelope: &Envelope, reply: Option<&T>) -> Bytes {
        // Replies are structs of strings, numbers and lists, which JSON has.
        let bytes = answer::write(envelope, self.client_request_id, reply);
        bytes.unwrap_or_default().into()
    }
}

/// A receive: all that there is to keep of its request.
#[derive(Debug)]
pub(super) struct Wanted(Result<(bool, Wants)>);

#[derive(Debug)]
struct Wants {
    queue: String,
    want: Want,
    wait_seconds: Option<u32>,
}

impl Wanted {
    /// If the action (its name in lower case) is one.
    pub(super) fn of(action: &str, given: &Given<'_>) -> Option<Self> {
        match action {
            "receivemessage" => Some(Self(receive_one(given).map(|wants| (false, wants)))),
            "batchreceivemessage" => Some(Self(receive_some(given).map(|wants| (true, wants)))),
            _ => None,
        }
    }
}

fn receive_one(given: &Given<'_>) -> Result<Wants> {
    let it = ReceiveMessage::from_params(given)?;
    wants(it.queue, 1, it.wait_seconds)
}

fn receive_some(given: &Given<'_>) -> Result<Wants> {
    let it = BatchReceiveMessage::from_params(given)?;
    let count = usize::try_from(it.count).unwrap_or(usize::MAX);
    wants(it.queue, count, it.wait_seconds)
}

fn wants(queue: &str, count: usize, wait_seconds: Option<u32>) -> Result<Wants> {
    check_wait(wait_seconds)?;
    limits::batch_count(count)?;
    Ok(Wants {
        queue: queue.to_owned(),
        want: Want {
            count,
            visibility_seconds: None,
        },
        wait_seconds,
    })
}

/// Carries a receive out, which may wait.
pub(super) async fn receive(shared: &Arc<Shared>, wanted: Wanted, stamp: &Stamp) -> Bytes {
    let (many, wants) = match wanted.0 {
        Ok(wanted) => wanted,
        Err(refusal) => return stamp.refuse(&refusal),
    };
    let begun = shared.receive(&wants.queue, wants.want, wants.wait_seconds);
    let received = match begun {
        Ok(begun) => begun.end().await,
        Err(refusal) => Err(refusal),
    };
    let messages = match received {
        Ok(messages) => messages,
        Err(refusal) => return stamp.refuse(&refusal),
    };
    let mut messages = messages.iter().map(self::received);
    if many {
        let messages = messages.collect();
        return stamp.reply(Ok(Messages { messages }));
    }
    let nothing = || Refusal::new(ErrorCode::NO_MESSAGE, "no message");
    stamp.reply(messages.next().ok_or_else(nothing))
}

/// Carries any other action out (its name in lower case); `lose` for a message that is accepted and lost.
pub(super) fn act(
    shared: &Shared,
    action: &str,
    given: &Given<'_>,
    stamp: &Stamp,
    lose: bool,
) -> Bytes {
    match action {
        "sendmessage" => stamp.reply(send(shared, given, lose)),
        "batchsendmessage" => stamp.reply(send_batch(shared, given, lose)),
        "deletemessage" => stamp.reply(delete(shared, given)),
        "batchdeletemessage" => delete_batch(shared, given, stamp),
        "publishmessage" => stamp.reply(publish(shared, given, lose)),
        "batchpublishmessage" => stamp.reply(publish_batch(shared, given, lose)),
        "queryqueueroute" if shared.route().is_some() => stamp.reply(
            given
                .text("queueName")
                .and_then(|name| route(shared, |engine, now| engine.queue_exists(now, name))),
        ),
        "querytopicroute" if shared.route().is_some() => stamp.reply(
            given
                .text("topicName")
                .and_then(|name| route(shared, |engine, now| engine.topic_exists(now, name))),
        ),
        other => shared.with(|engine, now| {
            manage::act(engine, now, other, given, stamp).unwrap_or_else(|| {
                let name = given.text("Action").unwrap_or_default();
                let shown: String = name.chars().take(64).collect();
                let message = format!("action name {shown} is not existed");
                stamp.refuse(&Refusal::new(ErrorCode::ACTION_NAME_NOT_FOUND, message))
            })
        }),
    }
}

/// Where the gateway is that has a queue or topic: there is one for all.
#[derive(Debug, Serialize)]
struct Route {
    addr: Vec<String>,
}

fn route(shared: &Shared, exists: impl FnOnce(&mut Engine, u64) -> Result<()>) -> Result<Route> {
    shared.with(exists)?;
    let addr = shared.route().into_iter().collect();
    Ok(Route { addr })
}

fn send(shared: &Shared, given: &Given<'_>, lose: bool) -> Result<Stored> {
    let it = SendMessage::from_params(given)?;
    let delay = it.delay_seconds.unwrap_or_default();
    let ids = losing(shared, lose, |engine, now| {
        engine.send(now, it.queue, &[it.body], delay)
    })?;
    Ok(stored(&ids))
}

fn send_batch(shared: &Shared, given: &Given<'_>, lose: bool) -> Result<StoredBatch> {
    let it = BatchSendMessage::from_params(given)?;
    let delay = it.delay_seconds.unwrap_or_default();
    let ids = losing(shared, lose, |engine, now| {
        engine.send(now, it.queue, &it.bodies, delay)
    })?;
    Ok(stored_batch(&ids))
}

fn publish(shared: &Shared, given: &Given<'_>, lose: bool) -> Result<Stored> {
    let it = PublishMessage::from_params(given)?;
    let ids = losing(shared, lose, |engine, now| {
        engine.publish(now, it.topic, &[it.body], &it.tags, it.routing_key)
    })?;
    Ok(stored(&ids))
}

fn publish_batch(shared: &Shared, given: &Given<'_>, lose: bool) -> Result<StoredBatch> {
    let it = BatchPublishMessage::from_params(given)?;
    let ids = losing(shared, lose, |engine, now| {
        engine.publish(now, it.topic, &it.bodies, &it.tags, it.routing_key)
    })?;
    Ok(stored_batch(&ids))
}

pub(super) fn losing<T>(shared: &Shared, lose: bool, act: impl FnOnce(&mut Engine, u64) -> T) -> T {
    shared.with(|engine, now| {
        if lose {
            engine.lose_one();
        }
        let done = act(engine, now);
        engine.lose_none();
        done
    })
}

pub(super) fn check_wait(seconds: Option<u32>) -> Result<()> {
    if seconds.is_none_or(|seconds| seconds <= limits::MAX_WAIT_SECONDS) {
        return Ok(());
    }
    let message = format!(
        "pollingWaitSeconds is over {} seconds",
        limits::MAX_WAIT_SECONDS
    );
    Err(Refusal::new(ErrorCode::OUT_OF_RANGE, message))
}

fn delete(shared: &Shared, given: &Given<'_>) -> Result<Done> {
    let it = DeleteMessage::from_params(given)?;
    let handle = handle(it.handle)?;
    shared.with(|engine, now| engine.delete(now, it.queue, handle))?;
    Ok(Done {})
}

fn delete_batch(shared: &Shared, given: &Given<'_>, stamp: &Stamp) -> Bytes {
    let it = match BatchDeleteMessage::from_params(given) {
        Ok(it) => it,
        Err(refusal) => return stamp.refuse(&refusal),
    };
    let results: Vec<Result<()>> = shared.with(|engine, now| {
        let delete = |text: &&str| engine.delete(now, it.queue, handle(text)?);
        it.handles.iter().map(delete).collect()
    });
    let mut errors = Vec::new();
    for (text, result) in it.handles.iter().zip(results) {
        let Err(refusal) = result else { continue };
        if refusal.code.number() != ErrorCode::HANDLE_EXPIRED.number()
            && refusal.code != ErrorCode::HANDLE_FORMAT
        {
            // Of the queue, not of a message.
            return stamp.refuse(&refusal);
        }
        let envelope = Envelope::refusal(refusal.code, &refusal.message, String::new());
        errors.push(NotDeleted {
            code: envelope.code,
            message: envelope.message,
            handle: (*text).to_owned(),
        });
    }
    if errors.is_empty() {
        return stamp.reply(Ok(DeleteErrors { errors }));
    }
    let refusal = if errors.len() == it.handles.len() {
        Refusal::new(ErrorCode::NONE_DELETED, "delete messages failed")
    } else {
        Refusal::new(
            ErrorCode::PARTLY_DELETED,
            "delete messages partially failed",
        )
    };
    stamp.refuse_with(&refusal, Some(&DeleteErrors { errors }))
}

fn handle(text: &str) -> Result<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| Refusal::new(ErrorCode::HANDLE_FORMAT, "receiptHandle is not a number"))
}

fn stored(ids: &[u64]) -> Stored {
    let id = ids.first().copied().unwrap_or_default();
    Stored { id: id.to_string() }
}

fn stored_batch(ids: &[u64]) -> StoredBatch {
    let ids = ids.iter().map(|id| MessageId { id: id.to_string() });
    StoredBatch { ids: ids.collect() }
}

/// Times travel in whole seconds: cut off, so that nobody believes in a handle for longer than it is valid.
fn received(message: &Delivered) -> ReceivedMessage {
    ReceivedMessage {
        body: (*message.body).to_owned(),
        id: message.id.to_string(),
        handle: message.handle.to_string(),
        enqueued: message.enqueued / 1000,
        first_dequeued: message.first_received / 1000,
        next_visible: message.next_visible / 1000,
        dequeue_count: message.receives.into(),
        origin: None,
        bytes: None,
    }
}
