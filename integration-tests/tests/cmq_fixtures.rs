//! What CMQ's SDKs wrote, as it was recorded: read, verified, and compared with what our client writes for the same calls.
//!
//! `cargo run -p integration-tests --bin capture -- cmq` records them again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use integration_tests::foreign::cmq::{Exchange, Recorder, Sdk, Signed, bodies, fixture};
use mq_cmq::proto::action::{self, FromParams, Given};
use mq_cmq::proto::{Action, SigningKey, answer, params, sign};
use mq_cmq::{
    Client, ContentFormat, Filter, HttpMethod, Message, PushRetry, SignatureMethod, TopicMessage,
};
use mq_dev::cmq::DevServer;
use serde_json::Value;

fn recorded(sdk: Sdk, signed: Signed) -> Vec<Exchange> {
    let path = fixture(sdk, signed);
    let text = std::fs::read_to_string(&path);
    let found =
        Exchange::read_all(&text.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    let least = if signed == Signed::default() { 29 } else { 10 };
    assert!(found.len() >= least, "{}: {}", path.display(), found.len());
    found
}

fn every_one() -> impl Iterator<Item = (Sdk, Signed, Exchange)> {
    let ways = Sdk::ALL.into_iter().flat_map(|sdk| {
        let ways = sdk.ways().iter();
        ways.map(move |way| (sdk, *way))
    });
    ways.flat_map(|(sdk, way)| {
        let exchanges = recorded(sdk, way).into_iter();
        exchanges.map(move |exchange| (sdk, way, exchange))
    })
}

#[test]
fn recorded_signatures_verify() {
    let mut left_out = 0;
    for (sdk, way, exchange) in every_one() {
        let pairs = exchange.params();
        let given = Given::new(&pairs);
        let (method, path, host) = exchange.target();
        assert_eq!((method, path), (way.method, "/v2/index.php"));
        let signed_by = if way.sign == "sha1" {
            SignatureMethod::HmacSha1
        } else {
            SignatureMethod::HmacSha256
        };
        assert_eq!(
            given.text("SignatureMethod").unwrap(),
            signed_by.wire_name()
        );
        let key = SigningKey::new(signed_by, "dev-secret").unwrap();
        let signature = given.text("Signature").unwrap();
        let text = sign::string_to_sign(method, host, path, &pairs);
        if key.verify(&text, signature) {
            continue;
        }
        // Values that begin with `@` are left out of what it signs.
        assert_eq!((sdk, method), (Sdk::Python, "POST"), "{exchange:?}");
        let without: Vec<_> = pairs.iter().filter(|it| !it.1.starts_with('@')).collect();
        assert!(without.len() < pairs.len(), "{exchange:?}");
        let without: Vec<_> = without.iter().map(|it| (&it.0, &it.1)).collect();
        let text = sign::string_to_sign(method, host, path, &without);
        assert!(key.verify(&text, signature), "{exchange:?}");
        left_out += 1;
    }
    // Two batches by POST, with either signature.
    assert_eq!(left_out, 4);
}

#[test]
fn the_readme_says_which_actions_are_recorded() {
    let mut recorded = BTreeMap::<_, BTreeSet<_>>::new();
    for (sdk, way, exchange) in every_one() {
        let places = recorded.entry(exchange.action()).or_default();
        places.insert((sdk, way));
    }
    let readme = include_str!("../../crates/mq-cmq/tests/fixtures/README.md");
    for row in readme.lines().filter(|line| line.starts_with("| `")) {
        let (actions, from) = row.trim_matches('|').split_once('|').unwrap();
        let is_named = |sdk: &Sdk| from.contains("each SDK") || from.contains(&format!("{sdk:?}"));
        let mut said = BTreeSet::new();
        for sdk in Sdk::ALL.into_iter().filter(is_named) {
            let every = from.contains("each of its ways");
            let ways = if every {
                sdk.ways()
            } else {
                &[Signed::default()]
            };
            said.extend(ways.iter().map(|way| (sdk, *way)));
        }
        for action in actions.split('`').skip(1).step_by(2) {
            let found = recorded.remove(action).unwrap_or_default();
            assert_eq!(found, said, "{action}");
        }
    }
    assert!(recorded.is_empty(), "not in the README: {recorded:?}");
}

#[test]
fn recorded_requests_of_messages_are_read_as_they_were_meant() {
    let bodies = bodies();
    let mut seen = BTreeMap::new();
    for (_, _, exchange) in every_one() {
        let (pairs, action) = (exchange.params(), exchange.action());
        let given = Given::new(&pairs);
        *seen.entry(action.clone()).or_insert(0) += 1;
        match action.as_str() {
            "SendMessage" => {
                let it = action::SendMessage::from_params(&given).unwrap();
                let got = (it.queue, it.body, it.delay_seconds);
                assert_eq!(got, ("q_1", "hello & 中=文", Some(0)));
            }
            "BatchSendMessage" => {
                let it = action::BatchSendMessage::from_params(&given).unwrap();
                assert_eq!((it.queue, it.delay_seconds), ("q_1", Some(0)));
                assert_eq!(it.bodies, bodies);
            }
            "ReceiveMessage" => {
                let it = action::ReceiveMessage::from_params(&given).unwrap();
                assert_eq!((it.queue, it.wait_seconds), ("q_1", Some(0)));
            }
            "BatchReceiveMessage" => {
                let it = action::BatchReceiveMessage::from_params(&given).unwrap();
                let got = (it.queue, it.count, it.wait_seconds);
                assert_eq!(got, ("q_1", 11, Some(0)));
            }
            "DeleteMessage" => {
                let it = action::DeleteMessage::from_params(&given).unwrap();
                assert_eq!(it.queue, "q_1");
                assert!(it.handle.parse::<u64>().is_ok(), "{}", it.handle);
            }
            "BatchDeleteMessage" => {
                let it = action::BatchDeleteMessage::from_params(&given).unwrap();
                assert_eq!((it.queue, it.handles.len()), ("q_1", 11));
            }
            "PublishMessage" => published(&given),
            "BatchPublishMessage" => {
                let it = action::BatchPublishMessage::from_params(&given).unwrap();
                if it.topic == "t_1" {
                    assert_eq!((it.bodies, it.tags), (texts(&bodies), vec!["red"]));
                } else {
                    assert_eq!(
                        (it.bodies, it.routing_key),
                        (vec!["x", "y"], Some("ad.hoc"))
                    );
                }
            }
            _ => {}
        }
    }
    let messages = seen
        .iter()
        .filter(|(action, _)| action.ends_with("Message"));
    assert_eq!(messages.count(), 8);
}

fn published(given: &Given<'_>) {
    let it = action::PublishMessage::from_params(given).unwrap();
    if it.topic == "t_1" {
        assert_eq!((it.body, it.tags), ("tagged", vec!["big", "红"]));
    } else {
        assert_eq!((it.body, it.routing_key), ("routed", Some("order.7.paid")));
    }
}

fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

/// What the SDKs could read is what our client reads, field by field: written again, it is the same.
#[test]
fn recorded_answers_are_read_whole() {
    for (_, _, exchange) in every_one() {
        let answered = exchange.answered();
        let again = match exchange.action().to_ascii_lowercase().as_str() {
            "sendmessage" => again::<action::SendMessage<'_>>(answered),
            "batchsendmessage" => again::<action::BatchSendMessage<'_>>(answered),
            "receivemessage" => again::<action::ReceiveMessage<'_>>(answered),
            "batchreceivemessage" => again::<action::BatchReceiveMessage<'_>>(answered),
            "deletemessage" => again::<action::DeleteMessage<'_>>(answered),
            "batchdeletemessage" => again::<action::BatchDeleteMessage<'_>>(answered),
            "publishmessage" => again::<action::PublishMessage<'_>>(answered),
            "batchpublishmessage" => again::<action::BatchPublishMessage<'_>>(answered),
            "createqueue" => again::<action::CreateQueue<'_>>(answered),
            "getqueueattributes" => again::<action::GetQueueAttributes<'_>>(answered),
            "listqueue" => again::<action::ListQueue<'_>>(answered),
            "createtopic" => again::<action::CreateTopic<'_>>(answered),
            "gettopicattributes" => again::<action::GetTopicAttributes<'_>>(answered),
            "listtopic" => again::<action::ListTopic<'_>>(answered),
            "subscribe" => again::<action::Subscribe<'_>>(answered),
            "getsubscriptionattributes" => again::<action::GetSubscriptionAttributes<'_>>(answered),
            "listsubscriptionbytopic" => again::<action::ListSubscriptionByTopic<'_>>(answered),
            "setqueueattributes"
            | "deletequeue"
            | "rewindqueue"
            | "settopicattributes"
            | "deletetopic"
            | "setsubscriptionattributes"
            | "clearsubscriptionfiltertags"
            | "unsubscribe" => again::<action::DeleteQueue<'_>>(answered),
            other => panic!("{other}"),
        };
        let mut answered: Value = serde_json::from_str(answered).unwrap();
        for common in ["code", "message", "requestId"] {
            answered.as_object_mut().unwrap().remove(common).unwrap();
        }
        assert_eq!(again, answered, "{}", exchange.action());
    }
}

fn again<A: Action>(answered: &str) -> Value {
    let reply: A::Reply = answer::parse(answered.as_bytes()).unwrap();
    serde_json::to_value(reply).unwrap()
}

/// The same calls by our client: but for who asks and when, and what single SDKs add, its fields are theirs.
#[tokio::test]
async fn ours_writes_the_same_fields() {
    for (sdk, way) in Sdk::ALL.map(|sdk| (sdk, Signed::default())) {
        let ours = by_action(&played_by_ours(way).await);
        let theirs = by_action(&recorded(sdk, way));
        let names = |of: &Fields| of.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs), "{sdk:?}");
        for (action, ours) in &ours {
            assert_eq!(ours, &theirs[action], "{action:?} of {sdk:?}");
        }
    }
}

