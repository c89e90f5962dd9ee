//! Requests: from a packet to the state, and from there into an answer.

use std::sync::Arc;

use bytes::Bytes;
use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::{self, Refusal};
use mq_cmq::proto::tcp::{
    BatchDelete, BatchPull, BatchSend, Confirm, Confirmed, ConfirmedItem, NotDeleted, Packet,
    Publish, Pull, PulledBatch, Send, cmd, state,
};

use super::answer::{pulled, result, text};
use crate::cmq::dispatch::{check_wait, losing};
use crate::cmq::engine::{Decision, Delivered, Result, Sender, Want};
use crate::cmq::shared::{Begun, Shared};

/// What an action is called over HTTP, in lower case.
pub(super) const fn action(cmd: i32) -> Option<&'static str> {
    Some(match cmd {
        cmd::SEND => "sendmessage",
        cmd::BATCH_SEND => "batchsendmessage",
        cmd::PULL => "receivemessage",
        cmd::BATCH_PULL => "batchreceivemessage",
        cmd::DELETE => "deletemessage",
        cmd::BATCH_DELETE => "batchdeletemessage",
        cmd::PUBLISH => "publishmessage",
        cmd::BATCH_PUBLISH => "batchpublishmessage",
        cmd::TRANSACTION_CONFIRM => "confirmtransaction",
        _ => return None,
    })
}

/// Begins a receive; `None` if the packet is another request.
pub(super) fn receive(shared: &Arc<Shared>, packet: &Packet) -> Option<Result<Begun>> {
    Some(match packet.cmd {
        cmd::PULL => one(packet).and_then(|it| {
            let wait = wait_seconds(it.wait_seconds)?;
            shared.receive(&it.queue, want(1, it.visibility_seconds)?, wait)
        }),
        cmd::BATCH_PULL => some(packet).and_then(|it| {
            let wait = wait_seconds(it.wait_seconds)?;
            let most = usize::try_from(it.most).unwrap_or(0);
            limits::batch_count(most)?;
            shared.receive(&it.queue, want(most, it.visibility_seconds)?, wait)
        }),
        _ => return None,
    })
}

/// Puts what was received into its answer.
pub(super) fn received(answer: &mut Packet, messages: &[Delivered]) {
    let mut messages = messages.iter().map(pulled);
    if answer.cmd == cmd::PULL {
        answer.pulled = messages.next();
        return;
    }
    let messages = messages.collect();
    answer.pulled_batch = Some(PulledBatch { messages });
}

/// Carries any other request out; `lose` for a message that is accepted and lost.
pub(super) fn act(
    shared: &Shared,
    sender: &Sender,
    packet: &Packet,
    answer: &mut Packet,
    lose: bool,
) -> Result<()> {
    match packet.cmd {
        cmd::SEND => {
            let it = given(packet.send.as_ref(), "tcp_send_msg")?;
            answer.message_ids = send(shared, sender, &sending(it), lose)?;
        }
        cmd::BATCH_SEND => {
            let it = given(packet.batch_send.as_ref(), "tcp_batch_send_msg")?;
            limits::batch_count(it.bodies.len())?;
            answer.message_ids = send(shared, sender, &sending_all(it), lose)?;
        }
        cmd::PUBLISH => {
            let it = given(packet.publish.as_ref(), "tcp_publish_msg")?;
            answer.message_ids = publish(shared, it, std::slice::from_ref(&it.body), lose)?;
        }
        cmd::BATCH_PUBLISH => {
            let it = given(packet.batch_publish.as_ref(), "tcp_batch_publish_msg")?;
            limits::batch_count(it.bodies.len())?;
            let to = Publish {
                topic: it.topic.clone(),
                body: Bytes::new(),
                tags: it.tags.clone(),
                routing_key: it.routing_key.clone(),
            };
            answer.message_ids = publish(shared, &to, &it.bodies, lose)?;
        }
        cmd::DELETE => {
            let it = given(packet.delete.as_ref(), "tcp_delete_msg")?;
            shared.with(|engine, now| engine.delete(now, &it.queue, it.handle))?;
        }
        cmd::BATCH_DELETE => {
            let it = given(packet.batch_delete.as_ref(), "tcp_batch_delete_msg")?;
            delete(shared, it, answer)?;
        }
        cmd::TRANSACTION_CONFIRM => {
            let it = given(packet.confirm.as_ref(), "transaction_confirm")?;
            confirm(shared, it, answer)?;
        }
        other => {
            let message = format!("cmd {other} is not existed");
            return Err(Refusal::new(ErrorCode::ACTION_NOT_FOUND, message));
        }
    }
    Ok(())
}

fn one(packet: &Packet) -> Result<&Pull> {
    given(packet.pull.as_ref(), "tcp_pull_msg")
}

fn some(packet: &Packet) -> Result<&BatchPull> {
    given(packet.batch_pull.as_ref(), "tcp_batch_pull_msg")
}

fn given<'a, T>(body: Option<&'a T>, name: &str) -> Result<&'a T> {
    body.ok_or_else(|| {
        let message = format!("{name} is missing");
        Refusal::new(ErrorCode::MISSING_PARAMETER, message)
    })
}

fn wait_seconds(given: Option<i32>) -> Result<Option<u32>> {
    // One that is negative is over any limit then.
    let seconds = given.map(|given| u32::try_from(given).unwrap_or(u32::MAX));
    check_wait(seconds)?;
    Ok(seconds)
}

fn want(count: usize, visibility_seconds: Option<u32>) -> Result<Want> {
    if visibility_seconds.is_some_and(|given| !(1..=43_200).contains(&given)) {
        let message = "visible_timeout is not within 1 to 43200 seconds";
        return Err(Refusal::new(ErrorCode::OUT_OF_RANGE, message));
    }
    Ok(Want {
        count,
        visibility_seconds,
    })
}

