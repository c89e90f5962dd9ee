//! The ladder: how a delay becomes a routing key, and the exchanges and queues that read it.
//!
//! ```text
//!  key: b27.b26. … .b0.<target>          exchange l05 ─ b5 = 1 ─► queue l05 (TTL 100 ms × 2^5) ─dead letter─┐
//!                                                     └ b5 = 0 ─► exchange l04 ◄─────────────────────────────┘
//!                                                       … l00 ─► exchange out ─ #.<target> ─► the target
//! ```

use std::time::Duration;

use bytestring::ByteString;

use crate::error::{Error, Result, invalid};
use crate::topology::{Binding, DeadLetterStrategy, Exchange, Overflow, Piece, Queue};

/// The grain of delays.
pub(super) const UNIT: Duration = Duration::from_millis(100);
/// How many bits a delay has.
const LEVELS: u32 = 28;
/// The longest delay, in units.
const MOST: u32 = (1 << LEVELS) - 1;
/// What names of the ladder begin with.
pub(super) const PREFIX: &str = "mq.delay.v1.";
/// Leads what is due to its target.
pub(super) const OUT: &str = "mq.delay.v1.out";
/// Takes what is due and has no target.
pub(super) const UNDELIVERED: &str = "mq.delay.v1.undelivered";

/// The longest delay.
pub(super) fn longest() -> Duration {
    UNIT * MOST
}

/// A delay in units, rounded up.
///
/// # Errors
///
/// Kind `Invalid` beyond the longest.
pub(super) fn ticks(delay: Duration) -> Result<u32> {
    let ticks = delay.as_nanos().div_ceil(UNIT.as_nanos());
    let ticks = u32::try_from(ticks).ok().filter(|ticks| *ticks <= MOST);
    ticks.ok_or_else(|| too_far(delay))
}

fn too_far(delay: Duration) -> Error {
    let longest = longest();
    let message = format!("a delay of {delay:?} is beyond the longest, {longest:?}");
    let error = invalid("schedule", message).into_builder();
    error
        .hint("store it elsewhere, and schedule it when it is nearer")
        .build()
}

/// Where a message of this delay enters: at the exchange of its highest bit, which spares it those above.
pub(super) fn entry(ticks: u32) -> ByteString {
    name(ticks.max(1).ilog2())
}

/// What leads a message down the ladder.
pub(super) fn key(ticks: u32, word: &str) -> ByteString {
    let mut key = String::with_capacity(2 * 28 + word.len());
    for level in (0..LEVELS).rev() {
        key.push(if ticks >> level & 1 == 1 { '1' } else { '0' });
        key.push('.');
    }
    key.push_str(word);
    key.into()
}

fn name(level: u32) -> ByteString {
    format!("{PREFIX}l{level:02}").into()
}

/// A queue's name as one word of a routing key: two targets can't be taken for one another, whatever dots they have.
///
/// # Errors
///
/// Kind `Invalid` for no name, or for one that a key has no room for.
pub(super) fn word(target: &str) -> Result<ByteString> {
    if target.is_empty() {
        let message = "the routing key of a scheduled message is its queue, and there is none";
        return Err(invalid("schedule", message));
    }
    let mut word = String::with_capacity(target.len());
    for byte in target.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            word.push(char::from(byte));
        } else {
            word.push('~');
            word.push(digit(byte >> 4));
            word.push(digit(byte & 15));
        }
    }
    if word.len() > ROOM {
        let message = format!(
            "the queue's name takes {} bytes of a routing key, where {ROOM} may be",
            word.len()
        );
        let error = invalid("schedule", message).into_builder();
        let hint = "letters, digits, \"_\" and \"-\" take one each, all else takes three";
        return Err(error.hint(hint).build());
    }
    Ok(word.into())
}

/// The queue whose word ends this key.
pub(super) fn target(key: &str) -> Option<ByteString> {
    let word = key.rsplit('.').next()?;
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'~' {
            let (high, low) = (value(rest.next()?)?, value(rest.next()?)?);
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(ByteString::from)
}

fn digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0')
}

