//! The engine, told the time.

mod model;
mod topics;

use std::time::Duration;

use mq_cmq::proto::ErrorCode;

use super::*;
use crate::cmq::spec::QueueSpec;

/// 2023-11-14T22:13:20Z.
const START: u64 = 1_700_000_000_000;

fn engine() -> Engine {
    Engine::new(START, 7, Limits::default())
}

fn with(specs: impl IntoIterator<Item = QueueSpec>) -> Engine {
    let mut engine = engine();
    for spec in specs {
        engine.create_queue(START, spec).unwrap();
    }
    engine
}

fn q() -> QueueSpec {
    QueueSpec::new("q").visibility(Duration::from_secs(10))
}

fn send(engine: &mut Engine, now: u64, queue: &str, body: &str) -> u64 {
    engine.send(now, queue, &[body], 0).unwrap()[0]
}

fn take(engine: &mut Engine, now: u64, queue: &str, count: usize) -> Vec<Delivered> {
    match engine.receive(now, queue, count, Some(0)).unwrap() {
        Received::Now(messages) => messages,
        Received::Empty => Vec::new(),
        Received::Later(_) => panic!("waits"),
    }
}

fn bodies(messages: &[Delivered]) -> Vec<&str> {
    messages.iter().map(|message| &*message.body).collect()
}

fn wait(engine: &mut Engine, now: u64, queue: &str, seconds: u32) -> Waiter {
    match engine.receive(now, queue, 1, Some(seconds)).unwrap() {
        Received::Later(waiter) => waiter,
        other => panic!("{other:?}"),
    }
}

/// Who was told what since the last time: bodies, or the code of an end.
fn told(engine: &mut Engine) -> Vec<(Waiter, String)> {
    let tell = |effect| match effect {
        Effect::Deliver(waiter, messages) => Some((waiter, bodies(&messages).join(" "))),
        Effect::End(waiter, code) => Some((waiter, code.number().to_string())),
        Effect::Push(_) => None,
    };
    engine.take_effects().into_iter().filter_map(tell).collect()
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    result.unwrap_err().code
}

#[test]
fn in_the_order_of_sending_and_each_to_one() {
    let mut engine = with([q()]);
    engine.send(START, "Q", &["a", "b", "c"], 0).unwrap();
    assert_eq!(bodies(&take(&mut engine, START, "q", 2)), ["a", "b"]);
    assert_eq!(bodies(&take(&mut engine, START, "q", 16)), ["c"]);
    assert!(take(&mut engine, START + 9_999, "q", 16).is_empty());
    let again = take(&mut engine, START + 10_000, "q", 16);
    assert_eq!(bodies(&again), ["a", "b", "c"]);
    assert_eq!(again[0].receives, 2);
    assert_eq!(again[0].first_received, START);
    assert_eq!(again[0].next_visible, START + 20_000);
}

#[test]
fn a_handle_is_valid_until_its_message_is_visible_and_for_the_last_receive_only() {
    let mut engine = with([q()]);
    send(&mut engine, START, "q", "a");
    let first = take(&mut engine, START, "q", 1)[0].handle;
    // The very instant at which it is visible again.
    let late = engine.delete(START + 10_000, "q", first);
    assert_eq!(code(late), ErrorCode::HANDLE_EXPIRED);
    let second = take(&mut engine, START + 10_000, "q", 1)[0].handle;
    assert_ne!(first, second);
    let old = engine.delete(START + 10_001, "q", first);
    assert_eq!(code(old), ErrorCode::HANDLE_EXPIRED);
    engine.delete(START + 19_999, "q", second).unwrap();
    let twice = engine.delete(START + 19_999, "q", second);
    assert_eq!(code(twice), ErrorCode::HANDLE_EXPIRED);
    assert!(take(&mut engine, START + 30_000, "q", 1).is_empty());
}

