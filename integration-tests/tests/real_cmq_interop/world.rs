//! A dev server, our client and one of theirs.

use std::time::Duration;

use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::Failure;
use integration_tests::foreign::cmq::{Sdk, Session, Signed};
use integration_tests::harness::wall;
use mq_cmq::{Client, HttpMethod, Received, SignatureMethod};
use mq_dev::cmq::{DevServer, QueueSpec, VirtualClock};
use serde_json::{Value, json};

pub(crate) const QUEUE: &str = "orders_1";
pub(crate) const NOW: Duration = Duration::ZERO;
pub(crate) const VISIBILITY: Duration = Duration::from_secs(30);
pub(crate) const DEFAULT: &[Signed] = Sdk::Node.ways().split_at(1).0;

pub(crate) struct World {
    pub(crate) server: DevServer,
    /// Signs as theirs does.
    pub(crate) ours: Client,
    pub(crate) theirs: Session,
    pub(crate) sdk: Sdk,
}

/// What a test is called and promises, for `docs/flows.md`.
pub(crate) struct Promise {
    pub(crate) test: &'static str,
    pub(crate) flow: &'static str,
    pub(crate) text: &'static str,
}

impl Promise {
    /// Runs it in a new world for each way of signing.
    pub(crate) async fn kept(self, sdk: Sdk, ways: &[Signed], scenario: impl AsyncFn(&mut World)) {
        let record = Record::begin(self.test, "mq-cmq", self.flow, self.text)
            .tier(Tier::Foreign)
            .version(&format!("{} on the dev server", sdk.version()));
        for way in ways {
            let mut world = World::start(sdk, *way).await;
            scenario(&mut world).await;
            world.ours.close();
            world.server.close().await;
        }
        record.passed();
    }
}

impl World {
    async fn start(sdk: Sdk, way: Signed) -> Self {
        let server = DevServer::builder()
            .virtual_clock(wall())
            // That SDK's nonces are below 10 000: two equal requests of a second may well be the same.
            .refuse_replays(sdk != Sdk::Node);
        let server = server.start().await.unwrap();
        let signature = match way.sign {
            "sha1" => SignatureMethod::HmacSha1,
            _ => SignatureMethod::HmacSha256,
        };
        let method = match way.method {
            "GET" => HttpMethod::Get,
            _ => HttpMethod::Post,
        };
        let ours = Client::from_url(&server.url()).unwrap();
        let ours = ours.signature(signature).method(method).build().unwrap();
        let theirs = sdk.start(server.addr(), way).await.unwrap();
        Self {
            server,
            ours,
            theirs,
            sdk,
        }
    }

    pub(crate) fn queue(&self, name: &str) -> mq_cmq::Queue {
        let made = self
            .server
            .create_queue(QueueSpec::new(name).visibility(VISIBILITY));
        made.unwrap();
        self.ours.queue(name).unwrap()
    }

    pub(crate) fn clock(&self) -> VirtualClock {
        self.server.clock().unwrap()
    }

    /// What theirs makes of a call that succeeds.
    pub(crate) async fn they(&mut self, action: &str, params: Value) -> Value {
        let called = self.theirs.call(action, params).await;
        called.unwrap_or_else(|failure| panic!("{action} by {:?}: {failure}", self.sdk))
    }

    /// The code of a call of theirs that is refused.
    pub(crate) async fn refused(&mut self, action: &str, params: Value) -> i32 {
        match self.theirs.call(action, params).await {
            Err(Failure::Failed { code, .. } | Failure::Refused { code, .. }) => code,
            other => panic!("{action} by {:?}: {other:?}", self.sdk),
        }
    }

    /// Body and handle of the next message, received by theirs.
    pub(crate) async fn they_receive(&mut self, queue: &str) -> (String, String) {
        let given = json!({"queueName": queue, "pollingWaitSeconds": 0});
        let got = self.they("ReceiveMessage", given).await;
        (text(&got, "msgBody"), text(&got, "receiptHandle"))
    }

    /// Receives by theirs and deletes by theirs.
    pub(crate) async fn they_take(&mut self, queue: &str) -> String {
        let (body, handle) = self.they_receive(queue).await;
        let given = json!({"queueName": queue, "receiptHandle": handle});
        self.they("DeleteMessage", given).await;
        body
    }

    /// That theirs finds nothing.
    pub(crate) async fn they_find_nothing(&mut self, queue: &str) {
        let given = json!({"queueName": queue, "pollingWaitSeconds": 0});
        assert_eq!(self.refused("ReceiveMessage", given).await, 7000);
    }
}

/// The next message, received by ours, which has to be there.
pub(crate) async fn next(queue: &mq_cmq::Queue) -> Received {
    queue.receive(NOW).await.unwrap().expect("a message")
}

/// Receives and deletes by ours.
pub(crate) async fn take(queue: &mq_cmq::Queue) -> String {
    let message = next(queue).await;
    queue.delete(message.handle()).await.unwrap();
    message.into_body()
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    let found = value[name].as_str();
    found
        .unwrap_or_else(|| panic!("{name} in {value}"))
        .to_owned()
}
