//! Exchanges, queues and bindings on RabbitMQ: made as they were asked for, or refused with what differs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::harness::amqp::{connect, queue};
use integration_tests::harness::{unique, until, within};
use mq_amqp::{
    Binding, Client, ErrorKind, Event, Exchange, Message, Outcome, Overflow, Queue, ReplyCode,
    Retry,
};

const WAIT: Duration = Duration::from_secs(60);

/// Publishes each key once and gives those that arrive.
async fn routed(
    client: &Client,
    exchange: &str,
    queue: &str,
    messages: Vec<Message>,
) -> BTreeSet<String> {
    let publisher = client
        .publisher(exchange.to_owned())
        .mandatory(false)
        .build()
        .await
        .unwrap();
    let mut wanted = 0;
    for message in messages {
        publisher.send(message).await.unwrap();
        wanted += 1;
    }
    assert!(wanted > 0);
    let publisher = client.publisher("").build().await.unwrap();
    publisher
        .send(Message::new(queue.to_owned(), "end"))
        .await
        .unwrap();
    let consumer = client.consumer(queue.to_owned()).build().await.unwrap();
    let mut found = BTreeSet::new();
    loop {
        let delivery = within(WAIT, "a message", consumer.recv())
            .await
            .unwrap()
            .unwrap();
        let text = delivery.text().unwrap().to_owned();
        delivery.ack().await.unwrap();
        if text == "end" {
            return found;
        }
        found.insert(text);
    }
}

fn keyed(keys: &[&str]) -> Vec<Message> {
    keys.iter()
        .map(|key| Message::new((*key).to_owned(), (*key).to_owned()))
        .collect()
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_each_exchange_leads_as_its_type_does() {
    let client = connect().await;
    let of = |kind: &str, found: BTreeSet<String>, wanted: &[&str]| {
        assert_eq!(
            found.iter().map(String::as_str).collect::<Vec<_>>(),
            wanted,
            "{kind}"
        );
    };
    for (kind, exchange, key, wanted) in [
        (
            "direct",
            Exchange::direct(unique("direct")),
            "a.b",
            vec!["a.b"],
        ),
        (
            "fanout",
            Exchange::fanout(unique("fanout")),
            "",
            vec!["a", "a.b", "a.c", "b.c"],
        ),
        (
            "topic",
            Exchange::topic(unique("topic")),
            "a.*",
            vec!["a.b", "a.c"],
        ),
        (
            "topic",
            Exchange::topic(unique("topic")),
            "#.c",
            vec!["a.c", "b.c"],
        ),
    ] {
        let (name, queue) = (exchange.name().to_owned(), queue(&client, kind).await);
        client.declare_exchange(exchange).await.unwrap();
        client
            .bind(Binding::queue(queue.clone()).to(name.clone()).key(key))
            .await
            .unwrap();
        let found = routed(&client, &name, &queue, keyed(&["a", "a.b", "a.c", "b.c"])).await;
        of(kind, found, &wanted);
        client.delete_exchange(&name).await.unwrap();
    }
    client.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_headers_exchange_leads_by_headers() {
    let client = connect().await;
    let (headers, queue) = (unique("headers"), queue(&client, "headers").await);
    client
        .declare_exchange(Exchange::headers(headers.clone()))
        .await
        .unwrap();
    let binding = Binding::queue(queue.clone())
        .to(headers.clone())
        .match_all();
    client
        .bind(binding.header("kind", "order").header("size", 3_i32))
        .await
        .unwrap();
    let messages = vec![
        Message::new("", "both")
            .header("kind", "order")
            .header("size", 3_i32),
        Message::new("", "one").header("kind", "order"),
    ];
    let found = routed(&client, &headers, &queue, messages).await;
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["both"]);
    client.delete_exchange(&headers).await.unwrap();
    client.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_exchanges_lead_to_exchanges_and_the_rest_to_the_alternate() {
    let client = connect().await;
    let (front, back, rest) = (unique("front"), unique("back"), unique("rest"));
    let (queue, left) = (queue(&client, "back").await, queue(&client, "rest").await);
    client
        .declare_exchange(Exchange::fanout(rest.clone()))
        .await
        .unwrap();
    client
        .declare_exchange(Exchange::direct(front.clone()).alternate(rest.clone()))
        .await
        .unwrap();
    client
        .declare_exchange(Exchange::fanout(back.clone()).internal())
        .await
        .unwrap();
    let binding = Binding::exchange(back.clone()).to(front.clone()).key("in");
    client.bind(binding.clone()).await.unwrap();
    client
        .bind(Binding::queue(queue.clone()).to(back.clone()))
        .await
        .unwrap();
    client
        .bind(Binding::queue(left.clone()).to(rest.clone()))
        .await
        .unwrap();
    let found = routed(&client, &front, &queue, keyed(&["in", "out"])).await;
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["in"]);
    let found = routed(&client, &front, &left, keyed(&["out"])).await;
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["out"]);
    client.unbind(binding.clone()).await.unwrap();
    client.unbind(binding).await.unwrap();
    let found = routed(&client, &front, &queue, keyed(&["in"])).await;
    assert!(found.is_empty(), "{found:?}");
    for exchange in [front, back, rest] {
        client.delete_exchange(&exchange).await.unwrap();
        client.delete_exchange(&exchange).await.unwrap();
    }
    client.close().await;
}

