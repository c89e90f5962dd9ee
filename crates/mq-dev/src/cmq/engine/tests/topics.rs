//! Topics: who gets what is published, and when it is pushed.

use super::*;
use crate::cmq::spec::{RetryStrategy, SubscriptionSpec, TopicSpec};

fn topics() -> Engine {
    let mut engine = with([QueueSpec::new("a"), QueueSpec::new("b")]);
    engine.create_topic(START, TopicSpec::new("tags")).unwrap();
    engine
        .create_topic(START, TopicSpec::new("routes").routing())
        .unwrap();
    engine
}

fn publish(engine: &mut Engine, topic: &str, tags: &[&str], key: Option<&str>) -> Result<u64> {
    engine
        .publish(START, topic, &["x"], tags, key)
        .map(|ids| ids[0])
}

fn got(engine: &mut Engine, queue: &str) -> Vec<u64> {
    let messages = take(engine, START, queue, 16);
    messages.iter().map(|message| message.id).collect()
}

#[test]
fn a_tag_chooses_and_no_filter_takes_all() {
    let mut engine = topics();
    assert_eq!(
        code(publish(&mut engine, "tags", &[], None)),
        ErrorCode::NO_SUBSCRIPTION
    );
    let sport = SubscriptionSpec::to_queue("tags", "s1", "a")
        .tag("sport")
        .tag("news");
    engine.subscribe(START, sport).unwrap();
    for tags in [&["other"][..], &[]] {
        let nobody = publish(&mut engine, "tags", tags, None);
        assert_eq!(code(nobody), ErrorCode::NOTHING_MATCHES, "{tags:?}");
    }
    engine
        .subscribe(START, SubscriptionSpec::to_queue("TAGS", "s2", "B"))
        .unwrap();
    let both = publish(&mut engine, "tags", &["x", "news"], Some("")).unwrap();
    let one = publish(&mut engine, "tags", &["other"], None).unwrap();
    assert_eq!(got(&mut engine, "a"), [both]);
    assert_eq!(got(&mut engine, "b"), [both, one]);
}

#[test]
fn a_binding_key_chooses() {
    let mut engine = topics();
    let bare = SubscriptionSpec::to_queue("routes", "s", "a");
    assert_eq!(
        code(engine.subscribe(START, bare.clone())),
        ErrorCode::BINDING_KEY_MISSING
    );
    engine.subscribe(START, bare.binding_key("a.*.c")).unwrap();
    assert_eq!(
        code(publish(&mut engine, "routes", &[], None)),
        ErrorCode::ROUTING_KEY_MISSING
    );
    let nobody = publish(&mut engine, "routes", &[], Some("a.c"));
    assert_eq!(code(nobody), ErrorCode::NOTHING_MATCHES);
    let id = publish(&mut engine, "routes", &[], Some("a.b.c")).unwrap();
    assert_eq!(got(&mut engine, "a"), [id]);
}

#[test]
fn what_is_refused_has_its_code() {
    let mut engine = topics();
    let spec = |name: &str| SubscriptionSpec::to_queue("tags", name, "a");
    let many = |spec: SubscriptionSpec| (0..6).fold(spec, |spec, at| spec.tag(at.to_string()));
    engine.subscribe(START, spec("s")).unwrap();
    for (bad, expected) in [
        (spec("S"), ErrorCode::SUBSCRIPTION_EXISTS),
        (spec("a b"), ErrorCode::SUBSCRIPTION_NAME_FORMAT),
        (many(spec("n")), ErrorCode::TOO_MANY_FILTER_TAGS),
        (
            spec("n").format(crate::cmq::spec::ContentFormat::Json),
            ErrorCode::QUEUE_NEEDS_SIMPLIFIED,
        ),
        (
            SubscriptionSpec::to_queue("none", "n", "a"),
            ErrorCode::TOPIC_NOT_FOUND,
        ),
        (
            SubscriptionSpec::to_queue("tags", "n", "none"),
            ErrorCode::QUEUE_NOT_FOUND,
        ),
        (
            SubscriptionSpec::to_url("tags", "n", "https://h"),
            ErrorCode::ENDPOINT_FORMAT,
        ),
        (
            SubscriptionSpec::to_url("tags", "n", "http://h/a b"),
            ErrorCode::URL_WITH_BLANKS,
        ),
    ] {
        assert_eq!(
            code(engine.subscribe(START, bad.clone())),
            expected,
            "{bad:?}"
        );
    }
    let tag = "x".repeat(17);
    for (tags, expected) in [
        (vec!["1", "2", "3", "4", "5", "6"], ErrorCode::TOO_MANY_TAGS),
        (vec![tag.as_str()], ErrorCode::OUT_OF_RANGE),
    ] {
        assert_eq!(code(publish(&mut engine, "tags", &tags, None)), expected);
    }
}

fn job(engine: &mut Engine) -> Option<PushJob> {
    let mut effects = engine.take_effects();
    assert!(effects.len() <= 1, "{effects:?}");
    match effects.pop() {
        Some(Effect::Push(job)) => Some(job),
        None => None,
        other => panic!("{other:?}"),
    }
}

