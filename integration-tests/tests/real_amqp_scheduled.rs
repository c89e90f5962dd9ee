//! Scheduled messages on a RabbitMQ without a plugin: never early, hardly late, taken back by choice, told where they can't be kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use integration_tests::harness::amqp::{builder, connect, queue};
use integration_tests::harness::{size, unique, wall, within};
use mq_amqp::{
    Cancel, Client, Consumer, Delivery, ErrorKind, Event, Message, Outcome, ScheduledHandle,
    Scheduler, Table, Value,
};

const WAIT: Duration = Duration::from_secs(60);

async fn scheduler(client: &Client) -> Scheduler {
    client.scheduler().build().await.unwrap()
}

async fn consumer(client: &Client, queue: &str) -> Consumer {
    client.consumer(queue.to_owned()).build().await.unwrap()
}

async fn next(consumer: &Consumer) -> Delivery {
    let delivery = within(WAIT, "a message", consumer.recv()).await;
    delivery.unwrap().unwrap()
}

/// How late each of so many is, at the moment when it is received; none may be early.
async fn lateness(consumer: &Consumer, count: usize) -> Vec<Duration> {
    let mut late = Vec::new();
    for _ in 0..count {
        let delivery = next(consumer).await;
        let (due, came) = (delivery.scheduled_for().unwrap(), wall());
        let by = came.duration_since(due);
        late.push(by.unwrap_or_else(|early| panic!("{:?} early", early.duration())));
        delivery.ack().await.unwrap();
    }
    late.sort();
    late
}

/// Schedules all of them at once, every other one as a time, and gives how late they are, the latest at last.
async fn late_by(delays: &[Duration]) -> Vec<Duration> {
    let client = connect().await;
    let (queue, scheduler) = (queue(&client, "precise").await, scheduler(&client).await);
    let consumer = consumer(&client, &queue).await;
    let sending = FuturesUnordered::new();
    for (number, delay) in delays.iter().copied().enumerate() {
        let (scheduler, queue) = (&scheduler, &queue);
        sending.push(async move {
            let message = Message::new(queue.clone(), number.to_string());
            let asked = wall();
            let deliver = if number.is_multiple_of(2) {
                scheduler.deliver_at(message, asked + delay)
            } else {
                scheduler.deliver_after(message, delay)
            };
            let receipt = deliver.await.unwrap();
            let handle = receipt.scheduled().unwrap();
            assert!(!handle.is_past() && handle.due() >= asked + delay);
        });
    }
    let (sent, late) = futures_util::join!(sending.count(), lateness(&consumer, delays.len()));
    assert_eq!(sent, delays.len());
    client.close().await;
    late
}

/// 200 delays between 0.3 s and 20 s, half as a time and half as a length of time, all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_scheduled_are_never_early_and_hardly_late() {
    const COUNT: usize = 200;
    let delays = (0..COUNT as u64).map(|number| 300 + number * 7919 % 19_701);
    let delays: Vec<_> = delays.map(Duration::from_millis).collect();
    let late = late_by(&delays).await;
    let (median, worst) = (late[COUNT / 2], late[COUNT - 1]);
    println!(
        "late: least {:?}, median {median:?}, 95 % {:?}, 99 % {:?}, most {worst:?}",
        late[0],
        late[COUNT * 95 / 100],
        late[COUNT * 99 / 100]
    );
    // A machine that runs the other tests beside is later; how late an idle one is, is in docs/benchmarks.md.
    let most = Duration::from_millis(size(1000, 150));
    assert!(median <= most, "{median:?}");
}

/// One queue of the ladder is in the way of each, and rounding takes the most: what was rounded down would come up to 99 ms too early, and no
/// further hops would make up for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_scheduled_none_is_early_where_rounding_down_would_show() {
    let steps = (0..5).flat_map(|level| [75, 90, 95, 99].map(|over| (100 << level) + over));
    // Not all at once: a broker with much to do is late, and lateness hides what is early.
    for delays in steps.collect::<Vec<u64>>().chunks(4) {
        let delays: Vec<_> = delays.iter().copied().map(Duration::from_millis).collect();
        println!("late: {:?}", late_by(&delays).await);
    }
}