#[test]
fn who_waits_longest_is_served_first_by_send_delay_and_visibility() {
    let mut engine = with([q()]);
    send(&mut engine, START, "q", "held");
    take(&mut engine, START, "q", 1);
    engine.send(START, "q", &["delayed"], 5).unwrap();
    let waiters: Vec<Waiter> = (0..4).map(|_| wait(&mut engine, START, "q", 20)).collect();
    send(&mut engine, START + 1, "q", "sent");
    assert_eq!(told(&mut engine), [(waiters[0], "sent".to_owned())]);
    assert_eq!(engine.next_due(), Some(START + 5_000));
    engine.advance(START + 4_999);
    assert!(told(&mut engine).is_empty());
    engine.advance(START + 10_000);
    let expected = [
        (waiters[1], "delayed".to_owned()),
        (waiters[2], "held".to_owned()),
    ];
    assert_eq!(told(&mut engine), expected);
    // What was given to the first is visible again at 10.001 s.
    engine.cancel(waiters[3]);
    engine.advance(START + 10_001);
    assert!(told(&mut engine).is_empty(), "nobody waits any more");
    assert_eq!(bodies(&take(&mut engine, START + 10_001, "q", 1)), ["sent"]);
}

#[test]
fn a_wait_ends_at_its_time_and_with_its_queue() {
    let mut engine = with([q().wait(Duration::from_secs(3))]);
    let by_attribute = engine.receive(START, "q", 1, None).unwrap();
    let Received::Later(waiter) = by_attribute else {
        panic!("{by_attribute:?}");
    };
    engine.advance(START + 2_999);
    assert!(told(&mut engine).is_empty());
    engine.advance(START + 3_000);
    assert_eq!(told(&mut engine), [(waiter, "7000".to_owned())]);
    let waiter = wait(&mut engine, START + 3_000, "q", 30);
    engine.delete_queue(START + 4_000, "q").unwrap();
    assert_eq!(told(&mut engine), [(waiter, "4440".to_owned())]);
    assert_eq!(engine.next_due(), None);
}

#[test]
fn what_nobody_got_is_given_to_the_next_uncounted() {
    let mut engine = with([q()]);
    let gone = wait(&mut engine, START, "q", 20);
    send(&mut engine, START, "q", "a");
    send(&mut engine, START, "q", "b");
    let effects = engine.take_effects();
    let [Effect::Deliver(waiter, messages)] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(*waiter, gone);
    engine.give_back(START + 1, gone.0, messages);
    let next = take(&mut engine, START + 1, "q", 16);
    assert_eq!(bodies(&next), ["a", "b"]);
    assert_eq!(next[0].receives, 1);
    let stale = engine.delete(START + 1, "q", messages[0].handle);
    assert_eq!(code(stale), ErrorCode::HANDLE_EXPIRED);
}

#[test]
fn a_message_goes_when_it_is_too_old_even_delayed_or_held() {
    let spec = q().retention(Duration::from_secs(60));
    let mut engine = with([spec.visibility(Duration::from_secs(600))]);
    engine.send(START, "q", &["held"], 0).unwrap();
    let handle = take(&mut engine, START, "q", 1)[0].handle;
    engine.send(START, "q", &["delayed"], 59).unwrap();
    engine.send(START + 1, "q", &["ready"], 0).unwrap();
    engine.advance(START + 60_000);
    assert_eq!(
        code(engine.delete(START + 60_000, "q", handle)),
        ErrorCode::HANDLE_EXPIRED
    );
    assert_eq!(
        bodies(&take(&mut engine, START + 60_000, "q", 16)),
        ["ready"]
    );
    engine.advance(START + 60_001);
    let state = engine.queue_state(START + 60_001, "q").unwrap();
    assert_eq!((state.active, state.inactive, state.delayed), (0, 0, 0));
    assert_eq!((engine.bytes, engine.next_due()), (0, None));
}

#[test]
fn received_too_often_it_dies_when_it_would_be_visible_through_a_chain() {
    let specs = [
        QueueSpec::new("last"),
        QueueSpec::new("next")
            .visibility(Duration::from_secs(1))
            .dead_letter("last", 1),
        q().dead_letter("Next", 2),
    ];
    let mut engine = with(specs);
    let id = send(&mut engine, START, "q", "a");
    take(&mut engine, START, "q", 1);
    let second = take(&mut engine, START + 10_000, "q", 1);
    assert_eq!(second[0].receives, 2);
    // Not while it is invisible: whoever holds it may still delete it.
    assert!(take(&mut engine, START + 19_999, "next", 1).is_empty());
    let waiter = wait(&mut engine, START + 19_999, "next", 20);
    engine.advance(START + 20_000);
    assert_eq!(told(&mut engine), [(waiter, "a".to_owned())]);
    let last = take(&mut engine, START + 21_000, "last", 1);
    assert_eq!(
        (last[0].id, last[0].receives, last[0].enqueued),
        (id, 1, START + 21_000)
    );
    for (queue, sources) in [("next", "q"), ("last", "next")] {
        let state = engine.queue_state(START + 21_000, queue).unwrap();
        assert_eq!(state.dead_letter_sources.unwrap()[0].name, sources);
    }
    engine.delete_queue(START + 21_000, "next").unwrap();
    assert_eq!(engine.queue_spec("q").unwrap().dead_letter, None);
}

