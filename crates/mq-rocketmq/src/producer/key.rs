//! Which queue a key goes to: the same as with the official clients.

use crate::conn::QueueId;

/// How an [ordering key](crate::Message::ordering_key) is made a number; the queue is that number modulo the count of queues.
///
/// All producers of a topic that order by the same keys must hash alike, in whatever language they are written. There is none for the C++ client:
/// it takes `std::hash`, which is another one with each standard library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeyHash {
    /// Java's `String.hashCode`, as in `SelectMessageQueueByHash` and in the samples of the clouds; the default.
    #[default]
    Java,
    /// FNV-1a with 32 bits, as Go's `NewHashQueueSelector`.
    Fnv1a,
}

impl KeyHash {
    /// The place in a list of `count` queues; `None` if there is none.
    pub(super) fn place(self, key: &str, count: usize) -> Option<usize> {
        let count = i64::try_from(count).ok().filter(|count| *count > 0)?;
        // Both clients take the remainder first and its absolute value then; Go's is of an unsigned number.
        // apache/rocketmq: SelectMessageQueueByHash.select; apache/rocketmq-client-go: hashQueueSelector.Select
        let hash = match self {
            Self::Java => i64::from(java(key)),
            Self::Fnv1a => i64::from(fnv1a(key)),
        };
        usize::try_from((hash % count).abs()).ok()
    }

    /// The queue of a key.
    pub(super) fn queue<'a>(self, key: &str, queues: &'a [QueueId]) -> Option<&'a QueueId> {
        queues.get(self.place(key, queues.len())?)
    }
}

/// Java counts in UTF-16 code units.
fn java(key: &str) -> i32 {
    key.encode_utf16().fold(0, |hash: i32, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

// http://www.isthe.com/chongo/tech/comp/fnv: 32 bits
fn fnv1a(key: &str) -> u32 {
    key.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_hashes_as_the_jdk_does() {
        // "…".hashCode() of JDK 17
        let known = [
            ("", 0),
            ("order0", -1_008_770_398),
            ("order9", -1_008_770_389),
            ("polygenelubricants", i32::MIN),
            ("订单", 1_129_459),
            ("😀", 1_772_899),
        ];
        for (key, hash) in known {
            assert_eq!(java(key), hash, "{key}");
        }
    }

    #[test]
    fn fnv_hashes_as_its_authors_do() {
        // The test vectors of draft-eastlake-fnv.
        for (key, hash) in [
            ("", 0x811c_9dc5),
            ("a", 0xe40c_292c),
            ("foobar", 0xbf9c_f968),
        ] {
            assert_eq!(fnv1a(key), hash, "{key}");
        }
    }

    #[test]
    fn every_hash_has_a_place() {
        // Java's remainder of the smallest number is negative.
        assert_eq!(KeyHash::Java.place("polygenelubricants", 7), Some(2));
        assert_eq!(KeyHash::Java.place("order0", 4), Some(2));
        assert_eq!(KeyHash::Fnv1a.place("a", 10), Some(0));
        assert_eq!(KeyHash::Java.place("x", 0), None);
        let queues: Vec<_> = (0..3)
            .map(|id| QueueId {
                topic: "t".into(),
                broker: "b".into(),
                id,
            })
            .collect();
        let of = |key| KeyHash::Java.queue(key, &queues).unwrap().id;
        assert_eq!([of("a"), of("b"), of("c"), of("d")], [1, 2, 0, 1]);
    }
}
