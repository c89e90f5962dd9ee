//! The conformance suite on a real RocketMQ, over the adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use integration_tests::conformance::{Check, Subject, run};

macro_rules! suite {
    ($($test:ident $check:ident)*) => {
        $(
            #[tokio::test]
            #[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
            async fn $test() {
                run(stringify!($test), Check::$check, Subject::real_rocketmq()).await;
            }
        )*

        const LISTED: &[Check] = &[$(Check::$check),*];
    };
}

suite! {
    real_rocketmq_conformance_send_receive SendReceive
    real_rocketmq_conformance_properties_survive PropertiesSurvive
    real_rocketmq_conformance_bodies_survive BodiesSurvive
    real_rocketmq_conformance_large_body LargeBody
    real_rocketmq_conformance_compressed_bodies CompressedBodies
    real_rocketmq_conformance_send_all SendAll
    real_rocketmq_conformance_retry Retry
    real_rocketmq_conformance_retry_after RetryAfter
    real_rocketmq_conformance_dropped Dropped
    real_rocketmq_conformance_release Release
    real_rocketmq_conformance_dead_letter DeadLetter
    real_rocketmq_conformance_tag_filter TagFilter
    real_rocketmq_conformance_close_hands_back CloseHandsBack
    real_rocketmq_conformance_groups Groups
    real_rocketmq_conformance_committed Committed
    real_rocketmq_conformance_rolled_back RolledBack
    real_rocketmq_conformance_scheduled_on_time ScheduledOnTime
    real_rocketmq_conformance_scheduled_past ScheduledPast
    real_rocketmq_conformance_scheduled_cancel ScheduledCancel
    real_rocketmq_conformance_ordered_by_key OrderedByKey
    real_rocketmq_conformance_ordered_in_turn OrderedInTurn
    real_rocketmq_conformance_ordered_dead_letter OrderedDeadLetter
}

/// A check that nobody runs would look like one that passes.
#[test]
fn every_check_has_its_test() {
    assert_eq!(LISTED, Check::ALL);
}
