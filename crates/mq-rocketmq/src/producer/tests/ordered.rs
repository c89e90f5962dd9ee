//! Ordering keys and explicit queues.

use futures_util::future::join_all;

use super::*;
use crate::{KeyHash, Producer, QueueRef, SendError};

fn keyed(key: &str, body: &str) -> Message {
    Message::new("t", body.to_owned()).ordering_key(key)
}

impl Server {
    /// Bodies are not kept: messages are told apart by their keys.
    fn keys(&self) -> Vec<String> {
        let sends = self.sends.lock().unwrap();
        let key = |send: &SendMessage| {
            let all = properties::decode(send.properties.as_deref().unwrap());
            all.get("KEYS").unwrap_or_default().to_owned()
        };
        sends.iter().map(key).collect()
    }

    fn queue_ids(&self) -> Vec<i32> {
        let sends = self.sends.lock().unwrap();
        sends.iter().map(|send| send.queue_id).collect()
    }

    async fn producer(&self) -> Producer {
        self.client().await.producer("g").build().await.unwrap()
    }
}

#[tokio::test]
async fn those_of_one_key_go_one_by_one_in_the_order_of_their_admission() {
    let server = Server::start(&[Step::StoreAlone; 20]).await;
    let producer = server.producer().await;
    let mut confirms = Vec::new();
    for number in 0..20 {
        let message = keyed("k", "x").key(number.to_string());
        confirms.push(producer.enqueue(message).await.unwrap());
    }
    for confirm in confirms {
        confirm.await.unwrap();
    }
    let numbers: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(server.keys(), numbers);
    assert!(!server.crowded.load(Ordering::Acquire), "two at a time");
}

#[tokio::test]
async fn other_keys_do_not_wait() {
    let server = Server::start(&[Step::Ignore, Step::Store]).await;
    let producer = server.producer().await;
    let _stuck = producer.enqueue(keyed("a", "x")).await.unwrap();
    producer.send(keyed("b", "x")).await.unwrap();
}

#[tokio::test]
async fn what_was_queued_behind_an_unresolved_one_is_not_sent_and_does_not_overtake() {
    let server = Server::start(&[Step::Ignore, Step::Store, Step::Store]).await;
    let client = server.client().await;
    let producer = client.producer("g").max_attempts(1).build().await.unwrap();
    let short = Duration::from_millis(300);
    let first = producer.enqueue(keyed("k", "x").key("1")).timeout(short);
    let first = first.await.unwrap();
    let mut behind = Vec::new();
    for name in ["2", "3"] {
        let message = keyed("k", "x").key(name);
        behind.push(producer.enqueue(message).await.unwrap());
    }
    let other = producer.enqueue(keyed("other", "x").key("o")).await;
    other.unwrap().await.unwrap();
    assert_eq!(first.await.unwrap_err().error.outcome(), Outcome::Unknown);
    for failed in join_all(behind).await {
        let SendError { error, message, .. } = failed.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
        assert!(error.retry() == mq_core::Retry::Later, "{error}");
        assert!(format!("{error:#}").contains("before it"), "{error:#}");
        assert!(message.unique_id().is_some());
    }
    assert_eq!(server.keys(), ["1", "o"]);
    // The failure was told: what begins from now on goes.
    producer.send(keyed("k", "x").key("4")).await.unwrap();
    assert_eq!(server.keys(), ["1", "o", "4"]);
}

