//! Where a half message is held, whom a channel's end blames, and what waits in the line of a channel that may not write.

use bytes::Bytes;
use mq_core::Outcome;

use super::*;
use crate::checked::outgoing::Failed;

fn knowing(first: Duration, again: Duration) -> Arc<Halves> {
    Arc::new(Halves::new(first, again, "discard".into()))
}

/// A transaction begins, and its half has come.
fn begun(halves: &Arc<Halves>, lane: &SlotLane, tag: u64) -> Half {
    let half = half();
    let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    halves.begin(half.clone(), room);
    come(lane, tag, &half);
    half
}

fn come(lane: &SlotLane, tag: u64, half: &Half) {
    let content = stored(&half.wrapped(SLOT.into()));
    lane.incoming(delivered(tag, content)).unwrap();
}

fn disconnected() -> Error {
    Error::builder(ErrorKind::Disconnected, "a test").build()
}

fn acknowledged(lane: &SlotLane) -> Vec<u64> {
    let acks = written(lane).into_iter().filter_map(|it| match it {
        Incoming::Method(Method::BasicAck(ack)) => Some(ack.delivery_tag),
        _ => None,
    });
    acks.collect()
}

/// Two at once that the server does not take, and for which method it closed the channel.
fn blamed_for(method: (u16, u16)) -> (Arc<Halves>, [Answer; 2]) {
    let halves = knowing(Duration::ZERO, Duration::ZERO);
    let lane = opened(&halves, 1);
    let send = || {
        lane.publish(Outgoing {
            message: Message::new("x", Bytes::new()),
            exchange: "missing".into(),
            mandatory: true,
        })
    };
    let both = [send(), send()];
    assert_eq!(written(&lane).len(), 2);
    let why = Error::builder(ErrorKind::NotFound, "no exchange").outcome(Outcome::Rejected);
    lane.blamed(method);
    lane.lost(&why.build());
    (halves, both)
}

fn are_lost(both: [Answer; 2]) {
    for mut answer in both {
        let failed = answer.try_recv().unwrap().unwrap_err();
        assert!(matches!(failed, Failed::Lost(_)), "{failed:?}");
        assert_eq!(failed.into_error().outcome(), Outcome::Unknown);
    }
}

#[test]
fn one_that_the_broker_blames_is_told_from_those_beside_it() {
    let (halves, both) = blamed_for((60, 40));
    are_lost(both);
    assert!(halves.has_suspects());
    halves.passed();
    halves.passed();
    assert!(!halves.has_suspects());
}

/// A channel that is closed for an acknowledgement says nothing of the messages that were under way.
#[test]
fn no_message_is_suspected_for_another_method() {
    let (halves, both) = blamed_for((60, 80));
    are_lost(both);
    assert!(!halves.has_suspects());
}

/// Its channel was lost while it was being ended, and the half has come again on the next one.
#[test]
fn a_half_is_acknowledged_where_it_is_held_by_then() {
    let hour = Duration::from_secs(3600);
    for by_its_delivery in [false, true] {
        let halves = knowing(hour, hour);
        let (before, after) = (opened(&halves, 1), opened(&halves, 2));
        let half = begun(&halves, &before, 1);
        halves.try_hold(&half.id, Doing::Ending).unwrap();
        before.lost(&disconnected());
        come(&after, 7, &half);
        let old: &SlotLane = &before;
        halves.end(&half.id, by_its_delivery.then_some((old, 1)));
        assert_eq!(acknowledged(&after), [7], "{by_its_delivery}");
        come(&after, 8, &half);
        assert_eq!(acknowledged(&after), [8], "a copy of it");
    }
}

/// Not twice: that would cost the channel.
#[test]
fn what_was_acknowledged_with_its_message_is_not_again() {
    let hour = Duration::from_secs(3600);
    let halves = knowing(hour, hour);
    let lane = opened(&halves, 1);
    let half = begun(&halves, &lane, 1);
    halves.end(&half.id, Some((&lane, 1)));
    assert_eq!(acknowledged(&lane), [0; 0]);
}

#[test]
fn the_longest_times_are_as_good_as_never() {
    let halves = knowing(Duration::MAX, Duration::MAX);
    let lane = opened(&halves, 1);
    let guarded = begun(&halves, &lane, 1);
    halves.leave(&guarded.id);
    let (due, next) = halves.take_due(1);
    assert_eq!((due.len(), next.is_some()), (0, true));
}

/// The broker blocks publishers: nothing is written, callers time out, and what they gave is not kept.
#[test]
fn what_nobody_waits_for_leaves_the_line_of_a_channel_that_is_blocked() {
    let hour = Duration::from_secs(3600);
    let lane = opened(&knowing(hour, hour), 1);
    let body: Arc<[u8]> = vec![0; 8].into();
    let send = || {
        lane.publish(Outgoing {
            message: Message::new("x", Bytes::from_owner(Arc::clone(&body))),
            exchange: "".into(),
            mandatory: true,
        })
    };
    let waits = [send(), send()];
    lane.ack(1);
    for _ in 0..10_000 {
        drop(send());
        let kept = Arc::strong_count(&body);
        assert!(kept < 300, "{kept}");
    }
    // What somebody waits for, and what is acknowledged, is written at last.
    assert_eq!(written(&lane).len(), 3);
    drop(waits);
}
