//! From the body of a pull to messages that can be handed over: unwrapped, decompressed, filtered.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use mq_core::decompress::{self, Limits};

use super::received::Received;
use super::subscription::Subscription;
use crate::conn::QueueId;
use crate::name::Namespace;
use crate::proto::message::{BadMessage, StoredMessage, SysFlag, decode_messages, unwrap_batch};

/// What is needed to understand the messages of one queue.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) queue: &'a QueueId,
    pub(super) subscription: &'a Subscription,
    pub(super) namespace: &'a Namespace,
    /// The first offset that was asked for.
    pub(super) from: i64,
    /// What to add to offsets (static topics).
    pub(super) delta: i64,
}

/// A message with its offset and what it costs in memory.
pub(super) type Found = (i64, usize, Arc<Received>);

impl Reading<'_> {
    /// The messages that are wanted, in order. One that can't be decoded is among them, as it came.
    pub(super) fn messages(&self, body: Bytes) -> Vec<Found> {
        let mut found = Vec::new();
        let mut expected = self.from;
        for item in decode_messages(body) {
            match item {
                Ok(stored) => self.stored(stored, &mut expected, &mut found),
                Err(bad) => self.bad(bad, &mut expected, &mut found),
            }
        }
        found
    }

    fn stored(&self, mut stored: StoredMessage, expected: &mut i64, found: &mut Vec<Found>) {
        stored.queue_offset = stored.queue_offset.saturating_add(self.delta);
        match inflate(&stored) {
            Ok(body) if is_batch(stored.sys_flag) => {
                for item in unwrap_batch(&stored, body.clone()) {
                    match item {
                        Ok(item) => {
                            let body = item.body.clone();
                            // Its place in the log is the whole batch's: sent back by that, all of it would come again.
                            self.keep(item, body, false, None, expected, found);
                        }
                        Err(bad) => self.bad(bad, expected, found),
                    }
                }
            }
            Ok(body) => self.keep(stored, body, true, None, expected, found),
            Err(reason) => {
                let body = stored.body.clone();
                self.keep(stored, body, true, Some(reason), expected, found);
            }
        }
    }

    fn keep(
        &self,
        stored: StoredMessage,
        body: Bytes,
        whole: bool,
        undecoded: Option<String>,
        expected: &mut i64,
        found: &mut Vec<Found>,
    ) {
        let offset = stored.queue_offset;
        *expected = offset.saturating_add(1);
        let tag = || stored.properties.get(crate::message::TAGS);
        if undecoded.is_none() && !self.subscription.wants(tag) {
            return;
        }
        let message_id = Some(stored.offset_message_id());
        // apache/rocketmq: DefaultMQPushConsumerImpl.resetRetryAndNamespace, a retry shows its first topic
        let is_retry = stored.topic.starts_with(crate::name::RETRY);
        let first = || stored.properties.get(RETRY_TOPIC);
        let full_topic = match is_retry.then(first).flatten() {
            Some(first) => first.into(),
            None => stored.topic,
        };
        let sys_flag = if undecoded.is_some() {
            stored.sys_flag
        } else {
            SysFlag::default()
        };
        let received = Received {
            topic: full_topic.slice_ref(self.namespace.unwrap(&full_topic)),
            full_topic,
            body,
            flag: stored.flag,
            wire: stored.properties,
            content: OnceLock::new(),
            queue: self.queue.clone(),
            offset,
            physical_offset: whole.then_some(stored.physical_offset),
            message_id,
            reconsumed: stored.reconsume_times,
            born_at_ms: stored.born_at_ms,
            stored_at_ms: stored.stored_at_ms,
            sys_flag,
            undecoded: undecoded.map(|reason| super::received::Undecoded { reason }),
        };
        found.push((offset, received.cost(), Arc::new(received)));
    }

    fn bad(&self, bad: BadMessage, expected: &mut i64, found: &mut Vec<Found>) {
        // The offset is as true as the bytes around it: one below what comes next is not believed.
        let offset = bad
            .queue_offset
            .map(|offset| offset.saturating_add(self.delta))
            .filter(|offset| (*expected..expected.saturating_add(NEAR)).contains(offset))
            .unwrap_or(*expected);
        *expected = offset.saturating_add(1);
        let received = Received::raw(
            self.queue,
            self.namespace,
            offset,
            bad.raw,
            bad.reason.to_string(),
        );
        found.push((offset, received.cost(), Arc::new(received)));
    }
}

