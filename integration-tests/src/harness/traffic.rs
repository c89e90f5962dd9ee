//! Topics with a known number of queues, what is in them, and who sends and receives.

use std::time::Duration;

use mq_rocketmq::proto::command::{ConsumerOffset, QueryOffset};
use mq_rocketmq::{
    Client, ConsumeFrom, ConsumerBuilder, Delivery, Producer, Received, TopicOptions,
};

use super::{Wire, connect, nameserver, unique, until, within};

/// Creates a topic with `queues` queues on the first broker and none elsewhere; answers with its unique name.
pub async fn topic(what: &str, queues: u32) -> String {
    topic_at(&nameserver(), what, queues).await
}

/// As [`topic`], made by the client's own means: also where the brokers want TLS or keys.
pub async fn topic_by_ours(what: &str, queues: u32) -> String {
    let (client, name) = (connect().await, unique(what));
    let options = TopicOptions::new().queues(queues).broker("broker-a");
    let made = client.admin().create_topic(&name, options).await;
    made.expect("the topic is made");
    client.close().await.expect("nothing is under way");
    name
}

/// As [`topic`], at the brokers of another nameserver.
pub async fn topic_at(nameserver: &str, what: &str, queues: u32) -> String {
    let name = unique(what);
    create(nameserver, &name, queues, false).await;
    name
}

/// As [`topic_at`], a topic that is written only while its broker may be written.
pub async fn ordered_topic_at(nameserver: &str, what: &str, queues: u32) -> String {
    let name = unique(what);
    create(nameserver, &name, queues, true).await;
    name
}

/// As [`topic_at`], with `queues` queues on every broker.
pub async fn topic_on_all(nameserver: &str, what: &str, queues: u32) -> String {
    let name = unique(what);
    let brokers = Wire::brokers(nameserver).await;
    let count = brokers.len();
    for (_, mut broker) in brokers {
        broker.create_topic(&name, queues, false).await;
    }
    until(
        LIMIT,
        "the nameserver knows the topic on every broker",
        async || {
            let mut wire = Wire::connect(nameserver).await.expect("the nameserver");
            wire.has_route(&name).await && wire.route(&name).await.brokers.len() == count
        },
    )
    .await;
    name
}

async fn create(nameserver: &str, name: &str, queues: u32, ordered: bool) {
    let (broker_name, mut broker) = first_broker_at(nameserver).await;
    if ordered {
        // Brokers take the nameserver's word for it, not their own.
        let mut wire = Wire::connect(nameserver).await.expect("the nameserver");
        wire.declare_ordered(name, &broker_name).await;
    }
    broker.create_topic(name, queues, ordered).await;
    until(LIMIT, "the nameserver knows the topic", async || {
        let mut wire = Wire::connect(nameserver).await.expect("the nameserver");
        wire.has_route(name).await
    })
    .await;
}

/// A producer of a group of its own.
pub async fn producer(client: &Client) -> Producer {
    let building = client.producer(&unique("producer")).build();
    building.await.expect("a producer")
}

/// A consumer of everything in a topic, from the beginning for a new group.
pub fn from_first(client: &Client, group: &str, topic: &str) -> ConsumerBuilder {
    client
        .consumer(group)
        .subscribe(topic, "*")
        .from(ConsumeFrom::First)
}

/// A body that is text.
pub fn text(received: &Received) -> String {
    String::from_utf8(received.body().to_vec()).expect("UTF-8")
}

/// Receives and acknowledges `count` messages from the beginning of a topic, by a new group.
pub async fn drain(client: &Client, topic: &str, count: usize) -> Vec<Received> {
    let building = from_first(client, &unique("drain"), topic).build();
    let consumer = building.await.expect("a consumer");
    let mut all = Vec::new();
    while all.len() < count {
        let what = format!("message {} of {count}", all.len() + 1);
        let delivery = within(LIMIT, &what, consumer.recv()).await;
        let (received, acker) = delivery
            .expect("no error")
            .expect("not closed")
            .into_parts();
        acker.ack().await.expect("still ours");
        all.push(received);
    }
    consumer.close().await;
    all
}

/// The next delivery of a consumer, which must come within a generous time.
pub async fn next(consumer: &mq_rocketmq::Consumer) -> Delivery {
    within(LIMIT, "a delivery", consumer.recv())
        .await
        .expect("no error")
        .expect("not closed")
}

/// A connection to the first of the shared brokers, where [`topic`] puts topics.
pub async fn first_broker() -> Wire {
    first_broker_at(&nameserver()).await.1
}

async fn first_broker_at(nameserver: &str) -> (String, Wire) {
    let brokers = Wire::brokers(nameserver).await.into_iter();
    brokers.min_by(|a, b| a.0.cmp(&b.0)).expect("a broker")
}

/// What a group has committed of a queue of the first broker; `None` if nothing.
pub async fn committed(group: &str, topic: &str, queue: i32) -> Option<i64> {
    let mut broker = first_broker().await;
    let request = QueryOffset {
        consumer_group: group.into(),
        topic: topic.into(),
        queue_id: queue,
        zero_if_not_found: Some(false),
        ..QueryOffset::default()
    };
    let answer = broker.ask(&request).await;
    (answer.code == 0).then(|| answer.reply::<ConsumerOffset>().offset)
}

/// Ends a wait that would never end; never reached when things are right.
const LIMIT: Duration = Duration::from_secs(30);
