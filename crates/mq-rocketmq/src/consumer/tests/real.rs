//! Against a real broker: what only its own rules can show.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{Client, ConsumeFrom, Consumer, Message, Settle};

async fn client() -> Client {
    let url =
        std::env::var("MQ_ROCKETMQ_URL").expect("MQ_ROCKETMQ_URL names the broker to test on");
    assert!(
        url.contains("127.0.0.1") || url.contains("localhost"),
        "tests send to loopback only"
    );
    Client::from_url(&url).unwrap().connect().await.unwrap()
}

fn unique(name: &str) -> String {
    format!("{name}-{:08x}", fastrand::u32(..))
}

async fn send(client: &Client, topic: &str, bodies: impl IntoIterator<Item = String>) {
    let producer = client.producer("consumer-tests").build().await.unwrap();
    for body in bodies {
        producer.send(Message::new(topic, body)).await.unwrap();
    }
}

async fn take(consumer: &Consumer, wait: Duration) -> Option<crate::Delivery> {
    tokio::time::timeout(wait, consumer.recv())
        .await
        .ok()?
        .unwrap()
}

fn text(message: &Message) -> String {
    String::from_utf8(message.body().to_vec()).unwrap()
}

const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: MQ_ROCKETMQ_URL"]
async fn real_rocketmq_consumer_receives_what_is_sent_after_build() {
    let client = client().await;
    let topic = unique("after-build");
    // Makes the topic.
    send(&client, &topic, ["first".to_owned()]).await;
    let consumer = client
        .consumer(&unique("g"))
        .subscribe(&topic, "*")
        .build()
        .await
        .unwrap();
    send(&client, &topic, (0..100).map(|n| n.to_string())).await;
    let mut wanted: BTreeSet<String> = (0..100).map(|n| n.to_string()).collect();
    while !wanted.is_empty() {
        let delivery = take(&consumer, SOON).await.expect("everything comes");
        wanted.remove(&text(&delivery));
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
    assert!(consumer.recv().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: MQ_ROCKETMQ_URL"]
async fn real_rocketmq_consumer_goes_on_where_the_group_was() {
    let client = client().await;
    let (topic, group) = (unique("resume"), unique("g"));
    send(&client, &topic, (0..20).map(|n| n.to_string())).await;
    let mut seen = Vec::new();
    for round in 0..2 {
        let consumer = client
            .consumer(&group)
            .subscribe(&topic, "*")
            .from(ConsumeFrom::First)
            .build()
            .await
            .unwrap();
        for _ in 0..10 {
            let delivery = take(&consumer, SOON).await.expect("ten more");
            seen.push(text(&delivery));
            delivery.ack().await.unwrap();
        }
        if round == 0 {
            // What is buffered here goes back uncounted.
            consumer.close().await;
        } else {
            assert!(take(&consumer, Duration::from_secs(1)).await.is_none());
        }
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 20, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: MQ_ROCKETMQ_URL"]
async fn real_rocketmq_consumer_retries_then_dead_letters() {
    let client = client().await;
    let (topic, group) = (unique("retry"), unique("g"));
    send(&client, &topic, ["x".to_owned()]).await;
    let consumer = client
        .consumer(&group)
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .max_redeliveries(2)
        .build()
        .await
        .unwrap();
    for attempt in 1..=3 {
        let delivery = take(&consumer, SOON).await.expect("again");
        assert_eq!((delivery.attempt(), delivery.topic()), (attempt, &*topic));
        delivery.nack_after(Duration::from_secs(1)).await.unwrap();
    }
    assert!(
        take(&consumer, Duration::from_secs(3)).await.is_none(),
        "past the last attempt"
    );
    let dead = client
        .consumer(&unique("dead"))
        .subscribe(format!("%DLQ%{group}"), "*")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    let delivery = take(&dead, SOON).await.expect("the dead letter");
    assert_eq!(text(&delivery), "x");
    delivery.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: MQ_ROCKETMQ_URL"]
async fn real_rocketmq_consumer_lives_through_failing_and_panicking_handlers() {
    let client = client().await;
    let topic = unique("run");
    send(
        &client,
        &topic,
        ["fail", "panic", "good"].map(str::to_owned),
    )
    .await;
    let consumer = client
        .consumer(&unique("g"))
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    let handle = consumer.handle();
    let (done, mut results) = tokio::sync::mpsc::channel(16);
    let running = consumer.run(move |message| {
        let done = done.clone();
        async move {
            let (body, attempt) = (text(&message), message.attempt());
            match (&*body, attempt) {
                ("fail", 1) => return Err("not yet"),
                ("panic", 1) => panic!("a handler's bug"),
                _ => {}
            }
            done.send((body, attempt)).await.unwrap();
            Ok(Settle::Ack)
        }
    });
    let collect = async {
        let mut got = BTreeSet::new();
        while got.len() < 3 {
            // Level 3: ten seconds, or one with the launcher's fast timers.
            let next = tokio::time::timeout(Duration::from_secs(25), results.recv()).await;
            got.insert(next.expect("all three are handled").unwrap());
        }
        handle.close().await;
        got
    };
    let (ran, got) = tokio::join!(running, collect);
    ran.unwrap();
    assert_eq!(
        got.into_iter().collect::<Vec<_>>(),
        [("fail".into(), 2), ("good".into(), 1), ("panic".into(), 2)]
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: MQ_ROCKETMQ_URL"]
async fn real_rocketmq_consumer_shares_queues_with_another_client() {
    let (one, two) = (client().await, client().await);
    let (topic, group) = (unique("share"), unique("g"));
    send(&one, &topic, ["first".to_owned()]).await;
    let build = |client: &Client| client.consumer(&group).subscribe(&topic, "*").build();
    let first = build(&one).await.unwrap();
    let second = build(&two).await.unwrap();
    // The first hears of the second at once.
    tokio::time::sleep(Duration::from_secs(1)).await;
    send(&one, &topic, (0..200).map(|n| n.to_string())).await;
    let (mut wanted, mut shares): (BTreeSet<String>, _) =
        ((0..200).map(|n| n.to_string()).collect(), [0, 0]);
    while !wanted.is_empty() {
        let (which, delivery) = tokio::select! {
            delivery = first.recv() => (0, delivery),
            delivery = second.recv() => (1, delivery),
            () = tokio::time::sleep(SOON) => panic!("missing: {wanted:?}"),
        };
        let delivery = delivery.unwrap().unwrap();
        wanted.remove(&text(&delivery));
        shares[which] += 1;
        delivery.ack().await.unwrap();
    }
    assert!(shares[0] > 50 && shares[1] > 50, "{shares:?}");
}
