//! Each mistake is named, and what is asked again is right to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use integration_tests::harness::{now, wall};
use mq_cmq::{Clock, ControlCode, Credentials, ErrorKind, Outcome};
use mq_dev::cmq::{DevServer, Fault};

use crate::world::{builder, control};

#[tokio::test]
async fn cmq_control_names_each_mistake() {
    let server = DevServer::builder().start().await.unwrap();
    let good = control(&server);
    good.create_queue("q").await.unwrap();
    good.create_topic("t").await.unwrap();
    good.subscribe("t", "s").queue("q").await.unwrap();
    let code = |error: mq_cmq::ControlError| {
        assert_eq!(error.outcome(), Outcome::Rejected, "{error}");
        error.code().unwrap().clone()
    };
    let exists = good.create_queue("Q").await.unwrap_err();
    assert!(
        exists.message().contains("queue Q already existed"),
        "{exists}"
    );
    assert_eq!(code(exists), ControlCode::QUEUE_EXISTS);
    let error = good.create_topic("T").await.unwrap_err();
    assert_eq!(code(error), ControlCode::TOPIC_EXISTS);
    let error = good.subscribe("t", "s").queue("q").await.unwrap_err();
    assert_eq!(code(error), ControlCode::SUBSCRIPTION_EXISTS);
    let error = good.describe_queue("none").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(code(error), ControlCode::RESOURCE_NOT_FOUND);
    let error = good.describe_topic("none").await.unwrap_err();
    assert_eq!(code(error), ControlCode::TOPIC_NOT_FOUND);
    let error = good.unsubscribe("t", "none").await.unwrap_err();
    assert_eq!(code(error), ControlCode::SUBSCRIPTION_NOT_FOUND);
    let error = good.delete_topic("t").await.unwrap_err();
    assert!(
        error.message().contains("still has 1 subscriptions"),
        "{error}"
    );
    assert!(error.message().starts_with("(10540)"), "{error}");
    assert_eq!(code(error), ControlCode::CMQ_BACKEND_ERROR);
}

#[tokio::test]
async fn cmq_control_names_who_may_not_ask_and_why() {
    let server = DevServer::builder().start().await.unwrap();
    let slow = |by| Arc::new(Shifted(by)) as Arc<dyn Clock>;
    for (builder, expected, words) in [
        (
            builder(&server).credentials(Credentials::new("AKIDdev", "canary")),
            ControlCode::SIGNATURE_FAILURE,
            "expected string to sign: TC3-HMAC-SHA256\\n",
        ),
        (
            builder(&server).credentials(Credentials::new("AKIDother", "canary")),
            ControlCode::SECRET_ID_NOT_FOUND,
            "AKIDother",
        ),
        (
            builder(&server).clock(slow(-600)),
            ControlCode::SIGNATURE_EXPIRED,
            "s behind the server's clock",
        ),
        (
            builder(&server).clock(slow(700)),
            ControlCode::SIGNATURE_EXPIRED,
            "s ahead of the server's clock",
        ),
    ] {
        let before = server.requests("DescribeCmqQueueDetail");
        let error = builder.build().unwrap().describe_queue("q").await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.message().contains(words), "{error}");
        assert!(!format!("{error:#?}").contains("canary"));
        assert_eq!(error.outcome(), Outcome::Rejected);
        assert_eq!(error.code(), Some(&expected));
        assert_eq!(server.requests("DescribeCmqQueueDetail"), before);
    }
}

#[tokio::test]
async fn cmq_control_checks_the_token_of_a_temporary_key() {
    let dev = DevServer::builder().temporary_credentials("AKIDtemp", "k", "canary-token");
    let server = dev.start().await.unwrap();
    let with = |credentials| builder(&server).credentials(credentials).build().unwrap();
    let keys = || Credentials::new("AKIDtemp", "k");
    with(keys().token("canary-token"))
        .queues()
        .all()
        .await
        .unwrap();
    for keys in [keys(), keys().token("other")] {
        let error = with(keys).queues().all().await.unwrap_err();
        assert_eq!(error.code(), Some(&ControlCode::TOKEN_FAILURE));
        assert!(!format!("{error:#?}").contains("canary"));
    }
}

#[tokio::test]
async fn cmq_control_rides_faults_out_where_it_reads() {
    let server = DevServer::builder().start().await.unwrap();
    let control = control(&server);
    control.create_queue("q").await.unwrap();
    // Made anew for each use: clones are one fault.
    for fault in [
        Fault::drop_reply as fn() -> Fault,
        Fault::half_body,
        Fault::status_500,
        Fault::cut,
    ] {
        server.inject(fault().on("DescribeCmqQueueDetail").nth(1));
        control.describe_queue("q").await.unwrap();
        server.inject(fault().on("ClearCmqQueue").nth(1));
        let error = control.clear_queue("q").await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        control.clear_queue("q").await.unwrap();
    }
}

/// Time stamp and scope come of one reading: at midnight they would be of two days.
#[tokio::test]
async fn cmq_control_dates_a_request_by_one_reading_of_its_clock() {
    let years = Duration::from_secs(10 * 366 * 86_400);
    let server = DevServer::builder().max_skew(years).start().await.unwrap();
    let leaping = Arc::new(Leaping::default());
    let client = builder(&server).clock(Arc::<Leaping>::clone(&leaping));
    let client = client.build().unwrap();
    for at in 0..4 {
        client.create_queue(format!("q-{at}")).await.unwrap();
    }
    assert!(leaping.0.load(Ordering::Relaxed) >= 4);
}

/// A clock that is so many seconds off.
#[derive(Debug)]
struct Shifted(i64);

impl Clock for Shifted {
    fn now(&self) -> std::time::Instant {
        now()
    }

    fn wall(&self) -> SystemTime {
        let by = Duration::from_secs(self.0.unsigned_abs());
        if self.0 < 0 { wall() - by } else { wall() + by }
    }
}

/// A clock that is half a day on each time that it is looked at.
#[derive(Debug, Default)]
struct Leaping(AtomicU32);

impl Clock for Leaping {
    fn now(&self) -> std::time::Instant {
        now()
    }

    fn wall(&self) -> SystemTime {
        wall() + Duration::from_secs(43_200) * self.0.fetch_add(1, Ordering::Relaxed)
    }
}
