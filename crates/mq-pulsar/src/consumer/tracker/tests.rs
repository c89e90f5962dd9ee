mod model;

use std::time::Duration;

use super::tell::REMEMBERED;
use super::*;
use crate::conn::now;

const PLACE: Place = (3, 7);

fn tracker() -> Tracker {
    let mut tracker = Tracker::default();
    tracker.begin(1);
    tracker
}

fn whole(place: Place) -> Told {
    Told::entry(place, None)
}

#[test]
fn an_entry_is_acknowledged_when_all_its_messages_are_and_before_that_only_those_that_are() {
    for sets in [false, true] {
        let mut tracker = tracker();
        assert_eq!(tracker.arrived(PLACE, 3, Bits::all(3)).count(), 3);
        for index in 0..3 {
            assert!(tracker.take(PLACE, index));
            assert!(!tracker.take(PLACE, index), "handed out twice");
        }
        tracker.ack(PLACE, 1).unwrap();
        let told = tracker.flush(sets, 10);
        let left = Told::entry(PLACE, Some(vec![0b101]));
        assert_eq!(told, if sets { vec![left] } else { vec![] });
        tracker.ack(PLACE, 0).unwrap();
        assert_eq!(tracker.ack(PLACE, 0), Err(Stale), "settled twice");
        tracker.ack(PLACE, 2).unwrap();
        assert_eq!(tracker.flush(sets, 10), [whole(PLACE)]);
        assert!(!tracker.has_news() && tracker.entries.is_empty());
    }
}

#[test]
fn what_is_held_or_acknowledged_is_not_handed_out_again_after_a_reconnect() {
    let mut tracker = tracker();
    tracker.arrived(PLACE, 4, Bits::all(4));
    for index in 0..3 {
        assert!(tracker.take(PLACE, index));
    }
    tracker.ack(PLACE, 0).unwrap();
    tracker.lost();
    assert_eq!(tracker.ack(PLACE, 1), Err(Stale), "nobody can be told");
    tracker.begin(2);
    let fresh = tracker.arrived(PLACE, 4, Bits::all(4));
    assert_eq!(fresh.to_ack_set(), [0b1000], "2 is still handed out");
    assert_eq!(
        tracker.flush(true, 10),
        [Told::entry(PLACE, Some(vec![0b1100]))]
    );
    tracker.ack(PLACE, 2).unwrap();
    assert!(tracker.take(PLACE, 3));
    tracker.ack(PLACE, 3).unwrap();
    assert_eq!(tracker.flush(true, 10), [whole(PLACE)]);
}

#[test]
fn of_an_entry_with_a_set_only_what_is_in_it_is_handed_out() {
    let mut tracker = tracker();
    let fresh = tracker.arrived(PLACE, 10, Bits::of_ack_set(10, &[0b10_0000_0001]));
    assert_eq!(fresh.count(), 2);
    assert!(tracker.take(PLACE, 0) && !tracker.take(PLACE, 1) && tracker.take(PLACE, 9));
    tracker.ack(PLACE, 0).unwrap();
    tracker.ack(PLACE, 9).unwrap();
    assert_eq!(tracker.flush(false, 10), [whole(PLACE)]);
}

#[test]
fn everything_up_to_a_message_is_acknowledged_at_once_and_nothing_behind_it() {
    for (sets, wanted) in [(true, (PLACE, Some(vec![0b100]))), (false, ((3, 6), None))] {
        let mut tracker = tracker();
        for place in [(3, 5), (3, 6), PLACE] {
            tracker.arrived(place, 3, Bits::all(3));
            assert!((0..3).all(|index| tracker.take(place, index)));
        }
        tracker.ack_up_to(PLACE, 1, sets).unwrap();
        let told = tracker.flush(sets, 10);
        let (place, left) = wanted;
        let cumulative = true;
        assert_eq!(
            told.first(),
            Some(&Told {
                place,
                left,
                cumulative
            })
        );
        assert_eq!(tracker.held(), 1);
        tracker.ack((3, 5), 2).unwrap();
        assert!(!tracker.has_news(), "it was acknowledged with the others");
        tracker.ack(PLACE, 2).unwrap();
        assert_eq!(tracker.flush(sets, 10), [whole(PLACE)]);
    }
}

#[test]
fn what_was_acknowledged_up_to_and_not_told_is_known_when_it_comes_again() {
    let mut tracker = tracker();
    for place in [(3, 6), PLACE] {
        tracker.arrived(place, 1, Bits::all(1));
        assert!(tracker.take(place, 0));
    }
    tracker.ack_up_to(PLACE, 0, false).unwrap();
    tracker.lost();
    tracker.begin(2);
    assert!(tracker.arrived((3, 6), 1, Bits::all(1)).is_empty());
    assert!(tracker.arrived(PLACE, 1, Bits::all(1)).is_empty());
    assert_eq!(tracker.arrived((3, 8), 1, Bits::all(1)).count(), 1);
    assert_eq!(tracker.flush(false, 10), [whole((3, 6)), whole(PLACE)]);
}

