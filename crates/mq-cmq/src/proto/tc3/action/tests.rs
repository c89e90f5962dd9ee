//! The actions against what Tencent Cloud's SDK for Python wrote, see `tests/fixtures/README.md`.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::proto::tc3::{Authorization, ControlCode, Key, Received};

const PYTHON: &str = include_str!("../../../../tests/fixtures/control/python.http");

struct Recorded {
    action: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
}

fn recorded() -> Vec<Recorded> {
    let parts = PYTHON.split("=== ").skip(1);
    let read = |part: &'static str| {
        let (head, body) = part.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let action = lines.next().unwrap();
        assert_eq!(lines.next(), Some("POST / HTTP/1.1"));
        Recorded {
            action,
            headers: lines.map(|line| line.split_once(": ").unwrap()).collect(),
            body: body.trim_end_matches('\n'),
        }
    };
    parts.map(read).collect()
}

/// What our types make of a request: read, checked, written again.
fn again(action: &str, body: &str) -> Value {
    macro_rules! each {
        ($($name:ident)*) => {
            match action {
                $(stringify!($name) => {
                    assert_eq!($name::NAME, action);
                    let read: $name = serde_json::from_str(body).unwrap();
                    read.check().unwrap();
                    serde_json::to_value(&read).unwrap()
                })*
                _ => panic!("{action}"),
            }
        };
    }
    each! {
        CreateCmqQueue ModifyCmqQueueAttribute DeleteCmqQueue ClearCmqQueue DescribeCmqQueueDetail DescribeCmqQueues
        RewindCmqQueue UnbindCmqDeadLetter SendCmqMsg CreateCmqTopic ModifyCmqTopicAttribute DeleteCmqTopic
        DescribeCmqTopicDetail DescribeCmqTopics PublishCmqMsg CreateCmqSubscribe ModifyCmqSubscriptionAttribute
        DeleteCmqSubscribe ClearCmqSubscriptionFilterTags DescribeCmqSubscriptionDetail
    }
}

#[test]
fn every_action_of_the_python_sdk_comes_back_field_by_field() {
    let mut seen = std::collections::BTreeSet::new();
    for recorded in recorded() {
        let expected: Value = serde_json::from_str(recorded.body).unwrap();
        assert_eq!(again(recorded.action, recorded.body), expected);
        seen.insert(recorded.action);
    }
    assert_eq!(seen.len(), 20, "{seen:?}");
}

#[test]
fn what_the_python_sdk_signed_verifies_and_nothing_else() {
    let key = Key::new("dev-secret").unwrap();
    let mut unsigned = 0;
    for Recorded { headers, body, .. } in recorded() {
        let request = Received {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            body: body.as_bytes(),
        };
        let authorization = Authorization::parse(request.header("authorization").unwrap()).unwrap();
        assert_eq!(authorization.secret_id, "AKIDdev");
        assert_eq!(request.verify(&authorization, &key), Ok(()));
        assert!(
            request
                .verify(&authorization, &Key::new("x").unwrap())
                .is_err()
        );
        let other = Received {
            body: b"{}",
            ..request
        };
        let open = request.header("x-tc-content-sha256").is_some();
        unsigned += usize::from(open);
        assert_eq!(other.verify(&authorization, &key).is_ok(), open);
    }
    assert_eq!(unsigned, 1);
}

fn refused(action: &impl Action) -> (ControlCode, String) {
    let refusal = action.check().unwrap_err();
    assert!(refusal.message.starts_with(refusal.field));
    (refusal.code, refusal.message)
}

fn queue(settings: QueueSettings) -> CreateCmqQueue {
    CreateCmqQueue {
        queue_name: "q".into(),
        settings,
        tags: None,
    }
}