/// The pauses between the tries of one push that never succeeds, in milliseconds, the first `most` of them.
fn pauses(strategy: RetryStrategy, most: usize) -> Vec<u64> {
    let mut engine = topics();
    engine.push_http(true);
    let spec = SubscriptionSpec::to_url("tags", "s", "http://h/").strategy(strategy);
    engine.subscribe(START, spec).unwrap();
    publish(&mut engine, "tags", &["a", "b"], None).unwrap();
    let mut pauses = Vec::new();
    let mut now = START;
    while let Some(job) = job(&mut engine).filter(|_| pauses.len() < most) {
        assert_eq!((job.tags.as_str(), job.published), ("a, b", START));
        engine.pushed(now, job.push, false);
        let Some(next) = engine.next_due() else { break };
        pauses.push(next - now);
        now = next;
        engine.advance(now);
    }
    pauses
}

#[test]
fn a_push_is_tried_again_by_its_strategy() {
    let backoff = pauses(RetryStrategy::Backoff, 100);
    assert_eq!(backoff.len(), 3, "{backoff:?}");
    assert!(
        backoff
            .iter()
            .all(|pause| (19_000..=29_000).contains(pause)),
        "{backoff:?}"
    );
    let decay = pauses(RetryStrategy::ExponentialDecay, 100);
    let expected: Vec<u64> = (0..16).map(|at| 1000 << at).collect();
    // 2^16 - 1 seconds have passed then; the next one would come after the day.
    assert_eq!(decay, expected);
}

#[test]
fn a_push_that_succeeded_or_lost_its_subscription_is_over() {
    let mut engine = topics();
    engine.push_http(true);
    let spec = SubscriptionSpec::to_url("tags", "s", "http://h/");
    engine.subscribe(START, spec).unwrap();
    publish(&mut engine, "tags", &[], None).unwrap();
    let first = job(&mut engine).unwrap();
    assert_eq!(engine.topic_state(START, "tags").unwrap().messages, 1);
    engine.pushed(START, first.push, true);
    assert_eq!(engine.topic_state(START, "tags").unwrap().messages, 0);
    publish(&mut engine, "tags", &[], None).unwrap();
    let second = job(&mut engine).unwrap();
    engine.pushed(START, second.push, false);
    engine.unsubscribe(START, "tags", "s").unwrap();
    engine.advance(START + 1_000);
    assert!(job(&mut engine).is_none());
    assert_eq!(engine.next_due(), None);
}

#[test]
fn without_pushing_a_url_gets_nothing_and_nothing_is_kept() {
    let mut engine = topics();
    let spec = SubscriptionSpec::to_url("tags", "s", "http://h/");
    engine.subscribe(START, spec).unwrap();
    publish(&mut engine, "tags", &[], None).unwrap();
    assert!(engine.take_effects().is_empty());
    assert_eq!(engine.topic_state(START, "tags").unwrap().messages, 0);
}

#[test]
fn a_subscription_whose_queue_is_gone_does_not_count() {
    let mut engine = topics();
    for (name, queue, tag) in [("s1", "a", "sport"), ("s2", "b", "news")] {
        let spec = SubscriptionSpec::to_queue("tags", name, queue).tag(tag);
        engine.subscribe(START, spec).unwrap();
    }
    engine.delete_queue(START, "a").unwrap();
    let lost = publish(&mut engine, "tags", &["sport"], None);
    assert_eq!(code(lost), ErrorCode::NOTHING_MATCHES);
    let both = publish(&mut engine, "tags", &["sport", "news"], None).unwrap();
    assert_eq!(got(&mut engine, "b"), [both]);
    engine.delete_queue(START, "b").unwrap();
    let lost = publish(&mut engine, "tags", &["news"], None);
    assert_eq!(code(lost), ErrorCode::NO_SUBSCRIPTION);
}

#[test]
fn a_queue_that_takes_no_more_refuses_the_publish_and_nobody_has_it() {
    let mut engine = topics();
    let small = QueueSpec::new("small").max_messages(3).max_body(1024);
    engine.create_queue(START, small).unwrap();
    // Twice the same queue: each message comes twice.
    for (name, queue) in [("s0", "a"), ("s1", "small"), ("s2", "SMALL")] {
        let spec = SubscriptionSpec::to_queue("tags", name, queue);
        engine.subscribe(START, spec).unwrap();
    }
    let large = "x".repeat(1025);
    let refused = engine.publish(START, "tags", &[&large], &[], None);
    assert_eq!(code(refused), ErrorCode::BODY_TOO_LARGE);
    let refused = engine.publish(START, "tags", &["x", "y"], &[], None);
    assert_eq!(code(refused), ErrorCode::HEAP_FULL);
    let id = publish(&mut engine, "tags", &[], None).unwrap();
    let refused = publish(&mut engine, "tags", &[], None);
    assert_eq!(code(refused), ErrorCode::HEAP_FULL);
    assert_eq!(got(&mut engine, "a"), [id]);
    assert_eq!(got(&mut engine, "small"), [id, id]);
}
