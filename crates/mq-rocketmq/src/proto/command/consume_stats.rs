//! Reading how far a group is, queue by queue (208); the answer's keys are objects.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};

use super::{Reply, ext_request, ext_struct};
use crate::proto::{ExtFields, FieldSink, Fields, Malformed, json};

ext_struct! {
    /// Asks a broker for a group's offsets.
    // apache/rocketmq: GetConsumeStatsRequestHeader
    struct GetConsumeStats {
        /// The consumer's group.
        consumer_group: Arc<str> = "consumerGroup",
        /// Only this topic; absent means all.
        topic: Option<Arc<str>> = "topic",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(GetConsumeStats, GET_CONSUME_STATS -> ConsumeStats);

/// How far a group is at one broker.
// apache/rocketmq: ConsumeStats
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConsumeStats {
    /// Messages a second, as the broker counts.
    pub consume_tps: f64,
    /// Every queue of the broker that the group has to do with.
    pub queues: Vec<QueueStats>,
}

/// How far a group is in one queue.
// apache/rocketmq: MessageQueue (the key), OffsetWrapper (the value)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// The queue.
    pub queue: QueueKey,
    /// The queue's offsets.
    pub offsets: QueueOffsets,
}

/// A queue, where JSON uses it as a key.
// apache/rocketmq: MessageQueue
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueKey {
    /// The broker's name.
    #[serde(deserialize_with = "json::null_as_default")]
    pub broker_name: String,
    /// The queue's number.
    pub queue_id: i32,
    /// The topic, with its namespace.
    #[serde(deserialize_with = "json::null_as_default")]
    pub topic: String,
}

/// The offsets of one queue.
// apache/rocketmq: OffsetWrapper
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueOffsets {
    /// The offset after the last message.
    pub broker_offset: i64,
    /// The next offset to be consumed.
    pub consumer_offset: i64,
    /// When the message before the consumer's offset was stored, in ms since 1970.
    pub last_timestamp: i64,
    /// The next offset to be pulled (5.x).
    pub pull_offset: i64,
}

impl Fields for ConsumeStats {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Reply for ConsumeStats {
    /// As fastjson writes it, since Java reads object keys in no other form.
    fn body(&self) -> Bytes {
        let table = object_keyed(
            self.queues
                .iter()
                .map(|stats| (&stats.queue, &stats.offsets)),
        );
        let tps = if self.consume_tps.is_finite() {
            self.consume_tps
        } else {
            0.0
        };
        format!("{{\"consumeTps\":{tps:?},\"offsetTable\":{table}}}").into()
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            #[serde(default)]
            consume_tps: f64,
            #[serde(default)]
            offset_table: ObjectKeyed<QueueOffsets>,
        }
        let raw: Raw = json::read("consume stats", body)?;
        let queues = raw.offset_table.0.into_iter();
        let queues = queues
            .map(|(queue, offsets)| QueueStats { queue, offsets })
            .collect();
        Ok(Self {
            consume_tps: raw.consume_tps,
            queues,
        })
    }
}

/// Writes a map whose keys are objects, without quotes round them.
pub(super) fn object_keyed<'a, V: Serialize + 'a>(
    entries: impl Iterator<Item = (&'a QueueKey, &'a V)>,
) -> String {
    let mut table = String::from("{");
    for (key, value) in entries {
        if table.len() > 1 {
            table.push(',');
        }
        table.push_str(&serde_json::to_string(key).unwrap_or_default());
        table.push(':');
        table.push_str(&serde_json::to_string(value).unwrap_or_default());
    }
    table.push('}');
    table
}

/// A map whose keys are queues, after [`json::standard`] has put them into strings.
pub(super) struct ObjectKeyed<V>(pub(super) Vec<(QueueKey, V)>);

impl<V> Default for ObjectKeyed<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for ObjectKeyed<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(ObjectKeyedVisitor(std::marker::PhantomData))
    }
}

struct ObjectKeyedVisitor<V>(std::marker::PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for ObjectKeyedVisitor<V> {
    type Value = ObjectKeyed<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object keyed by queues")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(ObjectKeyed::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(ObjectKeyed::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, V>()? {
            let key =
                serde_json::from_str(&key).map_err(|_| A::Error::custom("key is no queue"))?;
            entries.push((key, value));
        }
        Ok(ObjectKeyed(entries))
    }
}
