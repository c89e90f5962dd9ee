//! Brokers that die, freeze or fall silent under load: nothing acknowledged is lost, every outcome is true, the other broker takes over.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use integration_tests::brokers::{Broker, Cluster, Profile};
use integration_tests::harness::{
    Eater, PREFETCH, Sent, Stored, connect_to, now, producer, send_numbers, size, topic_at,
    topic_on_all, unique, until,
};
use mq_dev::proxy::{Proxy, Toxic, ToxicId, faults};
use mq_rocketmq::{Client, Event, Events, Message, Outcome, Producer};
use tokio::task::JoinHandle;

const WAIT: Duration = Duration::from_secs(60);
const WINDOW: usize = 64;

/// A broker is killed (-9) under sends and receives, and comes back. CI: twice in 5000 messages each. Full: 20 times in 100 000 each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_broker_killed_loses_nothing_acknowledged() {
    let cluster = Cluster::start(Profile::Rocketmq).unwrap();
    let (rounds, each) = size((2, 5000), (20, 100_000));
    let topic = topic_on_all(cluster.namesrv(), "killed", 4).await;
    // Of the broker that dies, and of no other.
    let alone = topic_at(cluster.namesrv(), "alone", 1).await;
    let client = connect_to(cluster.url()).await;
    let sender = client
        .producer(&unique("producer"))
        .max_in_flight(WINDOW)
        .build()
        .await
        .unwrap();
    let begun = now();
    let each_takes = Duration::from_millis(1);
    let eater = Eater::start(&client, &unique("group"), &topic, each_takes).await;
    let broker = cluster.broker("broker-a").unwrap();
    let mut all: Vec<Sent> = Vec::new();
    for round in 0..rounds {
        let ended = Arc::new(AtomicUsize::new(0));
        let numbers = round * each..(round + 1) * each;
        let pace = (WINDOW, Duration::ZERO);
        let sending = send_numbers(
            sender.clone(),
            topic.clone(),
            numbers,
            pace,
            Arc::clone(&ended),
        );
        let sending = tokio::spawn(sending);
        until(WAIT, "some are sent", async || {
            ended.load(Ordering::Acquire) > each / 5
        })
        .await;
        die_and_come_back(broker, &sender, &alone).await;
        all.extend(sending.await.unwrap());
    }
    assert_eq!(all.len(), rounds * each, "each send has ended, once");
    let stored = Stored::read(&client, &topic).await;
    stored.agrees_with(&all);
    let copies = stored.copies();
    assert!(copies <= WINDOW * rounds, "{copies} copies");
    let acknowledged: BTreeSet<_> = all
        .iter()
        .filter(|sent| sent.result.is_ok())
        .map(|sent| sent.number.to_string())
        .collect();
    assert!(acknowledged.len() > all.len() / 2);
    eater.has_seen(&acknowledged).await;
    // The consumer tells its offsets every 5 s, and the broker writes them down every 5 s.
    let again = eater.count().saturating_sub(stored.count());
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap().max(1);
    let limit = rounds * (eater.count() * 10 / seconds + PREFETCH);
    println!(
        "{} stored, {copies} copies, {again} received again",
        stored.count()
    );
    assert!(again <= limit, "{again} received again, over {limit}");
    client.close().await.unwrap();
}

async fn die_and_come_back(broker: &Broker, sender: &Producer, alone: &str) {
    tokio::task::block_in_place(|| broker.kill9()).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::task::block_in_place(|| broker.restart()).unwrap();
    // Now it answers 28.
    let limit = Duration::from_secs(3);
    until(limit, "a send to the broker that is back", async || {
        let sending = sender.send(Message::new(alone, "back"));
        sending.timeout(Duration::from_secs(1)).await.is_ok()
    })
    .await;
}

/// What keeps a broker from answering, though its connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    Frozen,
    AnswersLost,
    RequestsLost,
}

impl Silence {
    fn begin(self, broker: &Broker, proxy: &Proxy) -> Option<ToxicId> {
        let at = broker.addr().to_string();
        match self {
            Self::Frozen => {
                broker.stop().unwrap();
                None
            }
            Self::AnswersLost => Some(proxy.toxics().add(Toxic::blackhole().down().at(at))),
            Self::RequestsLost => Some(proxy.toxics().add(Toxic::blackhole().up().at(at))),
        }
    }

    fn end(broker: &Broker, proxy: &Proxy, toxic: Option<ToxicId>) {
        match toxic {
            Some(toxic) => drop(proxy.toxics().remove(toxic)),
            None => broker.cont().unwrap(),
        }
    }
}

/// A broker keeps silent for 6 s: one attempt's time is lost, the other broker takes over, the connection is given up in time, late
/// answers are nobody's, and the broker is used again when it answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_silent_broker_is_noticed_and_the_other_takes_over() {
    let cluster = Cluster::start(Profile::Rocketmq).unwrap();
    for silence in [Silence::Frozen, Silence::AnswersLost, Silence::RequestsLost] {
        keep_silent(&cluster, silence).await;
    }
}

