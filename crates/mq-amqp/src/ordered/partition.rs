//! Which partition a key has, and what is called how.

use bytestring::ByteString;

/// The partition of a key. It never changes: what is stored was sent by it.
pub(super) fn of(key: &str, partitions: u16) -> u16 {
    let place = fnv1a(key.as_bytes()) % u64::from(partitions.max(1));
    u16::try_from(place).unwrap_or_default()
}

pub(super) fn queue(topic: &str, partition: u16) -> ByteString {
    format!("{topic}.p{partition:03}").into()
}

pub(super) fn parked(topic: &str) -> ByteString {
    format!("{topic}.parked").into()
}

/// What an exchange names as its alternate, which is not there: of a direct exchange's arguments it is the only one that the broker compares.
// rabbitmq-server: rabbit_exchange.erl, assert_args_equivalence
pub(super) fn mark(topic: &str, partitions: u16) -> ByteString {
    format!("{topic}.partitions.{partitions}").into()
}

/// How many partitions the topic has that is there, as the broker's refusal tells it.
pub(super) fn told(refusal: &str, topic: &str) -> Option<u16> {
    let (_, current) = refusal.rsplit_once("but current is")?;
    let (_, mark) = current.split_once(&format!("{topic}.partitions."))?;
    let digits = mark.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

// http://www.isthe.com/chongo/tech/comp/fnv: 64 bits
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_published() {
        // The authors' test vectors.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn keys_are_spread_and_stay() {
        let mut counts = [0_u32; 8];
        for at in 0..8000 {
            counts[usize::from(of(&format!("order-{at}"), 8))] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
        assert_eq!(of("order-42", 1), 0);
        assert_eq!(of("foobar", 1000), 968);
    }

    #[test]
    fn both_numbers_are_read_from_a_refusal() {
        let text = "inequivalent arg 'alternate-exchange' for exchange 'a.b' in vhost '/': received 'a.b.partitions.16' but current is 'a.b.partitions.8'";
        assert_eq!(told(text, "a.b"), Some(8));
        assert_eq!(
            told(
                "inequivalent arg 'x': received 'a' but current is none",
                "a.b"
            ),
            None
        );
    }
}
