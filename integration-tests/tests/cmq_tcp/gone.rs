//! The network is gone for a while: everything goes on by itself behind it, and nobody comes in step.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use integration_tests::harness::{now, size, within};
use mq_cmq::{TcpClient, TransactionalProducer, Verdict};
use mq_dev::cmq::{DevServer, QueueSpec};
use mq_dev::proxy::{Ending, Proxy, Toxic};
use tokio::task::JoinHandle;

use crate::world::{Seen, consume, impatient, server, until};

const SECOND: Duration = Duration::from_secs(1);
/// The full size, and the longest pause between attempts, three times.
const LONGEST: Duration = Duration::from_secs(90);

/// Everything to the server, the name server's HTTP too, goes by one proxy.
async fn network(server: &DevServer) -> (Proxy, String) {
    let proxy = Proxy::builder(server.addr().to_string()).raw(true);
    let proxy = proxy.start().await.unwrap();
    let gateway = server.gateway_addr().unwrap().to_string();
    server.advertise(proxy.stand_in(&gateway).unwrap().to_string());
    let (id, key) = server.credentials();
    let url = format!("cmq+tcp://{id}:{key}@{}", proxy.addr());
    (proxy, url)
}

#[derive(Debug, Clone, Copy)]
enum Gone {
    /// Packets are lost, connections stay.
    Cable,
    /// Connections are reset, new ones refused.
    Host,
}

/// CI: 4 s, which is longer than any time-out of this client; full (`MQ_SOAK=1`): 30 s.
#[tokio::test]
async fn cmq_tcp_a_network_that_loses_everything_is_ridden_out() {
    let going_on = Box::pin(is_ridden_out(Gone::Cable));
    within(LONGEST, "it goes on", going_on).await;
}

/// CI: 4 s; full (`MQ_SOAK=1`): 30 s.
#[tokio::test]
async fn cmq_tcp_a_network_that_refuses_is_ridden_out() {
    let going_on = Box::pin(is_ridden_out(Gone::Host));
    within(LONGEST, "it goes on", going_on).await;
}

async fn is_ridden_out(how: Gone) {
    // What a receive took whose answer was lost comes again soon.
    let asked = QueueSpec::new("t").visibility(2 * SECOND);
    let asked = asked.transactional(SECOND, 100);
    let server = server([QueueSpec::new("q").visibility(2 * SECOND), asked]).await;
    let (proxy, url) = network(&server).await;
    let client = impatient(&url);
    let seen = Seen::default();
    let consumers = [consume(&client, "q", &seen), consume(&client, "t", &seen)];
    let orders = client.transactional("t", |_| async { Verdict::Commit });
    let orders = orders.unwrap();
    let producer = client.clone();
    let (last, stop) = tokio::sync::oneshot::channel();
    let sending = tokio::spawn(send(producer, stop));
    until("the first", || seen.lock().unwrap().len() >= 5).await;
    // Left to the checker, which can't be asked now.
    drop(orders.begin("left").await.unwrap());

    let gone = match how {
        Gone::Cable => proxy.toxics().add(Toxic::blackhole()),
        Gone::Host => proxy.toxics().add(Toxic::refuse()),
    };
    if matches!(how, Gone::Host) {
        proxy.cut(Ending::Reset);
    }
    let before = proxy.accepted_for(&server.gateway_addr().unwrap().to_string());
    let lasts = size(4 * SECOND, 30 * SECOND);
    tokio::time::sleep(lasts).await;
    let (count, half) = (seen.lock().unwrap().len(), server.counts("t").unwrap().half);
    proxy.toxics().remove(gone);
    let back = now();
    until("the checker", || server.counts("t").unwrap().half == 0).await;
    until("others", || seen.lock().unwrap().len() > count + 5).await;
    let after = back.elapsed();
    last.send(()).unwrap();
    let sent = sending.await.unwrap();
    until("all", || seen.lock().unwrap().is_superset(&sent)).await;
    until("what was left", || seen.lock().unwrap().contains("left")).await;
    assert_eq!(half, 1, "nobody could be asked meanwhile");
    let attempts = proxy.accepted_for(&server.gateway_addr().unwrap().to_string()) - before;
    println!("{how:?}: {attempts} connections in {lasts:?}, goes on after {after:?}");
    assert!(attempts <= 12, "{attempts} connections in {lasts:?}");
    client.close();
    for consumer in consumers {
        consumer.await.unwrap();
    }
}

