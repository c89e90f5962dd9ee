mod changes;
mod servers;

use super::*;

#[test]
fn lag_is_what_is_left_to_read() {
    let queue = |committed, next| QueueLag {
        topic: "t".into(),
        broker: "b".into(),
        queue: 0,
        committed,
        next,
    };
    let lag = GroupLag {
        group: "g".into(),
        // A committed offset may be ahead of a queue that was cut.
        queues: vec![queue(2, 5), queue(5, 5), queue(9, 5)],
    };
    assert_eq!(lag.behind(), 3);
}

#[test]
fn names_are_shown_without_the_clients_namespace() {
    let tdmq = Namespace::new("rocketmq-xxx|ns").unwrap();
    for (full, short) in [
        ("rocketmq-xxx|ns%t", Some("t")),
        ("%RETRY%rocketmq-xxx|ns%g", Some("%RETRY%g")),
        ("%DLQ%rocketmq-xxx|ns%g", Some("%DLQ%g")),
        ("rocketmq-xxx|other%t", None),
        ("t", None),
    ] {
        assert_eq!(inside(&tdmq, full).as_deref(), short, "{full}");
    }
    let none = Namespace::default();
    for name in ["t", "ns%t", "%RETRY%g", "%DLQ%"] {
        assert_eq!(inside(&none, name).as_deref(), Some(name));
    }
}

#[test]
fn topics_that_brokers_keep_for_themselves() {
    assert!(is_system("TBW102") && is_system("rmq_sys_wheel_timer"));
    assert!(is_system("RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC"));
    assert!(!is_system("orders") && !is_system("%RETRY%g"));
}
