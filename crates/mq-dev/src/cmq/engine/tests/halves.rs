//! Half messages: seen by nobody until they are committed, asked about, and decided once.

use proptest::prelude::*;

use super::*;
use crate::cmq::engine::Decision::{Commit, RollBack};

const SECOND: u64 = 1000;

fn t() -> QueueSpec {
    q().transactional(Duration::from_secs(5), 2)
}

fn sender() -> Sender {
    Sender {
        secret_id: "AKIDdev".into(),
        connection: 7,
    }
}

fn half(engine: &mut Engine, now: u64, body: &str) -> u64 {
    let sent = engine.send_half(now, "q", &[body], None, &sender());
    sent.unwrap()[0]
}

fn confirm(engine: &mut Engine, now: u64, id: u64, decision: Decision) -> Result<Decision> {
    let mut confirmed = engine.confirm(now, "q", &[(id, Some(decision))]).unwrap();
    confirmed.pop().unwrap()
}

/// Id and turn of each question since the last time.
fn asked(engine: &mut Engine) -> Vec<(u64, u32)> {
    let question = |effect| match effect {
        Effect::Ask(question) => {
            assert_eq!((&*question.queue, &question.sender), ("q", &sender()));
            Some((question.id, question.turn))
        }
        _ => None,
    };
    let effects = engine.take_effects().into_iter();
    effects.filter_map(question).collect()
}

#[test]
fn nobody_sees_a_half_message_until_it_is_committed() {
    let mut engine = with([t()]);
    let first = half(&mut engine, START, "first");
    let second = half(&mut engine, START, "second");
    let plain = send(&mut engine, START, "q", "plain");
    assert_eq!(engine.halves("Q"), (2, 0));
    let state = engine.queue_state(START, "q").unwrap();
    assert_eq!((state.active, state.inactive, state.delayed), (1, 0, 0));
    let messages = take(&mut engine, START, "q", 16);
    assert_eq!(bodies(&messages), ["plain"]);
    let waiter = wait(&mut engine, START, "q", 30);
    assert!(told(&mut engine).is_empty());

    let done = confirm(&mut engine, START + SECOND, second, RollBack);
    assert_eq!(done, Ok(RollBack));
    let done = confirm(&mut engine, START + SECOND, first, Commit);
    assert_eq!(done, Ok(Commit));
    let [(to, body)] = told(&mut engine).try_into().unwrap();
    assert_eq!((to, body.as_str()), (waiter, "first"));
    engine.advance(START + 10 * SECOND);
    let again = take(&mut engine, START + 11 * SECOND, "q", 16);
    let ids: Vec<u64> = again.iter().map(|message| message.id).collect();
    assert_eq!(ids, [plain, first]);
    // It was sent when it was committed.
    assert_eq!(again[1].enqueued, START + SECOND);
    assert_eq!(engine.halves("q"), (0, 0));
}

#[test]
fn a_decision_is_made_once_and_can_be_repeated() {
    let mut engine = with([t()]);
    for (first, other) in [(Commit, RollBack), (RollBack, Commit)] {
        let id = half(&mut engine, START, "x");
        for _ in 0..2 {
            assert_eq!(confirm(&mut engine, START, id, first), Ok(first));
        }
        let changed = confirm(&mut engine, START, id, other);
        assert_eq!(code(changed), ErrorCode::TRANSACTION_STATE);
    }
    assert_eq!(take(&mut engine, START, "q", 16).len(), 1);
    let items = [(1, Some(Commit)), (1, None)];
    let [unknown, none] = engine
        .confirm(START, "q", &items)
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(code(unknown), ErrorCode::TRANSACTION_NOT_FOUND);
    assert_eq!(code(none), ErrorCode::OUT_OF_RANGE);
}

#[test]
fn what_a_transactional_queue_refuses() {
    let plain = QueueSpec::new("plain");
    let mut engine = with([t().max_messages(2), plain]);
    let on_plain = engine.send_half(START, "plain", &["x"], None, &sender());
    assert_eq!(code(on_plain), ErrorCode::NOT_TRANSACTIONAL);
    let on_plain = engine.confirm(START, "plain", &[(1, Some(Commit))]);
    assert_eq!(code(on_plain), ErrorCode::NOT_TRANSACTIONAL);
    let late = engine.send(START, "q", &["x"], 1);
    assert_eq!(code(late), ErrorCode::DELAY_OUT_OF_RANGE);
    for count in [0, 17] {
        let items = vec![(1, Some(Commit)); count];
        let refused = engine.confirm(START, "q", &items);
        assert_eq!(code(refused), ErrorCode::BATCH_SIZE);
    }
    // A half message has its place in the queue.
    let first = half(&mut engine, START, "x");
    half(&mut engine, START, "y");
    assert_eq!(
        code(engine.send(START, "q", &["z"], 0)),
        ErrorCode::HEAP_FULL
    );
    assert_eq!(confirm(&mut engine, START, first, Commit), Ok(Commit));
}

