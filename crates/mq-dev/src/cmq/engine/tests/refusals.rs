//! What is refused.

use super::*;

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
        // Three messages, each with what it takes beside its body.
        bytes: 10 + 3 * 256,
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
    let three = engine.send(START, "made", &["123", "456", "7890"], 0);
    assert_eq!(three.unwrap().len(), 3);
    let fourth = engine.send(START, "made", &["x"], 0);
    assert_eq!(code(fourth), ErrorCode::HEAP_FULL);
}
