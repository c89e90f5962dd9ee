use mq_core::{Clock as _, SystemClock};
use proptest::prelude::*;

use super::*;

fn sequencer(most_streams: usize) -> (Sequencer<u64>, Instant) {
    let rules = Rules {
        started_ms: 0,
        gap_after: Duration::from_secs(35),
        most_streams,
    };
    (Sequencer::new(rules), SystemClock.now())
}

/// Of an epoch that began after the consumer.
fn key(key: &str) -> Stream {
    Stream {
        producer: "p".into(),
        epoch: SKEW_MS + 1,
        key: key.into(),
    }
}

fn old(name: &str) -> Stream {
    Stream {
        epoch: 1,
        ..key(name)
    }
}

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

fn drain(from: &mut Sequencer<u64>, now: Instant) -> Vec<(u64, Continuity)> {
    std::iter::from_fn(|| {
        let turn = from.take(now)?;
        from.done(&turn.stream, turn.seq);
        Some((turn.seq, turn.continuity))
    })
    .collect()
}

fn held(keep_until: Instant, message: u64) -> Held<u64> {
    Held {
        keep_until,
        fresh: true,
        sent_ms: message * 10_000,
        message,
    }
}

fn offer(to: &mut Sequencer<u64>, start: Instant, stream: Stream, seq: u64) -> Offer<u64> {
    to.offer(start, stream, seq, held(at(start, 1000), seq))
}

/// One that an earlier consumer had.
fn again(to: &mut Sequencer<u64>, start: Instant, stream: Stream, seq: u64) -> Offer<u64> {
    let fresh = false;
    let offered = Held {
        fresh,
        ..held(at(start, 1000), seq)
    };
    to.offer(start, stream, seq, offered)
}

#[test]
fn numbers_are_handed_out_in_their_order_and_once() {
    let (mut it, start) = sequencer(10);
    for seq in [3, 2] {
        assert_eq!(offer(&mut it, start, key("k"), seq), Offer::Held);
        assert_eq!(drain(&mut it, start), []);
    }
    assert_eq!(offer(&mut it, start, key("k"), 2), Offer::Twice(2));
    offer(&mut it, start, key("k"), 1);
    let all = [1, 2, 3].map(|seq| (seq, Continuity::InOrder));
    assert_eq!(drain(&mut it, start), all);
    for seq in 1..=3 {
        assert_eq!(offer(&mut it, start, key("k"), seq), Offer::Twice(seq));
    }
    assert_eq!(drain(&mut it, start), []);
}

#[test]
fn what_was_not_handled_keeps_its_stream_waiting() {
    let (mut it, start) = sequencer(10);
    offer(&mut it, start, key("k"), 1);
    offer(&mut it, start, key("k"), 2);
    offer(&mut it, start, key("other"), 1);
    let first = it.take(start).unwrap();
    assert_eq!((first.seq, first.message), (1, 1));
    it.undone(start, &first.stream, first.seq);
    assert_eq!(drain(&mut it, start).len(), 1, "the other key goes on");
    offer(&mut it, start, key("k"), 1);
    assert_eq!(drain(&mut it, start).len(), 2);
}

#[test]
fn a_gap_is_told_when_nothing_else_is_there() {
    let (mut it, start) = sequencer(10);
    offer(&mut it, start, key("k"), 1);
    drain(&mut it, start);
    offer(&mut it, start, key("k"), 4);
    it.found_empty(at(start, 34));
    assert_eq!(
        it.gap(at(start, 349)),
        None,
        "what was there was not all seen"
    );
    assert!(
        it.gap(at(start, 350)).is_some(),
        "a queue that is never empty"
    );
    it.found_empty(at(start, 35));
    let gap = it.gap(at(start, 35)).unwrap();
    assert_eq!((gap.key.as_str(), gap.expected, gap.found), ("k", 2, 4));
    assert_eq!(gap.to_string(), "numbers 2 to 3 of a key are missing");
    assert_eq!(drain(&mut it, at(start, 35)), [], "told is not passed over");
    it.wait(at(start, 40), &gap);
    it.found_empty(at(start, 74));
    assert_eq!(it.gap(at(start, 74)), None);
    it.skip(&gap);
    assert_eq!(drain(&mut it, start), [(4, Continuity::InOrder)]);
    // What turns up after all is not lost.
    assert_eq!(offer(&mut it, start, key("k"), 3), Offer::Held);
    assert_eq!(drain(&mut it, start), [(3, Continuity::Late)]);
    assert_eq!(offer(&mut it, start, key("k"), 1), Offer::Twice(1));
}

