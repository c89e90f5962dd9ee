//! Sending many messages of one topic: cut into requests, one result a message.

use std::sync::Arc;

use bytes::BytesMut;
use futures_util::future::join_all;

use super::ending::{Failed, Payload};
use super::lanes::Lane;
use super::operation::Plan;
use super::pack::{Packed, pack_item};
use super::send::{Options, deadline, find_route, in_send, join, lane, prepare, receipts};
use super::shared::ProducerShared;
use super::{Producer, Receipt};
use crate::Message;
use crate::consumer::QueueRef;
use crate::error::{Result, SendError, invalid};
use crate::proto::message::SysFlag;

pub(super) async fn send_batch(
    producer: Producer,
    messages: Vec<Message>,
    options: Options,
) -> Vec<Result<Receipt, SendError>> {
    let shared = &producer.shared;
    let deadline = deadline(shared, options.timeout);
    let Cut {
        topic,
        lane,
        chunks,
    } = match split(shared, messages, options.queue.as_ref()) {
        Ok(cut) => cut,
        Err(failed) => return failed.into_send_errors().into_iter().map(Err).collect(),
    };
    if chunks.is_empty() {
        return Vec::new();
    }
    // Known before the first request begins: then all of them join the line in turn.
    let route = find_route(shared, &topic, deadline).await.map_err(in_send);
    let runs = chunks.into_iter().map(|(messages, packed)| {
        let plan = Plan {
            topic: Arc::clone(&topic),
            payload: Payload::Batch(messages),
            packed,
            deadline,
            oneway: false,
            lane: lane.clone(),
        };
        let joined = match &route {
            Ok(route) => join(shared, plan, route),
            Err(error) => Err(Failed {
                error: error.clone(),
                payload: plan.payload,
            }),
        };
        async move {
            let ended = match joined {
                Ok((_place, hearing)) => hearing.end.await,
                Err(failed) => Ok(Err(failed)),
            };
            receipts(ended, shared)
        }
    });
    join_all(runs).await.into_iter().flatten().collect()
}

/// A batch, cut into requests.
struct Cut {
    topic: Arc<str>,
    lane: Option<Lane>,
    chunks: Vec<(Vec<Message>, Packed)>,
}

/// Cuts messages into requests. All of them are checked before the first is sent.
fn split(
    shared: &ProducerShared,
    mut messages: Vec<Message>,
    queue: Option<&QueueRef>,
) -> Result<Cut, Failed> {
    let topic = messages.first().map_or("", Message::topic);
    let topic = shared.client.namespace.wrap(topic).into();
    let lane = match check_batch(shared, &topic, &mut messages, queue) {
        Ok(lane) => lane,
        Err(error) => {
            return Err(Failed {
                error,
                payload: Payload::Batch(messages),
            });
        }
    };
    let properties = batch_properties(shared);
    let packed = |body: BytesMut| Packed {
        body: body.freeze(),
        properties: properties.clone(),
        sys_flag: SysFlag(0),
        flag: 0,
        plan: None,
    };
    let (mut chunks, mut chunk, mut body) = (Vec::new(), Vec::new(), BytesMut::new());
    for message in messages {
        let mut item = BytesMut::new();
        // Checked above.
        if pack_item(&message, &mut item).is_err() {
            continue;
        }
        if !chunk.is_empty() && body.len() + item.len() > shared.max_body {
            chunks.push((
                std::mem::take(&mut chunk),
                packed(std::mem::take(&mut body)),
            ));
        }
        body.unsplit(item);
        chunk.push(message);
    }
    if !chunk.is_empty() {
        chunks.push((chunk, packed(body)));
    }
    Ok(Cut {
        topic,
        lane,
        chunks,
    })
}

/// The answer is whose order the batch keeps: all of it is stored in one queue.
fn check_batch(
    shared: &ProducerShared,
    full_topic: &Arc<str>,
    messages: &mut [Message],
    queue: Option<&QueueRef>,
) -> Result<Option<Lane>> {
    let Some(first) = messages.first() else {
        return Ok(None);
    };
    let topic = Some(first.topic().to_owned());
    let key = first.ordering_key_text().map(str::to_owned);
    let lane = lane(full_topic, first, queue)?;
    for message in messages {
        if message.ordering_key_text() != key.as_deref() {
            return Err(invalid(
                "send",
                "the messages of a batch have different ordering keys: they go into one queue",
            ));
        }
        if Some(message.topic()) != topic.as_deref() {
            return Err(invalid(
                "send",
                "the messages of a batch have different topics",
            ));
        }
        if message.schedule().is_some() {
            // A broker looks at the batch's properties only, and would deliver what is inside at once.
            return Err(invalid(
                "send",
                "a message of the batch is scheduled: those can only be sent one by one",
            ));
        }
        prepare(shared, message)?;
        let mut item = BytesMut::new();
        pack_item(message, &mut item)?;
        if item.len() > shared.max_body {
            let found = format!(
                "a message of the batch has {} bytes with its properties, the limit is {}",
                item.len(),
                shared.max_body
            );
            return Err(invalid("send", found));
        }
    }
    Ok(lane)
}

/// The batch itself has an id too (apache/rocketmq: `DefaultMQProducer.batch`).
fn batch_properties(shared: &ProducerShared) -> String {
    let mut envelope = Message::new("", "");
    let client = &shared.client;
    envelope.unique_id_or(|| client.unique_ids.next(client.clock.wall()));
    envelope.wire_text()
}
