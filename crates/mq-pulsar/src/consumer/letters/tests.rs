use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mq_core::ErrorKind;
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::line::{Letter, Why};
use super::*;
use crate::Message;
use crate::consumer::bits::Bits;
use crate::consumer::content::Head;
use crate::consumer::tracker::Tracker;
use crate::proto::{EntryId, Metadata, Single, SingleMetadata};

const WALL: Duration = Duration::from_secs(1_000_000);

fn asked(dead: Option<DeadLetter>, retry: Option<RetryLetter>) -> Asked {
    Asked { dead, retry }
}

fn policy(dead: Option<DeadLetter>, retry: Option<RetryLetter>, topics: &[&str]) -> Result<Policy> {
    let topics: Vec<_> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let policy = asked(dead, retry).policy(SubscriptionType::Shared, "s", &topics)?;
    Ok(policy.unwrap())
}

fn metadata() -> Metadata {
    Metadata {
        properties: vec![("own".into(), "1".into())],
        partition_key: Some("/w==".into()),
        key_is_base64: true,
        ordering_key: Some(Bytes::from_static(b"order")),
        event_time: Some(77),
        null_value: true,
        sequence_id: 9,
        ..Metadata::default()
    }
}

/// A message of partition 1 of `orders`, in a batch or alone.
fn received(metadata: Metadata, single: Option<SingleMetadata>) -> Received {
    let body = Bytes::from_static(b"body");
    let head = Head {
        metadata,
        id: EntryId {
            ledger: 4,
            entry: 5,
            partition: 1,
        },
        redelivered: 3,
        topic: "persistent://public/default/orders-partition-1".into(),
        part: 0,
        size: 1,
    };
    let single = single.map(|metadata| Single {
        metadata,
        payload: body.clone(),
    });
    Received(Arc::new(Arrival {
        head: Arc::new(head),
        index: 2,
        single,
        payload: body,
        loan: 0,
    }))
}

fn properties(message: &Message) -> Vec<(&str, &str)> {
    message.properties().collect()
}

#[test]
fn topics_are_named_as_java_names_them() {
    let whole = |name: &str| format!("persistent://public/default/{name}");
    let own = policy(Some(DeadLetter::after(3)), None, &["orders"]).unwrap();
    assert_eq!((own.most, own.retry()), (3, None));
    assert_eq!(
        own.dead_topic("persistent://t/n/x"),
        "persistent://t/n/x-s-DLQ"
    );
    let both = policy(None, Some(RetryLetter::new()), &["b", "a"]).unwrap();
    assert_eq!(both.most, 16);
    assert_eq!(both.retry().unwrap().as_str(), whole("a-s-RETRY"));
    assert_eq!(both.dead_topic("persistent://t/n/x"), whole("a-s-DLQ"));
    let dead = DeadLetter::after(1)
        .topic("t/n/dead")
        .initial_subscription("i");
    let given = policy(Some(dead), Some(RetryLetter::new().topic("later")), &[]).unwrap();
    assert_eq!(given.retry().unwrap().as_str(), whole("later"));
    assert_eq!(given.dead_topic("x"), "persistent://t/n/dead");
    assert_eq!(given.initial_subscription.as_deref(), Some("i"));
}