/// The later one is sent first; in one queue with a time each it would hold the other back.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_scheduled_5_s_then_1_s_come_the_other_way_round() {
    let client = connect().await;
    let (queue, scheduler) = (queue(&client, "mixed").await, scheduler(&client).await);
    let consumer = consumer(&client, &queue).await;
    for (body, seconds) in [("five", 5), ("one", 1)] {
        let message = Message::new(queue.clone(), body);
        let sent = scheduler.deliver_after(message, Duration::from_secs(seconds));
        sent.await.unwrap();
    }
    for wanted in ["one", "five"] {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.text(), Some(wanted));
        let due = delivery.scheduled_for().unwrap();
        assert!(wall() >= due, "{wanted} is early");
        delivery.ack().await.unwrap();
    }
    client.close().await;
}

/// Before its time it is taken back, and nobody gets it; a second time, and after its time, there is nothing to take back.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_scheduled_is_cancelled_before_after_and_twice() {
    let client = connect().await;
    let (queue, scheduler) = (queue(&client, "cancelled").await, scheduler(&client).await);
    let consumer = consumer(&client, &queue).await;
    let send = async |body: &'static str, millis| {
        let message = Message::new(queue.clone(), body);
        let deliver = scheduler.deliver_after(message, Duration::from_millis(millis));
        let receipt = deliver.cancellable().await.unwrap();
        receipt.scheduled().unwrap().clone()
    };
    let (taken_back, kept) = (send("back", 1_000).await, send("kept", 1_500).await);
    // As a token, by another scheduler.
    let token: ScheduledHandle = taken_back.to_string().parse().unwrap();
    let other = self::scheduler(&client).await;
    assert!(wall() < token.due(), "the machine is too slow for this");
    assert_eq!(other.cancel(&token).await.unwrap(), Cancel::Cancelled);
    assert_eq!(other.cancel(&token).await.unwrap(), Cancel::TooLate);
    let delivery = next(&consumer).await;
    assert_eq!(delivery.text(), Some("kept"), "the other one came");
    assert!(wall() >= kept.due() && kept.due() > token.due());
    assert_eq!(delivery.scheduled_for(), Some(kept.due()));
    delivery.ack().await.unwrap();
    assert_eq!(scheduler.cancel(&kept).await.unwrap(), Cancel::TooLate);
    let message = Message::new(queue.clone(), "ladder");
    let receipt = scheduler.deliver_after(message, Duration::from_millis(300));
    let receipt = receipt.await.unwrap();
    let error = scheduler.cancel(receipt.scheduled().unwrap()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
    client.close().await;
}

/// What can't be kept is an error with the message as it was given; what is past comes at once, and is flagged.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_scheduled_past_is_at_once_and_too_far_is_refused() {
    let client = connect().await;
    let (queue, scheduler) = (queue(&client, "limits").await, scheduler(&client).await);
    let consumer = consumer(&client, &queue).await;
    let message = Message::new(queue.clone(), "past").id("past");
    let before = wall() - Duration::from_secs(60);
    for cancellable in [false, true] {
        let deliver = scheduler.deliver_at(message.clone(), before);
        let deliver = if cancellable {
            deliver.cancellable()
        } else {
            deliver
        };
        let receipt = deliver.await.unwrap();
        let handle = receipt.scheduled().unwrap();
        assert!(handle.is_past() && handle.unique_id() == "past");
        assert_eq!(scheduler.cancel(handle).await.unwrap(), Cancel::TooLate);
        let delivery = next(&consumer).await;
        assert_eq!(delivery.message(), &message, "nothing is left on it");
        assert_eq!(delivery.scheduled_for(), Some(handle.due()));
        delivery.ack().await.unwrap();
    }
    let longest = scheduler.deliver_after(message.clone(), Scheduler::longest());
    let receipt = longest.cancellable().await.unwrap();
    let handle = receipt.scheduled().unwrap();
    assert_eq!(scheduler.cancel(handle).await.unwrap(), Cancel::Cancelled);
    let beyond = Scheduler::longest() + Duration::from_millis(1);
    let missing = Message::new(unique("missing"), "x").id("1");
    let second = Duration::from_secs(1);
    for (given, delay, kind) in [
        (&message, beyond, ErrorKind::Invalid),
        (&message, Duration::MAX, ErrorKind::Invalid),
        (&missing, second, ErrorKind::NotFound),
    ] {
        for cancellable in [false, true] {
            let deliver = scheduler.deliver_after(given.clone(), delay);
            let failed = if cancellable {
                deliver.cancellable().await.unwrap_err()
            } else {
                deliver.await.unwrap_err()
            };
            assert_eq!(failed.kind(), kind, "{failed}");
            assert_ne!(failed.outcome(), Outcome::Unknown, "{failed}");
            assert_eq!(*failed.message, *given);
        }
    }
    client.close().await;
}

