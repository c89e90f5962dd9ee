//! Many messages that can be cancelled, each in a queue of its own: what that costs a node, and how many at once it bears.
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
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use integration_tests::brokers::rabbitmq::Node;
use integration_tests::harness::amqp::{control_by, own_node};
use integration_tests::harness::{Meter, now, size, soak, unique, until, wall, within};
use mq_amqp::{Cancel, Client, Consumer, Message, Queue, ScheduledHandle, Scheduler};

const WAIT: Duration = Duration::from_secs(300);
/// How many calls are made at a time.
const AT_A_TIME: usize = 32;

/// A node that may have 4 GB of memory, a queue on it, and who schedules for that.
struct World {
    node: Arc<Node>,
    client: Client,
    scheduler: Scheduler,
    queue: String,
}

impl World {
    async fn start() -> Self {
        let node = own_node().await;
        control_by(
            node.control(),
            &["set_vm_memory_high_watermark", "absolute", "4GB"],
        )
        .await;
        let client = Client::from_url(node.url()).unwrap();
        let client = client.connect().await.unwrap();
        let queue = unique("timers");
        let declared = client.declare_queue(Queue::classic(queue.clone()));
        declared.await.unwrap();
        let scheduler = client.scheduler().build().await.unwrap();
        Self {
            node,
            client,
            scheduler,
            queue,
        }
    }

    async fn timers(&self, count: usize, due: std::time::SystemTime) -> Vec<ScheduledHandle> {
        let send = |number: usize| {
            let message = Message::new(self.queue.clone(), number.to_string());
            let deliver = self.scheduler.deliver_at(message, due).cancellable();
            async move { deliver.await.unwrap().scheduled().unwrap().clone() }
        };
        let sending = iter(0..count).map(send).buffer_unordered(AT_A_TIME);
        within(WAIT, "all timers are made", sending.collect()).await
    }

    async fn look(&self) -> Reading {
        let said = control_by(self.node.control(), &["eval", "erlang:memory(total)."]).await;
        Reading {
            erlang: said.trim().parse().unwrap(),
            node: Meter::of(self.node.pid().unwrap()),
        }
    }
}

/// What a node takes.
struct Reading {
    /// What its Erlang has allocated, in bytes.
    erlang: u64,
    node: Meter,
}

impl Reading {
    fn cpu_since(&self, before: &Self) -> Duration {
        self.node.cpu.saturating_sub(before.node.cpu)
    }

    fn tell(&self, what: &str, before: &Self, count: usize, begun: std::time::Instant) {
        let took = now() - begun;
        let count = count as u64;
        println!(
            "{what}: {took:?}, {} a second; CPU of the node {:?}; RSS {} MiB, was {}; Erlang's memory {} B each; files {}, were {}",
            u128::from(count) * 1000 / took.as_millis().max(1),
            self.cpu_since(before),
            self.node.resident >> 20,
            before.node.resident >> 20,
            self.erlang.saturating_sub(before.erlang) / count,
            self.node.files,
            before.node.files,
        );
    }
}

/// How many timer queues there are.
async fn queues(world: &World) -> usize {
    let said = control_by(world.node.control(), &["eval", "rabbit_amqqueue:count()."]).await;
    said.trim().parse().unwrap()
}

/// Made, waited for a while, and taken back, each by its own answer. CI: 200; full: 10 000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_scheduled_thousands_of_timers_are_kept_and_taken_back() {
    let world = World::start().await;
    let count = size(200, 10_000);
    let (all, empty) = (queues(&world).await, world.look().await);
    let begun = now();
    let due = wall() + Duration::from_secs(3600);
    let handles = world.timers(count, due).await;
    let full = world.look().await;
    full.tell("made", &empty, count, begun);
    assert_eq!(queues(&world).await, all + count);
    let each = full.erlang.saturating_sub(empty.erlang) / count as u64;
    // Far above what was measured; of few, most is what the node takes for other things.
    assert!(each < size(1_000_000, 200_000), "{each} B each");
    // What they cost that only wait.
    let begun = now();
    tokio::time::sleep(Duration::from_secs(size(1, 30))).await;
    let waited = world.look().await;
    waited.tell("waiting", &full, count, begun);
    let begun = now();
    let cancelled = iter(&handles)
        .map(async |handle| world.scheduler.cancel(handle).await.unwrap())
        .buffer_unordered(AT_A_TIME)
        .filter(|cancel| std::future::ready(*cancel == Cancel::Cancelled));
    assert_eq!(cancelled.count().await, count);
    world.look().await.tell("taken back", &waited, count, begun);
    assert_eq!(queues(&world).await, all);
    let target = world.client.queue(&world.queue).await.unwrap();
    assert_eq!(target.messages, 0);
    world.client.close().await;
}

/// How late each is, the latest at last; none is early, and none comes twice.
async fn lateness(consumer: &Consumer, count: usize) -> Vec<Duration> {
    let (mut late, mut found) = (Vec::new(), BTreeSet::new());
    while late.len() < count {
        let delivery = within(WAIT, "the next one", consumer.recv()).await;
        let delivery = delivery.unwrap().unwrap();
        let by = wall().duration_since(delivery.scheduled_for().unwrap());
        late.push(by.expect("early"));
        assert!(found.insert(delivery.text().unwrap().to_owned()), "twice");
        delivery.ack().await.unwrap();
    }
    late.sort();
    late
}

/// All are due in the same millisecond; their queues go by themselves, two minutes later. CI: 100, and not that; full: 1 000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_scheduled_timers_that_are_due_at_once() {
    let world = World::start().await;
    let count = size(100, 1_000);
    let all = queues(&world).await;
    let consumer = world.client.consumer(world.queue.clone()).build().await;
    let consumer = consumer.unwrap();
    let due = wall() + Duration::from_secs(size(10, 60));
    let handles = world.timers(count, due).await;
    assert!(wall() < due, "the machine is too slow for this");
    assert!(handles.iter().all(|handle| !handle.is_past()));
    let before = world.look().await;
    let late = lateness(&consumer, count).await;
    let after = world.look().await;
    println!(
        "{count} at once: the first {:?} late, median {:?}, 99 % {:?}, the last {:?}; CPU of the node {:?}",
        late[0],
        late[count / 2],
        late[count * 99 / 100],
        late[count - 1],
        after.cpu_since(&before)
    );
    assert!(late[count - 1] < Duration::from_secs(10));
    if soak() {
        let gone = async || queues(&world).await == all;
        until(Duration::from_secs(180), "their queues are gone", gone).await;
        println!(
            "their queues are gone {:?} after",
            wall().duration_since(due)
        );
    }
    world.client.close().await;
}