#[test]
fn its_sender_is_asked_at_the_interval_and_then_it_is_rolled_back() {
    let mut engine = with([t()]);
    let usual = half(&mut engine, START, "x");
    let sent = engine.send_half(START, "q", &["y"], Some(2), &sender());
    let sooner = sent.unwrap()[0];
    for (at, questions) in [
        (1_999, vec![]),
        (2_000, vec![(sooner, 1)]),
        (4_999, vec![]),
        (5_000, vec![(usual, 1)]),
        (7_000, vec![(sooner, 2)]),
        (10_000, vec![(usual, 2)]),
    ] {
        engine.advance(START + at);
        assert_eq!(asked(&mut engine), questions, "{at}");
    }
    assert_eq!(engine.halves("q"), (2, 0));
    let at = engine.next_due().unwrap();
    assert_eq!(at, START + 12_000);
    engine.advance(at);
    assert_eq!(engine.halves("q"), (1, 1));
    engine.advance(START + 15_000);
    assert_eq!((engine.halves("q"), engine.bytes), ((0, 2), 0));
    assert_eq!((asked(&mut engine), engine.next_due()), (vec![], None));
    let late = confirm(&mut engine, START + 15_000, usual, Commit);
    assert_eq!(code(late), ErrorCode::TRANSACTION_STATE);
    let same = confirm(&mut engine, START + 15_000, usual, RollBack);
    assert_eq!(same, Ok(RollBack));
}

#[test]
fn half_messages_and_decisions_are_there_after_they_were_written_down() {
    let mut engine = with([t()]);
    let open = half(&mut engine, START, "open");
    let done = half(&mut engine, START, "done");
    confirm(&mut engine, START, done, RollBack).unwrap();
    let saved = serde_json::to_string(&engine.save(START)).unwrap();
    // Long after all questions would have been asked in vain.
    let now = START + 1000 * SECOND;
    let mut again = Engine::new(now, 7, Limits::default());
    again
        .restore(now, serde_json::from_str(&saved).unwrap())
        .unwrap();
    assert_eq!((again.halves("q"), asked(&mut again)), ((1, 0), vec![]));
    assert_eq!(again.bytes, engine.bytes);
    let changed = confirm(&mut again, now, done, Commit);
    assert_eq!(code(changed), ErrorCode::TRANSACTION_STATE);
    again.advance(now + 5 * SECOND);
    let question = again.take_effects().pop();
    assert!(matches!(question, Some(Effect::Ask(it)) if it.id == open && it.turn == 1));
    let committed = confirm(&mut again, now + 5 * SECOND, open, Commit);
    assert_eq!(committed, Ok(Commit));
    let got = take(&mut again, now + 5 * SECOND, "q", 16);
    assert_eq!(bodies(&got), ["open"]);
}

#[test]
fn a_queue_that_is_cleared_or_deleted_has_no_half_messages() {
    let mut engine = with([t()]);
    let id = half(&mut engine, START, "x");
    engine.clear_queue(START, "q").unwrap();
    assert_eq!((engine.halves("q"), engine.bytes), ((0, 0), 0));
    let gone = confirm(&mut engine, START, id, Commit);
    assert_eq!(code(gone), ErrorCode::TRANSACTION_NOT_FOUND);
    half(&mut engine, START, "x");
    engine.delete_queue(START, "q").unwrap();
    assert_eq!((engine.bytes, engine.next_due()), (0, None));
    let gone = engine.confirm(START, "q", &[(id, Some(Commit))]);
    assert_eq!(code(gone), ErrorCode::QUEUE_NOT_FOUND);
}