/// Sends, each until it is stored, until told to stop; what was stored.
async fn send(client: TcpClient, mut stop: tokio::sync::oneshot::Receiver<()>) -> BTreeSet<String> {
    let (queue, mut sent) = (client.queue("q").unwrap(), BTreeSet::new());
    while stop.try_recv().is_err() {
        let body = format!("m{}", sent.len());
        while queue.send(body.as_str()).await.is_err() {}
        sent.insert(body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sent
}

/// A client of its own, which wants to be connected, and when it came to its gateway.
struct Comer {
    _client: TcpClient,
    _orders: TransactionalProducer,
    proxy: Arc<Proxy>,
    came: Arc<Mutex<Vec<Instant>>>,
    watching: JoinHandle<()>,
}

impl Comer {
    async fn start(server: &DevServer) -> Self {
        let gateway = server.gateway_addr().unwrap().to_string();
        let proxy = Proxy::builder(&gateway).raw(true).start().await.unwrap();
        let url = format!("{}?gateway={}", server.tcp_url(), proxy.addr());
        let client = impatient(&url);
        let orders = client.transactional("t", |_| async { Verdict::Unknown });
        let (proxy, came) = (Arc::new(proxy), Arc::<Mutex<Vec<_>>>::default());
        let (watched, log) = (Arc::clone(&proxy), Arc::clone(&came));
        let watching = tokio::spawn(async move {
            loop {
                let known = log.lock().unwrap().len() as u64;
                watched.until(|it| it.accepted_for(&gateway) > known).await;
                log.lock().unwrap().push(now());
            }
        });
        Self {
            _client: client,
            _orders: orders.unwrap(),
            proxy,
            came,
            watching,
        }
    }

    fn count(&self) -> usize {
        self.came.lock().unwrap().len()
    }
}

/// Eight clients lose their gateways at the same moment: each comes back with pauses that double, and none in step with another.
#[tokio::test]
async fn cmq_tcp_reconnects_are_few_and_not_in_step() {
    let server = server([QueueSpec::new("t").transactional(SECOND, 15)]).await;
    let mut comers = Vec::new();
    for _ in 0..8 {
        comers.push(Comer::start(&server).await);
    }
    until("all are there", || comers.iter().all(|it| it.count() == 1)).await;
    let began = now();
    for comer in &comers {
        comer.proxy.toxics().add(Toxic::limit_data(0));
        comer.proxy.cut(Ending::Reset);
    }
    until("five times each", || comers.iter().all(|it| it.count() > 5)).await;
    let all = comers.iter().map(|it| it.came.lock().unwrap().clone());
    let all: Vec<Vec<Instant>> = all.collect();
    for came in &all {
        // 0.1 s, twice as long each time, and up to as much again.
        for (nth, pair) in came[1..6].windows(2).enumerate() {
            let pause = Duration::from_millis(200) * 2_u32.pow(u32::try_from(nth).unwrap());
            let gap = pair[1] - pair[0];
            assert!(
                gap + Duration::from_millis(20) >= pause,
                "{nth}: {gap:?} of {pause:?}"
            );
        }
    }
    // None comes with all the others, and the later the less.
    let fifth = all.iter().map(|came| came[5] - began);
    let (first, last) = (fifth.clone().min().unwrap(), fifth.max().unwrap());
    let apart = last.saturating_sub(first);
    assert!(apart > Duration::from_millis(200), "{first:?} to {last:?}");
    for comer in comers {
        comer.watching.abort();
    }
}