#[test]
fn numbers_are_refused_just_outside_their_bounds() {
    macro_rules! bounds {
        ($($field:ident $least:literal $most:literal $name:literal;)*) => {
            $(
                let (least, most): (u64, u64) = ($least, $most);
                for value in [least, most] {
                    let settings = QueueSettings { $field: Some(value), ..fitting() };
                    assert_eq!(queue(settings).check(), Ok(()), "{}", $name);
                }
                for value in [least.checked_sub(1), Some(most + 1)].into_iter().flatten() {
                    let settings = QueueSettings { $field: Some(value), ..fitting() };
                    let (code, message) = refused(&queue(settings));
                    assert_eq!(code, ControlCode::INVALID_PARAMETER_VALUE);
                    let begin = format!("{} is {value}", $name);
                    assert!(message.starts_with(&begin), "{message}");
                    assert!(message.contains(&format!("expected {least} to {most}")), "{message}");
                }
            )*
        };
    }
    /// With which every other field fits.
    fn fitting() -> QueueSettings {
        QueueSettings {
            transaction: Some(1),
            ..QueueSettings::default()
        }
    }
    bounds! {
        max_msg_heap_num 1_000_000 1_000_000_000 "MaxMsgHeapNum";
        polling_wait_seconds 0 30 "PollingWaitSeconds";
        visibility_timeout 1 43_200 "VisibilityTimeout";
        max_msg_size 1_024 1_048_576 "MaxMsgSize";
        msg_retention_seconds 30 43_200 "MsgRetentionSeconds";
        rewind_seconds 0 1_296_000 "RewindSeconds";
        first_query_interval 1 4_294_967_295 "FirstQueryInterval";
        max_query_count 1 4_294_967_295 "MaxQueryCount";
        max_receive_count 1 1_000 "MaxReceiveCount";
        max_time_to_live 300 43_200 "MaxTimeToLive";
        retention_size_in_mb 10_240 512_000 "RetentionSizeInMB";
    }
}

#[test]
fn what_belongs_together_is_refused_apart() {
    let dead = || Some("dead".to_owned());
    for (settings, expected) in [
        (
            QueueSettings {
                dead_letter_queue_name: dead(),
                ..QueueSettings::default()
            },
            "Policy is missing: a DeadLetterQueueName needs it",
        ),
        (
            QueueSettings {
                dead_letter_queue_name: dead(),
                policy: Some(0),
                ..QueueSettings::default()
            },
            "MaxReceiveCount is missing: Policy 0 needs it",
        ),
        (
            QueueSettings {
                dead_letter_queue_name: dead(),
                policy: Some(1),
                ..QueueSettings::default()
            },
            "MaxTimeToLive is missing: Policy 1 needs it",
        ),
        (
            QueueSettings {
                dead_letter_queue_name: dead(),
                policy: Some(1),
                max_time_to_live: Some(600),
                msg_retention_seconds: Some(600),
                ..QueueSettings::default()
            },
            "MaxTimeToLive is 600 s, expected less than MsgRetentionSeconds, 600 s",
        ),
        (
            QueueSettings {
                max_query_count: Some(5),
                ..QueueSettings::default()
            },
            "MaxQueryCount is 5, and Transaction is not 1",
        ),
    ] {
        assert_eq!(refused(&queue(settings)).1, expected);
    }
}

#[test]
fn names_tags_keys_and_targets_have_bounds() {
    let long = "a".repeat(65);
    let topic = |name: &str| DeleteCmqTopic {
        topic_name: name.into(),
    };
    for bad in ["", "1a", "a.b", "队列", "a\u{7}", long.as_str()] {
        assert!(refused(&topic(bad)).1.starts_with("TopicName \""));
    }
    assert_eq!(topic(&long[..64]).check(), Ok(()));
    let subscribe = |change: fn(&mut CreateCmqSubscribe)| {
        let mut of = CreateCmqSubscribe {
            topic_name: "t".into(),
            subscription_name: "s".into(),
            protocol: "http".into(),
            endpoint: "http://example.com/".into(),
            ..CreateCmqSubscribe::default()
        };
        change(&mut of);
        of
    };
    assert_eq!(subscribe(|_| {}).check(), Ok(()));
    for (change, expected) in [
        (
            (|of| of.filter_tag = Some(vec!["a".into(); 6])) as fn(&mut CreateCmqSubscribe),
            "FilterTag has 6 entries, expected up to 5",
        ),
        (
            |of| of.filter_tag = Some(vec!["a".repeat(17)]),
            "FilterTag 0 has 17 characters, expected 1 to 16",
        ),
        (
            |of| of.binding_key = Some(vec!["a".into(), "a".repeat(65)]),
            "BindingKey 1 has 65 bytes, expected 1 to 64",
        ),
        (
            |of| of.binding_key = Some(vec!["a.".repeat(16)]),
            "BindingKey 0 has 16 dots, expected up to 15",
        ),
        (
            |of| of.endpoint = "ftp://canary@example.com".into(),
            "Endpoint is not a URL to push to: the URL does not begin with http:// or https:// and a host",
        ),
        (
            |of| (of.protocol, of.endpoint) = ("queue".into(), "q".into()),
            "NotifyContentFormat is not given, expected SIMPLIFIED for a queue",
        ),
    ] {
        assert_eq!(refused(&subscribe(change)).1, expected);
    }
}