/// What both kinds of sends have.
struct Sending<'a> {
    queue: &'a str,
    bodies: &'a [Bytes],
    delay_seconds: u32,
    half: bool,
    first_query: Option<i32>,
}

fn sending(it: &Send) -> Sending<'_> {
    Sending {
        queue: &it.queue,
        // None is an empty one.
        bodies: it.body.as_ref().map_or(&EMPTY, std::slice::from_ref),
        delay_seconds: it.delay_seconds.unwrap_or_default(),
        half: it.transaction == Some(1),
        first_query: it.first_query_interval,
    }
}

fn sending_all(it: &BatchSend) -> Sending<'_> {
    Sending {
        queue: &it.queue,
        bodies: &it.bodies,
        delay_seconds: it.delay_seconds.unwrap_or_default(),
        half: it.transaction == Some(1),
        first_query: it.first_query_interval,
    }
}

fn send(shared: &Shared, sender: &Sender, it: &Sending<'_>, lose: bool) -> Result<Vec<u64>> {
    let bodies = texts(it.bodies)?;
    losing(shared, lose, |engine, now| {
        if !it.half {
            return engine.send(now, it.queue, &bodies, it.delay_seconds);
        }
        if it.delay_seconds > 0 {
            let message = "a transactional queue takes no delays";
            return Err(Refusal::new(ErrorCode::DELAY_OUT_OF_RANGE, message));
        }
        engine.send_half(now, it.queue, &bodies, it.first_query, sender)
    })
}

fn publish(shared: &Shared, it: &Publish, bodies: &[Bytes], lose: bool) -> Result<Vec<u64>> {
    let bodies = texts(bodies)?;
    let tags: Vec<&str> = it.tags.iter().map(String::as_str).collect();
    losing(shared, lose, |engine, now| {
        engine.publish(now, &it.topic, &bodies, &tags, it.routing_key.as_deref())
    })
}

/// Over HTTP bodies are text, and this server keeps them as such.
fn texts(bodies: &[Bytes]) -> Result<Vec<&str>> {
    let text = |body| {
        std::str::from_utf8(body).map_err(|error| {
            let message = format!("a body is not UTF-8: {error}");
            Refusal::new(ErrorCode::BAD_PARAMETERS, message)
        })
    };
    bodies.iter().map(|body| text(body)).collect()
}

fn delete(shared: &Shared, it: &BatchDelete, answer: &mut Packet) -> Result<()> {
    limits::batch_count(it.handles.len())?;
    let results: Vec<Result<()>> = shared.with(|engine, now| {
        let delete = |handle: &u64| engine.delete(now, &it.queue, *handle);
        it.handles.iter().map(delete).collect()
    });
    let mut errors = Vec::new();
    for (handle, done) in it.handles.iter().zip(results) {
        let Err(refusal) = done else { continue };
        if refusal.code != ErrorCode::HANDLE_EXPIRED {
            // Of the queue, not of a message.
            return Err(refusal);
        }
        errors.push(NotDeleted {
            handle: *handle,
            code: result(refusal.code),
            message: text(&refusal),
        });
    }
    let failed = errors.len();
    answer.not_deleted = errors;
    match failed {
        0 => Ok(()),
        all if all == it.handles.len() => Err(Refusal::new(
            ErrorCode::NONE_DELETED,
            "delete messages failed",
        )),
        _ => Err(Refusal::new(
            ErrorCode::PARTLY_DELETED,
            "delete messages partially failed",
        )),
    }
}

/// Each message has its own answer, also where all of them are refused.
fn confirm(shared: &Shared, it: &Confirm, answer: &mut Packet) -> Result<()> {
    let items = it.items.iter().map(|item| {
        let decision = match item.state {
            state::COMMIT => Some(Decision::Commit),
            state::ROLLBACK => Some(Decision::RollBack),
            _ => None,
        };
        (item.message_id, decision)
    });
    let items: Vec<(u64, Option<Decision>)> = items.collect();
    let confirmed = shared.with(|engine, now| engine.confirm(now, &it.queue, &items));
    let (each, whole) = match confirmed {
        Ok(each) => (each, None),
        Err(refusal) => (
            items.iter().map(|_| Err(refusal.clone())).collect(),
            Some(refusal),
        ),
    };
    let failed = each.iter().filter(|one| one.is_err()).count();
    let ids = items.iter().map(|item| item.0);
    let items: Vec<ConfirmedItem> = ids.zip(each).map(confirmed_item).collect();
    let count = items.len();
    let queue = it.queue.clone();
    answer.confirmed = Some(Confirmed { queue, items });
    if let Some(refusal) = whole {
        return Err(refusal);
    }
    match failed {
        0 => Ok(()),
        all if all == count => Err(Refusal::new(
            ErrorCode::CONFIRM_FAILED,
            "confirm transactions failed",
        )),
        _ => Err(Refusal::new(
            ErrorCode::PARTLY_CONFIRMED,
            "confirm transactions partially failed",
        )),
    }
}

fn confirmed_item((message_id, confirmed): (u64, Result<Decision>)) -> ConfirmedItem {
    let (state, refusal) = match confirmed {
        Ok(Decision::Commit) => (state::COMMIT, None),
        Ok(Decision::RollBack) => (state::ROLLBACK, None),
        Err(refusal) => (state::UNKNOWN, Some(refusal)),
    };
    ConfirmedItem {
        message_id,
        state,
        code: refusal.as_ref().map(|refusal| result(refusal.code)),
        message: refusal.as_ref().map(text),
    }
}

static EMPTY: [Bytes; 1] = [Bytes::new()];