#[test]
fn a_receive_can_say_for_how_long_it_holds() {
    let mut engine = with([q()]);
    for body in ["a", "b"] {
        send(&mut engine, START, "q", body);
    }
    let short = Want {
        count: 1,
        visibility_seconds: Some(2),
    };
    let Received::Now(held) = engine.receive(START, "q", short, Some(0)).unwrap() else {
        panic!("nothing");
    };
    assert_eq!(held[0].next_visible, START + 2_000);
    assert_eq!(bodies(&take(&mut engine, START + 1_999, "q", 16)), ["b"]);
    assert_eq!(bodies(&take(&mut engine, START + 2_000, "q", 16)), ["a"]);
    let long = Want {
        visibility_seconds: Some(60),
        ..short
    };
    // Also one that waits: "b" comes back first.
    let waiting = engine.receive(START + 2_000, "q", long, Some(30)).unwrap();
    let Received::Later(waiter) = waiting else {
        panic!("{waiting:?}");
    };
    engine.advance(START + 11_999);
    let [Effect::Deliver(to, messages)] = &engine.take_effects()[..] else {
        panic!("nothing");
    };
    assert_eq!((*to, bodies(messages)), (waiter, vec!["b"]));
    assert_eq!(messages[0].next_visible, START + 71_999);
}

#[test]
fn a_dead_letter_says_where_it_died() {
    let specs = [
        QueueSpec::new("last"),
        QueueSpec::new("dead").dead_letter("last", 1),
        q().dead_letter("dead", 2),
    ];
    let mut engine = with(specs);
    send(&mut engine, START, "q", "x");
    for (at, queue) in [(0, "q"), (10, "q"), (20, "dead"), (50, "last")] {
        let now = START + at * SECOND;
        engine.advance(now);
        let message = take(&mut engine, now, queue, 1).pop().unwrap();
        let origin = message.origin.as_ref();
        let origin = origin.map(|it| (it.queue_id.as_str(), it.enqueued, it.receives));
        let expected = match queue {
            "dead" => Some(("queue-00000003", START, 2)),
            // The one that it came from, not the first.
            "last" => Some(("queue-00000002", START + 20 * SECOND, 1)),
            _ => None,
        };
        assert_eq!((origin, message.receives <= 2), (expected, true), "{queue}");
    }
    let saved = serde_json::to_value(engine.save(START + 50 * SECOND)).unwrap();
    assert!(saved.to_string().contains("queue-00000002"));
}

/// What a run does with half messages.
#[derive(Debug, Clone)]
enum Step {
    Send,
    Confirm(usize, bool),
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Send),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(at, yes)| Step::Confirm(at, yes)),
        3 => (0..7_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The first decision that was accepted is what happens, or the rollback behind the last question; nothing comes twice, nothing else comes.
    #[test]
    fn a_message_is_visible_once_or_never(steps in proptest::collection::vec(step(), 1..60)) {
        let mut engine = with([t()]);
        let (mut now, mut sent) = (START, Vec::new());
        let (mut committed, mut received) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Send => sent.push((half(&mut engine, now, "x"), now, None)),
                Step::Confirm(at, yes) if !sent.is_empty() => {
                    let at = at % sent.len();
                    let decision = if yes { Commit } else { RollBack };
                    let (id, _, before) = sent[at];
                    match confirm(&mut engine, now, id, decision) {
                        Ok(done) => {
                            prop_assert_eq!(done, decision);
                            prop_assert!(before.is_none_or(|before| before == decision));
                            if before.is_none() && yes {
                                committed.push(id);
                            }
                            sent[at].2 = Some(decision);
                        }
                        Err(refusal) => {
                            prop_assert_eq!(refusal.code, ErrorCode::TRANSACTION_STATE);
                            // Otherwise before, or nobody answered in time.
                            prop_assert!(before.map_or(yes, |before| before != decision));
                            sent[at].2 = sent[at].2.or(Some(RollBack));
                        }
                    }
                }
                Step::Confirm(..) => {}
                Step::Pass(by) => now += by,
                Step::Restart => {
                    let saved = serde_json::to_string(&engine.save(now)).unwrap();
                    engine = Engine::new(now, 7, Limits::default());
                    engine.restore(now, serde_json::from_str(&saved).unwrap()).unwrap();
                }
            }
            engine.advance(now);
            engine.take_effects();
            for message in take(&mut engine, now, "q", 16) {
                engine.delete(now, "q", message.handle).unwrap();
                received.push(message.id);
            }
        }
        prop_assert_eq!(received, committed);
        engine.advance(now + 20 * SECOND);
        prop_assert_eq!((engine.halves("q").0, engine.bytes), (0, 0));
    }
}
