//! What travels in the body of a message: whose it is, its key, its number, and the payload.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::sequencer::Stream;

/// See the module. Fields that a later version adds are not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Envelope<'a> {
    v: u32,
    #[serde(borrow)]
    pub(super) producer: Cow<'a, str>,
    pub(super) epoch: u64,
    #[serde(borrow)]
    pub(super) key: Cow<'a, str>,
    pub(super) seq: u64,
    #[serde(borrow)]
    pub(super) payload: Cow<'a, str>,
}

impl<'a> Envelope<'a> {
    pub(super) fn new(stream: &'a Stream, seq: u64, payload: &'a str) -> Self {
        Self {
            v: VERSION,
            producer: (&stream.producer).into(),
            epoch: stream.epoch,
            key: (&stream.key).into(),
            seq,
            payload: payload.into(),
        }
    }

    /// `None` for what is no envelope of this version, or has a name too long to be remembered.
    pub(super) fn read(body: &'a str) -> Option<Self> {
        let envelope: Self = serde_json::from_str(body).ok()?;
        let short = envelope.producer.len() <= MAX_NAME && envelope.key.len() <= MAX_NAME;
        (envelope.v == VERSION && envelope.seq > 0 && short).then_some(envelope)
    }

    pub(super) fn write(&self) -> String {
        // It can't fail: the fields are numbers and texts.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn stream(&self) -> Stream {
        Stream {
            producer: self.producer.as_ref().into(),
            epoch: self.epoch,
            key: self.key.as_ref().into(),
        }
    }
}

const VERSION: u32 = 1;
/// Bytes of a producer's name, and of a key: consumers remember them by the hundred thousand.
pub(super) const MAX_NAME: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form_is_fixed() {
        let stream = Stream {
            producer: "p".into(),
            epoch: 7,
            key: "k\"中".into(),
        };
        let text = Envelope::new(&stream, 3, "a\nb").write();
        assert_eq!(
            text,
            r#"{"v":1,"producer":"p","epoch":7,"key":"k\"中","seq":3,"payload":"a\nb"}"#
        );
        for other in [
            "",
            "plain",
            "{}",
            r#"{"v":2,"producer":"p","epoch":7,"key":"k","seq":3,"payload":""}"#,
            r#"{"v":1,"producer":"p","epoch":7,"key":"k","seq":0,"payload":""}"#,
            r#"{"v":1,"producer":"p","epoch":-7,"key":"k","seq":1,"payload":""}"#,
        ] {
            assert_eq!(Envelope::read(other), None, "{other}");
        }
        for (length, is_read) in [(MAX_NAME, true), (MAX_NAME + 1, false)] {
            let (mut producer, mut key) = (stream.clone(), stream.clone());
            producer.producer = "p".repeat(length);
            key.key = "k".repeat(length);
            for long in [producer, key] {
                let text = Envelope::new(&long, 3, "").write();
                assert_eq!(Envelope::read(&text).is_some(), is_read, "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn comes_back(producer in ".{0,64}", epoch: u64, key in ".{0,64}", seq in 1_u64.., payload in ".*") {
            let stream = Stream { producer, epoch, key };
            let envelope = Envelope::new(&stream, seq, &payload);
            let text = envelope.write();
            let read = Envelope::read(&text).unwrap();
            prop_assert_eq!(&read, &envelope);
            prop_assert_eq!(read.stream(), stream.clone());
        }
    }
}
