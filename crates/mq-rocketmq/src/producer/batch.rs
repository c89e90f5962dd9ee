//! Sending many messages of one topic: cut into requests, one result a message.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::join_all;

use super::operation::{Failed, Payload};
use super::pack::{Packed, pack_item};
use super::send::{deadline, prepare, receipts, start};
use super::shared::ProducerShared;
use super::{Producer, Receipt};
use crate::Message;
use crate::error::{Result, SendError, invalid};
use crate::proto::message::SysFlag;

pub(super) async fn send_batch(
    producer: Producer,
    messages: Vec<Message>,
    timeout: Option<Duration>,
) -> Vec<Result<Receipt, SendError>> {
    let shared = &producer.shared;
    let deadline = deadline(shared, timeout);
    let chunks = match split(shared, messages) {
        Ok(chunks) => chunks,
        Err(failed) => return failed.into_send_errors().into_iter().map(Err).collect(),
    };
    let runs = chunks.into_iter().map(|(messages, packed)| async move {
        let payload = Payload::Batch(messages);
        let ended = match start(shared, payload, packed, deadline, false).await {
            Ok((_place, hearing)) => hearing.end.await,
            Err(failed) => Ok(Err(failed)),
        };
        receipts(ended, shared)
    });
    join_all(runs).await.into_iter().flatten().collect()
}

/// Cuts messages into requests. All of them are checked before the first is sent.
fn split(
    shared: &ProducerShared,
    mut messages: Vec<Message>,
) -> Result<Vec<(Vec<Message>, Packed)>, Failed> {
    if let Err(error) = check_batch(shared, &mut messages) {
        return Err(Failed {
            error,
            payload: Payload::Batch(messages),
        });
    }
    let properties = batch_properties(shared);
    let packed = |body: BytesMut| Packed {
        body: body.freeze(),
        properties: properties.clone(),
        sys_flag: SysFlag(0),
        flag: 0,
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
    Ok(chunks)
}

fn check_batch(shared: &ProducerShared, messages: &mut [Message]) -> Result<()> {
    let topic = messages.first().map(|message| message.topic().to_owned());
    for message in messages {
        if Some(message.topic()) != topic.as_deref() {
            return Err(invalid(
                "send",
                "the messages of a batch have different topics",
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
    Ok(())
}

/// The batch itself has an id too (apache/rocketmq: `DefaultMQProducer.batch`).
fn batch_properties(shared: &ProducerShared) -> String {
    let mut envelope = Message::new("", "");
    let client = &shared.client;
    envelope.unique_id_or(|| client.unique_ids.next(client.clock.wall()));
    envelope.wire_text()
}
