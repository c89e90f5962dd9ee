//! Receives: order, handles, waits.

use super::*;

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
    let by_attribute = engine.receive(START, "q", want(1), None).unwrap();
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