#[test]
fn bodies_and_pages_have_bounds() {
    let send = |body: String| SendCmqMsg {
        queue_name: "q".into(),
        msg_content: body,
        delay_seconds: None,
    };
    assert_eq!(send("a".repeat(1_048_576)).check(), Ok(()));
    for (body, bytes) in [(String::new(), 0), ("a".repeat(1_048_577), 1_048_577)] {
        let expected = format!("MsgContent has {bytes} bytes, expected 1 to 1048576");
        assert_eq!(refused(&send(body)).1, expected);
    }
    let publish = |tag: String| PublishCmqMsg {
        topic_name: "t".into(),
        msg_content: "x".into(),
        msg_tag: Some(vec![tag]),
    };
    assert_eq!(publish("a".repeat(64)).check(), Ok(()));
    assert_eq!(
        refused(&publish("a".repeat(65))).1,
        "MsgTag 0 has 65 characters, expected 1 to 64"
    );
    let page = |offset, limit| DescribeCmqQueues {
        offset,
        limit,
        ..DescribeCmqQueues::default()
    };
    assert_eq!(page(Some(3), Some(50)).check(), Ok(()));
    assert_eq!(
        refused(&page(None, Some(51))).1,
        "Limit is 51, expected 1 to 50"
    );
    assert_eq!(
        refused(&page(Some(3), None)).0,
        ControlCode::MISSING_PARAMETER
    );
}

/// The documents' example of `DescribeCmqQueueDetail` has fields that are `null` or missing.
#[test]
fn replies_are_read_with_nulls_and_gaps_and_unknown_fields() {
    let text = json!({
        "QueueName": "q", "QueueId": null, "Tags": null, "DeadLetterPolicy": null, "CreateTime": 1_582_108_595_000_u64,
        "Transaction": true, "TransactionPolicy": {"FirstQueryInterval": 30, "MaxQueryCount": null}, "New": [1]
    });
    let state: QueueState = serde_json::from_value(text).unwrap();
    assert_eq!(
        (state.queue_name.as_str(), state.queue_id.as_str()),
        ("q", "")
    );
    assert_eq!(state.create_time, 1_582_108_595_000);
    assert_eq!(state.transaction_policy.unwrap().first_query_interval, 30);
    assert!(serde_json::from_value::<QueueState>(json!({"QueueId": "x"})).is_err());
}

proptest! {
    #[test]
    fn settings_come_back(
        visibility in proptest::option::of(any::<u64>()), dead in proptest::option::of(".{0,9}"),
        trace in proptest::option::of(any::<bool>()), size in proptest::option::of(any::<u64>()),
        tag in proptest::option::of((".{0,9}", ".{0,9}")),
    ) {
        let written = CreateCmqQueue {
            queue_name: "q".into(),
            settings: QueueSettings {
                visibility_timeout: visibility,
                dead_letter_queue_name: dead,
                trace,
                retention_size_in_mb: size,
                ..QueueSettings::default()
            },
            tags: tag.map(|(tag_key, tag_value)| vec![Tag { tag_key, tag_value }]),
        };
        let text = serde_json::to_string(&written).unwrap();
        prop_assert!(!text.contains("null"));
        prop_assert_eq!(serde_json::from_str::<CreateCmqQueue>(&text).unwrap(), written);
    }

    #[test]
    fn no_field_panics_a_check(name in ".{0,70}", tags in proptest::collection::vec(".{0,20}", 0..7), endpoint in ".{0,20}") {
        let subscribe = CreateCmqSubscribe {
            topic_name: name.clone(),
            subscription_name: name,
            protocol: "http".into(),
            endpoint,
            filter_tag: Some(tags.clone()),
            binding_key: Some(tags),
            ..CreateCmqSubscribe::default()
        };
        let _ = subscribe.check();
    }
}
