//! What the control plane makes, changes, lists and deletes, and that the data plane uses it.

use std::time::Duration;

use integration_tests::harness::wall;
use mq_cmq::{ControlCode, DeadLetter, ErrorKind, Filter, PushRetry, Target, TopicMessage};
use mq_dev::cmq::DevServer;

use crate::world::{control, data};

/// The steps of Tencent Cloud's guide for its SDK for Python (product 1496): queue with dead letters, topic, subscription; messages by the data plane.
#[tokio::test]
async fn cmq_control_makes_what_the_data_plane_uses() {
    let server = DevServer::builder().start().await.unwrap();
    let (control, client) = (control(&server), data(&server));
    control.create_queue("dead_queue_api").await.unwrap();
    let rule = DeadLetter::after_receives("dead_queue_api", 3);
    let made = control.create_queue("queue_api").dead_letter(rule.clone());
    assert!(!made.await.unwrap().id.is_empty());
    let topic = control.create_topic("topic_api").filter(Filter::Tags);
    topic.retention(Duration::from_secs(86_400)).await.unwrap();
    control.create_queue("topic_queue_api").await.unwrap();
    let subscribe = control
        .subscribe("topic_api", "sub")
        .queue("topic_queue_api");
    let subscribe = subscribe.retry(PushRetry::Backoff).filter_tags(["TAG"]);
    subscribe.await.unwrap();

    let queue = client.queue("queue_api").unwrap();
    queue.send("I am test message.").await.unwrap();
    let received = queue
        .receive(Duration::from_secs(3))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(received.body(), "I am test message.");
    queue.delete(received.handle()).await.unwrap();
    let topic = client.topic("topic_api").unwrap();
    topic
        .publish(TopicMessage::new("tagged").tag("TAG"))
        .await
        .unwrap();
    control
        .publish("topic_api", TopicMessage::new("again").tag("TAG"))
        .await
        .unwrap();
    let nobody = TopicMessage::new("x").tag("TAG1");
    let error = control.publish("topic_api", nobody).await.unwrap_err();
    assert_eq!(error.code(), Some(&ControlCode::CMQ_BACKEND_ERROR));
    assert!(error.message().starts_with("(10730)"), "{error}");
    control.send("topic_queue_api", "sent").await.unwrap();
    let target = client.queue("topic_queue_api").unwrap();
    for expected in ["tagged", "again", "sent"] {
        let received = target.receive(Duration::from_secs(3)).await.unwrap();
        assert_eq!(received.unwrap().body(), expected);
    }

    let detail = control.describe_queue("QUEUE_API").await.unwrap();
    assert_eq!(detail.name, "queue_api", "as it was made");
    assert_eq!(detail.attributes.dead_letter, Some(rule));
    assert_eq!(detail.attributes.max_body, 1024 * 1024);
    assert_eq!(detail.attributes.retention, Duration::from_secs(3_600));
    let age = wall().duration_since(detail.attributes.created.unwrap());
    assert!(age.unwrap() < Duration::from_secs(60), "milliseconds");
    let held = control.describe_queue("topic_queue_api").await.unwrap();
    assert_eq!(held.attributes.inactive, 3);
    let sources = control.dead_letter_sources("dead_queue_api").all().await;
    assert_eq!(sources.unwrap()[0].name, "queue_api");
    let dead = control.describe_queue("dead_queue_api").await.unwrap();
    assert_eq!(dead.dead_letter_sources[0].name, "queue_api");
}

#[tokio::test]
async fn cmq_control_lists_page_by_page() {
    let server = DevServer::builder().start().await.unwrap();
    let control = control(&server);
    for at in 0..120 {
        control.create_queue(format!("q-{at:03}")).await.unwrap();
    }
    let queues = control.queues().all().await.unwrap();
    let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
    let expected: Vec<String> = (0..120).map(|at| format!("q-{at:03}")).collect();
    assert_eq!(names, expected);
    assert_eq!(
        control
            .queues()
            .containing("q-11")
            .all()
            .await
            .unwrap()
            .len(),
        10
    );
    let only = mq_cmq::control::Only::new().named(["q-001", "q-002"]);
    assert_eq!(control.queues_only(only).all().await.unwrap().len(), 2);
}

