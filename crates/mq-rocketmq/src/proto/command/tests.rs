use std::sync::Arc;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::proto::{
    Flags, Frame, FrameDecoder, HeaderCodec, HeaderParts, Language, encode, message::SysFlag,
};

/// Over the wire and back, in both encodings.
fn travel(flags: Flags, code: i32, fields: &impl Fields, body: &Bytes) -> [Frame; 2] {
    [HeaderCodec::Json, HeaderCodec::Binary].map(|codec| {
        let language = Language::RUST;
        let parts = HeaderParts {
            code,
            flags,
            remark: None,
            language,
            version: 513,
            codec,
        };
        let encoded = encode(&parts, fields, &[("Signature", "s")], body.len());
        let mut buf = BytesMut::from(&encoded.into_bytes()[..]);
        buf.extend_from_slice(body);
        FrameDecoder::default().decode(&mut buf).unwrap().unwrap()
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the table of samples reads better"
)]
fn request<R: Request + PartialEq + std::fmt::Debug>(request: R) {
    for frame in travel(Flags::REQUEST, R::CODE.0, &request, &request.body()) {
        assert_eq!(frame.header.code, R::CODE.0);
        assert_eq!(R::parse(&frame.header.ext, &frame.body).unwrap(), request);
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the table of samples reads better"
)]
fn reply<R: Reply + PartialEq + std::fmt::Debug>(reply: R) {
    for frame in travel(Flags::RESPONSE, 0, &reply, &reply.body()) {
        assert_eq!(R::parse(&frame.header.ext, &frame.body).unwrap(), reply);
    }
}

fn queue_key() -> QueueKey {
    QueueKey {
        broker_name: "broker\"a\\".to_owned(),
        queue_id: 3,
        topic: "ns%t{}:,".to_owned(),
    }
}

#[test]
fn offsets_round_trip() {
    let broker_name = Some(Arc::from("broker-a"));
    request(QueryOffset {
        topic: "t".into(),
        consumer_group: "%RETRY%g".into(),
        queue_id: 7,
        zero_if_not_found: Some(false),
        broker_name: broker_name.clone(),
    });
    reply(ConsumerOffset { offset: i64::MAX });
    request(UpdateOffset {
        topic: "t".into(),
        consumer_group: "%RETRY%g".into(),
        queue_id: 7,
        commit_offset: -1,
        broker_name: None,
    });
    reply(Done);
    request(SearchOffset {
        topic: "t".into(),
        queue_id: 0,
        timestamp_ms: 1,
        boundary: Some("UPPER".to_owned()),
        broker_name: broker_name.clone(),
    });
    reply(FoundOffset { offset: 0 });
    request(GetMaxOffset {
        topic: "t".into(),
        queue_id: 1,
        committed: Some(true),
        broker_name,
    });
    reply(MaxOffset { offset: 9 });
    request(GetMinOffset {
        topic: "t".into(),
        queue_id: 1,
        broker_name: None,
    });
    reply(MinOffset { offset: 8 });
}

#[test]
fn groups_round_trip() {
    request(GetConsumerList {
        consumer_group: "g".into(),
        broker_name: None,
    });
    reply(ConsumerList {
        client_ids: vec!["10.0.0.1@1".to_owned(), "b".to_owned()],
    });
    request(NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
    request(Unregister {
        client_id: "c".into(),
        producer_group: None,
        consumer_group: Some("g".into()),
        broker_name: None,
    });
    request(SendBack {
        physical_offset: 1 << 40,
        group: "g".into(),
        delay_level: 3,
        origin_message_id: Some("ABC".to_owned()),
        origin_topic: Some("t".into()),
        unit_mode: Some(false),
        max_reconsume_times: Some(16),
        broker_name: Some("b".into()),
    });
    request(GetTopicList);
    reply(TopicList {
        topics: vec!["中".to_owned()],
        broker_addr: None,
    });
    request(GetConsumeStats {
        consumer_group: "g".into(),
        topic: None,
        broker_name: None,
    });
    let offsets = QueueOffsets {
        broker_offset: 9,
        consumer_offset: 4,
        ..Default::default()
    };
    let queues = vec![QueueStats {
        queue: queue_key(),
        offsets,
    }];
    reply(ConsumeStats {
        consume_tps: 0.25,
        queues,
    });
    request(ResetOffset {
        topic: "t".into(),
        group: "g".into(),
        timestamp_ms: 5,
        is_force: Some(true),
        offsets: vec![(queue_key(), 44), (QueueKey::default(), 0)],
    });
}

#[test]
fn locks_round_trip() {
    let lock = LockQueues {
        client_id: "c@1".to_owned(),
        consumer_group: "ns%g".to_owned(),
        queues: vec![queue_key(), QueueKey::default()],
        only_this_broker: true,
    };
    request(lock.clone());
    request(UnlockQueues(lock));
    let queues = vec![queue_key()];
    reply(LockedQueues { queues });
}

#[test]
fn locks_have_javas_names() {
    let lock = LockQueues {
        queues: vec![QueueKey::default()],
        ..Default::default()
    };
    let expected = concat!(
        r#"{"clientId":"","consumerGroup":"","mqSet":[{"brokerName":"","queueId":0,"topic":""}],"#,
        r#""onlyThisBroker":false}"#
    );
    assert_eq!(lock.body(), expected);
    let body = Bytes::from_static(br#"{"lockOKMQSet":null}"#);
    let none = LockedQueues::parse(&ExtFields::new(), &body).unwrap();
    assert_eq!(none, LockedQueues::default());
}

#[test]
fn administration_round_trips() {
    request(GetClusterInfo);
    let broker = BrokerData {
        cluster: "c".to_owned(),
        broker_name: "b".to_owned(),
        broker_addrs: [(0, "127.0.0.1:1".to_owned())].into(),
        ..Default::default()
    };
    reply(ClusterInfo {
        brokers: [("b".to_owned(), broker)].into(),
        clusters: [("c".to_owned(), vec!["b".to_owned()])].into(),
    });
    request(CreateTopic {
        topic: "ns%t".into(),
        default_topic: "TBW102".into(),
        read_queue_nums: 4,
        write_queue_nums: 8,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".into(),
        attributes: Some("+message.type=FIFO".into()),
        ..Default::default()
    });
    request(DeleteTopicAtBroker {
        topic: "t".into(),
        broker_name: None,
    });
    request(DeleteTopicAtNameserver {
        topic: "t".into(),
        cluster_name: Some("c".into()),
        broker_name: None,
    });
    request(DeleteGroup {
        group_name: "g".into(),
        clean_offset: Some(true),
        remove_offset: Some(true),
        broker_name: None,
    });
    let config = GroupConfig {
        group_name: "g".to_owned(),
        consume_enable: false,
        group_retry_policy: Some(r#"{"type":"CUSTOMIZED"}"#.to_owned()),
        attributes: Some(r#"{"a":"b"}"#.to_owned()),
        ..Default::default()
    };
    request(CreateGroup {
        config: config.clone(),
    });
    request(GetGroups {
        group_seq: Some(2000),
        max_group_num: Some(2000),
        data_version: Some(r#"{"counter":3}"#.into()),
    });
    reply(Groups {
        total: Some(2001),
        configs: [("g".to_owned(), config)].into(),
        forbidden_table: Some(r#"{"g":{}}"#.to_owned()),
        data_version: Some(r#"{"counter":3}"#.to_owned()),
    });
}

/// A 4.x broker: no total, no page, keys of addresses without quotes; what is absent has the broker's own defaults.
#[test]
fn transactions_round_trip() {
    let topic: Option<Arc<str>> = Some("ns%t".into());
    let (message_id, broker_name) = ("7F00".to_owned(), Some("broker-a".into()));
    for decision in [
        EndTransaction::UNKNOWN,
        EndTransaction::COMMIT,
        EndTransaction::ROLLBACK,
    ] {
        request(EndTransaction {
            topic: topic.clone(),
            producer_group: "g".into(),
            half_offset: 3,
            physical_offset: 1 << 40,
            decision,
            from_check: Some(decision == EndTransaction::COMMIT),
            message_id: message_id.clone(),
            transaction_id: Some(message_id.clone()),
            broker_name: broker_name.clone(),
        });
    }
    request(CheckTransaction {
        topic,
        half_offset: 4,
        physical_offset: 1 << 40,
        message_id: Some(message_id.clone()),
        transaction_id: Some(message_id.clone()),
        offset_message_id: Some(message_id),
        broker_name,
        body: Bytes::from_static(b"a stored message"),
    });
}

#[test]
fn clusters_and_groups_of_old_servers() {
    let none = ExtFields::new();
    let body = r#"{"brokerAddrTable":{"a":{"brokerAddrs":{0:"127.0.0.1:10911"},"brokerName":"a","cluster":"c"}},
        "clusterAddrTable":{"c":["a"]}}"#;
    let info = ClusterInfo::parse(&none, &body.into()).unwrap();
    assert_eq!(info.brokers["a"].broker_addrs[&0], "127.0.0.1:10911");
    assert_eq!(info.clusters["c"], ["a"]);
    let body = r#"{"dataVersion":{"counter":1},"subscriptionGroupTable":{"g":{"groupName":"g","retryMaxTimes":3}}}"#;
    let groups = Groups::parse(&none, &body.into()).unwrap();
    assert_eq!(groups.total, None);
    let config = &groups.configs["g"];
    assert!(config.consume_enable && config.retry_max_times == 3);
    assert_eq!(groups.data_version.unwrap(), r#"{"counter":1}"#);
}

#[test]
fn pulls_round_trip() {
    request(PullMessage {
        consumer_group: "g".into(),
        topic: "t".into(),
        queue_id: 1,
        queue_offset: 2,
        max_messages: 32,
        sys_flag: pull_flag::COMMIT | pull_flag::SUSPEND | pull_flag::SUBSCRIPTION,
        commit_offset: 1,
        suspend_timeout_ms: 15_000,
        subscription: Some("a || b".into()),
        subscription_version: 99,
        expression_type: Some("TAG".into()),
        max_bytes: Some(1),
        ..Default::default()
    });
    let messages = Bytes::from_static(b"\0\x01");
    reply(PullReply {
        next_offset: 3,
        offset_delta: Some(0),
        messages,
        ..Default::default()
    });
}

#[test]
fn route_and_heartbeat_round_trip() {
    request(GetRoute {
        topic: "t".into(),
        standard_json_only: Some(true),
    });
    let broker_addrs = [(0, "127.0.0.1:1".to_owned()), (1, "[::1]:2".to_owned())].into();
    reply(TopicRoute {
        order_topic_conf: Some("a:4;b:4".to_owned()),
        queues: vec![QueueData {
            perm: 6,
            ..Default::default()
        }],
        brokers: vec![BrokerData {
            broker_addrs,
            ..Default::default()
        }],
        topic_queue_mapping_by_broker: Some(r#"{"a":[1]}"#.to_owned()),
        ..Default::default()
    });
    request(Heartbeat {
        client_id: "c".to_owned(),
        producers: vec![ProducerData {
            group_name: "p".to_owned(),
        }],
        consumers: vec![ConsumerData {
            consume_from_where: Some("CONSUME_FROM_FIRST_OFFSET".to_owned()),
            consume_type: Some("CONSUME_PASSIVELY".to_owned()),
            group_name: "g".to_owned(),
            message_model: Some("CLUSTERING".to_owned()),
            subscriptions: vec![Subscription {
                code_set: vec![65],
                tags: vec!["A".to_owned()],
                sub_string: "A".to_owned(),
                ..Default::default()
            }],
            unit_mode: false,
        }],
        ..Default::default()
    });
    reply(HeartbeatReply {
        supports_v2: Some(true),
        subscription_changed: None,
    });
}

#[test]
fn route_of_old_nameservers() {
    // Integer keys without quotes, and nulls where Java has no object.
    let body = r#"{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:10911",1:"b:1"},"brokerName":"a","cluster":"c"}],
        "filterServerTable":{},"orderTopicConf":null,
        "queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":4,"topicSynFlag":0,"writeQueueNums":8}]}"#;
    let route = TopicRoute::parse(&ExtFields::new(), &body.into()).unwrap();
    assert_eq!(route.brokers[0].broker_addrs[&1], "b:1");
    let queues = &route.queues[0];
    assert_eq!((queues.read_queue_nums, queues.write_queue_nums), (4, 8));
    assert!(queues.is_readable() && queues.is_writable());
    assert_eq!(route.order_topic_conf, None);
}

#[test]
fn heartbeat_has_javas_names() {
    let heartbeat = Heartbeat {
        consumers: vec![ConsumerData {
            subscriptions: vec![Subscription::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    assert_eq!(
        std::str::from_utf8(&heartbeat.body()).unwrap(),
        concat!(
            r#"{"clientID":"","consumerDataSet":[{"groupName":"","subscriptionDataSet":[{"#,
            r#""classFilterMode":false,"codeSet":[],"subString":"","subVersion":0,"tagsSet":[],"#,
            r#""topic":""}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[],"#,
            r#""withoutSub":false}"#
        )
    );
}

#[test]
fn object_keys_are_written_as_java_reads_them() {
    let offsets = vec![(
        QueueKey {
            topic: "t".to_owned(),
            ..Default::default()
        },
        5,
    )];
    let body = ResetOffset {
        offsets,
        ..Default::default()
    }
    .body();
    let expected = r#"{"offsetTable":{{"brokerName":"","queueId":0,"topic":"t"}:5}}"#;
    assert_eq!(body, expected);
}

#[test]
fn a_required_field_must_be_there() {
    let frame = &travel(Flags::REQUEST, 14, &crate::proto::NoFields, &Bytes::new())[0];
    let error = QueryOffset::parse(&frame.header.ext, &frame.body).unwrap_err();
    assert_eq!(error.field, "consumerGroup");
    let ext: ExtFields = [("msgId", ""), ("queueId", "x"), ("queueOffset", "1")]
        .into_iter()
        .collect();
    assert_eq!(
        SendReply::parse(&ext, &Bytes::new()).unwrap_err().field,
        "queueId"
    );
}

#[test]
fn debug_shows_no_body() {
    let send = SendMessage {
        body: "s3cret".into(),
        ..Default::default()
    };
    assert!(!format!("{send:?}").contains("s3cret"));
}

fn any_send() -> impl Strategy<Value = SendMessage> {
    let text = || "\\PC{0,8}".prop_map(|text| Arc::<str>::from(text.as_str()));
    let texts = (
        text(),
        text(),
        text(),
        proptest::option::of("[a-z\u{1}\u{2}\"\\\\]{1,9}"),
    );
    (
        texts,
        any::<[i32; 4]>(),
        any::<i64>(),
        any::<Option<i32>>(),
        any::<Option<bool>>(),
    )
        .prop_map(
            |(
                (producer_group, topic, default_topic, properties),
                small,
                born_at_ms,
                times,
                flag,
            )| {
                SendMessage {
                    producer_group,
                    topic,
                    default_topic,
                    default_queue_count: small[0],
                    queue_id: small[1],
                    sys_flag: SysFlag(small[2]).0,
                    born_at_ms,
                    flag: small[3],
                    properties,
                    reconsume_times: times,
                    unit_mode: flag,
                    max_reconsume_times: times,
                    batch: flag,
                    broker_name: None,
                    body: Bytes::from_static(b"body"),
                }
            },
        )
}

proptest! {
    #[test]
    fn sends_round_trip(send in any_send()) {
        request(send.clone());
        request(SendBatch(send.clone()));
        request(SendMessageLong(send));
    }

    #[test]
    fn send_replies_round_trip(queue_id: i32, queue_offset: i64, message_id in "[0-9A-F]{32}", trace_on: Option<bool>) {
        let region = Some("DefaultRegion".to_owned());
        reply(SendReply { message_id, queue_id, queue_offset, region, trace_on, ..Default::default() });
    }

    #[test]
    fn random_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let (ext, body) = (ExtFields::new(), Bytes::from(body));
        let _ = Heartbeat::parse(&ext, &body);
        let _ = TopicRoute::parse(&ext, &body);
        let _ = ConsumeStats::parse(&ext, &body);
        let _ = ResetOffset::parse(&ext, &body);
        let _ = ClusterInfo::parse(&ext, &body);
        let _ = Groups::parse(&ext, &body);
        let _ = CreateGroup::parse(&ext, &body);
        let _ = LockQueues::parse(&ext, &body);
        let _ = LockedQueues::parse(&ext, &body);
        let _ = UnlockQueues::parse(&ext, &body);
    }
}