#[test]
fn a_stream_met_in_the_middle_is_resumed_after_a_while() {
    let (mut it, start) = sequencer(10);
    offer(&mut it, start, old("k"), 58);
    offer(&mut it, start, old("k"), 57);
    assert_eq!(drain(&mut it, at(start, 34)), []);
    assert_eq!(it.gap(at(start, 34)), None);
    let resumed = [(57, Continuity::Resumed), (58, Continuity::InOrder)];
    assert_eq!(drain(&mut it, at(start, 35)), resumed);
    assert_eq!(offer(&mut it, start, old("k"), 3), Offer::Held);
    assert_eq!(drain(&mut it, start), [(3, Continuity::Late)]);
    assert_eq!(offer(&mut it, start, old("k"), 58), Offer::Twice(58));
    // From its beginning it need not wait.
    offer(&mut it, start, old("new"), 1);
    assert_eq!(drain(&mut it, start), [(1, Continuity::InOrder)]);
}

/// An earlier consumer handled 1 to 5; its deletes of 1 and 4 were not carried out.
#[test]
fn what_an_earlier_consumer_handled_is_no_gap() {
    let (mut it, start) = sequencer(10);
    again(&mut it, start, old("k"), 1);
    again(&mut it, start, old("k"), 4);
    offer(&mut it, start, old("k"), 6);
    assert_eq!(drain(&mut it, start), [(1, Continuity::InOrder)]);
    it.found_empty(at(start, 34));
    assert_eq!(drain(&mut it, at(start, 34)), [], "not for long enough");
    it.found_empty(at(start, 35));
    assert_eq!(it.gap(at(start, 35)), None);
    assert_eq!(drain(&mut it, at(start, 35)), [(4, Continuity::Resumed)]);
    it.found_empty(at(start, 70));
    assert_eq!(it.gap(at(start, 70)), None);
    assert_eq!(drain(&mut it, at(start, 70)), [(6, Continuity::Resumed)]);
    // From 6 on there was nobody else.
    offer(&mut it, at(start, 72), old("k"), 8);
    it.found_empty(at(start, 107));
    assert_eq!(drain(&mut it, at(start, 107)), []);
    let gap = it.gap(at(start, 107)).unwrap();
    assert_eq!((gap.expected, gap.found), (7, 8));
}

/// The shard was busy elsewhere while they were visible again.
#[test]
fn what_was_let_go_is_waited_for() {
    let (mut it, start) = sequencer(10);
    it.offer(start, old("k"), 5, held(at(start, 22), 5));
    it.offer(at(start, 14), old("k"), 6, held(at(start, 40), 6));
    it.release_overdue(at(start, 23));
    assert_eq!(drain(&mut it, at(start, 36)), [], "5 was here");
    it.offer(at(start, 37), old("k"), 5, held(at(start, 60), 5));
    it.offer(at(start, 38), old("k"), 6, held(at(start, 60), 6));
    let resumed = [(5, Continuity::Resumed), (6, Continuity::InOrder)];
    assert_eq!(drain(&mut it, at(start, 39)), resumed);
    // The same for a gap: 7 was here, and is behind 8, which is not told missing.
    it.offer(at(start, 40), old("k"), 9, held(at(start, 90), 9));
    it.offer(at(start, 41), old("k"), 8, held(at(start, 60), 8));
    it.release_overdue(at(start, 61));
    it.found_empty(at(start, 80));
    assert_eq!(it.gap(at(start, 80)), None, "8 was here");
    it.offer(at(start, 81), old("k"), 8, held(at(start, 120), 8));
    let gap = it.gap(at(start, 81)).unwrap();
    assert_eq!((gap.expected, gap.found), (7, 8));
}

/// A queue that is never empty, and so stirred that old messages still come for the first time.
#[test]
fn in_a_queue_that_is_never_empty_old_messages_are_waited_for() {
    let (mut it, start) = sequencer(10);
    offer(&mut it, start, key("k"), 4);
    assert!(it.gap(at(start, 350)).is_some());
    // Sent before number 4.
    let end = at(start, 9_000);
    it.offer(at(start, 300), key("other"), 1, held(end, 3));
    it.offer(at(start, 301), key("newer"), 1, held(end, 9));
    assert_eq!(it.gap(at(start, 649)), None);
    assert!(it.gap(at(start, 650)).is_some());
    // Number 1 was here.
    it.offer(at(start, 650), key("k"), 1, held(at(start, 651), 1));
    it.release_overdue(at(start, 651));
    assert_eq!(it.gap(at(start, 3_000)), None);
    assert!(it.gap(at(start, 651 + 3_500)).is_some());
}