#[test]
fn too_old_it_dies_at_its_time_or_when_it_is_visible_again() {
    let age = Duration::from_secs(300);
    let mut engine = with([QueueSpec::new("dead"), q().dead_letter_by_age("dead", age)]);
    send(&mut engine, START, "q", "held");
    send(&mut engine, START, "q", "ready");
    take(&mut engine, START + 295_000, "q", 1);
    let waiters = [(); 2].map(|()| wait(&mut engine, START + 295_000, "dead", 30));
    engine.advance(START + 304_999);
    assert_eq!(told(&mut engine), [(waiters[0], "ready".to_owned())]);
    engine.advance(START + 305_000);
    assert_eq!(told(&mut engine), [(waiters[1], "held".to_owned())]);
    assert!(take(&mut engine, START + 305_000, "q", 1).is_empty());
}

#[test]
fn a_rewound_queue_gives_what_was_deleted_in_the_order_of_sending() {
    let mut engine = with([q().rewind(Duration::from_secs(100))]);
    for (at, body) in [(0, "a"), (1000, "b"), (2000, "c"), (3000, "d")] {
        send(&mut engine, START + at, "q", body);
    }
    let now = START + 4000;
    for message in take(&mut engine, now, "q", 3) {
        engine.delete(now, "q", message.handle).unwrap();
    }
    assert_eq!(engine.queue_state(now, "q").unwrap().rewindable, 3);
    assert_eq!(
        code(engine.rewind_queue(now, "q", now + 1000)),
        ErrorCode::BAD_REWIND_TIME
    );
    assert_eq!(
        code(engine.rewind_queue(now, "q", now - 101_000)),
        ErrorCode::BAD_REWIND_TIME
    );
    engine.rewind_queue(now, "q", START + 1000).unwrap();
    let again = take(&mut engine, now, "q", 16);
    assert_eq!(bodies(&again), ["b", "c", "d"]);
    assert_eq!(again[0].receives, 1);
    engine.advance(START + 100_000);
    assert_eq!(
        engine.queue_state(START + 100_000, "q").unwrap().rewindable,
        0
    );
    engine
        .change_queue(now, "q", |spec| {
            spec.rewind_seconds = 0;
            Ok(())
        })
        .unwrap();
    assert_eq!(
        code(engine.rewind_queue(now, "q", now)),
        ErrorCode::NOT_REWINDABLE
    );
}

#[test]
fn what_is_refused_has_its_code() {
    let mut engine = with([q().max_messages(2).retention(Duration::from_secs(60))]);
    let large = "x".repeat(65_537);
    let half = "x".repeat(600_000);
    for (queue, bodies, delay, expected) in [
        ("none", vec!["a"], 0, ErrorCode::QUEUE_NOT_FOUND),
        ("a b", vec!["a"], 0, ErrorCode::QUEUE_NAME_FORMAT),
        ("q", vec![""], 0, ErrorCode::EMPTY_BODY),
        ("q", vec![large.as_str()], 0, ErrorCode::BODY_TOO_LARGE),
        (
            "q",
            vec![half.as_str(), half.as_str()],
            0,
            ErrorCode::BATCH_TOO_LARGE,
        ),
        ("q", vec!["a"], 61, ErrorCode::DELAY_OUT_OF_RANGE),
        ("q", vec!["a", "b", "c"], 0, ErrorCode::HEAP_FULL),
    ] {
        assert_eq!(code(engine.send(START, queue, &bodies, delay)), expected);
    }
    assert_eq!(
        code(engine.create_queue(START, QueueSpec::new("Q"))),
        ErrorCode::QUEUE_EXISTS
    );
    let own = QueueSpec::new("own").dead_letter("OWN", 1);
    assert_eq!(
        code(engine.create_queue(START, own)),
        ErrorCode::BAD_PARAMETERS
    );
    let none = QueueSpec::new("own").dead_letter("none", 1);
    assert_eq!(
        code(engine.create_queue(START, none)),
        ErrorCode::QUEUE_NOT_FOUND
    );
    engine.delete_queue(START, "q").unwrap();
    let soon = engine.create_queue(START + 29_999, q());
    assert_eq!(code(soon), ErrorCode::NAME_JUST_DELETED);
    engine.create_queue(START + 30_000, q()).unwrap();
}