/// The same key always reaches the same queue.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_consistent_hash_keeps_keys_together() {
    let client = connect().await;
    let exchange = unique("hash");
    client
        .declare_exchange(Exchange::consistent_hash(exchange.clone()))
        .await
        .unwrap();
    let mut queues = Vec::new();
    for _ in 0..3 {
        let queue = queue(&client, "hash").await;
        client
            .bind(Binding::queue(queue.clone()).to(exchange.clone()).key("10"))
            .await
            .unwrap();
        queues.push(queue);
    }
    let mut places = std::collections::BTreeMap::new();
    for round in 0..2 {
        let keys: Vec<String> = (0..30).map(|at| format!("key {at}")).collect();
        let publisher = client.publisher(exchange.clone()).build().await.unwrap();
        for key in keys {
            publisher
                .send(Message::new(key.clone(), key))
                .await
                .unwrap();
        }
        for queue in &queues {
            for key in routed(&client, "", queue, keyed(&["nowhere"])).await {
                let before = places.insert(key.clone(), queue.clone());
                assert!(round == 0 || before.as_ref() == Some(queue), "{key} moved");
            }
        }
    }
    assert_eq!(places.len(), 30);
    assert!(places.values().collect::<BTreeSet<_>>().len() > 1, "spread");
    client.delete_exchange(&exchange).await.unwrap();
    client.close().await;
}