#[tokio::test]
async fn cmq_control_changes_rewinds_and_deletes_queues() {
    let server = DevServer::builder().start().await.unwrap();
    let control = control(&server);
    control.create_queue("q-000").await.unwrap();
    let change = control
        .change_queue("q-000")
        .visibility(Duration::from_secs(7));
    change.rewind(Duration::from_secs(600)).await.unwrap();
    let attributes = control.describe_queue("q-000").await.unwrap().attributes;
    assert_eq!(attributes.visibility, Duration::from_secs(7));
    assert_eq!(
        attributes.retention,
        Duration::from_secs(3_600),
        "as it was"
    );
    let client = data(&server);
    let queue = client.queue("q-000").unwrap();
    control.send("q-000", "again").await.unwrap();
    let received = queue.receive(Duration::ZERO).await.unwrap().unwrap();
    queue.delete(received.handle()).await.unwrap();
    let before = wall() - Duration::from_secs(60);
    control.rewind_queue("q-000", before).await.unwrap();
    assert!(queue.receive(Duration::ZERO).await.unwrap().is_some());
    control.clear_queue("q-000").await.unwrap();
    control.unbind_dead_letter("q-000").await.unwrap();
    control.delete_queue("q-000").await.unwrap();
    assert!(control.queues().all().await.unwrap().is_empty());
}

#[tokio::test]
async fn cmq_control_changes_lists_and_deletes_topics_and_subscriptions() {
    let server = DevServer::builder().start().await.unwrap();
    let control = control(&server);
    for name in ["q-001", "q-002"] {
        control.create_queue(name).await.unwrap();
    }
    control
        .create_topic("t")
        .filter(Filter::Routing)
        .await
        .unwrap();
    control.change_topic("t").max_body(2_048).await.unwrap();
    let subscribe = control.subscribe("t", "s").queue("q-001");
    subscribe.binding_keys(["a.#"]).await.unwrap();
    let routed = TopicMessage::new("routed").routing_key("a.b");
    control.publish("t", routed).await.unwrap();
    control
        .change_subscription("t", "s")
        .binding_keys(["b"])
        .await
        .unwrap();
    let detail = control.describe_topic("t").await.unwrap();
    assert_eq!(
        (detail.attributes.max_body, detail.subscriptions),
        (2_048, 1)
    );
    for list in [
        control.subscriptions("t"),
        control.subscriptions_to("q-001"),
    ] {
        let list = list.all().await.unwrap();
        assert_eq!((list[0].name.as_str(), list[0].topic.as_str()), ("s", "t"));
        assert_eq!(list[0].attributes.binding_keys, ["b"]);
        assert_eq!(list[0].attributes.target, Target::Queue("q-001".into()));
    }
    assert!(
        control
            .subscriptions_to("q-002")
            .all()
            .await
            .unwrap()
            .is_empty()
    );
    control.unsubscribe("t", "s").await.unwrap();
    control.delete_topic("t").await.unwrap();
    assert!(control.topics().all().await.unwrap().is_empty());
}

#[tokio::test]
async fn cmq_control_makes_queues_of_transactions() {
    let server = DevServer::builder().start().await.unwrap();
    let control = control(&server);
    let made = control.create_queue("q").transactional(true);
    made.first_query(Duration::from_secs(7)).await.unwrap();
    control.change_queue("q").max_queries(3).await.unwrap();
    let asks = control.describe_queue("q").await.unwrap().transactions;
    let asks = asks.unwrap();
    assert_eq!(
        (asks.first_query, asks.max_queries),
        (Duration::from_secs(7), 3)
    );
    // It takes no delays, as others do.
    let delayed = mq_cmq::Message::new("x").deliver_after(Duration::from_secs(1));
    let error = control.send("q", delayed).await.unwrap_err();
    assert_eq!(error.code(), Some(&ControlCode::INVALID_PARAMETER_VALUE));
    let error = control.change_queue("q").transactional(false).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
    control.create_queue("plain").await.unwrap();
    let plain = control.describe_queue("plain").await.unwrap();
    assert_eq!(plain.transactions, None);
}
