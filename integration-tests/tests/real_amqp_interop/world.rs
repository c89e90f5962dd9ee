//! The node of this run, our client and one of theirs.

use std::time::Duration;

use integration_tests::brokers::rabbitmq::shared;
use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::amqp::{Peer, Seen, Session};
use integration_tests::harness::amqp::connect;
use integration_tests::harness::{unique, within};
use mq_amqp::{Client, Consumer, Delivery, Message, Publisher};
use serde_json::{Value, json};

pub(crate) const WAIT: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) ours: Client,
    pub(crate) theirs: Session,
    pub(crate) peer: Peer,
    /// Of their connection.
    pub(crate) name: String,
}

/// What a test is called and promises, for `docs/flows.md`.
pub(crate) struct Promise {
    pub(crate) test: &'static str,
    pub(crate) flow: &'static str,
    pub(crate) text: &'static str,
}

impl Promise {
    pub(crate) async fn kept(self, peer: Peer, scenario: impl AsyncFn(&mut World)) {
        let record = Record::begin(self.test, "mq-amqp", self.flow, self.text)
            .tier(Tier::Foreign)
            .version(&format!("{} on RabbitMQ 3.10.8", peer.version()));
        let mut world = World::start(peer).await;
        scenario(&mut world).await;
        world.ours.close().await;
        record.passed();
    }
}

impl World {
    async fn start(peer: Peer) -> Self {
        let name = unique("theirs");
        let node = shared().unwrap_or_else(|why| panic!("{why}"));
        let theirs = peer.start(node.url(), &name).await;
        Self {
            ours: connect().await,
            theirs: theirs.unwrap_or_else(|failure| panic!("{failure}")),
            peer,
            name,
        }
    }

    pub(crate) async fn ask(&mut self, action: &str, given: Value) -> Value {
        ask(&mut self.theirs, action, given).await
    }

    pub(crate) async fn publisher(&self, exchange: &str) -> Publisher {
        let publisher = self.ours.publisher(exchange.to_owned()).build();
        publisher.await.unwrap()
    }

    pub(crate) async fn consumer(&self, queue: &str) -> Consumer {
        self.ours.consumer(queue.to_owned()).build().await.unwrap()
    }

    /// Theirs publish, and hear that the broker has it.
    pub(crate) async fn they_send(&mut self, exchange: &str, key: &str, body: &str) {
        let given = call_to_publish(exchange, key, &json!({"delivery_mode": 2}), body.as_bytes());
        let said = self.ask("Publish", given).await;
        assert_eq!(said["outcome"], "ack", "{said}");
    }

    /// We publish, and hear that the broker has it.
    pub(crate) async fn we_send(&self, exchange: &str, key: &str, body: &str) {
        let message = Message::new(key.to_owned(), body.to_owned());
        let publisher = self.publisher(exchange).await;
        publisher.send(message).await.unwrap();
    }

    /// So many messages as theirs get them; each is acknowledged.
    pub(crate) async fn they_receive(&mut self, queue: &str, count: usize) -> Vec<Seen> {
        let given = json!({"queue": queue, "count": count});
        Seen::read_all(&self.ask("Receive", given).await).unwrap()
    }

    /// So many messages as we get them; each is acknowledged.
    pub(crate) async fn we_receive(&self, queue: &str, count: usize) -> Vec<String> {
        let consumer = self.consumer(queue).await;
        let mut texts = Vec::new();
        for _ in 0..count {
            let delivery = next(&consumer).await;
            texts.push(delivery.text().unwrap().to_owned());
            delivery.ack().await.unwrap();
        }
        consumer.close().await;
        texts
    }
}

pub(crate) async fn ask(theirs: &mut Session, action: &str, given: Value) -> Value {
    let said = theirs.call(action, given).await;
    said.unwrap_or_else(|failure| panic!("{action}: {failure}"))
}

pub(crate) async fn next(consumer: &Consumer) -> Delivery {
    let delivery = within(WAIT, "a message", consumer.recv()).await;
    delivery.unwrap().unwrap()
}

pub(crate) fn call_to_publish(exchange: &str, key: &str, properties: &Value, body: &[u8]) -> Value {
    json!({"exchange": exchange, "key": key, "mandatory": true, "properties": properties, "body": base64(body)})
}

pub(crate) fn base64(body: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(body)
}
