//! Requests over the broker's direct reply-to: either side asks, the other answers.

use integration_tests::foreign::amqp::{Peer, Seen};
use integration_tests::harness::amqp::queue;
use integration_tests::harness::within;
use mq_amqp::Message;
use serde_json::{Value, json};

use crate::world::{Promise, WAIT, World, ask, base64, next};

async fn ask_and_answer(world: &mut World) {
    let queue = queue(&world.ours, "requests").await;
    theirs_answer(world, &queue).await;
    ours_answers(world, &queue).await;
}

/// Several at a time, so that an answer that went to the wrong one would show.
async fn theirs_answer(world: &mut World, queue: &str) {
    const AT_ONCE: usize = 5;
    let rpc = world.ours.rpc("").await.unwrap();
    let calls = (0..AT_ONCE).map(|number| {
        let request = Message::new(queue.to_owned(), format!("request {number}"));
        rpc.call(request).into_future()
    });
    let served = json!({"queue": queue, "count": AT_ONCE});
    let (answers, served) = tokio::join!(
        within(WAIT, "the answers", futures_util::future::join_all(calls)),
        ask(&mut world.theirs, "Serve", served),
    );
    assert_eq!(served["served"], AT_ONCE);
    for (number, answer) in answers.into_iter().enumerate() {
        let wanted = format!("{}request {number}", world.peer.greeting());
        assert_eq!(answer.unwrap().text(), Some(&*wanted));
    }
}

async fn ours_answers(world: &mut World, queue: &str) {
    let consumer = world.consumer(queue).await;
    let answers = world.ours.publisher("").mandatory(false);
    let answers = answers.build().await.unwrap();
    let given: Value = json!({
        "exchange": "", "key": queue, "properties": {"correlation_id": "their id"}, "body": base64("their request".as_bytes()),
    });
    let answering = async {
        let request = next(&consumer).await;
        let answer = request.reply(format!("ours: {}", request.text().unwrap()));
        answers.send(answer.unwrap()).await.unwrap();
        request.ack().await.unwrap();
    };
    let (said, ()) = tokio::join!(ask(&mut world.theirs, "Call", given), answering);
    let answer = Seen::read(&said["message"]).unwrap();
    assert_eq!(answer.text(), "ours: their request");
    assert_eq!(
        answer.properties.correlation_id.as_deref(),
        Some("their id")
    );
    consumer.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), JDK 17 and Maven"]
async fn real_amqp_interop_requests_with_java() {
    let promise = Promise {
        test: "real_amqp_interop_requests_with_java",
        flow: "requests",
        text: "either side asks over direct reply-to, and the other answers",
    };
    promise.kept(Peer::Java, ask_and_answer).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_requests_with_pika() {
    let promise = Promise {
        test: "real_amqp_interop_requests_with_pika",
        flow: "requests",
        text: "either side asks over direct reply-to, and the other answers",
    };
    promise.kept(Peer::Pika, ask_and_answer).await;
}
