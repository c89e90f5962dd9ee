//! The consumer of mq-cmq on the dev server: deadlines, faults, and what is never done twice.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::harness::size;
use mq_cmq::{
    Client, ConsumerHandle, Credentials, DeadLetter, Delivery, ErrorCode, ErrorKind, Filter,
    Message, Outcome, Queue, ReceiptHandle, Settle, TopicMessage,
};
use mq_dev::cmq::{DevServer, Fault, QueueSpec};

async fn server(visibility: Duration) -> (DevServer, Client) {
    let server = DevServer::builder().start().await.unwrap();
    let spec = QueueSpec::new("q").visibility(visibility);
    server.create_queue(spec).unwrap();
    let client = Client::from_url(&server.url()).unwrap().build().unwrap();
    (server, client)
}

async fn until(mut true_: impl FnMut() -> bool) {
    let waiting = async {
        while !true_() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = Duration::from_secs(if size(0, 1) == 0 { 60 } else { 3600 });
    tokio::time::timeout(limit, waiting).await.unwrap();
}

#[tokio::test]
async fn cmq_a_handler_slower_than_visibility_is_told_and_its_message_comes_again() {
    let (server, client) = server(Duration::from_secs(1)).await;
    let queue = client.queue("q").unwrap();
    queue.send("slow").await.unwrap();
    // It is not told the visibility timeout: the first receive shows it.
    let consumer = queue.consumer().concurrency(2).build().unwrap();
    let slow = consumer.recv().await.unwrap().unwrap();
    slow.expiry().cancelled().await;
    let counts = consumer.counts();
    assert_eq!((counts.warned, counts.expired), (1, 1));
    let again = consumer.recv().await.unwrap().unwrap();
    assert_eq!((again.body(), again.attempt()), ("slow", 2));
    assert_eq!(again.message_id(), slow.message_id());
    // The service has a new holder: it would refuse, and so do we as soon as it is certain.
    let old = slow.handle().clone();
    let error = queue.delete(&old).await.unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::HANDLE_EXPIRED));
    let error = slow.ack().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert_eq!(error.code(), Some(&ErrorCode::HANDLE_EXPIRED));
    again.ack().await.unwrap();
    assert_eq!(consumer.counts().refused, 1);
    let held = server.counts("q").unwrap();
    assert_eq!((held.active, held.held), (0, 0));
}

#[tokio::test]
async fn cmq_a_send_that_is_cut_is_unknown_and_gives_its_message_back() {
    let (server, client) = server(Duration::from_secs(30)).await;
    let queue = client.queue("q").unwrap();
    let cut = server.inject(Fault::drop_reply().on("send").nth(1));
    let failed = queue.send("once").await.unwrap_err();
    assert!(cut.fired());
    assert_eq!(failed.outcome(), Outcome::Unknown);
    assert_eq!(failed.message.body(), "once");
    assert_eq!(
        server.requests("SendMessage"),
        1,
        "it is not sent again unasked"
    );
    assert_eq!(
        server.counts("q").unwrap().active,
        1,
        "it was stored all the same"
    );
    // Where it was not stored the outcome is the same: nobody here can tell.
    server.inject(Fault::cut().on("send"));
    let failed = queue.send("never").await.unwrap_err();
    assert_eq!(failed.outcome(), Outcome::Unknown);
    assert_eq!(server.counts("q").unwrap().active, 1);
}

#[tokio::test]
async fn cmq_a_wrong_key_ends_the_consumer_typed() {
    let (server, _client) = server(Duration::from_secs(30)).await;
    let wrong = Credentials::new("AKIDdev", "not the key");
    let endpoint = server.endpoint();
    let client = Client::builder().http(endpoint.trim_start_matches("http://"));
    let client = client.credentials(wrong).build().unwrap();
    let consumer = client.queue("q").unwrap().consumer().concurrency(64);
    let consumer = consumer.build().unwrap();
    let error = consumer.recv().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert_eq!(error.code(), Some(&ErrorCode::AUTHENTICATION_FAILED));
    assert!(consumer.recv().await.unwrap().is_none());
}

