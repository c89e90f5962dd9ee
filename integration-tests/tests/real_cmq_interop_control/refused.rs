//! What is refused: to both with the same code and words, and no secret in them.

use integration_tests::foreign::cmq::control::{Keys, No, Sdk};
use mq_cmq::{ControlClient, ControlError, Credentials};
use serde_json::{Value, json};

use super::world::{Promise, TEMPORARY, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_control_refused_python() {
    refused("real_cmq_interop_control_refused_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_control_refused_node() {
    refused("real_cmq_interop_control_refused_node", Sdk::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go 1.24"]
async fn real_cmq_interop_control_refused_go() {
    refused("real_cmq_interop_control_refused_go", Sdk::Go).await;
}

async fn refused(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "manage",
        text: "the control plane refuses wrong keys, duplicates and what is missing to both, by the same code and words, without a secret",
    };
    let scenario = async |world: &mut World| {
        wrong_keys(world).await;
        temporary_keys(world).await;
        existing(world).await;
        missing(world).await;
        out_of_bounds(world).await;
    };
    promise.kept(sdk, scenario).await;
}

/// What the server says to theirs and to ours, with these keys.
async fn with(world: &World, keys: Keys<'_>) -> (Result<Value, No>, Result<(), ControlError>) {
    let keys = Keys {
        unsigned: world.unsigned,
        ..keys
    };
    let theirs = world.sdk.start(world.server.addr(), keys).await;
    let given = json!({"QueueName": "made-with-keys"});
    let theirs = theirs.unwrap().call("CreateCmqQueue", given).await;
    let mut credentials = Credentials::new(keys.id, keys.key);
    if let Some(token) = keys.token {
        credentials = credentials.token(token);
    }
    let url = world.server.control_url();
    let ours = ControlClient::from_url(&url).unwrap();
    let ours = ours.credentials(credentials).build().unwrap();
    let ours = ours.change_queue("made-with-keys").trace(false).await;
    (theirs.unwrap(), ours)
}

async fn wrong_keys(world: &World) {
    let development = Keys::of_development();
    for (keys, code, words) in [
        (
            Keys {
                key: "canary",
                ..development
            },
            "AuthFailure.SignatureFailure",
            "expected string to sign: TC3-HMAC-SHA256\\n",
        ),
        (
            Keys {
                id: "AKIDother",
                key: "canary",
                ..development
            },
            "AuthFailure.SecretIdNotFound",
            "AKIDother",
        ),
    ] {
        let (theirs, ours) = with(world, keys).await;
        told_without_a_secret(theirs, ours, code, words);
    }
    let made = world.server.counts("made-with-keys");
    assert_eq!(made, None, "nothing was carried out");
    assert_eq!(world.server.requests("CreateCmqQueue"), 0);
}

async fn temporary_keys(world: &mut World) {
    let [id, key, token] = TEMPORARY;
    let temporary = |token| Keys {
        id,
        key,
        token,
        unsigned: false,
    };
    for token in [None, Some("canary-of-another")] {
        let (theirs, ours) = with(world, temporary(token)).await;
        told_without_a_secret(theirs, ours, "AuthFailure.TokenFailure", "the token");
    }
    let (theirs, ours) = with(world, temporary(Some(token))).await;
    theirs.unwrap();
    ours.unwrap();
    world.queue_as_both_see_it("made-with-keys").await;
}

fn told_without_a_secret(
    theirs: Result<Value, No>,
    ours: Result<(), ControlError>,
    code: &str,
    words: &str,
) {
    let (theirs, ours) = (theirs.unwrap_err(), ours.unwrap_err());
    assert_eq!(theirs.code, code, "{theirs:?}");
    assert_eq!(ours.code().unwrap().as_str(), code, "{ours}");
    assert_ne!(theirs.request_id, "");
    for told in [&theirs.message, ours.message()] {
        assert!(told.contains(words), "{told}");
    }
    for shown in [format!("{theirs:?}"), format!("{ours:#?} {ours}")] {
        assert!(!shown.contains("canary"), "{shown}");
    }
}

/// That theirs is refused this, by the code and in the words in which ours is.
async fn both(world: &mut World, action: &str, given: Value, ours: ControlError, code: &str) {
    let theirs = world.refused(action, given).await;
    assert_eq!(theirs.code, code, "{action}: {theirs:?}");
    assert_eq!(ours.code().unwrap().as_str(), code, "{action}: {ours}");
    let words = format!("{} [request ", theirs.message);
    assert!(ours.message().starts_with(&words), "{theirs:?} {ours}");
}

async fn existing(world: &mut World) {
    let control = world.control.clone();
    let queue = json!({"QueueName": "Q"});
    world.they("CreateCmqQueue", queue.clone()).await;
    let ours = control.create_queue("Q").await.unwrap_err();
    both(world, "CreateCmqQueue", queue, ours, "ResourceInUse.Queue").await;
    // Whatever the case of the letters.
    let no = json!({"QueueName": "q"});
    let no = world.refused("CreateCmqQueue", no).await;
    assert_eq!(no.code, "ResourceInUse.Queue");
    let topic = json!({"TopicName": "t"});
    world.they("CreateCmqTopic", topic.clone()).await;
    let ours = control.create_topic("t").await.unwrap_err();
    both(
        world,
        "CreateCmqTopic",
        topic.clone(),
        ours,
        "ResourceInUse.Topic",
    )
    .await;
    let given = json!({
        "TopicName": "t", "SubscriptionName": "s", "Protocol": "queue", "Endpoint": "Q", "NotifyContentFormat": "SIMPLIFIED",
    });
    world.they("CreateCmqSubscribe", given.clone()).await;
    let ours = control.subscribe("t", "s").queue("Q").await.unwrap_err();
    let code = "ResourceInUse.Subscription";
    both(world, "CreateCmqSubscribe", given, ours, code).await;
    let ours = control.delete_topic("t").await.unwrap_err();
    let code = "FailedOperation.CmqBackendError";
    assert!(ours.message().starts_with("(10540)"), "{ours}");
    both(world, "DeleteCmqTopic", topic, ours, code).await;
}

async fn missing(world: &mut World) {
    let control = world.control.clone();
    let (queue, topic) = (json!({"QueueName": "none"}), json!({"TopicName": "none"}));
    let code = "ResourceNotFound";
    let ours = control.describe_queue("none").await.unwrap_err();
    both(world, "DescribeCmqQueueDetail", queue.clone(), ours, code).await;
    let ours = control.clear_queue("none").await.unwrap_err();
    both(world, "ClearCmqQueue", queue.clone(), ours, code).await;
    let ours = control.delete_queue("none").await.unwrap_err();
    both(world, "DeleteCmqQueue", queue, ours, code).await;
    let ours = control.send("none", "x").await.unwrap_err();
    let given = json!({"QueueName": "none", "MsgContent": "x", "DelaySeconds": 0});
    both(world, "SendCmqMsg", given, ours, code).await;
    let code = "ResourceNotFound.Topic";
    let ours = control.describe_topic("none").await.unwrap_err();
    both(world, "DescribeCmqTopicDetail", topic.clone(), ours, code).await;
    let ours = control.publish("none", "x").await.unwrap_err();
    let given = json!({"TopicName": "none", "MsgContent": "x"});
    both(world, "PublishCmqMsg", given, ours, code).await;
    let ours = control.unsubscribe("t", "none").await.unwrap_err();
    let given = json!({"TopicName": "t", "SubscriptionName": "none"});
    let code = "ResourceNotFound.Subscription";
    both(world, "DeleteCmqSubscribe", given, ours, code).await;
}

/// What ours refuses before it is sent; theirs sends it.
async fn out_of_bounds(world: &mut World) {
    for (action, given, words) in [
        (
            "CreateCmqQueue",
            json!({"QueueName": "new", "VisibilityTimeout": 43_201}),
            "VisibilityTimeout is 43201 s, expected 1 to 43200 s",
        ),
        ("CreateCmqQueue", json!({"QueueName": "7 new"}), "QueueName"),
        (
            "CreateCmqQueue",
            json!({"QueueName": "new", "MaxQueryCount": 3}),
            "Transaction is not 1",
        ),
        (
            "CreateCmqTopic",
            json!({"TopicName": "new", "FilterType": 3}),
            "FilterType",
        ),
    ] {
        let no = world.refused(action, given).await;
        assert_eq!(no.code, "InvalidParameterValue", "{no:?}");
        assert!(no.message.contains(words), "{no:?}");
    }
    let none = world.control.queues().containing("new").all().await;
    assert_eq!(none.unwrap(), []);
}
