//! The CMQ server that the tests of a process share.

use std::sync::LazyLock;
use std::time::Duration;

use mq_dev::cmq::{DevServer, QueueSpec};
use tokio::runtime::Runtime;

use super::unique;

/// The server, with a runtime of its own: those of the tests end with them.
static SERVER: LazyLock<(Runtime, DevServer)> = LazyLock::new(|| {
    let started = std::thread::spawn(|| {
        let runtime = Runtime::new().expect("threads");
        let server = runtime.block_on(DevServer::builder().gateway("127.0.0.1:0").start());
        (runtime, server.expect("a port on the loopback address"))
    });
    started.join().expect("it has started")
});

/// The server, which starts when it is first asked for.
pub fn server() -> &'static DevServer {
    &SERVER.1
}

/// A new queue, whose messages come again after a second.
pub fn queue(what: &str) -> String {
    let name = unique(what);
    create(&name);
    name
}

/// A new queue of transactions, about which the server asks soon.
pub fn transactional(what: &str) -> String {
    let name = unique(what);
    let spec = QueueSpec::new(&name).visibility(Duration::from_secs(1));
    let spec = spec.transactional(Duration::from_secs(1), 15);
    server().create_queue(spec).expect("a new name");
    name
}

/// New queues for what keeps an order, named as the adapter does.
pub fn shards(what: &str, count: usize) -> String {
    let name = unique(what);
    for at in 0..count {
        create(&format!("{name}-{at}"));
    }
    format!("{name}/{count}")
}

fn create(name: &str) {
    let spec = QueueSpec::new(name).visibility(Duration::from_secs(1));
    server().create_queue(spec).expect("a new name");
}