/// By name (in lower case) and turn; lists as such, whether they were counted from 0 or from 1.
type Fields = BTreeMap<(String, usize), BTreeMap<String, Vec<String>>>;

fn by_action(exchanges: &[Exchange]) -> Fields {
    let mut turns = BTreeMap::new();
    let mut found = Fields::new();
    for exchange in exchanges {
        let action = exchange.action().to_ascii_lowercase();
        let turn = turns.entry(action.clone()).or_insert(0_usize);
        *turn += 1;
        found.insert((action, *turn), fields(&exchange.params()));
    }
    found
}

fn fields(pairs: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (key, value) in pairs {
        let (name, index) = key.split_once('.').unwrap_or((key, ""));
        let is_empty_route = name == "routingKey" && value.is_empty();
        if COMMON.contains(&name) || is_empty_route {
            continue;
        }
        let values = if index.is_empty() {
            vec![value.clone()]
        } else {
            let list = params::list(pairs, name).unwrap();
            list.into_iter().map(ToOwned::to_owned).collect()
        };
        found.insert(name.to_owned(), values);
    }
    // Another number each time.
    for handle in found.get_mut("receiptHandle").into_iter().flatten() {
        "handle".clone_into(handle);
    }
    found
}

/// Who asks and when; and a parameter that the SDK for Python adds for itself.
const COMMON: [&str; 9] = [
    "Action",
    "SecretId",
    "Timestamp",
    "Nonce",
    "SignatureMethod",
    "Signature",
    "RequestClient",
    "Region",
    "UserpollingWaitSeconds",
];

