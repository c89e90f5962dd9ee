//! How messages end, and what brings them back: retention, dead letters, rewind, snapshots.

use super::*;

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
    let mut empty = super::engine();
    assert!(
        empty
            .restore(START, serde_json::from_str(&other).unwrap())
            .is_err()
    );
}
