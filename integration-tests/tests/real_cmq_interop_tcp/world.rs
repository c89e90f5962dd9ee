//! A dev server with a gateway, our clients, and theirs.

use std::time::Duration;

use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::Failure;
use integration_tests::foreign::cmq::{Sdk, Session, Signed};
use integration_tests::harness::wall;
use mq_cmq::{Client, Received, TcpClient};
use mq_dev::cmq::{DevServer, QueueSpec, VirtualClock};
use serde_json::{Value, json};

pub(crate) const QUEUE: &str = "orders_1";
pub(crate) const NOW: Duration = Duration::ZERO;

pub(crate) struct World {
    pub(crate) server: DevServer,
    pub(crate) http: Client,
    pub(crate) tcp: TcpClient,
    pub(crate) theirs: Session,
}

/// What a test is called and promises, for `docs/flows.md`.
pub(crate) struct Promise {
    pub(crate) test: &'static str,
    pub(crate) flow: &'static str,
    pub(crate) text: &'static str,
}

impl Promise {
    /// Runs it in a new world for each of these ways of signing.
    pub(crate) async fn kept(self, ways: &[Signed], scenario: impl AsyncFn(&mut World)) {
        let record = Record::begin(self.test, "mq-cmq", self.flow, self.text)
            .tier(Tier::Foreign)
            .version(&format!("{} on the dev server", Sdk::JavaTcp.version()));
        for way in ways {
            let mut world = World::start(*way).await;
            scenario(&mut world).await;
            world.http.close();
            world.tcp.close();
            world.server.close().await;
        }
        record.passed();
    }
}

impl World {
    async fn start(way: Signed) -> Self {
        let server = DevServer::builder()
            .virtual_clock(wall())
            .gateway("127.0.0.1:0")
            .start()
            .await
            .unwrap();
        for spec in [
            QueueSpec::new(QUEUE),
            QueueSpec::new("paid").transactional(Duration::from_secs(5), 3),
        ] {
            server.create_queue(spec).unwrap();
        }
        let http = Client::from_url(&server.url()).unwrap().build().unwrap();
        let tcp = TcpClient::from_url(&server.tcp_url()).unwrap();
        let tcp = tcp.build().unwrap();
        let theirs = Sdk::JavaTcp.start(server.addr(), way).await.unwrap();
        Self {
            server,
            http,
            tcp,
            theirs,
        }
    }

    pub(crate) fn clock(&self) -> VirtualClock {
        self.server.clock().unwrap()
    }

    /// What theirs makes of a call that succeeds.
    pub(crate) async fn they(&mut self, action: &str, params: Value) -> Value {
        let called = self.theirs.call(action, params).await;
        called.unwrap_or_else(|failure| panic!("{action}: {failure}"))
    }

    /// The code of a call of theirs that is refused, and what it says.
    pub(crate) async fn refused(&mut self, action: &str, params: Value) -> (i32, String) {
        match self.theirs.call(action, params).await {
            Err(Failure::Failed { code, error } | Failure::Refused { code, error }) => {
                (code, error)
            }
            other => panic!("{action}: {other:?}"),
        }
    }

    /// Receives and deletes by theirs.
    pub(crate) async fn they_take(&mut self, queue: &str) -> String {
        let given = json!({"queueName": queue, "pollingWaitSeconds": 0});
        let got = self.they("ReceiveMessage", given).await;
        let given = json!({"queueName": queue, "receiptHandle": got["receiptHandle"]});
        self.they("DeleteMessage", given).await;
        text(&got, "msgBody")
    }

    /// That theirs finds nothing.
    pub(crate) async fn they_find_nothing(&mut self, queue: &str) {
        let given = json!({"queueName": queue, "pollingWaitSeconds": 0});
        assert_eq!(self.refused("ReceiveMessage", given).await.0, 10_200);
    }

    /// Receives and deletes by ours over HTTP, which has to find something.
    pub(crate) async fn take(&self, queue: &str) -> Received {
        let queue = self.http.queue(queue).unwrap();
        let message = queue.receive(NOW).await.unwrap().expect("a message");
        queue.delete(message.handle()).await.unwrap();
        message
    }

    /// That ours finds nothing.
    pub(crate) async fn nothing(&self, queue: &str) {
        let queue = self.http.queue(queue).unwrap();
        assert_eq!(queue.receive(NOW).await.unwrap(), None);
    }
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    let found = value[name].as_str();
    found
        .unwrap_or_else(|| panic!("{name} in {value}"))
        .to_owned()
}
