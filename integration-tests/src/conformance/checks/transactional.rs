//! Messages under transactions.

use std::time::Duration;

use mq_cli::adapter::{Outgoing, Subscription};

use super::{ack, earliest, end, next, number, send_numbers};
use crate::conformance::Subject;
use crate::harness::unique;

pub(super) async fn committed(subject: Subject) {
    let broker = subject.connect().await;
    let topic = subject.transactional("commit").await;
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    let begun = broker.begin(Outgoing::new(&topic, "1")).await;
    let begun = begun.expect("begun");
    // One without a transaction overtakes it.
    let sent = send_numbers(&broker, &topic, 2..3).await;
    let first = next(&subscription).await;
    assert_eq!((number(&first), &first.message.id), (2, &sent[0].id));
    ack(first).await;
    nothing_comes(&subscription).await;
    begun.commit().await.expect("committed");
    let second = next(&subscription).await;
    assert_eq!(number(&second), 1);
    ack(second).await;
    nothing_comes(&subscription).await;
    end(broker, [subscription]).await;
}

pub(super) async fn rolled_back(subject: Subject) {
    let broker = subject.connect().await;
    let topic = subject.transactional("rollback").await;
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    for number in 0..2 {
        let message = Outgoing::new(&topic, number.to_string());
        let begun = broker.begin(message).await.expect("begun");
        if number == 0 {
            begun.rollback().await.expect("rolled back");
        } else {
            drop(begun);
        }
    }
    nothing_comes(&subscription).await;
    end(broker, [subscription]).await;
}

async fn nothing_comes(subscription: &Subscription) {
    let next = tokio::time::timeout(SOON, subscription.recv()).await;
    assert!(next.is_err(), "{next:?}");
}

const SOON: Duration = Duration::from_secs(1);