#[tokio::test]
async fn cmq_no_more_is_in_flight_than_the_concurrency() {
    let (server, client) = server(Duration::from_secs(30)).await;
    let queue = client.queue("q").unwrap();
    let bodies: Vec<_> = (0..300).map(|at| at.to_string()).collect();
    for result in queue.send_batch(bodies).await {
        result.unwrap();
    }
    let consumer = queue.consumer().concurrency(37).build().unwrap();
    let (handle, server) = (consumer.handle(), Arc::new(server));
    let (most, now) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (peak, seen) = (Arc::clone(&most), Arc::clone(&server));
    let running = consumer.run(move |_| {
        let (now, peak, seen) = (Arc::clone(&now), Arc::clone(&peak), Arc::clone(&seen));
        async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let held = seen.counts("q").unwrap().held;
            assert!(held <= 37, "{held} at the server");
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, &str>(Settle::Ack)
        }
    });
    let closing = async {
        until(|| handle.counts().deleted == 300).await;
        handle.close().await;
    };
    let (ended, ()) = tokio::join!(running, closing);
    ended.unwrap();
    let most = most.load(Ordering::SeqCst);
    assert!((2..=37).contains(&most), "{most} at a time");
    assert_eq!(handle.counts().received, 300);
}

/// Sends until the service has it: what is unknown is sent again, and may be there twice.
async fn produce(queue: &Queue, name: usize, count: usize) {
    for at in 0..count {
        let mut message = Message::new(format!("{name}/{at}"));
        while let Err(failed) = queue.send(message).await {
            assert_ne!(failed.error.kind(), ErrorKind::Auth);
            message = *failed.message;
        }
    }
}

/// What all consumers have seen together.
#[derive(Default)]
struct Seen {
    bodies: Mutex<BTreeMap<String, usize>>,
    /// Handles whose delete was confirmed.
    deleted: Mutex<HashSet<String>>,
    /// By message, the handles that were not tried yet as old ones, and of which receive they are.
    handles: Mutex<HashMap<String, BTreeMap<u64, ReceiptHandle>>>,
    /// How many old handles were tried.
    replayed: AtomicUsize,
}

impl Seen {
    /// Notes a receive; the handles of its message that are older than the newest. Two receives can be told here in either order.
    fn outdated(&self, delivery: &Delivery) -> Vec<ReceiptHandle> {
        let mut handles = self.handles.lock().unwrap();
        let of_it = handles.entry(delivery.message_id().to_owned()).or_default();
        of_it.insert(delivery.attempt(), delivery.handle().clone());
        let (newest, handle) = of_it.pop_last().unwrap();
        let newest = BTreeMap::from([(newest, handle)]);
        std::mem::replace(of_it, newest).into_values().collect()
    }
}