fn value(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// What leads to a target.
pub(super) fn binding(target: impl Into<ByteString>, word: &str) -> Binding {
    Binding::queue(target).to(OUT).key(format!("#.{word}"))
}

/// The queue that is declared last, so that it is there only when everything is.
pub(super) fn last(quorum: bool) -> Queue {
    queue(UNDELIVERED, quorum)
}

/// The whole ladder, in an order in which nothing leads to what is missing.
pub(super) fn pieces(quorum: bool) -> Vec<Piece> {
    let undelivered = Exchange::fanout(UNDELIVERED);
    let mut pieces = vec![
        Piece::Exchange(undelivered),
        Piece::Exchange(Exchange::topic(OUT).alternate(UNDELIVERED)),
    ];
    for level in 0..LEVELS {
        let below = level.checked_sub(1).map_or_else(|| OUT.into(), name);
        let wait = queue(name(level), quorum)
            .message_ttl(UNIT * (1 << level))
            .dead_letter_exchange(below.clone());
        let wait = if quorum {
            // Kept until the next queue has confirmed it.
            wait.dead_letter_strategy(DeadLetterStrategy::AtLeastOnce)
                .overflow(Overflow::RejectPublish)
        } else {
            wait
        };
        let skip = "*.".repeat((LEVELS - 1 - level) as usize);
        let on = Binding::queue(name(level)).to(name(level));
        let off = Binding::exchange(below).to(name(level));
        pieces.extend([
            Piece::Exchange(Exchange::topic(name(level))),
            Piece::Queue(wait),
            Piece::Binding(on.key(format!("{skip}1.#"))),
            Piece::Binding(off.key(format!("{skip}0.#"))),
        ]);
    }
    pieces.push(Piece::Queue(last(quorum)));
    pieces.push(Piece::Binding(Binding::queue(UNDELIVERED).to(UNDELIVERED)));
    pieces
}

fn queue(name: impl Into<ByteString>, quorum: bool) -> Queue {
    if quorum {
        Queue::quorum(name)
    } else {
        Queue::classic(name)
    }
}

/// What 28 bits with their dots leave of a routing key.
const ROOM: usize = 255 - 2 * LEVELS as usize;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the queues on the way of this key add up to.
    fn way(key: &str) -> Duration {
        let bits: Vec<_> = key.split('.').take(LEVELS as usize).collect();
        let level = |at: usize| LEVELS - 1 - u32::try_from(at).unwrap();
        let on = bits.iter().enumerate().filter(|(_, bit)| **bit == "1");
        on.map(|(at, _)| UNIT * (1 << level(at))).sum()
    }

    #[test]
    fn delays_round_up_to_the_longest() {
        let of = |millis| ticks(Duration::from_millis(millis)).unwrap();
        assert_eq!([0, 1, 100, 101].map(of), [0, 1, 1, 2]);
        assert_eq!(ticks(longest()).unwrap(), MOST);
        for beyond in [longest() + Duration::from_nanos(1), Duration::MAX] {
            let error = ticks(beyond).unwrap_err();
            assert_eq!(error.kind(), mq_core::ErrorKind::Invalid);
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn every_level_leads_on() {
        let pieces = pieces(true);
        assert_eq!(pieces.len(), 4 + 28 * 4);
        assert!(matches!(pieces.last(), Some(Piece::Binding(_))));
        assert_eq!(entry(1), "mq.delay.v1.l00");
        assert_eq!(entry(MOST), "mq.delay.v1.l27");
    }

    #[test]
    fn names_that_have_no_room_are_refused() {
        assert!(word(&"q".repeat(ROOM)).is_ok());
        for name in [String::new(), "q".repeat(ROOM + 1), ".".repeat(100)] {
            let error = word(&name).unwrap_err();
            assert_eq!(error.kind(), mq_core::ErrorKind::Invalid, "{name}");
        }
        assert_eq!(target("0.1.a~zz"), None);
        assert_eq!(target("0.1.a~2"), None);
    }

    proptest! {
        #[test]
        fn a_way_is_never_shorter_than_its_delay(millis in 1..26_843_545_500_u64) {
            let delay = Duration::from_millis(millis);
            let ticks = ticks(delay).unwrap();
            let way = way(&key(ticks, "q"));
            prop_assert!(way >= delay && way < delay + UNIT);
            // The levels above the entry are not in the way.
            prop_assert!(ticks >> (ticks.ilog2() + 1) == 0);
        }

        #[test]
        fn a_name_comes_back_as_one_word(name in "\\PC{1,60}") {
            let word = word(&name);
            prop_assume!(word.is_ok());
            let word = word.unwrap();
            prop_assert!(!word.contains(['.', '*', '#']));
            let key = key(5, &word);
            prop_assert!(key.len() <= 255);
            let found = target(&key);
            prop_assert_eq!(found.as_deref(), Some(name.as_str()));
        }
    }
}