async fn keep_silent(cluster: &Cluster, silence: Silence) {
    let broker = cluster.broker("broker-a").unwrap();
    let topic = topic_on_all(cluster.namesrv(), "silent", 4).await;
    let proxy = Proxy::builder(cluster.namesrv()).start().await.unwrap();
    let client = Client::from_url(&format!("rocketmq://{}", proxy.addr()))
        .unwrap()
        .half_open_timeout(HALF_OPEN)
        .connect()
        .await
        .unwrap();
    let eater = Eater::start(&client, &unique("group"), &topic, Duration::ZERO).await;
    let (sending, ended) = send_for_12_seconds(&client, &topic).await;
    until(WAIT, "some are sent", async || {
        ended.load(Ordering::Acquire) > 500
    })
    .await;

    let events = client.events();
    let begun = now();
    let toxic = silence.begin(broker, &proxy);
    let upstream = broker.addr().to_string();
    let stand_in = proxy.stand_in(&upstream).unwrap().to_string();
    let noticed = lost(events, &stand_in).await - begun;
    assert!(
        noticed <= HALF_OPEN + Duration::from_secs(1),
        "{silence:?}: {noticed:?}"
    );
    tokio::time::sleep(Duration::from_secs(6).saturating_sub(begun.elapsed())).await;
    let healed = now();
    Silence::end(broker, &proxy, toxic);

    let all = sending.await.unwrap();
    check_times(silence, &all, begun, healed);
    let stored = Stored::read(&client, &topic).await;
    stored.agrees_with(&all);
    let copies = stored.copies();
    println!("{silence:?}: given up after {noticed:?}, {copies} copies");
    assert!(copies <= 3 * WINDOW, "{silence:?}: {copies} copies");
    let wanted = all.iter().map(|sent| sent.number.to_string()).collect();
    eater.has_seen(&wanted).await;
    client.close().await.unwrap();
    proxy.close().await;
}

/// One every 2 ms.
async fn send_for_12_seconds(
    client: &Client,
    topic: &str,
) -> (JoinHandle<Vec<Sent>>, Arc<AtomicUsize>) {
    let building = client
        .producer(&unique("producer"))
        .max_in_flight(WINDOW)
        .attempt_timeout(ATTEMPT)
        .timeout(Duration::from_secs(5))
        .build();
    let ended = Arc::new(AtomicUsize::new(0));
    let sending = send_numbers(
        building.await.unwrap(),
        topic.to_owned(),
        0..5000,
        (WINDOW, Duration::from_millis(2)),
        Arc::clone(&ended),
    );
    (tokio::spawn(sending), ended)
}

/// When the connection to this peer was given up.
async fn lost(mut events: Events, peer: &str) -> Instant {
    let waiting = async {
        while let Some(event) = events.next().await {
            if matches!(&event, Event::Disconnected { endpoint, .. } if endpoint == peer) {
                return now();
            }
        }
        panic!("the client is gone");
    };
    tokio::time::timeout(WAIT, waiting)
        .await
        .expect("it is noticed")
}

fn check_times(silence: Silence, all: &[Sent], begun: Instant, healed: Instant) {
    for sent in all {
        let failed = sent.result.as_ref().err();
        assert!(failed.is_none(), "{silence:?}: {}", failed.unwrap());
        let took = sent.ended - sent.begun;
        assert!(
            took < ATTEMPT * 2 + SLACK,
            "{silence:?}: {} took {took:?}",
            sent.number
        );
    }
    // What was begun after the first had run out of time does not go there any more.
    let late = all
        .iter()
        .filter(|sent| sent.begun > begun + ATTEMPT + SLACK && sent.begun < healed);
    let slow = late
        .clone()
        .filter(|sent| sent.ended - sent.begun >= ATTEMPT)
        .count();
    assert!(
        late.count() > 100,
        "{silence:?}: it was sent in the meantime"
    );
    assert_eq!(slow, 0, "{silence:?}: sends that went to the silent broker");
    // It is used again.
    let after = |sent: &&Sent| sent.begun > healed + Duration::from_secs(3);
    let used = all
        .iter()
        .filter(after)
        .filter_map(|sent| sent.result.as_ref().ok());
    let used = used
        .filter(|receipt| receipt.broker() == "broker-a")
        .count();
    assert!(used > 0, "{silence:?}: the broker is used again");
}

const HALF_OPEN: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_millis(600);
/// For a machine that has two brokers to run beside.
const SLACK: Duration = Duration::from_millis(600);

/// The answer to exactly one send is lost: without `attempt_timeout` the send is `Unknown`, with it the message goes to the other broker under
/// the same unique id, and the copy is recognisable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_lost_answer_leaves_a_recognisable_copy() {
    let cluster = Cluster::start(Profile::Rocketmq).unwrap();
    let topic = topic_on_all(cluster.namesrv(), "answer", 2).await;
    let proxy = Proxy::builder(cluster.namesrv()).start().await.unwrap();
    let client = connect_to(&format!("rocketmq://{}", proxy.addr())).await;
    let patient = producer(&client).await;
    let hasty = client
        .producer(&unique("producer"))
        .attempt_timeout(Duration::from_millis(300))
        .build()
        .await
        .unwrap();
    let first = proxy.inject(faults::drop_reply(310, 1));
    let failed = patient
        .send(Message::new(&topic, "patient"))
        .timeout(Duration::from_millis(800))
        .await
        .unwrap_err();
    assert!(first.fired());
    assert_eq!(failed.outcome(), Outcome::Unknown, "{failed}");
    let second = proxy.inject(faults::drop_reply(310, 1));
    let receipt = hasty.send(Message::new(&topic, "hasty")).await.unwrap();
    assert!(second.fired());
    let copies = Stored::read(&client, &topic).await;
    assert_eq!((copies.count(), copies.copies()), (3, 1));
    // Sent again by its user, it is the same message still.
    let id = failed.message.unique_id().unwrap().to_owned();
    let again = patient.send(*failed.message).await.unwrap();
    assert_eq!(again.unique_id(), id);
    assert_ne!(receipt.unique_id(), id);
    let copies = Stored::read(&client, &topic).await;
    assert_eq!((copies.count(), copies.copies()), (4, 2));
    client.close().await.unwrap();
}
