//! The conformance suite on a real Pulsar, over the adapter: on topics of four partitions, plain (profile `pulsar`), and with a token over TLS (profile
//! `pulsar-auth`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use integration_tests::conformance::{Check, Subject, run};
use integration_tests::harness::pulsar;
use mq_cli::adapter::{Broker, Options, Target};

macro_rules! suite {
    ($why:literal $listed:ident $subject:ident $($test:ident $check:ident)*) => {
        $(
            #[tokio::test]
            #[ignore = $why]
            async fn $test() {
                run(stringify!($test), Check::$check, Subject::$subject()).await;
            }
        )*

        const $listed: &[Check] = &[$(Check::$check),*];
    };
}

suite! {
    "needs Pulsar (MQ_PULSAR_URL)" PLAIN real_pulsar
    real_pulsar_conformance_send_receive SendReceive
    real_pulsar_conformance_properties_survive PropertiesSurvive
    real_pulsar_conformance_bodies_survive BodiesSurvive
    real_pulsar_conformance_large_body LargeBody
    real_pulsar_conformance_compressed_bodies CompressedBodies
    real_pulsar_conformance_send_all SendAll
    real_pulsar_conformance_retry Retry
    real_pulsar_conformance_retry_after RetryAfter
    real_pulsar_conformance_dropped Dropped
    real_pulsar_conformance_close_hands_back CloseHandsBack
    real_pulsar_conformance_groups Groups
}

suite! {
    "needs Pulsar with tokens and TLS (profile pulsar-auth)" SECURED real_pulsar_auth
    real_pulsar_auth_conformance_send_receive SendReceive
    real_pulsar_auth_conformance_properties_survive PropertiesSurvive
    real_pulsar_auth_conformance_bodies_survive BodiesSurvive
    real_pulsar_auth_conformance_large_body LargeBody
    real_pulsar_auth_conformance_compressed_bodies CompressedBodies
    real_pulsar_auth_conformance_send_all SendAll
    real_pulsar_auth_conformance_retry Retry
    real_pulsar_auth_conformance_retry_after RetryAfter
    real_pulsar_auth_conformance_dropped Dropped
    real_pulsar_auth_conformance_close_hands_back CloseHandsBack
    real_pulsar_auth_conformance_groups Groups
}

/// A check that nobody runs would look like one that passes.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_conformance_every_check_that_is_promised_has_its_test() {
    let target = Target::pulsar(&pulsar::url()).unwrap();
    let broker = Broker::connect(target, Options::default()).await.unwrap();
    let features = broker.features();
    broker.close().await.unwrap();
    let promised = Check::ALL.into_iter();
    let promised: Vec<_> = promised.filter(|it| it.is_promised(&features)).collect();
    assert_eq!(PLAIN, promised);
    assert_eq!(SECURED, promised);
}
