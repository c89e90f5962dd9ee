//! A wrong key.

use integration_tests::foreign::Failure;
use integration_tests::foreign::cmq::Sdk;
use mq_cmq::ErrorKind;
use mq_dev::cmq::QueueSpec;
use serde_json::json;

use super::world::{DEFAULT, Promise, QUEUE, World};

const KEYS: &str = "a wrong key is refused to both, and nothing is done";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv, JDK 17, Maven, Node.js and npm"]
async fn real_cmq_interop_wrong_key() {
    let sdks = [Sdk::Python, Sdk::Java, Sdk::Node];
    for sdk in sdks {
        let promise = Promise {
            test: "real_cmq_interop_wrong_key",
            flow: "send, receive",
            text: KEYS,
        };
        promise.kept(sdk, DEFAULT, wrong_key).await;
    }
}

async fn wrong_key(world: &mut World) {
    // Another server, which knows the same id with another key.
    let server = mq_dev::cmq::DevServer::builder().credentials("AKIDdev", "another-secret");
    let server = server.start().await.unwrap();
    server.create_queue(QueueSpec::new(QUEUE)).unwrap();
    let mut theirs = world.sdk.start(server.addr(), DEFAULT[0]).await.unwrap();
    let given = json!({"queueName": QUEUE, "msgBody": "x"});
    let refused = theirs.call("SendMessage", given).await.unwrap_err();
    let Failure::Refused { code: 4100, error } = refused else {
        panic!("{refused}")
    };
    assert!(error.contains("(10030)"), "{error}");
    assert!(!error.contains("another-secret"), "{error}");
    assert_eq!(
        server.counts(QUEUE).unwrap(),
        mq_dev::cmq::QueueCounts::default()
    );

    let url = world.server.url();
    let url = url.replace(&world.server.addr().to_string(), &server.addr().to_string());
    let ours = mq_cmq::Client::from_url(&url).unwrap().build().unwrap();
    let refused = ours
        .queue(QUEUE)
        .unwrap()
        .send("x")
        .await
        .unwrap_err()
        .error;
    assert_eq!(refused.kind(), ErrorKind::Auth);
    server.close().await;
}