#[test]
fn a_stream_that_was_disturbed_is_not_resumed_yet() {
    let (mut it, start) = sequencer(10);
    offer(&mut it, start, old("k"), 5);
    it.disturbed(at(start, 10));
    assert_eq!(drain(&mut it, at(start, 44)), []);
    assert_eq!(drain(&mut it, at(start, 45)), [(5, Continuity::Resumed)]);
}

#[test]
fn a_late_one_that_was_not_handled_is_not_waited_for() {
    let (mut it, start) = sequencer(10);
    offer(&mut it, start, key("k"), 3);
    it.found_empty(at(start, 35));
    let gap = it.gap(at(start, 35)).unwrap();
    it.skip(&gap);
    assert_eq!(drain(&mut it, start), [(3, Continuity::InOrder)]);
    offer(&mut it, start, key("k"), 2);
    let late = it.take(start).unwrap();
    it.undone(start, &late.stream, late.seq);
    offer(&mut it, at(start, 100), key("k"), 5);
    it.found_empty(at(start, 101));
    assert_eq!(it.gap(at(start, 101)), None, "5 came a second ago");
}

#[test]
fn room_is_made_from_the_far_end_and_in_time() {
    let (mut it, start) = sequencer(10);
    for seq in [9, 3, 5] {
        offer(&mut it, start, key("k"), seq);
    }
    it.release_farthest(start);
    it.offer(start, key("k"), 4, held(at(start, 5), 4));
    assert_eq!(it.len(), 3);
    it.release_overdue(at(start, 5));
    assert_eq!(it.len(), 2);
    for seq in [1, 2] {
        offer(&mut it, start, key("k"), seq);
    }
    let seqs: Vec<_> = drain(&mut it, start).iter().map(|it| it.0).collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[test]
fn memory_is_bounded() {
    let (mut it, start) = sequencer(3);
    offer(&mut it, start, key("held"), 2);
    for at in 0..100 {
        offer(&mut it, start, key(&at.to_string()), 1);
        drain(&mut it, start);
    }
    assert!(it.streams.len() <= 3 && it.ages.len() == it.streams.len());
    assert!(it.streams.contains_key(&key("held")));
    // Forgotten: it may be old, and is not told as a gap.
    offer(&mut it, start, key("0"), 2);
    it.found_empty(at(start, 35));
    let gap = it.gap(at(start, 35)).unwrap();
    assert_eq!(gap.key, "held");
    it.skip(&gap);
    assert_eq!(it.gap(at(start, 35)), None);
}

proptest! {
    /// Whatever comes when and however often: each stream is handed out in order, each number once.
    #[test]
    fn order_comes_out_of_disorder(seed: u64, twice in proptest::collection::vec(0_usize..60, 0..30)) {
        let (mut it, start) = sequencer(100);
        let mut all: Vec<(Stream, u64)> = (0..60).map(|at| (key(&(at % 4).to_string()), at / 4 + 1)).collect();
        let more: Vec<_> = twice.iter().map(|at| all[*at].clone()).collect();
        all.extend(more);
        let mut dice = fastrand::Rng::with_seed(seed);
        dice.shuffle(&mut all);
        let mut out: HashMap<Stream, Vec<u64>> = HashMap::new();
        for (stream, seq) in all {
            offer(&mut it, start, stream, seq);
            while let Some(turn) = it.take(start) {
                if dice.u8(..) < 25 {
                    // Not handled: it comes again.
                    it.undone(start, &turn.stream, turn.seq);
                    offer(&mut it, start, turn.stream, turn.seq);
                } else {
                    it.done(&turn.stream, turn.seq);
                    out.entry(turn.stream).or_default().push(turn.seq);
                }
            }
        }
        prop_assert_eq!(out.len(), 4);
        for seqs in out.values() {
            prop_assert_eq!(seqs, &(1..=15).collect::<Vec<u64>>());
        }
        prop_assert_eq!(it.len(), 0);
    }
}
