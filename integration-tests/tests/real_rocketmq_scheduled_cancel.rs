//! Cancelling scheduled messages: the right one is gone and no other, and whatever can't be is said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::harness::{
    connect, first_broker, from_first, is_4, nameserver, next, producer, text, topic, unique, wall,
    within,
};
use mq_dev::proxy::Proxy;
use mq_rocketmq::{
    Cancel, Client, Dialect, ErrorKind, Message, Outcome, Producer, ScheduledHandle,
};

const NOT_ON_4: &str = "this broker has no timers, so that there is nothing to cancel";

async fn schedule(
    producer: &Producer,
    topic: &str,
    body: &str,
    after: Duration,
) -> ScheduledHandle {
    let message = Message::new(topic, body.to_owned()).deliver_at(wall() + after);
    let receipt = producer.send(message).await.unwrap();
    receipt.scheduled().unwrap().clone()
}

/// Neighbours in one slot, every other one cancelled, by its token and by another client's producer: the others arrive, and only they.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_cancel_only_the_right_message_is_gone() {
    if is_4() {
        println!("{NOT_ON_4}");
        return;
    }
    let (client, topic) = (connect().await, topic("cancel", 4).await);
    let building = from_first(&client, &unique("group"), &topic).build();
    let consumer = building.await.unwrap();
    let sender = producer(&client).await;
    let canceller = producer(&connect().await).await;
    let due = wall() + Duration::from_secs(3);
    let (mut kept, mut gone) = (BTreeSet::new(), Vec::new());
    for number in 0..20 {
        let message = Message::new(&topic, number.to_string());
        // Half of them counted by the broker's clock.
        let message = if number % 4 < 2 {
            message.deliver_at(due)
        } else {
            message.deliver_after(due.duration_since(wall()).unwrap())
        };
        let receipt = sender.send(message).await.unwrap();
        let handle = receipt.scheduled().unwrap();
        if number % 2 == 0 {
            kept.insert(number.to_string());
        } else {
            gone.push(handle.to_string().parse::<ScheduledHandle>().unwrap());
        }
    }
    for handle in &gone {
        assert_eq!(canceller.cancel(handle).await.unwrap(), Cancel::Cancelled);
        // Twice is no more than once.
        assert_eq!(canceller.cancel(handle).await.unwrap(), Cancel::Cancelled);
    }
    for _ in 0..10 {
        let delivery = next(&consumer).await;
        let body = text(&delivery);
        assert!(kept.remove(&body), "{body} was cancelled, or came twice");
        delivery.ack().await.unwrap();
    }
    // As stored, not as received: nothing else is on its way.
    let after = schedule(&sender, &topic, "after", Duration::from_millis(300)).await;
    let delivery = next(&consumer).await;
    assert_eq!(text(&delivery), "after");
    delivery.ack().await.unwrap();
    for handle in gone.iter().chain([&after]) {
        assert_eq!(canceller.cancel(handle).await.unwrap(), Cancel::TooLate);
    }
    client.close().await.unwrap();
}

/// What can't be cancelled here is told apart, and nothing is sent for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_cancel_refuses_what_is_not_its_own() {
    if is_4() {
        println!("{NOT_ON_4}");
        return;
    }
    let topic = topic("refuse", 1).await;
    let proxy = Proxy::builder(nameserver()).start().await.unwrap();
    let url = format!("rocketmq://{}", proxy.addr());
    let client = Client::from_url(&url).unwrap().connect().await.unwrap();
    let auto = producer(&client).await;
    let handle = schedule(&auto, &topic, "x", Duration::from_secs(600)).await;
    let sends = proxy.requests(310);
    for (dialect, kind) in [
        (Dialect::HuaweiDms, ErrorKind::Invalid),
        (Dialect::Tdmq, ErrorKind::Invalid),
        (Dialect::Apache4, ErrorKind::Unsupported),
    ] {
        let other = Client::from_url(&url).unwrap().dialect(dialect);
        let other = producer(&other.connect().await.unwrap()).await;
        let error = other.cancel(&handle).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{dialect}: {error}");
        assert_eq!(error.outcome(), Outcome::NotSent);
    }
    let tdmq = Client::from_url(&url).unwrap().dialect(Dialect::Tdmq);
    let tdmq = producer(&tdmq.connect().await.unwrap()).await;
    let of_tdmq = schedule(&tdmq, &topic, "x", Duration::from_secs(600)).await;
    let error = tdmq.cancel(&of_tdmq).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    // A time of DMS's or TDMQ's is none that this broker knows.
    let error = auto.cancel(&of_tdmq).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!((proxy.requests(310), proxy.requests(370)), (sends + 1, 0));
    assert_eq!(auto.cancel(&handle).await.unwrap(), Cancel::Cancelled);
    client.close().await.unwrap();
}