async fn played_by_ours(way: Signed) -> Vec<Exchange> {
    let server = DevServer::builder().start().await.unwrap();
    let recorder = Recorder::start(server.addr()).await.unwrap();
    let url = server.url();
    let url = url.replace(&server.addr().to_string(), &recorder.address().to_string());
    let client = Client::from_url(&url).unwrap().method(HttpMethod::Post);
    assert_eq!(way, Signed::default());
    let client = client.signature(SignatureMethod::HmacSha1).build().unwrap();
    queue(&client).await;
    messages(&client).await;
    topic_by_tag(&client).await;
    topic_by_route(&client).await;
    client.delete_queue("q_1").await.unwrap();
    client.close();
    let exchanges = recorder.exchanges();
    server.close().await;
    exchanges
}

async fn queue(client: &Client) {
    let made = client.create_queue("q_1").max_messages(2_000_000);
    let made = made.wait(Duration::from_secs(3)).max_body(2048);
    let made = made.visibility(Duration::from_secs(40));
    let made = made.retention(Duration::from_secs(86_400));
    let queue = made.rewind(Duration::from_secs(60)).await.unwrap();
    let changed = queue.change().max_messages(2_000_000);
    let changed = changed.wait(Duration::from_secs(3)).max_body(2048);
    let changed = changed.visibility(Duration::from_secs(50));
    let changed = changed.retention(Duration::from_secs(86_400));
    changed.rewind(Duration::from_secs(60)).await.unwrap();
    queue.attributes().await.unwrap();
    let listed = client.queues().containing("q").all().await.unwrap();
    assert_eq!(listed.len(), 1);
}

