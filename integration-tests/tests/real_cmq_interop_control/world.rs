//! A dev server with a gateway, our clients of all three planes, and one of theirs.

use std::time::Duration;

use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::cmq::control::{Keys, No, Sdk, Session};
use integration_tests::harness::wall;
use mq_cmq::{Client, ControlClient, Received, TcpClient};
use mq_dev::cmq::{DevServer, VirtualClock};
use serde_json::Value;

pub(crate) const NOW: Duration = Duration::ZERO;
/// The id, the key and the token of a temporary key of the server's.
pub(crate) const TEMPORARY: [&str; 3] = ["AKIDtemp", "canary-key", "canary-token"];

pub(crate) struct World {
    pub(crate) server: DevServer,
    pub(crate) control: ControlClient,
    pub(crate) http: Client,
    pub(crate) tcp: TcpClient,
    pub(crate) theirs: Session,
    pub(crate) sdk: Sdk,
    /// Whether theirs leaves its bodies out of its signatures.
    pub(crate) unsigned: bool,
}

/// What a test is called and promises, for `docs/flows.md`.
pub(crate) struct Promise {
    pub(crate) test: &'static str,
    pub(crate) flow: &'static str,
    pub(crate) text: &'static str,
}

impl Promise {
    /// Runs it in a new world, and where theirs can leave bodies unsigned in another one.
    pub(crate) async fn kept(self, sdk: Sdk, scenario: impl AsyncFn(&mut World)) {
        let record = Record::begin(self.test, "mq-cmq", self.flow, self.text)
            .tier(Tier::Foreign)
            .version(&format!("{} on the dev server", sdk.version()));
        for unsigned in [false, true] {
            if unsigned && !sdk.knows_unsigned_payload() {
                continue;
            }
            let mut world = World::start(sdk, unsigned).await;
            scenario(&mut world).await;
            world.control.close();
            world.http.close();
            world.tcp.close();
            world.server.close().await;
        }
        record.passed();
    }
}

impl World {
    async fn start(sdk: Sdk, unsigned: bool) -> Self {
        let [id, key, token] = TEMPORARY;
        let server = DevServer::builder()
            .virtual_clock(wall())
            .credentials("AKIDdev", "dev-secret")
            .temporary_credentials(id, key, token)
            .gateway("127.0.0.1:0")
            .start()
            .await
            .unwrap();
        let control = ControlClient::from_url(&server.control_url()).unwrap();
        let control = control.build().unwrap();
        let http = Client::from_url(&server.url()).unwrap().build().unwrap();
        let tcp = TcpClient::from_url(&server.tcp_url()).unwrap();
        let tcp = tcp.build().unwrap();
        let keys = Keys {
            unsigned,
            ..Keys::of_development()
        };
        let theirs = sdk.start(server.addr(), keys).await.unwrap();
        Self {
            server,
            control,
            http,
            tcp,
            theirs,
            sdk,
            unsigned,
        }
    }

    pub(crate) fn clock(&self) -> VirtualClock {
        self.server.clock().unwrap()
    }

    /// What theirs makes of a call that succeeds.
    pub(crate) async fn they(&mut self, action: &str, params: Value) -> Value {
        let called = self.theirs.call(action, params).await.unwrap();
        called.unwrap_or_else(|no| panic!("{action} by {:?}: {no:?}", self.sdk))
    }

    /// The error that theirs raises.
    pub(crate) async fn refused(&mut self, action: &str, params: Value) -> No {
        let called = self.theirs.call(action, params).await.unwrap();
        let no = called.expect_err(action);
        assert_ne!(no.request_id, "", "{no:?}");
        no
    }

    /// Receives and deletes by ours over HTTP, which has to find something.
    pub(crate) async fn take(&self, queue: &str) -> Received {
        let queue = self.http.queue(queue).unwrap();
        let message = queue.receive(NOW).await.unwrap().expect("a message");
        queue.delete(message.handle()).await.unwrap();
        message
    }

    /// The same over TCP.
    pub(crate) async fn take_by_tcp(&self, queue: &str) -> Received {
        let queue = self.tcp.queue(queue).unwrap();
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
