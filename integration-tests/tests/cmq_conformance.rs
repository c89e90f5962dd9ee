//! The conformance suite on the CMQ server of this workspace, over the adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use integration_tests::conformance::{Check, Subject, run};
use integration_tests::harness::cmq;
use mq_cli::adapter::{Broker, Options, Outgoing, Target};
use mq_dev::cmq::{DevServer, Fault, QueueSpec};

macro_rules! suite {
    ($listed:ident $subject:ident $($test:ident $check:ident)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                run(stringify!($test), Check::$check, Subject::$subject()).await;
            }
        )*

        const $listed: &[Check] = &[$(Check::$check),*];
    };
}

suite! {
    OVER_HTTP dev_cmq
    cmq_conformance_send_receive SendReceive
    cmq_conformance_send_all SendAll
    cmq_conformance_retry Retry
    cmq_conformance_dropped Dropped
    cmq_conformance_close_hands_back CloseHandsBack
    cmq_conformance_scheduled_on_time ScheduledOnTime
    cmq_conformance_scheduled_past ScheduledPast
    cmq_conformance_ordered_by_key OrderedByKey
}

suite! {
    OVER_TCP dev_cmq_tcp
    cmq_conformance_tcp_send_receive SendReceive
    cmq_conformance_tcp_send_all SendAll
    cmq_conformance_tcp_retry Retry
    cmq_conformance_tcp_dropped Dropped
    cmq_conformance_tcp_close_hands_back CloseHandsBack
    cmq_conformance_tcp_committed Committed
    cmq_conformance_tcp_rolled_back RolledBack
    cmq_conformance_tcp_scheduled_on_time ScheduledOnTime
    cmq_conformance_tcp_scheduled_past ScheduledPast
    cmq_conformance_tcp_ordered_by_key OrderedByKey
}

/// A check that nobody runs would look like one that passes.
#[tokio::test]
async fn every_check_that_is_promised_has_its_test() {
    let server = cmq::server();
    for (listed, url) in [(OVER_HTTP, server.url()), (OVER_TCP, server.tcp_url())] {
        let target = Target::cmq(&url).unwrap();
        let broker = Broker::connect(target, Options::default()).await.unwrap();
        let features = broker.features();
        let promised = Check::ALL.into_iter();
        let promised: Vec<_> = promised.filter(|it| it.is_promised(&features)).collect();
        assert_eq!(listed, promised);
    }
}

/// What `mq cmq send` does with a line of a key, when nobody knows whether the line before it was stored.
#[tokio::test]
async fn cmq_a_key_goes_on_after_a_send_of_which_nothing_is_known() {
    let server = DevServer::builder().start().await.unwrap();
    server.create_queue(QueueSpec::new("unknown-0")).unwrap();
    let target = Target::cmq(&server.url()).unwrap();
    let mut options = Options::default();
    options.send_timeout = Some(Duration::from_millis(500));
    let broker = Broker::connect(target, options).await.unwrap();
    let line = |text: &'static str| Outgoing::new("unknown/1", text).ordering_key("k");
    let silent = server.inject(Fault::drop_reply().on("send"));
    broker.send(line("first")).await.unwrap_err();
    silent.disarm();
    broker.send(line("second")).await.unwrap();
}