/// A broker that has moved is still the message's; looked at before it is told, since brokers of other clusters bear the same names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_cancel_reaches_a_broker_that_has_moved() {
    if is_4() {
        println!("{NOT_ON_4}");
        return;
    }
    let (client, topic) = (connect().await, topic("moved", 1).await);
    let handle = schedule(
        &producer(&client).await,
        &topic,
        "x",
        Duration::from_secs(2),
    )
    .await;
    // Behind a proxy the brokers have other addresses.
    let proxy = Proxy::builder(nameserver()).start().await.unwrap();
    let url = format!("rocketmq://{}", proxy.addr());
    let moved = Client::from_url(&url).unwrap().connect().await.unwrap();
    let canceller = producer(&moved).await;
    assert_eq!(canceller.cancel(&handle).await.unwrap(), Cancel::Cancelled);
    assert_eq!((proxy.requests(33), proxy.requests(370)), (1, 1));
    let plain = Message::new(&topic, "after").deliver_after(Duration::from_millis(2500));
    canceller.send(plain).await.unwrap();
    let building = from_first(&client, &unique("group"), &topic).build();
    let consumer = building.await.unwrap();
    let delivery = next(&consumer).await;
    assert_eq!(text(&delivery), "after");
    moved.close().await.unwrap();
    client.close().await.unwrap();
}

/// Under `HuaweiDms` the cancellation is a message to the same queue with the identical time. Here the broker is Apache's, and stores both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_cancel_of_dms_goes_to_the_same_queue_with_the_same_time() {
    let (client, topic) = (connect().await, topic("dms", 4).await);
    let dms = Client::from_url(&integration_tests::harness::url()).unwrap();
    let dms = dms.dialect(Dialect::HuaweiDms).connect().await.unwrap();
    let producer = producer(&dms).await;
    let message = Message::new(&topic, "x").deliver_after(Duration::from_secs(2));
    let receipt = producer.send(message).await.unwrap();
    let handle = receipt.scheduled().unwrap();
    assert_eq!(producer.cancel(handle).await.unwrap(), Cancel::Requested);
    assert_eq!(producer.cancel(handle).await.unwrap(), Cancel::Requested);
    assert_eq!(
        first_broker()
            .await
            .max_offset(&topic, receipt.queue())
            .await,
        3
    );
    let building = from_first(&client, &unique("group"), &topic).build();
    let consumer = building.await.unwrap();
    let mut times = BTreeSet::new();
    for number in 0..3 {
        let delivery = next(&consumer).await;
        let system = delivery.system_properties();
        times.insert(system.get("__STARTDELIVERTIME").unwrap().to_owned());
        let cancels = system.get("__CANCEL_SCHEDULED_MSG");
        assert_eq!(cancels, (number > 0).then_some(receipt.unique_id()));
        assert_eq!(delivery.queue(), receipt.queue());
        delivery.ack().await.unwrap();
    }
    assert_eq!(times.len(), 1, "{times:?}");
    // After its time nothing is sent any more.
    let late = async {
        while producer.cancel(handle).await.unwrap() != Cancel::TooLate {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(Duration::from_secs(10), "too late", late).await;
    let stored = first_broker()
        .await
        .max_offset(&topic, receipt.queue())
        .await;
    assert_eq!(producer.cancel(handle).await.unwrap(), Cancel::TooLate);
    assert_eq!(
        first_broker()
            .await
            .max_offset(&topic, receipt.queue())
            .await,
        stored
    );
    dms.close().await.unwrap();
    client.close().await.unwrap();
}
