//! `mq cmq` and `mq demo` as scripts see them, with a CMQ server in this process.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use mq_cli::adapter::{Broker, Options, Outgoing, Target};
use mq_dev::cmq::{DevServer, QueueSpec, SubscriptionSpec, TopicSpec};
use serde_json::Value;

#[test]
fn what_cmq_lacks_is_wrong_usage_and_not_shown() {
    for (line, part) in [
        ("cancel x", "can't be taken back"),
        ("groups", "no consumer groups"),
        ("lag g", "no consumer groups"),
        (
            "send --topic q --key k x",
            "--key: CMQ's messages have no keys",
        ),
        ("send --topic q -p a=b x", "no properties"),
        ("send --topic q --deliver-level 3 x", "--deliver-after"),
        ("send --topic q --compress zlib x", "--compress"),
        ("recv --topic q --group g", "--group"),
        ("recv --topic q --from earliest", "--from"),
        ("recv --topic q --filter A", "--filter"),
        ("create q --queues 3", "QUEUE/SHARDS"),
        ("topics", "MQ_CMQ_URL"),
        ("topics --url rocketmq://h:1", "cmq+http"),
        (
            "send --url cmq+tc3+http://h:1?region=r --topic q x",
            "cmq+tcp",
        ),
        (
            "recv --url cmq+tc3+http://h:1?region=r --topic q",
            "cmq+tcp",
        ),
    ] {
        let ended = mq(line, None);
        assert_eq!(ended.status.code(), Some(2), "{line}: {}", stderr(&ended));
        assert!(stderr(&ended).contains(part), "{line}: {}", stderr(&ended));
    }
    for (line, hidden) in [
        ("--help", "cancel"),
        ("send --help", "--key"),
        ("recv --help", "--group"),
    ] {
        let ended = mq(line, None);
        let shown = String::from_utf8(ended.stdout).unwrap();
        assert!(!shown.contains(hidden), "{line}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_received_from_queues_shards_and_topics() {
    let server = DevServer::builder().start().await.unwrap();
    let url = server.url();
    let run = |line: &str| {
        let ended = mq(line, Some(&url));
        assert_eq!(ended.status.code(), Some(0), "{line}: {}", stderr(&ended));
        String::from_utf8(ended.stdout).unwrap()
    };
    tokio::task::block_in_place(|| {
        run("create work");
        run("create orders/2");
        run("create topic:news");
    });
    let all = SubscriptionSpec::to_queue("news", "all", "work");
    server.subscribe(all).unwrap();
    tokio::task::block_in_place(|| {
        assert_eq!(run("topics"), "orders-0\norders-1\ntopic:news\nwork\n");
        let sent: Value = serde_json::from_str(&run("send --topic work plain --json")).unwrap();
        assert_eq!((&sent["topic"], sent.get("offset")), (&"work".into(), None));
        run("send --topic topic:news --tag T published");
        let described: Value = serde_json::from_str(&run("describe work --json")).unwrap();
        assert_eq!(
            described,
            serde_json::json!({"queue": "work", "visible": 2, "held": 0, "delayed": 0})
        );
        let received = run("recv --topic work --count 2 --timeout 20s");
        assert_eq!(received, "plain\npublished\n");
        run("send --topic orders/2 --ordering-key k --count 5 n{i}");
        let received = run("recv --topic orders/2 --ordered --count 5 --timeout 20s -f %k:%b\\n");
        assert_eq!(received, "k:n0\nk:n1\nk:n2\nk:n3\nk:n4\n");
        run("delete orders/2");
        let ended = mq("delete topic:news", Some(&url));
        assert_eq!(ended.status.code(), Some(1), "{}", stderr(&ended));
        assert!(stderr(&ended).contains("TOPIC_HAS_SUBSCRIPTIONS"));
    });
    let client = mq_cmq::Client::from_url(&url).unwrap().build().unwrap();
    let subscription = client.topic("news").unwrap().subscription("all").unwrap();
    subscription.unsubscribe().await.unwrap();
    tokio::task::block_in_place(|| {
        run("delete topic:news");
        assert_eq!(run("topics"), "work\n");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_or_the_client_refuses_is_told_with_its_code() {
    let server = DevServer::builder().start().await.unwrap();
    server.create_queue(QueueSpec::new("work")).unwrap();
    server.create_topic(TopicSpec::new("news")).unwrap();
    let url = server.url();
    let refused = |line: &str, exit: i32, part: &str| {
        let ended = mq(line, Some(&url));
        assert_eq!(
            ended.status.code(),
            Some(exit),
            "{line}: {}",
            stderr(&ended)
        );
        assert!(stderr(&ended).contains(part), "{line}: {}", stderr(&ended));
    };
    let wrong = url.replace("dev-secret", "canary7f3a");
    tokio::task::block_in_place(|| {
        refused("send --topic none x", 1, "4440/10100");
        refused("send --topic topic:news x", 1, "6030");
        refused("send --topic work --tag T x", 1, "published to a topic");
        refused("send --topic work --ordering-key k x", 2, "QUEUE/SHARDS");
        refused("send --topic orders/2 x", 2, "ordering key");
        refused("recv --topic topic:news", 2, "subscribed to it");
        refused("recv --topic work --ordered", 2, "orders/4");
        let batch = "bench send --topic work --count 32 --batch";
        refused(&format!("{batch} 17"), 2, "16 messages");
        refused(&format!("{batch} 16 --size 4097"), 2, "64 KiB");
        let ended = mq("recv --topic none --count 1", Some(&url));
        assert_eq!(ended.status.code(), Some(1), "{}", stderr(&ended));
        let told = stderr(&ended);
        assert!(told.contains("4440/10100"), "{told}");
        assert!(!told.contains("waiting"), "nobody waits: {told}");
        let ended = mq("send --topic work x", Some(&wrong));
        assert_eq!(ended.status.code(), Some(4), "{}", stderr(&ended));
        assert!(!stderr(&ended).contains("canary"), "{}", stderr(&ended));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_control_plane_makes_is_used_over_tcp() {
    let builder = DevServer::builder().gateway("127.0.0.1:0");
    let server = builder.start().await.unwrap();
    let (control, tcp) = (server.control_url(), server.tcp_url());
    let run = |line: &str, url: &str| {
        let ended = mq(line, Some(url));
        assert_eq!(ended.status.code(), Some(0), "{line}: {}", stderr(&ended));
        String::from_utf8(ended.stdout).unwrap()
    };
    tokio::task::block_in_place(|| {
        for name in ["work", "orders/2", "topic:news", "topic:weather/"] {
            run(&format!("create {name}"), &control);
        }
        let made = "orders-0\norders-1\ntopic:news\ntopic:weather\nwork\n";
        assert_eq!(run("topics", &control), made);
        run("send --topic work plain --count 2", &tcp);
        let described: Value =
            serde_json::from_str(&run("describe work --json", &control)).unwrap();
        assert_eq!(described["visible"], 2);
        let received = run("recv --topic work --count 2 --timeout 20s", &tcp);
        assert_eq!(received, "plain\nplain\n");
        let again = mq("create work", Some(&control));
        assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
        assert!(stderr(&again).contains("already existed"));
        let none = mq("describe none", Some(&control));
        assert_eq!(none.status.code(), Some(1), "{}", stderr(&none));
        let wrong = control.replace("dev-secret", "canary7f3a");
        let refused = mq("topics", Some(&wrong));
        assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
        assert!(!stderr(&refused).contains("canary"));
        for name in ["work", "orders/2", "topic:news", "topic:weather"] {
            run(&format!("delete {name}"), &control);
        }
        assert_eq!(run("topics", &control), "");
    });
    let routes = server.requests("QueryQueueRoute");
    assert_eq!(routes, 2, "one a command that went over TCP");
}

#[tokio::test]
async fn a_batch_to_a_topic_is_one_request_and_its_results_are_in_order() {
    let server = DevServer::builder().start().await.unwrap();
    server.create_queue(QueueSpec::new("work")).unwrap();
    server.create_topic(TopicSpec::new("news")).unwrap();
    let all = SubscriptionSpec::to_queue("news", "all", "work");
    server.subscribe(all).unwrap();
    let target = Target::cmq(&server.url()).unwrap();
    let broker = Broker::connect(target, Options::default()).await.unwrap();
    let mut batch: Vec<Outgoing> = ["first", "second", "third"]
        .map(|body| Outgoing::new("topic:news", body).tag("T"))
        .into();
    batch[1] = Outgoing::new("topic:news", "second").ordering_key("k");
    let results = broker.send_batch(batch).await;
    let [Ok(first), Err(second), Ok(third)] = &results[..] else {
        panic!("{results:?}");
    };
    assert_eq!((&*first.topic, &*first.queue), ("topic:news", "news"));
    assert_eq!(second.message.body, "second");
    let requests = ["BatchPublishMessage", "PublishMessage"];
    let requests = requests.map(|action| server.requests(action));
    assert_eq!(requests, [1, 0]);
    let client = mq_cmq::Client::from_url(&server.url()).unwrap();
    let queue = client.build().unwrap().queue("work").unwrap();
    let received = queue.receive_batch(16, Duration::ZERO).await.unwrap();
    let mut got: Vec<_> = received
        .iter()
        .map(|it| (it.body(), it.message_id()))
        .collect();
    got.sort_unstable();
    assert_eq!(got, [("first", &*first.id), ("third", &*third.id)]);
}

#[test]
fn the_demo_ends_well_in_half_a_minute_and_a_lost_message_makes_it_fail() {
    let lossy = std::thread::spawn(|| run("demo --fault lose-one", None));
    // The README promises half a minute; who needs longer is killed, and has no exit code.
    let ended = within(Duration::from_secs(30), "demo", None);
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    let shown = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(shown.matches(" yes ").count(), 7, "{shown}");
    let ended = lossy.join().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", stderr(&ended));
    let shown = String::from_utf8(ended.stdout).unwrap();
    assert!(shown.contains("missing: job 0"), "{shown}");
}

fn mq(line: &str, url: Option<&str>) -> Output {
    run(&format!("cmq {line}"), url)
}

fn run(line: &str, url: Option<&str>) -> Output {
    within(Duration::from_secs(60), line, url)
}

fn within(limit: Duration, line: &str, url: Option<&str>) -> Output {
    let mut command = Command::cargo_bin("mq").unwrap();
    command.env_clear().timeout(limit);
    command.args(line.split(' '));
    if let Some(url) = url {
        command.env("MQ_CMQ_URL", url);
    }
    command.output().unwrap()
}

fn stderr(ended: &Output) -> String {
    String::from_utf8_lossy(&ended.stderr).into_owned()
}