/// Tries to delete by a handle that is worth nothing any more, until the server has said so.
async fn replay(queue: &Queue, old: &ReceiptHandle, seen: &Seen) {
    while let Some(error) = queue.delete(old).await.map_or_else(Some, |()| None) {
        if error.kind() == ErrorKind::Stale {
            seen.replayed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        assert_ne!(error.kind(), ErrorKind::Auth);
    }
    panic!("an old handle was accepted");
}

async fn consume(queue: Queue, seen: Arc<Seen>, handles: Arc<Mutex<Vec<ConsumerHandle>>>) {
    let consumer = queue.consumer().concurrency(8).wait(Duration::from_secs(1));
    let consumer = consumer.build().unwrap();
    handles.lock().unwrap().push(consumer.handle());
    let mut acks = tokio::task::JoinSet::new();
    while let Some(delivery) = consumer.recv().await.unwrap() {
        let body = delivery.body().to_owned();
        *seen.bodies.lock().unwrap().entry(body).or_default() += 1;
        assert!(consumer.counts().in_flight <= 8);
        let (seen, queue) = (Arc::clone(&seen), queue.clone());
        acks.spawn(async move {
            // While the message is held by a new one: an old one that is accepted takes it away.
            for old in seen.outdated(&delivery) {
                replay(&queue, &old, &seen).await;
            }
            let handle = delivery.handle().clone();
            if delivery.ack().await.is_ok() {
                let new = seen
                    .deleted
                    .lock()
                    .unwrap()
                    .insert(handle.as_str().to_owned());
                assert!(new, "a handle was accepted twice");
                replay(&queue, &handle, &seen).await;
            }
        });
        while let Some(ended) = acks.try_join_next() {
            ended.unwrap();
        }
    }
    while let Some(ended) = acks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cmq_sixteen_producers_and_consumers_lose_nothing_under_faults() {
    let (server, client) = server(Duration::from_secs(3)).await;
    for fault in [
        Fault::drop_reply().on("send").percent(3),
        Fault::drop_reply().on("receive").percent(2),
        Fault::drop_reply().on("delete").percent(3),
        Fault::half_body().percent(1),
        Fault::status_500().percent(2),
        Fault::cut().percent(1),
        Fault::shuffle(),
        Fault::redeliver().percent(10),
    ] {
        server.inject(fault);
    }
    let each = size(5_000, 100_000) / 16 + 1;
    let queue = client.queue("q").unwrap();
    let (seen, handles) = (Arc::new(Seen::default()), Arc::default());
    let mut tasks = tokio::task::JoinSet::new();
    for name in 0..16 {
        let queue = queue.clone();
        tasks.spawn(async move { produce(&queue, name, each).await });
    }
    let mut consumers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let consumer = consume(queue.clone(), Arc::clone(&seen), Arc::clone(&handles));
        consumers.spawn(consumer);
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    until(|| seen.bodies.lock().unwrap().len() == each * 16).await;
    // Each is seen; now all copies are to be deleted, too.
    until(|| {
        let left = server.counts("q").unwrap();
        left.active + left.held == 0
    })
    .await;
    let open = std::mem::take(&mut *handles.lock().unwrap());
    for handle in open {
        handle.close().await;
        assert_eq!(handle.counts().in_flight, 0);
    }
    while let Some(ended) = consumers.join_next().await {
        ended.unwrap();
    }
    let bodies = seen.bodies.lock().unwrap();
    let times: usize = bodies.values().sum();
    assert!(times > each * 16, "no fault had an effect: {times}");
    let replayed = seen.replayed.load(Ordering::Relaxed);
    let deleted = seen.deleted.lock().unwrap().len();
    assert!(replayed > deleted, "no handle was outdated by a receive");
    let all = each * 16;
    println!("{all} messages, handed out {times} times, {replayed} old handles refused");
}

#[tokio::test]
async fn cmq_delays_are_kept_and_refused_where_the_queue_is_known() {
    let (_server, client) = server(Duration::from_secs(30)).await;
    let queue = client.queue("q").unwrap();
    let later = Message::new("later").deliver_after(Duration::from_millis(900));
    let receipt = queue.send(later).await.unwrap();
    assert!(receipt.scheduled().is_some());
    assert!(queue.receive(Duration::ZERO).await.unwrap().is_none());
    let received = queue
        .receive(Duration::from_secs(5))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(received.body(), "later");
    let late = || Message::new("x").deliver_after(Duration::from_secs(345_601));
    let error = queue.send(late()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Rejected, "by the server");
    let attributes = queue.attributes().await.unwrap();
    assert_eq!(attributes.retention, Duration::from_secs(345_600));
    let error = queue.send(late()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent, "by the handle");
    assert_eq!(error.error.code(), Some(&ErrorCode::DELAY_OUT_OF_RANGE));
}

#[tokio::test]
async fn cmq_queues_are_managed() {
    let (_server, client) = server(Duration::from_secs(30)).await;
    client.create_queue("dead").await.unwrap();
    let rule = DeadLetter::after_receives("dead", 1);
    let orders = client
        .create_queue("orders")
        .visibility(Duration::from_secs(1));
    let orders = orders.rewind(Duration::from_secs(600)).dead_letter(rule);
    let orders = orders.await.unwrap();
    let attributes = orders.attributes().await.unwrap();
    assert_eq!(attributes.visibility, Duration::from_secs(1));
    assert_eq!(attributes.dead_letter.unwrap().receives(), Some(1));
    orders.send("x").await.unwrap();
    orders.receive(Duration::ZERO).await.unwrap().unwrap();
    let dead = client.queue("dead").unwrap();
    let letter = dead.receive(Duration::from_secs(5)).await.unwrap().unwrap();
    assert_eq!(letter.body(), "x");
    let sources = dead.dead_letter_sources().all().await.unwrap();
    assert_eq!(sources[0].name, "orders");
    orders.unbind_dead_letter().await.unwrap();
    assert_eq!(orders.attributes().await.unwrap().dead_letter, None);
    orders.send("y").await.unwrap();
    let received = orders.receive(Duration::ZERO).await.unwrap().unwrap();
    orders.delete(received.handle()).await.unwrap();
    orders
        .rewind(
            std::time::UNIX_EPOCH
                + (received
                    .enqueued()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap()),
        )
        .await
        .unwrap();
    let again = orders.receive(Duration::from_secs(3)).await.unwrap();
    assert_eq!(again.unwrap().body(), "y");
    orders.clear().await.unwrap();
    let names = client.queues().containing("d").all().await.unwrap();
    let names: Vec<_> = names.into_iter().map(|it| it.name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    client.delete_queue("orders").await.unwrap();
    let error = orders.send("z").await.unwrap_err().error;
    assert_eq!(error.code(), Some(&ErrorCode::QUEUE_NOT_FOUND));
    let error = client.create_queue("orders").await.unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::NAME_JUST_DELETED));
}

#[tokio::test]
async fn cmq_topics_and_subscriptions_are_managed() {
    let (_server, client) = server(Duration::from_secs(30)).await;
    let topic = client.create_topic("t").filter(Filter::Tags).await.unwrap();
    let tagged = topic.subscribe("s").queue("q").filter_tags(["a"]);
    let subscription = tagged.await.unwrap();
    let error = topic
        .publish(TopicMessage::new("1").tag("b"))
        .await
        .unwrap_err();
    assert_eq!(error.error.code(), Some(&ErrorCode::NOTHING_MATCHES));
    topic
        .publish(TopicMessage::new("2").tag("a"))
        .await
        .unwrap();
    subscription.clear_filter_tags().await.unwrap();
    topic
        .publish(TopicMessage::new("3").tag("b"))
        .await
        .unwrap();
    let queue = client.queue("q").unwrap();
    let bodies = queue
        .receive_batch(16, Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(bodies.len(), 2);
    let attributes = subscription.attributes().await.unwrap();
    assert_eq!(attributes.target, mq_cmq::Target::Queue("q".into()));
    assert!(attributes.filter_tags.is_empty());
    let all = topic.subscriptions().all().await.unwrap();
    assert_eq!((all.len(), all[0].name.as_str()), (1, "s"));
    let filter = topic.attributes().await.unwrap().filter;
    assert_eq!(filter, Some(Filter::Tags));
    subscription.unsubscribe().await.unwrap();
    let error = topic.publish("4").await.unwrap_err();
    assert_eq!(error.error.code(), Some(&ErrorCode::NO_SUBSCRIPTION));
    client.delete_topic("t").await.unwrap();
    assert!(client.topics().all().await.unwrap().is_empty());
}
