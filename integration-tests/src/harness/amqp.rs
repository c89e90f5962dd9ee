//! RabbitMQ as this run shares it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mq_amqp::{Client, ClientBuilder, Queue};
use tokio::task::spawn_blocking;

use super::unique;
use crate::brokers::rabbitmq::{Node, VHOST, shared, variable};

/// What kind of queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On one node.
    Classic,
    /// Replicated.
    Quorum,
    /// Read from any offset.
    Stream,
}

impl Kind {
    /// What a version is followed by that was tested with it.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Classic => "",
            Self::Quorum => " quorum",
            Self::Stream => " stream",
        }
    }
}

/// The URL of the node that this run shares. A missing variable fails the test and is named.
pub fn url() -> String {
    let shared = shared().unwrap_or_else(|why| panic!("{why}"));
    shared.url().to_owned()
}

/// The same over TLS, with the authority that the node's certificate is of.
pub fn tls_url() -> String {
    let read = |name| variable(name).unwrap_or_else(|why| panic!("{why}"));
    format!("{}?cacertfile={}", read("TLS_URL"), read("TLS_CA"))
}

/// The node's version, as the launcher told it.
pub fn version() -> String {
    variable("VERSION").unwrap_or_else(|_| "unknown".to_owned())
}

/// Options of a client of the node that this run shares.
pub fn builder() -> ClientBuilder {
    Client::from_url(&url()).unwrap()
}

/// A client of the node that this run shares.
pub async fn connect() -> Client {
    builder().connect().await.unwrap()
}

/// A classic queue that no other test and no other run uses.
pub async fn queue(client: &Client, what: &str) -> String {
    let name = unique(what);
    let queue = Queue::classic(name.clone()).expires(UNUSED);
    client.declare_queue(queue).await.unwrap();
    name
}

/// A new queue of this kind; a stream can't expire, and stays with the node.
pub async fn queue_of(kind: Kind, what: &str) -> String {
    let client = connect().await;
    let name = unique(what);
    let queue = match kind {
        Kind::Classic => Queue::classic(name.clone()).expires(UNUSED),
        Kind::Quorum => Queue::quorum(name.clone()).expires(UNUSED),
        Kind::Stream => Queue::stream(name.clone()),
    };
    client.declare_queue(queue).await.unwrap();
    client.close().await;
    name
}

/// A new ordered topic of 4 partitions with queues of this kind, written as the command has it. It stays with the node.
pub async fn lanes_of(kind: Kind, what: &str) -> String {
    let client = connect().await;
    let topic = client.ordered_topic(unique(what)).partitions(4);
    let topic = match kind {
        Kind::Quorum => topic.quorum(),
        _ => topic,
    };
    let name = topic.declare().await.unwrap().name().to_owned();
    client.close().await;
    format!("{name}/4")
}

/// Has the node close the connections whose name begins so.
pub async fn cut(name: &str) {
    let mut cut = 0;
    for line in control(&["list_connections", "pid", "client_properties"])
        .await
        .lines()
    {
        let pid = line.split('\t').next().unwrap_or_default();
        if line.contains(name) {
            control(&["close_connection", pid, "a test"]).await;
            cut += 1;
        }
    }
    assert!(cut > 0, "no connection has the name {name}");
}

/// What `rabbitmqctl` says of the node that this run shares.
pub async fn control(args: &[&str]) -> String {
    let control = variable("CTL").unwrap_or_else(|why| panic!("{why}"));
    control_by(control, args).await
}

/// What this `rabbitmqctl` says of its node.
pub async fn control_by(control: impl Into<PathBuf>, args: &[&str]) -> String {
    let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let control = control.into();
    let asking = spawn_blocking(move || {
        let mut command = std::process::Command::new(control);
        let said = command.arg("-q").args(&args).output().unwrap();
        assert!(said.status.success(), "rabbitmqctl {args:?} failed");
        String::from_utf8(said.stdout).unwrap()
    });
    asking.await.unwrap()
}

/// How many messages of a queue no consumer has, and how many one has and has not settled, as the node lists them.
pub async fn ready_and_unacked(queue: &str) -> (u64, u64) {
    let counts = ["name", "messages_ready", "messages_unacknowledged"];
    let listed = control(&[&["list_queues", "-p", VHOST][..], &counts].concat()).await;
    let found = listed.lines().find_map(|line| {
        let mut columns = line.split('\t');
        let name = columns.next()?;
        let mut count = || columns.next()?.parse().ok();
        (name == queue).then(|| Some((count()?, count()?)))?
    });
    found.unwrap_or_else(|| panic!("no counts of {queue} in {listed}"))
}

/// A node of the test's own.
pub async fn own_node() -> Arc<Node> {
    let started = spawn_blocking(Node::start).await.unwrap();
    Arc::new(started.unwrap())
}

/// Does this to a node, which blocks.
pub async fn on<N: Send + Sync + 'static>(node: &Arc<N>, act: impl FnOnce(&N) + Send + 'static) {
    let node = Arc::clone(node);
    spawn_blocking(move || act(&node)).await.unwrap();
}

/// A client of the node of this URL.
pub async fn connect_to(url: &str) -> Client {
    Client::from_url(url).unwrap().connect().await.unwrap()
}

/// How long queues stay that nobody uses.
const UNUSED: Duration = Duration::from_secs(600);
