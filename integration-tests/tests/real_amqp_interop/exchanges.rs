//! Exchanges that one side declares and the other binds and publishes to: each leads where its type says.

use std::collections::BTreeSet;

use integration_tests::foreign::amqp::{Peer, Seen};
use integration_tests::harness::amqp::queue;
use integration_tests::harness::{unique, until};
use mq_amqp::{Binding, Exchange, Message};
use serde_json::{Value, json};

use crate::world::{Promise, WAIT, World, call_to_publish};

/// What one side sends: key, headers, and how many queues of the test take it.
type Sent = (&'static str, Value, usize);

/// Two queues at an exchange, one bound by each side; both sides send, and the broker's count of each queue says where it went.
struct Led {
    exchange: String,
    bound_by_us: String,
    bound_by_them: String,
}

impl Led {
    async fn new(world: &mut World, kind: &str, ours: Exchange, key: [&str; 2]) -> Self {
        let exchange = ours.name().to_owned();
        let led = Self {
            bound_by_us: queue(&world.ours, kind).await,
            bound_by_them: queue(&world.ours, kind).await,
            exchange: exchange.clone(),
        };
        // Declared by both: they have to mean the same.
        let theirs = json!({"exchange": exchange, "kind": kind, "durable": true});
        world.ask("DeclareExchange", theirs).await;
        world.ours.declare_exchange(ours).await.unwrap();
        let mut binding = Binding::queue(led.bound_by_us.clone())
            .to(exchange.clone())
            .key(key[0].to_owned());
        let mut given = json!({"queue": led.bound_by_them, "exchange": exchange, "key": key[1]});
        if kind == "headers" {
            binding = binding
                .match_all()
                .header("size", 3_i32)
                .header("kind", "order");
            given["arguments"] =
                json!([["x-match", {"S": "any"}], ["size", {"I": 3}], ["kind", {"S": "none"}]]);
        }
        world.ours.bind(binding).await.unwrap();
        world.ask("Bind", given).await;
        led
    }

    /// Each is sent by either side; then both queues hold as many of each side's.
    async fn leads(&self, world: &mut World, sent: &[Sent]) {
        for (key, headers, queues) in sent {
            let outcome = if *queues == 0 { "returned" } else { "ack" };
            let given =
                call_to_publish(&self.exchange, key, &json!({"headers": headers}), b"theirs");
            assert_eq!(
                world.ask("Publish", given).await["outcome"],
                outcome,
                "{key} {headers}"
            );
            let mut message = Message::new(*key, "ours");
            if headers.to_string().contains("size") {
                message = message.header("size", 3_i32);
            }
            if headers.to_string().contains("order") {
                message = message.header("kind", "order");
            }
            let result = world.publisher(&self.exchange).await.send(message).await;
            assert_eq!(result.is_ok(), *queues > 0, "{key} {headers}");
        }
        let wanted: usize = sent.iter().map(|(_, _, queues)| queues * 2).sum();
        until(WAIT, "what was led there", async || {
            self.held(world).await == wanted
        })
        .await;
    }

    async fn held(&self, world: &World) -> usize {
        let us = world.ours.queue(&self.bound_by_us).await.unwrap().messages;
        let them = world
            .ours
            .queue(&self.bound_by_them)
            .await
            .unwrap()
            .messages;
        usize::try_from(us + them).unwrap()
    }

    /// Takes half from one queue and half from the other, by whom did not bind it, and takes everything away.
    async fn ends(self, world: &mut World, in_ours: usize, in_theirs: usize) {
        let theirs = world.they_receive(&self.bound_by_us, in_ours).await;
        let ours = world.we_receive(&self.bound_by_them, in_theirs).await;
        let all: BTreeSet<String> = theirs.iter().map(Seen::text).chain(ours).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ["ours", "theirs"]);
        assert!(theirs.iter().all(|seen| seen.exchange == self.exchange));
        assert_eq!(self.held(world).await, 0);
        world
            .ask("Delete", json!({"exchange": self.exchange}))
            .await;
    }
}

async fn direct_and_topic(world: &mut World) {
    let direct = Exchange::direct(unique("direct"));
    let led = Led::new(world, "direct", direct, ["a", "b"]).await;
    let none = json!([]);
    led.leads(
        world,
        &[
            ("a", none.clone(), 1),
            ("b", none.clone(), 1),
            ("c", none.clone(), 0),
        ],
    )
    .await;
    led.ends(world, 2, 2).await;
    let topic = Exchange::topic(unique("topic"));
    let led = Led::new(world, "topic", topic, ["*.b.#", "a.#"]).await;
    let keys = [("a.b", 2), ("x.b.c.d", 1), ("a", 1), ("b.a", 0)];
    let sent = keys.map(|(key, queues)| (key, none.clone(), queues));
    led.leads(world, &sent).await;
    led.ends(world, 4, 4).await;
}

async fn headers(world: &mut World) {
    let exchange = Exchange::headers(unique("headers"));
    let led = Led::new(world, "headers", exchange, ["", ""]).await;
    let size = json!([["size", {"I": 3}]]);
    let both = json!([["kind", {"S": "order"}], ["size", {"I": 3}]]);
    let order = json!([["kind", {"S": "order"}]]);
    led.leads(world, &[("", both, 2), ("", size, 1), ("", order, 0)])
        .await;
    led.ends(world, 2, 4).await;
}

/// The same key, whoever publishes it, goes to the same queue.
async fn consistent_hash(world: &mut World) {
    let exchange = Exchange::consistent_hash(unique("hash"));
    let led = Led::new(world, "x-consistent-hash", exchange, ["1", "1"]).await;
    let keys: Vec<String> = (0..20).map(|number| format!("customer-{number}")).collect();
    let publisher = world.publisher(&led.exchange).await;
    for key in &keys {
        world.they_send(&led.exchange, key, "theirs").await;
        publisher
            .send(Message::new(key.clone(), "ours"))
            .await
            .unwrap();
    }
    until(WAIT, "all of them", async || {
        led.held(world).await == 2 * keys.len()
    })
    .await;
    let in_ours = world.ours.queue(&led.bound_by_us).await.unwrap().messages;
    let in_ours = usize::try_from(in_ours).unwrap();
    assert!(in_ours > 0 && in_ours < 2 * keys.len(), "both have some");
    let seen = world.they_receive(&led.bound_by_us, in_ours).await;
    let keys_of = |who: &str| {
        let theirs = seen.iter().filter(|seen| seen.text() == who);
        theirs.map(|seen| seen.key.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(keys_of("theirs"), keys_of("ours"));
    world.ours.delete_exchange(&led.exchange).await.unwrap();
}

async fn each_kind(world: &mut World) {
    direct_and_topic(world).await;
    headers(world).await;
    consistent_hash(world).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), JDK 17 and Maven"]
async fn real_amqp_interop_exchanges_of_each_kind_with_java() {
    let promise = Promise {
        test: "real_amqp_interop_exchanges_of_each_kind_with_java",
        flow: "topology",
        text: "direct, topic, headers and consistent hash exchanges that both declare, bind and publish to",
    };
    promise.kept(Peer::Java, each_kind).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_exchanges_of_each_kind_with_pika() {
    let promise = Promise {
        test: "real_amqp_interop_exchanges_of_each_kind_with_pika",
        flow: "topology",
        text: "direct, topic, headers and consistent hash exchanges that both declare, bind and publish to",
    };
    promise.kept(Peer::Pika, each_kind).await;
}