#[tokio::test]
async fn one_whose_turn_does_not_come_in_time_takes_those_behind_it_along() {
    let server = Server::start(&[Step::Ignore, Step::Store]).await;
    let client = server.client().await;
    let producer = client.producer("g").max_attempts(1).build().await.unwrap();
    let [long, short] = [1500, 200].map(Duration::from_millis);
    let first = producer.enqueue(keyed("k", "x")).timeout(long).await;
    let second = producer.enqueue(keyed("k", "x")).timeout(short).await;
    let third = producer.enqueue(keyed("k", "x")).await;
    let begun = TimerClock.now();
    for (waits, why) in [
        (second.unwrap(), "not done in time"),
        (third.unwrap(), "before it"),
    ] {
        let error = waits.await.unwrap_err().error;
        assert_eq!(error.outcome(), Outcome::NotSent);
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(TimerClock.now() - begun < long);
    first.unwrap().await.unwrap_err();
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_key_stays_with_its_broker() {
    let busy = Step::Refuse(ResponseCode::SYSTEM_BUSY);
    let [first, second] = Server::pair(&[busy, Step::Cut, Step::Store], &[]).await;
    let producer = first.producer().await;
    // "k" is at place 1 of 2, "j" at place 0.
    let receipt = producer.send(keyed("j", "x")).await.unwrap();
    assert_eq!(receipt.broker(), "b");
    assert_eq!(first.unique_ids(), [receipt.unique_id(); 3]);
    assert_eq!(second.count(), 0);
}

#[tokio::test]
async fn a_broker_that_is_gone_fails_its_keys_and_no_others() {
    let [first, second] = Server::pair(&[Step::Die], &[Step::Store]).await;
    let client = first.client().await;
    let producer = client.producer("g").build().await.unwrap();
    producer.queues("t").await.unwrap();
    let failed = producer.send(keyed("j", "x")).await.unwrap_err();
    assert_eq!(failed.error.outcome(), Outcome::Unknown, "{}", failed.error);
    assert_eq!(second.count(), 0, "not at the other broker");
    let receipt = producer.send(keyed("k", "x")).await.unwrap();
    assert_eq!(receipt.broker(), "c");
}

#[tokio::test]
async fn the_hash_decides_on_the_queue() {
    let server = Server::start(&[Step::Store; 8]).await;
    server.queues.store(4, Ordering::Release);
    let client = server.client().await;
    // Java: "order0".hashCode() % 4 == -2; and so on.
    let java = client.producer("g").build().await.unwrap();
    for key in ["order0", "order1", "order2", "order9"] {
        java.send(keyed(key, "x")).await.unwrap();
    }
    assert_eq!(server.queue_ids(), [2, 1, 0, 1]);
    let go = client.producer("h").key_hash(KeyHash::Fnv1a).build().await;
    let go = go.unwrap();
    for key in ["a", "b", "c", "foobar"] {
        go.send(keyed(key, "x")).await.unwrap();
    }
    assert_eq!(server.queue_ids()[4..], [0, 1, 2, 0]);
}

#[tokio::test]
async fn a_queue_can_be_named() {
    let server = Server::start(&[Step::Store; 3]).await;
    server.queues.store(3, Ordering::Release);
    let producer = server.producer().await;
    let queues = producer.queues("t").await.unwrap();
    assert_eq!(queues.len(), 3);
    for queue in queues.iter().rev() {
        let sending = producer.send(keyed("whatever", "x")).queue(queue);
        let receipt = sending.await.unwrap();
        assert_eq!(receipt.broker(), queue.broker());
    }
    assert_eq!(server.queue_ids(), [2, 1, 0]);
    let gone = QueueRef::new("t", "b", 3);
    let failed = producer.send(message()).queue(&gone).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::NotFound);
    assert_eq!(failed.error.outcome(), Outcome::NotSent);
    let other = QueueRef::new("u", "b", 0);
    let failed = producer.send(message()).queue(&other).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_batch_has_one_key() {
    let server = Server::start(&[]).await;
    let producer = server.producer().await;
    let results = producer
        .send_batch([keyed("a", "x"), keyed("b", "x")])
        .await;
    for result in results {
        let error = result.unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("different ordering keys"));
    }
}

#[tokio::test]
async fn a_client_that_is_dropped_tells_what_waited_in_a_lane() {
    let server = Server::start(&[Step::Ignore]).await;
    let client = server.client().await;
    let producer = client.producer("g").build().await.unwrap();
    let first = producer.enqueue(keyed("k", "x")).await.unwrap();
    let second = producer.enqueue(keyed("k", "x")).await.unwrap();
    while server.count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop((client, producer));
    let errors = [first.await, second.await].map(|ended| ended.unwrap_err().error);
    assert_eq!(
        errors.each_ref().map(crate::Error::outcome),
        [Outcome::Unknown, Outcome::NotSent],
        "{errors:?}"
    );
}
