//! The trace of a message: from the span that sends it to the one that handles it, in headers that others read and write too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use integration_tests::foreign::amqp::Peer;
use integration_tests::harness::amqp::{builder, queue};
use integration_tests::harness::within;
use mq_amqp::{Client, Error, Message, Propagator, Settle, Value};
use serde_json::json;
use tracing::{Instrument as _, Span};

use crate::world::{Promise, WAIT, World, call_to_publish};

/// Writes the span's name and number where a trace would be, and keeps what it is told.
#[derive(Debug, Clone, Default)]
struct Witness(Arc<Mutex<Vec<Tied>>>);

/// A span that was tied to a sender.
#[derive(Debug, Clone, PartialEq)]
struct Tied {
    span: String,
    traceparent: Option<String>,
    tracestate: Option<String>,
    messages: usize,
}

impl Witness {
    fn tied(&self) -> Vec<Tied> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn named(span: &Span) -> String {
    let name = span.metadata().map_or("none", |metadata| metadata.name());
    format!("{name} {:?}", span.id().map(|id| id.into_u64()))
}

impl Propagator for Witness {
    fn inject(&self, span: &Span) -> HashMap<String, String> {
        let fields = [
            ("traceparent", named(span)),
            ("tracestate", "by=ours".to_owned()),
        ];
        fields.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn extract(&self, span: &Span, fields: &HashMap<String, String>, messages: usize) {
        let tied = Tied {
            span: named(span),
            traceparent: fields.get("traceparent").cloned(),
            tracestate: fields.get("tracestate").cloned(),
            messages,
        };
        self.0.lock().unwrap().push(tied);
    }
}

/// Collects spans of this thread, so that there are some.
fn collected() -> tracing::subscriber::DefaultGuard {
    let nowhere = tracing_subscriber::fmt().with_writer(std::io::sink);
    tracing::subscriber::set_default(nowhere.finish())
}

/// What a handler saw: the span that it ran in, and the header `traceparent` of each message.
type Seen = (String, Vec<Option<String>>);

/// Handles so many messages, one by one or all together.
async fn handled(client: &Client, queue: &str, count: usize, together: bool) -> Vec<Seen> {
    let consumer = client.consumer(queue.to_owned()).concurrency(1);
    let consumer = consumer.build().await.unwrap();
    let (seen, handle) = (Arc::new(Mutex::new(Vec::new())), consumer.handle());
    let note = {
        let seen = Arc::clone(&seen);
        move |batch: Vec<mq_amqp::Received>| {
            let (seen, handle) = (Arc::clone(&seen), handle.clone());
            async move {
                let text = |value: &Value| value.as_str().map(str::to_owned);
                let traces = batch
                    .iter()
                    .map(|one| one.header("traceparent").and_then(text));
                let all = {
                    let mut seen = seen.lock().unwrap();
                    seen.push((named(&Span::current()), traces.collect()));
                    seen.iter()
                        .map(|(_, traces): &Seen| traces.len())
                        .sum::<usize>()
                };
                if all == count {
                    drop(tokio::spawn(async move { handle.close().await }));
                }
                Ok::<_, Error>(Settle::Ack)
            }
        }
    };
    let running = async {
        if together {
            consumer.run_batch(count, WAIT, note).await
        } else {
            consumer.run(move |one| note(vec![one])).await
        }
    };
    within(WAIT, "the handlers", running).await.unwrap();
    Arc::into_inner(seen).unwrap().into_inner().unwrap()
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_trace_goes_on_where_the_message_is_handled() {
    let _collected = collected();
    let witness = Witness::default();
    let client = builder()
        .propagator(witness.clone())
        .connect()
        .await
        .unwrap();
    let queue = queue(&client, "traced").await;
    let publisher = client.publisher("").build().await.unwrap();
    let outer = tracing::info_span!("outer");
    let send = async {
        publisher
            .send(Message::new(queue.clone(), "1"))
            .await
            .unwrap();
        let confirm = publisher.enqueue(Message::new(queue.clone(), "2")).await;
        confirm.unwrap().await.unwrap();
        let carries = Message::new(queue.clone(), "3").header("traceparent", "another");
        publisher.send(carries).await.unwrap();
    };
    send.instrument(outer).await;

    let seen = handled(&client, &queue, 3, false).await;
    let tied = witness.tied();
    assert_eq!((seen.len(), tied.len()), (3, 3));
    for ((span, traces), tied) in seen.iter().zip(&tied) {
        assert!(span.starts_with("process Some("), "{span}");
        assert_eq!((span, &traces[0]), (&tied.span, &tied.traceparent));
        assert_eq!(tied.messages, 1);
    }
    for sent in &tied[..2] {
        assert!(
            sent.traceparent.as_ref().unwrap().starts_with("send Some("),
            "{sent:?}"
        );
        assert_eq!(sent.tracestate.as_deref(), Some("by=ours"));
    }
    assert_ne!(tied[0].traceparent, tied[1].traceparent);
    let carried = (
        tied[2].traceparent.as_deref(),
        tied[2].tracestate.as_deref(),
    );
    assert_eq!(carried, (Some("another"), None));

    for number in 0..3 {
        publisher
            .send(Message::new(queue.clone(), number.to_string()))
            .await
            .unwrap();
    }
    let seen = handled(&client, &queue, 3, true).await;
    let tied = witness.tied();
    assert_eq!(seen.len(), 1);
    let traces: Vec<_> = tied.iter().map(|tied| tied.traceparent.clone()).collect();
    assert_eq!(seen[0].1, traces);
    assert!(
        tied.iter()
            .all(|tied| tied.messages == 3 && tied.span == seen[0].0)
    );
    client.close().await;
}

/// Who receives by hand has a span of his own; and a client without a propagator writes nothing.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_trace_is_continued_by_hand() {
    let _collected = collected();
    let witness = Witness::default();
    let client = builder()
        .propagator(witness.clone())
        .connect()
        .await
        .unwrap();
    let plain = integration_tests::harness::amqp::connect().await;
    let queue = queue(&client, "traced").await;
    for sender in [&client, &plain] {
        let publisher = sender.publisher("").build().await.unwrap();
        publisher
            .send(Message::new(queue.clone(), "hello"))
            .await
            .unwrap();
    }
    let consumer = client.consumer(queue).build().await.unwrap();
    for carries in [true, false] {
        let delivery = crate::world::next(&consumer).await;
        let own = tracing::info_span!("own");
        client.continue_trace(&own, &delivery);
        let tied = witness.tied();
        assert_eq!((tied.len(), &tied[0].span), (1, &named(&own)));
        assert_eq!(tied[0].traceparent.is_some(), carries);
        assert_eq!(delivery.message().properties().headers.is_some(), carries);
        delivery.ack().await.unwrap();
    }
    plain.close().await;
    client.close().await;
}

async fn in_headers_of_theirs(world: &mut World) {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let _collected = collected();
    let witness = Witness::default();
    let client = builder()
        .propagator(witness.clone())
        .connect()
        .await
        .unwrap();
    let queue = queue(&client, "traced").await;
    let trace =
        json!({"headers": [["traceparent", {"S": PARENT}], ["tracestate", {"S": "by=theirs"}]]});
    let given = call_to_publish("", &queue, &trace, b"theirs");
    assert_eq!(world.ask("Publish", given).await["outcome"], "ack");
    handled(&client, &queue, 1, false).await;
    let tied = witness.tied();
    let theirs = (
        tied[0].traceparent.as_deref(),
        tied[0].tracestate.as_deref(),
    );
    assert_eq!(theirs, (Some(PARENT), Some("by=theirs")));

    let publisher = client.publisher("").build().await.unwrap();
    publisher
        .send(Message::new(queue.clone(), "ours"))
        .await
        .unwrap();
    let seen = world.they_receive(&queue, 1).await;
    let headers = seen[0].properties.headers.as_ref().unwrap();
    let text = |name| headers.get(name).and_then(Value::as_str);
    assert!(
        text("traceparent").unwrap().starts_with("send Some("),
        "{headers:?}"
    );
    assert_eq!(text("tracestate"), Some("by=ours"));
    client.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), JDK 17 and Maven, Python 3 with venv"]
async fn real_amqp_interop_traces_are_in_headers() {
    for peer in Peer::ALL {
        let promise = Promise {
            test: "real_amqp_interop_traces_are_in_headers",
            flow: "send, receive",
            text: "the fields of a trace are texts in the headers, read and written by both",
        };
        promise.kept(peer, in_headers_of_theirs).await;
    }
}