#[test]
fn the_limits_hold() {
    let limits = Limits {
        queues: 1,
        delayed: 2,
        bytes: 10,
        ..Limits::default()
    };
    let mut engine = Engine::new(START, 7, limits);
    engine.auto_create(true);
    engine.send(START, "made", &["a", "b"], 1).unwrap();
    assert_eq!(
        code(engine.send(START, "made", &["c"], 1)),
        ErrorCode::TOO_MANY_UNACKED
    );
    assert_eq!(
        code(engine.send(START, "other", &["c"], 0)),
        ErrorCode::TOO_MANY_QUEUES
    );
    assert_eq!(
        code(engine.send(START, "made", &["123456789"], 0)),
        ErrorCode::HEAP_FULL
    );
    engine.send(START, "made", &["12345678"], 0).unwrap();
    engine.clear_queue(START, "made").unwrap();
    engine.send(START, "made", &["1234567890"], 0).unwrap();
}

#[test]
fn disorder_is_what_was_asked_for() {
    let mut engine = with([q()]);
    let texts: Vec<String> = (10..90).map(|at| at.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    engine.send(START, "q", &texts, 0).unwrap();
    engine.disorder(Disorder {
        shuffle: 100,
        redeliver: 0,
    });
    let some = take(&mut engine, START, "q", 20);
    assert!(!bodies(&some).is_sorted(), "{some:?}");
    engine.disorder(Disorder {
        shuffle: 0,
        redeliver: 100,
    });
    let one = take(&mut engine, START, "q", 1);
    assert_eq!(
        code(engine.delete(START, "q", one[0].handle)),
        ErrorCode::HANDLE_EXPIRED
    );
    engine.disorder(Disorder::default());
    engine.lose_one();
    let lost = send(&mut engine, START, "q", "lost");
    let kept = send(&mut engine, START, "q", "kept");
    let rest = take(&mut engine, START, "q", 100);
    assert!(rest.iter().all(|message| message.id != lost));
    assert!(rest.iter().any(|message| message.id == kept));
    assert_eq!(rest.len(), 61, "60 of the 80, and the one that was kept");
}

#[test]
fn all_is_there_after_it_was_written_down() {
    let specs = [
        QueueSpec::new("dead"),
        q().dead_letter("dead", 3).rewind(Duration::from_secs(600)),
    ];
    let mut engine = with(specs);
    engine
        .send(START, "q", &["held", "deleted", "ready"], 0)
        .unwrap();
    engine.send(START, "q", &["delayed"], 20).unwrap();
    let taken = take(&mut engine, START, "q", 2);
    engine.delete(START, "q", taken[1].handle).unwrap();
    let text = serde_json::to_string(&engine.save(START)).unwrap();

    let mut restored = Engine::new(START + 5_000, 9, Limits::default());
    let saved = serde_json::from_str(&text).unwrap();
    restored.restore(START + 5_000, saved).unwrap();
    let state = |engine: &mut Engine| engine.queue_state(START + 5_000, "q").unwrap();
    assert_eq!(state(&mut restored), state(&mut engine));
    restored
        .delete(START + 6_000, "q", taken[0].handle)
        .unwrap();
    assert_eq!(
        bodies(&take(&mut restored, START + 6_000, "q", 16)),
        ["ready"]
    );
    restored.rewind_queue(START + 6_000, "q", START).unwrap();
    assert_eq!(
        bodies(&take(&mut restored, START + 6_000, "q", 16)),
        ["held", "deleted"]
    );
    let late = take(&mut restored, START + 20_000, "q", 16);
    assert_eq!(bodies(&late), ["held", "deleted", "ready", "delayed"]);
    assert!(
        late.iter()
            .all(|new| taken.iter().all(|old| new.handle != old.handle))
    );

    let other = text.replacen("\"version\":1", "\"version\":2", 1);
    let mut empty = self::engine();
    assert!(
        empty
            .restore(START, serde_json::from_str(&other).unwrap())
            .is_err()
    );
}
