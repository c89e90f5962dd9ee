//! Messages as they travel: compressed bodies, properties as text, batches as one body.

use bytes::{Bytes, BytesMut};

use super::shared::ProducerShared;
use crate::Message;
use crate::error::{Result, invalid};
use crate::proto::message::{BatchItem, SysFlag};
use crate::schedule::Plan;

/// Body and properties as they travel, made once and used by every attempt.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) body: Bytes,
    pub(crate) properties: String,
    pub(crate) sys_flag: SysFlag,
    pub(crate) flag: i32,
    /// When it is to be delivered, if not at once.
    pub(crate) plan: Option<Plan>,
}

impl Packed {
    /// Whether it is half a transaction: then it stays with one broker, since two halves would be two transactions.
    pub(super) const fn is_half(&self) -> bool {
        self.sys_flag.contains(SysFlag::PREPARED)
    }
}

/// Encodes one message.
pub(crate) fn pack_one(producer: &ProducerShared, message: &Message) -> Result<Packed> {
    let mut sys_flag = SysFlag(0);
    let mut body = message.body().clone();
    if let Some(compression) = &producer.compression
        && let Some(packed) = compression.apply(&body)?
    {
        body = packed;
        sys_flag = sys_flag.compressed(compression.kind());
    }
    let client = &producer.client;
    let plan = message
        .schedule()
        .map(|schedule| Plan::new(schedule, client.dialect, client.clock.wall()))
        .transpose()?;
    let properties = encode_properties(message, plan.as_ref())?;
    Ok(Packed {
        body,
        properties,
        sys_flag,
        flag: message.flag_value(),
        plan,
    })
}

/// Encodes several messages as one body. Batches are not compressed (apache/rocketmq: `tryToCompressMessage`).
pub(crate) fn pack_item(message: &Message, into: &mut BytesMut) -> Result<()> {
    let item = BatchItem {
        flag: message.flag_value(),
        body: message.body().clone(),
        properties: encode_properties(message, None)?.into(),
    };
    item.encode(into);
    Ok(())
}

fn encode_properties(message: &Message, plan: Option<&Plan>) -> Result<String> {
    let mut text = message.wire_text_with_room(plan.map_or(0, |_| Plan::MOST));
    if let Some(plan) = plan {
        plan.append(&mut text);
    }
    if text.len() > MAX_PROPERTIES {
        let found = format!(
            "the properties have {} bytes, the limit is {MAX_PROPERTIES}",
            text.len()
        );
        return Err(invalid("check message", found));
    }
    Ok(text)
}

/// The broker keeps the length in an i16.
pub(super) const MAX_PROPERTIES: usize = 32_767;
