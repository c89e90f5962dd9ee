//! The conformance suite on a real RabbitMQ, over the adapter: on the virtual host with the bar, plain and by TLS, with quorum queues and with streams.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use integration_tests::brokers::rabbitmq::VHOST;
use integration_tests::conformance::{Check, Subject, run};
use integration_tests::harness::amqp;
use mq_cli::adapter::{Broker, Options, Target};
use mq_core::ServiceUrl;

macro_rules! suite {
    ($listed:ident $subject:ident $($test:ident $check:ident)*) => {
        $(
            #[tokio::test]
            #[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
            async fn $test() {
                run(stringify!($test), Check::$check, Subject::$subject()).await;
            }
        )*

        const $listed: &[Check] = &[$(Check::$check),*];
    };
}

suite! {
    CLASSIC real_amqp
    real_amqp_conformance_send_receive SendReceive
    real_amqp_conformance_properties_survive PropertiesSurvive
    real_amqp_conformance_bodies_survive BodiesSurvive
    real_amqp_conformance_large_body LargeBody
    real_amqp_conformance_send_all SendAll
    real_amqp_conformance_retry Retry
    real_amqp_conformance_retry_after RetryAfter
    real_amqp_conformance_dropped Dropped
    real_amqp_conformance_dead_letter DeadLetter
    real_amqp_conformance_close_hands_back CloseHandsBack
    real_amqp_conformance_committed Committed
    real_amqp_conformance_rolled_back RolledBack
    real_amqp_conformance_scheduled_on_time ScheduledOnTime
    real_amqp_conformance_scheduled_past ScheduledPast
    real_amqp_conformance_scheduled_cancel ScheduledCancel
    real_amqp_conformance_ordered_by_key OrderedByKey
    real_amqp_conformance_ordered_in_turn OrderedInTurn
    real_amqp_conformance_ordered_dead_letter OrderedDeadLetter
}

suite! {
    TLS real_amqp_tls
    real_amqp_conformance_tls_send_receive SendReceive
    real_amqp_conformance_tls_properties_survive PropertiesSurvive
    real_amqp_conformance_tls_bodies_survive BodiesSurvive
    real_amqp_conformance_tls_large_body LargeBody
    real_amqp_conformance_tls_send_all SendAll
    real_amqp_conformance_tls_retry Retry
    real_amqp_conformance_tls_retry_after RetryAfter
    real_amqp_conformance_tls_dropped Dropped
    real_amqp_conformance_tls_dead_letter DeadLetter
    real_amqp_conformance_tls_close_hands_back CloseHandsBack
    real_amqp_conformance_tls_committed Committed
    real_amqp_conformance_tls_rolled_back RolledBack
    real_amqp_conformance_tls_scheduled_on_time ScheduledOnTime
    real_amqp_conformance_tls_scheduled_past ScheduledPast
    real_amqp_conformance_tls_scheduled_cancel ScheduledCancel
    real_amqp_conformance_tls_ordered_by_key OrderedByKey
    real_amqp_conformance_tls_ordered_in_turn OrderedInTurn
    real_amqp_conformance_tls_ordered_dead_letter OrderedDeadLetter
}

suite! {
    QUORUM real_amqp_quorum
    real_amqp_conformance_quorum_send_receive SendReceive
    real_amqp_conformance_quorum_properties_survive PropertiesSurvive
    real_amqp_conformance_quorum_bodies_survive BodiesSurvive
    real_amqp_conformance_quorum_large_body LargeBody
    real_amqp_conformance_quorum_send_all SendAll
    real_amqp_conformance_quorum_retry Retry
    real_amqp_conformance_quorum_retry_after RetryAfter
    real_amqp_conformance_quorum_dropped Dropped
    real_amqp_conformance_quorum_dead_letter DeadLetter
    real_amqp_conformance_quorum_close_hands_back CloseHandsBack
    real_amqp_conformance_quorum_committed Committed
    real_amqp_conformance_quorum_rolled_back RolledBack
    real_amqp_conformance_quorum_scheduled_on_time ScheduledOnTime
    real_amqp_conformance_quorum_scheduled_past ScheduledPast
    real_amqp_conformance_quorum_scheduled_cancel ScheduledCancel
    real_amqp_conformance_quorum_ordered_by_key OrderedByKey
    real_amqp_conformance_quorum_ordered_in_turn OrderedInTurn
    real_amqp_conformance_quorum_ordered_dead_letter OrderedDeadLetter
}

suite! {
    STREAM real_amqp_stream
    real_amqp_conformance_stream_send_receive SendReceive
    real_amqp_conformance_stream_properties_survive PropertiesSurvive
    real_amqp_conformance_stream_bodies_survive BodiesSurvive
    real_amqp_conformance_stream_large_body LargeBody
    real_amqp_conformance_stream_send_all SendAll
    real_amqp_conformance_stream_retry Retry
    real_amqp_conformance_stream_retry_after RetryAfter
    real_amqp_conformance_stream_dropped Dropped
    real_amqp_conformance_stream_committed Committed
    real_amqp_conformance_stream_rolled_back RolledBack
}

/// A check that nobody runs would look like one that passes.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_conformance_every_check_that_is_promised_has_its_test() {
    let target = Target::amqp(&amqp::url()).unwrap();
    let broker = Broker::connect(target, Options::default()).await.unwrap();
    let features = broker.features();
    broker.close().await.unwrap();
    for (listed, subject) in [
        (CLASSIC, Subject::real_amqp()),
        (TLS, Subject::real_amqp_tls()),
        (QUORUM, Subject::real_amqp_quorum()),
        (STREAM, Subject::real_amqp_stream()),
    ] {
        let promised = Check::ALL.into_iter();
        let promised = promised.filter(|it| it.is_promised(&features));
        let promised: Vec<_> = promised.filter(|it| subject.lacks(*it).is_none()).collect();
        assert_eq!(listed, promised);
    }
}

/// All of it runs on a virtual host as TDMQ names them.
#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_conformance_is_on_the_virtual_host_with_the_bar() {
    for (url, scheme) in [(amqp::url(), "amqp"), (amqp::tls_url(), "amqps")] {
        let read = ServiceUrl::parse(&url, None).unwrap();
        assert_eq!(read.scheme, scheme);
        assert_eq!(read.path.as_deref(), Some(VHOST));
    }
}