async fn messages(client: &Client) {
    let queue = client.queue("q_1").unwrap();
    let now = |body: &str| Message::new(body).deliver_after(Duration::ZERO);
    queue.send(now("hello & 中=文")).await.unwrap();
    let got = queue.receive(Duration::ZERO).await.unwrap().unwrap();
    queue.delete(got.handle()).await.unwrap();
    for result in queue
        .send_batch(bodies().iter().map(|body| now(body)))
        .await
    {
        result.unwrap();
    }
    let got = queue.receive_batch(11, Duration::ZERO).await.unwrap();
    let handles: Vec<_> = got.iter().map(|it| it.handle().clone()).collect();
    for result in queue.delete_batch(&handles).await {
        result.unwrap();
    }
    let late = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    queue.rewind(late).await.unwrap_err();
}

async fn topic_by_tag(client: &Client) {
    let made = client.create_topic("t_1").filter(Filter::Tags);
    let topic = made.max_body(2048).await.unwrap();
    topic.set_max_body(4096).await.unwrap();
    topic.attributes().await.unwrap();
    client.topics().containing("t").all().await.unwrap();

    let made = topic
        .subscribe("s-1")
        .queue("q_1")
        .filter_tags(["red", "红"]);
    let made = made
        .retry(PushRetry::Backoff)
        .format(ContentFormat::Simplified);
    let subscription = made.await.unwrap();
    let changed = subscription.change().filter_tags(["red", "红"]);
    let changed = changed.retry(PushRetry::Backoff);
    changed.format(ContentFormat::Simplified).await.unwrap();
    subscription.attributes().await.unwrap();
    topic.subscriptions().containing("s").all().await.unwrap();

    let tagged = TopicMessage::new("tagged").tag("big").tag("红");
    topic.publish(tagged).await.unwrap();
    let batch = bodies()
        .into_iter()
        .map(|body| TopicMessage::new(body).tag("red"));
    for result in topic.publish_batch(batch).await {
        result.unwrap();
    }
    subscription.clear_filter_tags().await.unwrap();
    subscription.unsubscribe().await.unwrap();
    client.delete_topic("t_1").await.unwrap();
}

async fn topic_by_route(client: &Client) {
    let made = client.create_topic("t_2").filter(Filter::Routing);
    let topic = made.max_body(2048).await.unwrap();
    let made = topic.subscribe("s-2").queue("q_1");
    let made = made.binding_keys(["order.*.paid", "ad.#"]);
    let made = made.retry(PushRetry::ExponentialDecay);
    made.format(ContentFormat::Simplified).await.unwrap();
    let routed = TopicMessage::new("routed").routing_key("order.7.paid");
    topic.publish(routed).await.unwrap();
    let batch = ["x", "y"].map(|body| TopicMessage::new(body).routing_key("ad.hoc"));
    for result in topic.publish_batch(batch).await {
        result.unwrap();
    }
}