/// Its queue is there when it is scheduled and gone when it is due: it is kept, with the reason.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_scheduled_for_a_queue_that_is_gone_is_kept_with_the_reason() {
    let client = connect().await;
    let (queue, scheduler) = (queue(&client, "gone").await, scheduler(&client).await);
    let delay = Duration::from_millis(500);
    for cancellable in [false, true] {
        let message = Message::new(queue.clone(), cancellable.to_string());
        let deliver = scheduler.deliver_after(message, delay);
        if cancellable {
            deliver.cancellable().await.unwrap();
        } else {
            deliver.await.unwrap();
        }
    }
    client.delete_queue(&queue).await.unwrap();
    let consumer = consumer(&client, "mq.delay.v1.undelivered").await;
    let mut found = Vec::new();
    while found.len() < 2 {
        let delivery = next(&consumer).await;
        if delivery.routing_key() == queue {
            assert!(wall() >= delivery.scheduled_for().unwrap());
            let why = delivery.header("x-mq-reason").and_then(Value::as_str);
            assert!(why.is_some_and(|why| why.contains(&queue)), "{why:?}");
            found.push(delivery.text().unwrap().to_owned());
        }
        // Others are of earlier runs.
        delivery.ack().await.unwrap();
    }
    found.sort();
    assert_eq!(found, ["false", "true"]);
    client.close().await;
}

/// The handler sees what its sender gave, with the time; and what it saw can be scheduled again and again, also with the deaths on it.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_scheduled_arrives_clean_and_can_be_scheduled_again() {
    let client = connect().await;
    // Dots, and a letter of two bytes: not one word of a key as it is.
    let queue = queue(&client, "cleän.ed").await;
    let (scheduler, consumer) = (scheduler(&client).await, consumer(&client, &queue).await);
    let given = Message::new(queue.clone(), "x")
        .id("1")
        .header("own", "stays");
    let mut death = Table::new();
    // Where one that goes down the ladder comes by a dead letter.
    death.insert("queue", "mq.delay.v1.l00");
    death.insert("reason", "expired");
    death.insert("count", 1_i64);
    let dead = vec![Value::Table(death)];
    let mut again = given.clone().header("x-death", dead);
    for round in 0..3 {
        // Both 0.3 s and 0.7 s pass the queues of 100 and 200 ms.
        for (delay, cancellable) in [(300, false), (700, false), (300, true)] {
            let deliver = scheduler.deliver_after(again, Duration::from_millis(delay));
            let receipt = if cancellable {
                deliver.cancellable().await.unwrap()
            } else {
                deliver.await.unwrap()
            };
            let delivery = next(&consumer).await;
            assert_eq!(delivery.message(), &given, "round {round}");
            assert_eq!(delivery.exchange(), "");
            let due = receipt.scheduled().unwrap().due();
            assert_eq!(delivery.scheduled_for(), Some(due));
            again = delivery.message().clone();
            delivery.ack().await.unwrap();
        }
    }
    client.close().await;
}

/// Debian's packages lack the plugin: that is told, and costs no connection of this client.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_scheduled_without_the_plugin_is_an_error_and_costs_nothing_else() {
    let client = builder().connection_name(unique("probe"));
    let client = client.connect().await.unwrap();
    let (queue, scheduler) = (queue(&client, "probe").await, scheduler(&client).await);
    let mut events = client.events();
    let refused = client.scheduler().delayed_exchange().build().await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("plugin")));
    let consumer = consumer(&client, &queue).await;
    let message = Message::new(queue.clone(), "goes on");
    let later = scheduler.deliver_after(message, Duration::from_millis(300));
    let receipt = later.await.unwrap();
    assert_eq!(receipt.attempts(), 1);
    next(&consumer).await.ack().await.unwrap();
    let lost = async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Disconnected { .. }) {
                return;
            }
        }
    };
    // Whatever was to be told has been by now.
    let told = futures_util::FutureExt::now_or_never(lost);
    assert!(told.is_none(), "a connection was lost");
    client.close().await;
}