/// What is there and differs: the argument and both values are named, nothing else of the client is disturbed, and it can be adopted.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_what_differs_is_named() {
    let client = connect().await;
    let name = unique("differs");
    let held = client
        .consumer(queue(&client, "held").await)
        .build()
        .await
        .unwrap();
    let first = Queue::classic(name.clone())
        .max_length(10)
        .overflow(Overflow::RejectPublish);
    client
        .declare_queue(first.clone().expires(Duration::from_secs(600)))
        .await
        .unwrap();
    let other = Queue::classic(name.clone())
        .max_length(20)
        .overflow(Overflow::RejectPublish);
    let other = other.expires(Duration::from_secs(600));
    let error = client.declare_queue(other.clone()).await.unwrap_err();
    assert_eq!(error.code(), Some(&ReplyCode::PRECONDITION_FAILED));
    assert_eq!(
        (error.kind(), error.retry(), error.outcome()),
        (ErrorKind::Rejected, Retry::Never, Outcome::Rejected)
    );
    for word in ["x-max-length", "20", "10", &name, "adopt"] {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
    let adopted = client.declare_queue(other.or_adopt()).await.unwrap();
    assert_eq!(adopted.name, name);
    let exchange = unique("kind");
    client
        .declare_exchange(Exchange::direct(exchange.clone()))
        .await
        .unwrap();
    let error = client
        .declare_exchange(Exchange::topic(exchange.clone()))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("topic") && error.to_string().contains("direct"),
        "{error}"
    );
    client.delete_exchange(&exchange).await.unwrap();
    tokio::time::timeout(Duration::from_millis(50), held.recv())
        .await
        .unwrap_err();
    client.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_what_cannot_be_declared_says_why() {
    let client = connect().await;
    let unknown = Exchange::of_kind(unique("x"), "x-delayed-message");
    let error = client.declare_exchange(unknown).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let error = client
        .declare_queue(Queue::classic("amq.mine"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let error = client.queue("there is no such queue").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = client
        .bind(Binding::queue("there is no such queue").to("amq.direct"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = client
        .declare_queue(Queue::classic("n".repeat(256)))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Invalid, Outcome::NotSent)
    );
    let temporary = client.declare_queue(Queue::temporary()).await.unwrap();
    assert!(temporary.name.starts_with("amq.gen-"), "{}", temporary.name);
    let stranger = connect().await;
    let error = stranger.queue(&temporary.name).await.unwrap_err();
    assert_eq!(error.code(), Some(&ReplyCode::RESOURCE_LOCKED), "{error}");
    stranger.close().await;
    client.close().await;
}

/// A queue of the broker's naming is made anew after a cut, under another name: its binding and its consumer follow, and it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_temporary_topology_comes_back_after_a_cut() {
    let name = unique("cut-me");
    let client = integration_tests::harness::amqp::builder()
        .connection_name(name.clone())
        .connect()
        .await
        .unwrap();
    let exchange = unique("topology");
    client
        .declare_exchange(Exchange::fanout(exchange.clone()).transient().auto_delete())
        .await
        .unwrap();
    let queue = client.declare_queue(Queue::temporary()).await.unwrap();
    client
        .bind(Binding::queue(queue.name.clone()).to(exchange.clone()))
        .await
        .unwrap();
    let consumer = client.consumer(queue.name.clone()).build().await.unwrap();
    let publisher = client.publisher(exchange.clone()).build().await.unwrap();
    publisher.send(Message::new("", "before")).await.unwrap();
    let before = within(WAIT, "a message", consumer.recv())
        .await
        .unwrap()
        .unwrap();
    before.ack().await.unwrap();
    let mut events = client.events();
    integration_tests::harness::amqp::cut(&name).await;
    let renamed = async {
        loop {
            if let Event::QueueRenamed { old, new } = events.next().await.unwrap() {
                return (old, new);
            }
        }
    };
    let (old, new) = within(WAIT, "the new name", renamed).await;
    assert_eq!(old, queue.name);
    assert_ne!(new, queue.name);
    until(WAIT, "its consumer is there", async || {
        client
            .queue(&new)
            .await
            .is_ok_and(|info| info.consumers == 1)
    })
    .await;
    publisher.send(Message::new("", "after")).await.unwrap();
    let after = within(WAIT, "a message", consumer.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(after.text(), Some("after"));
    after.ack().await.unwrap();
    // Its first name is as good as the present one.
    assert_eq!(client.queue(&old).await.unwrap().name, new);
    client.delete_queue(&old).await.unwrap();
    let gone = client.queue(&new).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    client.close().await;
}

/// What belongs to one connection is not asked of the other one, which would be refused it: nobody is told of a loss that there is not.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_an_exclusive_queue_is_bound_by_its_own_connection() {
    let client = connect().await;
    let queue = client.declare_queue(Queue::temporary()).await.unwrap();
    let key = queue.name.clone();
    let binding = Binding::queue(queue.name).to("amq.direct").key(key.clone());
    client.bind(binding).await.unwrap();
    let mut events = client.events();
    let publisher = client.publisher("amq.direct").build().await.unwrap();
    let first = within(WAIT, "the publishing connection", events.next()).await;
    assert!(matches!(first, Some(Event::Connected { .. })), "{first:?}");
    publisher.send(Message::new(key, "x")).await.unwrap();
    client.close().await;
}