#[test]
fn what_can_not_be_is_told() {
    let dead = || Some(DeadLetter::after(1));
    let retry = || Some(RetryLetter::new());
    let topics = ["a".to_owned()];
    for kind in [SubscriptionType::Exclusive, SubscriptionType::Failover] {
        for asked in [asked(dead(), None), asked(None, retry())] {
            let told = asked.policy(kind, "s", &topics).unwrap_err();
            assert_eq!(told.kind(), ErrorKind::Invalid, "{told}");
        }
        assert_eq!(asked(None, None).policy(kind, "s", &topics).unwrap(), None);
    }
    let wrong = "a/b".to_owned();
    for told in [
        policy(Some(DeadLetter::after(0)), None, &["a"]),
        policy(Some(DeadLetter::after(1).topic(wrong)), None, &["a"]),
        policy(dead(), retry(), &[]),
    ] {
        assert_eq!(told.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn only_the_retry_letter_topic_is_shared_and_read_from_its_beginning() {
    use command_subscribe::{InitialPosition, SubType};
    let policy = policy(None, Some(RetryLetter::new()), &["a"]).unwrap();
    let ask = || api::CommandSubscribe {
        sub_type: SubType::KeyShared.into(),
        initial_position: Some(InitialPosition::Latest.into()),
        ..api::CommandSubscribe::default()
    };
    let topic = TopicName::parse("a").unwrap();
    assert_eq!(policy.subscribe(&topic, ask()), ask());
    let retry = policy.subscribe(policy.retry().unwrap(), ask());
    assert_eq!(retry.sub_type(), SubType::Shared);
    assert_eq!(retry.initial_position(), InitialPosition::Earliest);
}

#[test]
fn a_dead_letter_is_the_message_with_where_it_came_from() {
    let policy = policy(Some(DeadLetter::after(1)), None, &["orders"]).unwrap();
    let alone = received(metadata(), None);
    let single = SingleMetadata {
        properties: vec![("own".into(), "1".into())],
        partition_key: Some("/w==".into()),
        key_is_base64: true,
        ordering_key: Some(Bytes::from_static(b"order")),
        event_time: Some(77),
        null_value: true,
        sequence_id: Some(9),
        ..SingleMetadata::default()
    };
    let in_batch = received(Metadata::default(), Some(single));
    for (received, id) in [(alone, "4:5:1"), (in_batch, "4:5:1:2")] {
        let (topic, letter) = write::letter(&received, &policy, Why::Dead, WALL);
        assert_eq!(
            topic,
            "persistent://public/default/orders-partition-1-s-DLQ"
        );
        let expected = [
            ("own", "1"),
            (
                "REAL_TOPIC",
                "persistent://public/default/orders-partition-1",
            ),
            ("ORIGIN_MESSAGE_IDY_TIME", id),
            ("ORIGIN_MESSAGE_ID", id),
            ("REAL_SUBSCRIPTION", "s"),
        ];
        assert_eq!(properties(&letter), expected);
        assert_eq!(
            (letter.key_text(), letter.head.key_is_base64),
            (Some("/w=="), true)
        );
        assert_eq!(letter.head.ordering_key.as_deref(), Some(&b"order"[..]));
        assert_eq!((letter.head.event_time, letter.is_null()), (Some(77), true));
        assert_eq!((letter.head.sequence_id, letter.deliver_at), (None, None));
        assert_eq!(letter.body(), "body");
    }
}

#[test]
fn what_is_tried_later_is_counted_and_keeps_its_origin() {
    let dead = Some(DeadLetter::after(2));
    let policy = policy(dead, Some(RetryLetter::new()), &["orders"]).unwrap();
    let later = Why::Later(Duration::from_millis(1500));
    let mut properties_then = metadata().properties;
    for times in ["1", "2", "3"] {
        let metadata = Metadata {
            properties: properties_then,
            ..metadata()
        };
        let (topic, letter) = write::letter(&received(metadata, None), &policy, later, WALL);
        assert_eq!(letter.property_text("RECONSUMETIMES"), Some(times));
        assert_eq!(letter.property_text("DELAY_TIME"), Some("1500"));
        let real = letter.property_text("REAL_TOPIC");
        assert_eq!(real, Some("persistent://public/default/orders"));
        let (name, at) = if times == "3" {
            ("orders-s-DLQ", None)
        } else {
            ("orders-s-RETRY", Some(1_000_001_500))
        };
        assert_eq!(topic, format!("persistent://public/default/{name}"));
        assert_eq!(letter.deliver_at, at);
        assert_eq!(letter.property_text("ORIGIN_MESSAGE_ID"), Some("4:5:1"));
        properties_then = letter.head.properties;
    }
    let mut before = metadata();
    before
        .properties
        .push(("REAL_TOPIC".into(), "first".into()));
    let (_, letter) = write::letter(&received(before, None), &policy, later, WALL);
    assert_eq!(letter.property_text("REAL_TOPIC"), Some("first"));
    let at_once = Why::Later(Duration::ZERO);
    let (_, letter) = write::letter(&received(metadata(), None), &policy, at_once, WALL);
    assert_eq!(letter.deliver_at, None);
}

proptest! {
    /// Whatever an application puts there, no letter goes round for ever.
    #[test]
    fn a_count_that_is_none_begins_anew(said in "\\PC*", delay: u64) {
        let dead = Some(DeadLetter::after(1));
        let policy = policy(dead, Some(RetryLetter::new()), &["orders"]).unwrap();
        let later = Why::Later(Duration::from_millis(delay));
        let mut metadata = metadata();
        metadata.properties.push(("RECONSUMETIMES".into(), said.into()));
        let mut topics = Vec::new();
        for _ in 0..2 {
            let (topic, letter) = write::letter(&received(metadata.clone(), None), &policy, later, WALL);
            metadata.properties = letter.head.properties;
            topics.push(topic);
        }
        prop_assert!(topics[1].ends_with("-s-DLQ"), "{topics:?}");
    }
}

#[tokio::test]
async fn no_more_is_handed_out_while_many_are_under_way_and_the_end_is_told() {
    let policy = policy(Some(DeadLetter::after(1)), None, &["orders"]).unwrap();
    let arrival = Arc::clone(&received(metadata(), None).0);
    for (most_bytes, count) in [(usize::MAX, 1000), (40, 10)] {
        let letters = Letters::new(policy.clone(), most_bytes);
        for _ in 0..count {
            assert!(!letters.is_full());
            letters.post(Letter::new(Arc::clone(&arrival), Why::Dead, None));
        }
        assert!(letters.is_full());
        let first = letters.next().await;
        assert!(letters.is_full(), "it is under way");
        letters.done(first.received.body().len());
        assert!(!letters.is_full());
    }
    let letters = Letters::new(policy, 1);
    let (answer, waiting) = oneshot::channel();
    letters.post(Letter::new(Arc::clone(&arrival), Why::Dead, Some(answer)));
    letters.end();
    assert_eq!(
        waiting.await.unwrap().unwrap_err().kind(),
        ErrorKind::Closed
    );
    let (answer, late) = oneshot::channel();
    letters.post(Letter::new(Arc::clone(&arrival), Why::Dead, Some(answer)));
    assert_eq!(late.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
}

/// A letter may take longer than a message may be handed out.
#[tokio::test]
async fn a_message_that_is_a_letter_is_not_taken_back_by_the_acknowledgement_time_out() {
    let mut tracker = Tracker::default();
    let (place, end) = ((1, 2), now() + Duration::from_secs(1));
    tracker.begin(1);
    for kept in [false, true] {
        tracker.arrived(place, 1, Bits::all(1));
        assert!(tracker.take(place, 0));
        let loan = tracker.lend(place, 0, Some(end));
        let letter = if kept { tracker.keep(place, 0) } else { loan };
        assert_eq!(tracker.is_lent(place, 0, loan), !kept, "whoever had it");
        assert_eq!(tracker.expire(end), u64::from(!kept));
        assert_eq!(tracker.is_lent(place, 0, letter), kept);
        assert_eq!(tracker.holds(place, 0), kept);
        tracker.due(end);
        tracker.asked(place);
    }
}