#[test]
fn entries_that_went_elsewhere_are_not_remembered_for_ever() {
    let mut tracker = tracker();
    for entry in 0..REMEMBERED as u64 + 100 {
        tracker.arrived((1, entry), 2, Bits::all(2));
        assert!(tracker.take((1, entry), 0) && tracker.take((1, entry), 1));
        tracker.ack((1, entry), 0).unwrap();
        tracker.nack((1, entry), 1, now()).unwrap();
        for place in tracker.due(now()) {
            tracker.asked(place);
        }
        tracker.flush(false, 10);
    }
    assert!(tracker.entries.len() <= REMEMBERED);
    assert_eq!(tracker.held(), 0);
}

/// So far that a pause of the test is none.
#[test]
fn what_waits_is_not_handed_out_before_its_time() {
    let mut tracker = tracker();
    tracker.arrived(PLACE, 2, Bits::all(2));
    assert!(tracker.take(PLACE, 0) && tracker.take(PLACE, 1));
    let hour = now() + Duration::from_secs(3600);
    tracker.nack(PLACE, 0, hour).unwrap();
    tracker.nack(PLACE, 1, now()).unwrap();
    assert_eq!(tracker.due(now()).len(), 1);
    tracker.asked(PLACE);
    assert_eq!(tracker.arrived(PLACE, 2, Bits::all(2)).to_ack_set(), [0b10]);
    assert_eq!(tracker.next_due(), Some(hour));
    assert_eq!(tracker.due(hour).len(), 1);
}

#[test]
fn what_is_not_settled_in_its_time_is_due_and_no_longer_whoever_has_its() {
    let mut tracker = tracker();
    tracker.arrived(PLACE, 3, Bits::all(3));
    let (begun, second) = (now(), Duration::from_secs(1));
    let loans: Vec<_> = (0..3)
        .map(|index| {
            assert!(tracker.take(PLACE, index));
            tracker.lend(PLACE, index, Some(begun + second * (index + 1)))
        })
        .collect();
    tracker.ack(PLACE, 0).unwrap();
    assert_eq!(tracker.next_end(), Some(begun + second * 2), "0 is settled");
    assert_eq!(tracker.expire(begun + second * 2), 1);
    assert!(!tracker.is_lent(PLACE, 1, loans[1]), "its time is over");
    assert!(tracker.is_lent(PLACE, 2, loans[2]));
    assert_eq!(tracker.held(), 1);
    assert_eq!(tracker.due(begun + second * 2).len(), 1);
    tracker.asked(PLACE);
    let again = tracker.arrived(PLACE, 3, Bits::all(3));
    assert_eq!(again.to_ack_set(), [0b10]);
    assert!(tracker.take(PLACE, 1));
    let next = tracker.lend(PLACE, 1, Some(begun + second * 9));
    assert!(
        !tracker.is_lent(PLACE, 1, loans[1]),
        "that is another one's now"
    );
    assert!(tracker.is_lent(PLACE, 1, next));
}

#[test]
fn after_a_seek_nothing_from_before_counts() {
    for end in [None, Some(now())] {
        let mut tracker = tracker();
        for place in [(3, 6), PLACE] {
            tracker.arrived(place, 4, Bits::all(4));
            assert!(tracker.take(place, 0));
        }
        let old = tracker.lend(PLACE, 0, end);
        tracker.ack_up_to((3, 6), 0, true).unwrap();
        tracker.restart(Some((PLACE, 2)));
        assert_eq!((tracker.held(), tracker.has_news()), (0, false));
        tracker.lost();
        tracker.begin(2);
        assert_eq!(
            tracker.arrived((3, 6), 4, Bits::all(4)).count(),
            4,
            "it is forgotten"
        );
        let fresh = tracker.arrived(PLACE, 4, Bits::all(4));
        assert_eq!(
            fresh.to_ack_set(),
            [0b1100],
            "what is before the start is not wanted"
        );
        for index in 2..4 {
            assert!(tracker.take(PLACE, index));
            let loan = tracker.lend(PLACE, index, end);
            assert!(tracker.is_lent(PLACE, index, loan) && loan != old);
            tracker.ack(PLACE, index).unwrap();
        }
        assert!(!tracker.is_lent(PLACE, 0, old));
        assert_eq!(tracker.flush(true, 10), [whole(PLACE)]);
    }
}
