//! What is scheduled arrives at its time, or not at all.

use std::time::Duration;

use mq_cli::adapter::{Cancel, Outgoing, When};

use super::{ack, earliest, end, next, number};
use crate::conformance::Subject;
use crate::harness::{unique, wall};

pub(super) async fn scheduled_on_time(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("on-time").await);
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    // Sent the latest first, in both forms.
    let features = broker.features();
    // A busy RabbitMQ takes a while to make a queue for a message.
    let step = if features.exact_times && !subject.is_amqp() {
        500
    } else {
        1000
    };
    let delays = [4, 3, 2, 1].map(|steps| Duration::from_millis(steps * step));
    let mut due = Vec::new();
    for (index, delay) in delays.into_iter().enumerate() {
        let at = wall() + delay;
        let when = if index % 2 == 0 {
            When::At(at)
        } else {
            When::After(delay)
        };
        let mut message = Outgoing::new(&topic, index.to_string()).when(when);
        // Those that can be cancelled may go another way.
        let asked = index >= 2;
        if asked {
            message = message.cancellable();
        }
        let sent = broker.send(message).await.expect("stored");
        let given = features.cancel && (asked || !subject.is_amqp());
        assert_eq!(sent.handle.is_some(), given);
        due.push(at);
    }
    for expected in (0..delays.len()).rev() {
        let delivery = next(&subscription).await;
        assert_eq!(number(&delivery), expected);
        let at = due[expected];
        let received = delivery.message.received_at;
        assert!(received >= at, "{:?} early", at.duration_since(received));
        ack(delivery).await;
    }
    end(broker, [subscription]).await;
}

pub(super) async fn scheduled_past(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("past").await);
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    let late = Outgoing::new(&topic, "1").when(When::After(Duration::from_secs(2)));
    broker.send(late).await.expect("stored");
    let past = When::At(wall() - Duration::from_secs(60));
    let message = Outgoing::new(&topic, "0").when(past).cancellable();
    let sent = broker.send(message).await.expect("stored");
    for expected in 0..2 {
        let delivery = next(&subscription).await;
        assert_eq!(number(&delivery), expected);
        ack(delivery).await;
    }
    assert!(sent.at_once);
    if broker.features().cancel {
        let handle = sent.handle.expect("a handle all the same");
        let cancelled = broker.cancel(&handle).await.expect("an answer");
        assert_eq!(cancelled, Cancel::TooLate);
    }
    end(broker, [subscription]).await;
}

pub(super) async fn scheduled_cancel(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("cancel").await);
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    let due = wall() + Duration::from_secs(2);
    let mut handles = Vec::new();
    for index in 0..6 {
        let message = Outgoing::new(&topic, index.to_string()).when(When::At(due));
        let sent = broker.send(message.cancellable()).await;
        let sent = sent.expect("stored");
        handles.push(sent.handle.expect("a handle"));
    }
    for handle in handles.iter().step_by(2) {
        for again in [false, true] {
            let cancelled = broker.cancel(handle).await.expect("an answer");
            if again && subject.is_amqp() {
                // It is gone, and nobody remembers it.
                assert_eq!(cancelled, Cancel::TooLate);
            } else {
                assert!(matches!(cancelled, Cancel::Cancelled | Cancel::Requested));
            }
        }
    }
    let mark = When::At(due + Duration::from_millis(500));
    let message = Outgoing::new(&topic, "7").when(mark);
    broker.send(message).await.expect("stored");
    let mut seen = Vec::new();
    for _ in 0..4 {
        let delivery = next(&subscription).await;
        seen.push(number(&delivery));
        ack(delivery).await;
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 3, 5, 7]);
    for handle in &handles {
        let cancelled = broker.cancel(handle).await.expect("an answer");
        assert_eq!(cancelled, Cancel::TooLate);
    }
    for junk in ["", "junk", &handles[0][1..]] {
        let error = broker.cancel(junk).await.expect_err("no handle");
        assert_eq!(error.kind(), mq_core::ErrorKind::Invalid, "{error}");
    }
    end(broker, [subscription]).await;
}