fn is_batch(flag: SysFlag) -> bool {
    flag.contains(SysFlag::INNER_BATCH.with(SysFlag::NEED_UNWRAP))
}

/// The body as it was before it was compressed, or why it can't be had.
pub(crate) fn inflate(stored: &StoredMessage) -> Result<Bytes, String> {
    match stored.sys_flag.compression() {
        Ok(None) => Ok(stored.body.clone()),
        Ok(Some(compression)) => decompress::bounded(compression, &stored.body, LIMITS)
            .map(Bytes::from)
            .map_err(|error| error.to_string()),
        Err(malformed) => Err(malformed.to_string()),
    }
}

/// A ratio would refuse innocent bodies: a megabyte of one byte is 30 bytes of zstd.
const LIMITS: Limits = Limits {
    max_output: 16 << 20,
    max_ratio: usize::MAX,
};
/// How far beyond the expected offset a damaged message's own is believed.
const NEAR: i64 = 1 << 20;
const RETRY_TOPIC: &str = "RETRY_TOPIC";

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::proto::message::{BatchItem, PropertyText, encode_batch};

    fn queue() -> QueueId {
        QueueId {
            topic: "ns%t".into(),
            broker: "b".into(),
            id: 3,
        }
    }

    fn stored(offset: i64, tag: &str, body: &'static [u8]) -> StoredMessage {
        let mut stored = StoredMessage::new("ns%t", Bytes::from_static(body));
        stored.queue_offset = offset;
        stored.physical_offset = 1000 + offset % 1000;
        stored.properties = [("TAGS", tag), ("UNIQ_KEY", "ID")].into_iter().collect();
        stored
    }

    fn body(messages: &[StoredMessage]) -> Vec<u8> {
        let mut buf = BytesMut::new();
        for message in messages {
            message.encode(&mut buf);
        }
        buf.to_vec()
    }

    fn read(bytes: Vec<u8>, expression: &str) -> Vec<Arc<Received>> {
        let reading = Reading {
            queue: &queue(),
            subscription: &Subscription::parse(expression).unwrap(),
            namespace: &Namespace::new("ns").unwrap(),
            from: 5,
            delta: 0,
        };
        reading
            .messages(bytes.into())
            .into_iter()
            .map(|(_, _, received)| received)
            .collect()
    }

    #[test]
    fn a_tag_of_equal_hash_is_left_out() {
        let got = read(
            body(&[
                stored(5, "Aa", b"1"),
                stored(6, "BB", b"2"),
                stored(7, "Aa", b"3"),
            ]),
            "Aa",
        );
        assert_eq!(got.iter().map(|m| m.offset()).collect::<Vec<_>>(), [5, 7]);
        assert_eq!(
            (got[0].topic(), got[0].queue(), got[0].attempt()),
            ("t", 3, 1)
        );
    }

    #[test]
    fn a_message_is_one_allocation_until_its_properties_are_asked_for() {
        let all: Vec<_> = (5..37).map(|offset| stored(offset, "A", b"x")).collect();
        let bytes = Bytes::from(body(&all));
        let (queue, subscription) = (queue(), Subscription::parse("A").unwrap());
        let reading = Reading {
            queue: &queue,
            subscription: &subscription,
            namespace: &Namespace::new("ns").unwrap(),
            from: 5,
            delta: 0,
        };
        let mut got = Vec::new();
        let read = allocation_counter::measure(|| got = reading.messages(bytes.clone()));
        assert_eq!(got.len(), 32);
        // The list of them grows.
        assert!(read.count_total <= 32 + 6, "{read:?}");
        let seen = allocation_counter::measure(|| {
            for (_, _, message) in &got {
                let named = (message.topic(), message.tag_text(), message.unique_id());
                assert_eq!(named, ("t", Some("A"), Some("ID")));
                assert_eq!(message.body().as_ref(), b"x");
            }
        });
        assert_eq!(seen.count_total, 0);
        assert_eq!(got[0].2.properties().len(), 0);
        assert_eq!(got[0].2.keys(), [] as [&str; 0]);
    }

    #[test]
    fn a_retry_shows_its_first_topic_and_its_attempt() {
        let mut again = stored(5, "A", b"x");
        again.topic = "%RETRY%ns%g".into();
        again.reconsume_times = 2;
        again.properties = [("TAGS", "A"), ("RETRY_TOPIC", "ns%t")]
            .into_iter()
            .collect();
        let got = read(body(&[again]), "*");
        assert_eq!((got[0].topic(), got[0].attempt()), ("t", 3));
        assert_eq!(got[0].full_topic, "ns%t");
    }

    #[test]
    fn a_message_that_can_not_be_read_is_handed_over_raw_and_the_rest_goes_on() {
        let good = body(&[stored(5, "A", b"1")]);
        let mut damaged = body(&[stored(6, "A", b"22")]);
        let topic_len = damaged.len() - 2 - "TAGS_A_UNIQ_KEY_ID_".len() - 4 - 1;
        damaged[topic_len] = 200;
        let bytes = [good, damaged.clone(), body(&[stored(7, "A", b"3")])].concat();
        // A filter does not hide it: nobody knows its tag.
        let got = read(bytes, "A");
        assert_eq!(
            got.iter().map(|m| m.offset()).collect::<Vec<_>>(),
            [5, 6, 7]
        );
        assert!(got[0].undecoded().is_none() && got[2].undecoded().is_none());
        assert_eq!(got[1].body(), &Bytes::from(damaged));
        assert!(
            got[1].undecoded().unwrap().reason().contains("topic"),
            "{:?}",
            got[1]
        );
    }

    #[test]
    fn an_offset_out_of_nowhere_is_not_believed() {
        let mut wrong = stored(i64::MAX - 3, "A", b"22");
        wrong.topic = "x".into();
        let mut damaged = body(&[wrong]);
        let last = damaged.len() - 1;
        damaged[last - 18] = 0xFF;
        let got = read(
            [
                body(&[stored(5, "A", b"1")]),
                damaged,
                body(&[stored(7, "A", b"3")]),
            ]
            .concat(),
            "*",
        );
        assert_eq!(
            got.iter().map(|m| m.offset()).collect::<Vec<_>>(),
            [5, 6, 7]
        );
    }

    #[test]
    fn a_body_that_can_not_be_decompressed_stands_as_it_came() {
        for flag in [1, 1 | 1 << 8, 1 | 2 << 8, 1 | 7 << 8] {
            let mut bad = stored(5, "A", b"not compressed at all");
            bad.sys_flag = SysFlag(flag);
            let got = read(body(&[bad, stored(6, "A", b"2")]), "A");
            assert_eq!(got.len(), 2, "flag {flag:x}");
            assert_eq!(got[0].body().as_ref(), b"not compressed at all");
            assert!(got[0].undecoded().is_some());
            assert_eq!(got[0].tag_text(), Some("A"), "everything else is right");
            assert_eq!(got[0].physical_offset, Some(1005));
        }
    }

    #[test]
    fn a_bomb_is_stopped_and_a_megabyte_of_zeros_is_not() {
        let zeros = |len: usize| zstd::bulk::compress(&vec![0_u8; len], 3).unwrap();
        for (len, whole) in [(2 << 20, true), (64 << 20, false)] {
            let mut packed = stored(5, "A", b"");
            packed.body = zeros(len).into();
            packed.sys_flag = SysFlag(1 | 2 << 8);
            let got = read(body(&[packed]), "*");
            assert_eq!(got[0].undecoded().is_none(), whole, "{len}");
            assert!(!whole || got[0].body().len() == len);
        }
    }

    #[test]
    fn an_inner_batch_is_taken_apart() {
        let item = |body: &'static [u8]| BatchItem {
            body: Bytes::from_static(body),
            properties: PropertyText::from_iter([("TAGS", "A")]),
            ..BatchItem::default()
        };
        let mut batch = stored(5, "A", b"");
        batch.body = encode_batch(&[item(b"x"), item(b"y"), item(b"z")]);
        batch.sys_flag = SysFlag::INNER_BATCH.with(SysFlag::NEED_UNWRAP);
        let got = read(body(&[batch, stored(8, "A", b"w")]), "*");
        let seen: Vec<_> = got
            .iter()
            .map(|m| (m.offset(), m.body().as_ref()))
            .collect();
        assert_eq!(seen, [(5, &b"x"[..]), (6, b"y"), (7, b"z"), (8, b"w")]);
        assert_eq!(
            got[0].physical_offset, None,
            "sending it back must not bring the whole batch"
        );
        assert_eq!(got[3].physical_offset, Some(1008));
    }
}
