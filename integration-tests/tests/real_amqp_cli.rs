//! `mq amqp` on RabbitMQ, as scripts see it: output, exit codes, pipes and signals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::process::{Child, Output};
use std::time::Duration;

use integration_tests::brokers::rabbitmq::{ROLE, shared, variable};
use integration_tests::harness::amqp::connect;
use integration_tests::harness::command::{Mq, code, err, interrupt, json, line_of, out, wait};
use integration_tests::harness::{now, unique};
use mq_amqp::{Binding, Exchange, Message, Queue, Value};

#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_cli_what_is_sent_is_received() {
    let queue = created("cli");
    let line = ["send", "--topic", &queue, "n {i}", "--count", "5", "--json"];
    let headers = ["-p", "a=1", "-p", "b=x=y"];
    let sent = run(&[&line[..], &headers].concat());
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    let receipts = json(&sent);
    assert_eq!(receipts.len(), 5);
    holds(&queue, 5);
    let received = receive(&queue, &["--count", "5", "--json"]);
    assert_eq!(code(&received), 0, "{}", err(&received));
    let messages = json(&received);
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(receipts[number]["queue"], queue);
        for field in ["id", "topic", "queue", "offset"] {
            assert_eq!(message[field], receipts[number][field], "{field}");
        }
        assert_eq!(message["body"], format!("n {number}"));
        let headers = serde_json::json!({"a": "1", "b": "x=y"});
        assert_eq!(message["properties"], headers);
        assert_eq!(message["redelivery_count"], 0);
        assert!(message["received_at"].as_str() >= message["born_at"].as_str());
    }
    // What was printed is acknowledged.
    holds(&queue, 0);
    deleted(&queue);
}

/// What is published to an exchange comes with both names, and what no queue takes stands in its place as a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_cli_exchanges_are_published_to() {
    let client = connect().await;
    let (exchange, queue) = (unique("cli"), format!("{}/with a slash", unique("cli")));
    let declared = Exchange::direct(exchange.clone()).auto_delete();
    client.declare_exchange(declared).await.unwrap();
    let declared = Queue::classic(queue.clone()).expires(Duration::from_secs(600));
    client.declare_queue(declared).await.unwrap();
    let binding = Binding::queue(queue.clone()).to(exchange.clone());
    client.bind(binding.key("order.paid")).await.unwrap();
    let typed = Value::Array(vec![Value::I32(7), Value::Bool(true)]);
    let foreign = Message::new(queue.clone(), vec![0xff, 0]).header("typed", typed);
    let publisher = client.publisher("").build().await.unwrap();
    publisher.send(foreign).await.unwrap();
    tokio::task::block_in_place(|| {
        let topic = format!("{exchange}/order.paid");
        let sent = run(&["send", "--topic", &topic, "paid", "--json"]);
        assert_eq!(code(&sent), 0, "{}", err(&sent));
        assert_eq!(json(&sent)[0]["queue"], "", "nobody says where it went");
        let nobody = format!("{exchange}/order.lost");
        let lost = run(&["send", "--topic", &nobody, "lost", "--json"]);
        assert_eq!(code(&lost), 1, "{}", err(&lost));
        let told = &json(&lost)[0];
        assert_eq!(
            (&told["kind"], &told["code"]),
            (&"not_found".into(), &312.into())
        );
        assert_eq!(told["outcome"], "rejected");
        let slashed = format!("/{queue}");
        let received = json(&receive(&slashed, &["--count", "2", "--json"]));
        let foreign = &received[0];
        assert_eq!(
            (&foreign["topic"], &foreign["queue"]),
            (&slashed.into(), &queue.clone().into())
        );
        assert_eq!(foreign["properties"]["typed"], "[7,true]");
        assert_eq!(foreign["body_base64"], "/wA=");
        assert!(
            foreign.get("born_at").is_none(),
            "its sender did not say: {foreign}"
        );
        assert_eq!(
            (&received[1]["topic"], &received[1]["queue"]),
            (&topic.clone().into(), &queue.clone().into())
        );
        let mistaken = receive(&topic, &["--count", "1"]);
        assert_eq!(code(&mistaken), 2, "{}", err(&mistaken));
        assert!(
            err(&mistaken).contains("is an exchange"),
            "{}",
            err(&mistaken)
        );
    });
    client.delete_queue(&queue).await.unwrap();
    client.close().await;
}

#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_cli_too_few_is_5_and_what_came_is_printed() {
    let queue = created("cli");
    assert_eq!(code(&run(&["send", "--topic", &queue, "only"])), 0);
    let flags = ["--count", "2", "--timeout", "2s", "-f", r"%t|%q|%o|%b\n"];
    let received = receive(&queue, &flags);
    assert_eq!(code(&received), 5);
    assert_eq!(out(&received), format!("{queue}|{queue}||only\n"));
    let said = err(&received);
    assert!(said.ends_with("received: 1 of 2\n"), "{said}");
    let idle = receive(&queue, &["--exit-on-idle", "1s"]);
    assert_eq!((code(&idle), err(&idle)), (0, String::new()));
    deleted(&queue);
}

#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_cli_what_is_not_acknowledged_stays() {
    let queue = created("cli");
    let sent = run(&["send", "--topic", &queue, "{i}", "--count", "300"]);
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    // More than a prefetch.
    let looked = receive(&queue, &["--count", "300", "--no-ack"]);
    assert_eq!(code(&looked), 0, "{}", err(&looked));
    holds(&queue, 300);
    // One is printed, and that one is taken.
    let mut child = spawn(&["recv", "--topic", &queue, "--count", "1"]);
    assert_eq!(line_of(&mut child), "0\n");
    assert_eq!(code(&wait(child)), 0);
    holds(&queue, 299);
    // Nobody reads: nothing is printed, so that nothing is taken.
    let mut child = spawn(&["recv", "--topic", &queue]);
    drop(child.stdout.take());
    let ended = wait(child);
    assert_eq!((code(&ended), err(&ended)), (0, String::new()));
    let first = json(&receive(&queue, &["--count", "1", "--json"]));
    assert_eq!(first[0]["redelivery_count"], 1, "it is counted");
    let rest = out(&receive(&queue, &["--count", "298"]));
    let rest = rest.lines().map(|line| line.parse().unwrap());
    let first = first[0]["body"].as_str().unwrap().parse().unwrap();
    let mut numbers: Vec<usize> = rest.chain([first]).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..300));
    deleted(&queue);
}

#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_cli_ctrl_c_drains_and_leaves_with_0() {
    let queue = created("cli");
    run(&["send", "--topic", &queue, "one"]);
    let mut child = spawn(&["recv", "--topic", &queue]);
    assert_eq!(line_of(&mut child), "one\n");
    interrupt(&child);
    let ended = wait(child);
    assert_eq!(code(&ended), 0, "{}", err(&ended));
    holds(&queue, 0);
    deleted(&queue);
}

/// A stream is read as often as one likes, from its beginning if that is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_cli_streams_are_read_from_their_beginning() {
    let client = connect().await;
    let stream = unique("cli");
    let declared = Queue::stream(stream.clone());
    client.declare_queue(declared).await.unwrap();
    tokio::task::block_in_place(|| {
        run(&["send", "--topic", &stream, "{i}", "--count", "5"]);
        for more in [&["--json"][..], &["--json", "--no-ack"], &["--json"]] {
            let from = ["--from", "earliest", "--count", "5"];
            let received = receive(&stream, &[&from[..], more].concat());
            assert_eq!(code(&received), 0, "{}", err(&received));
            for (number, message) in json(&received).iter().enumerate() {
                assert_eq!(message["offset"], number);
                assert_eq!(message["body"], number.to_string());
                assert_eq!(message["properties"], serde_json::json!({}));
            }
        }
        let none = receive(&stream, &["--exit-on-idle", "1s"]);
        assert_eq!((code(&none), out(&none)), (0, String::new()));
    });
    client.delete_queue(&stream).await.unwrap();
    client.close().await;
}

/// An ordered topic is made, sent to by key, described, received from in order, and deleted; a name that was mistyped makes none.
#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_cli_ordered_topics_keep_the_order_of_their_keys() {
    let name = unique("cli");
    let topic = format!("{name}/3");
    let send = |key: &str, to: &str| {
        let line = ["send", "--topic", to, "--ordering-key", key, "--json"];
        run(&[&line[..], &["{i}", "--count", "10", "-p", "a=1"]].concat())
    };
    let missing = send("k", &topic);
    assert_eq!(code(&missing), 1, "{}", err(&missing));
    assert!(json(&missing)[0]["error"].to_string().contains("create"));
    created_as(&topic);
    let differs = send("k", &name);
    assert_eq!(code(&differs), 1, "{}", err(&differs));
    let told = json(&differs)[0]["error"].to_string();
    assert!(told.contains("3 partitions, and 8"), "{told}");
    let receipts = ["red", "blue"].map(|key| json(&send(key, &topic)));
    for of_key in &receipts {
        assert!(of_key.iter().all(|one| one["queue"] == of_key[0]["queue"]));
    }
    let told = json(&run(&["describe", &topic, "--json"]));
    let queues: Vec<_> = told.iter().map(|it| it["queue"].clone()).collect();
    let names = ["p000", "p001", "p002", "parked"].map(|it| format!("{name}.{it}"));
    assert_eq!(queues, names);
    let there: u64 = told.iter().filter_map(|it| it["visible"].as_u64()).sum();
    assert_eq!(there, 20);
    let received = json(&receive(&topic, &["--ordered", "--count", "20", "--json"]));
    for (key, of_key) in ["red", "blue"].into_iter().zip(&receipts) {
        let ours = received.iter().filter(|it| it["key"] == key);
        let ours: Vec<_> = ours.collect();
        assert!(
            ours.iter()
                .map(|it| &it["id"])
                .eq(of_key.iter().map(|it| &it["id"]))
        );
        for (number, message) in ours.into_iter().enumerate() {
            assert_eq!(message["body"], number.to_string());
            assert_eq!(message["topic"], topic);
            assert_eq!(message["queue"], of_key[0]["queue"]);
            assert_eq!(message["properties"], serde_json::json!({"a": "1"}));
        }
    }
    deleted(&topic);
    let gone = receive(&topic, &["--ordered", "--count", "1"]);
    assert_eq!(code(&gone), 1, "{}", err(&gone));
}

/// Who describes makes nothing; who creates makes what is missing, of the kind of what is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_cli_what_is_missing_of_an_ordered_topic_is_made_by_create_alone() {
    let (client, name) = (connect().await, unique("cli"));
    let topic = client.ordered_topic(name.clone()).partitions(2).quorum();
    let topic = topic.declare().await.unwrap();
    let partitions: Vec<_> = (0..2).map(|it| topic.queue(it)).collect();
    let (parked, written) = (topic.parking_queue(), format!("{name}/2"));
    for gone in [&partitions[..], std::slice::from_ref(&parked)] {
        for queue in gone {
            client.delete_queue(queue).await.unwrap();
        }
        let told = tokio::task::block_in_place(|| run(&["describe", &written]));
        assert_eq!(code(&told), 1, "{}", err(&told));
        for queue in gone {
            client.queue(queue).await.unwrap_err();
        }
        tokio::task::block_in_place(|| created_as(&written));
        // The other kind would be refused.
        for queue in &partitions {
            let replicated = Queue::quorum(queue.clone()).single_active_consumer();
            client.declare_queue(replicated).await.unwrap();
        }
        let replicated = Queue::quorum(parked.clone());
        client.declare_queue(replicated).await.unwrap();
    }
    tokio::task::block_in_place(|| deleted(&written));
    client.close().await;
}

/// In both ways that there are; what can be cancelled has a handle, and is, once.
#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_cli_messages_for_later_come_later_and_are_cancelled() {
    let queue = created("cli");
    let send = |body: &str, more: &[&str]| {
        let line = ["send", "--topic", &queue, body, "--json"];
        let sent = run(&[&line[..], more].concat());
        assert_eq!(code(&sent), 0, "{}", err(&sent));
        json(&sent).remove(0)
    };
    let soon = ["--deliver-after", "3s"];
    let taken = send("taken", &["--deliver-after", "1h", "--cancellable"]);
    let begun = now();
    let plain = send("ladder", &soon);
    assert!(plain.get("handle").is_none(), "{plain}");
    let kept = send("timer", &[&soon[..], &["--cancellable"]].concat());
    let past = send("past", &["--deliver-at", "2020-01-01T00:00:00Z"]);
    assert_eq!(past["at_once"], true);
    let cancel = |sent: &serde_json::Value| {
        let cancelled = run(&["cancel", sent["handle"].as_str().unwrap()]);
        (code(&cancelled), out(&cancelled))
    };
    assert_eq!(cancel(&taken), (0, "cancelled\n".to_owned()));
    assert_eq!(cancel(&taken), (1, "too late\n".to_owned()));
    assert_eq!(out(&receive(&queue, &["--count", "1"])), "past\n");
    let received = out(&receive(&queue, &["--count", "2"]));
    assert!(begun.elapsed() >= Duration::from_secs(3), "{received}");
    let mut bodies: Vec<_> = received.lines().collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["ladder", "timer"]);
    assert_eq!(cancel(&kept), (1, "too late\n".to_owned()));
    let nobody = run(&["send", "--topic", "a/b", "x", "--deliver-after", "1s"]);
    assert_eq!(code(&nobody), 2, "{}", err(&nobody));
    let both = [&soon[..], &["--ordering-key", "k"]].concat();
    let both = run(&[&["send", "--topic", "t/2", "x"][..], &both].concat());
    assert_eq!(code(&both), 2, "{}", err(&both));
    let absent = run(&[
        "send",
        "--topic",
        &unique("no"),
        "x",
        "--deliver-after",
        "1s",
    ]);
    assert_eq!(code(&absent), 1, "{}", err(&absent));
    deleted(&queue);
}

#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_cli_queues_come_and_go_and_what_does_not_exist_is_said() {
    let queue = created("made");
    let again = run(&["create", &queue]);
    assert_eq!(code(&again), 0, "{}", err(&again));
    let told = run(&["describe", &queue]);
    let table: Vec<_> = out(&told).split_whitespace().map(str::to_owned).collect();
    assert_eq!(table, ["QUEUE", "VISIBLE", "CONSUMERS", &queue, "0", "0"]);
    deleted(&queue);
    for words in [
        &["describe", &queue][..],
        &["delete", &queue],
        &["recv", "--topic", &queue],
        &["send", "--topic", &queue, "x"],
    ] {
        let ended = run(words);
        assert_eq!(code(&ended), 1, "{words:?}: {}", err(&ended));
        assert!(
            err(&ended).contains("NO_ROUTE") || err(&ended).contains("404"),
            "{}",
            err(&ended)
        );
    }
    let own = run(&["create", "amq.mine"]);
    assert_eq!(code(&own), 2, "{}", err(&own));
    assert!(err(&own).contains("the server's own"), "{}", err(&own));
}

/// A queue that is there otherwise is left as it is, and the difference named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_cli_what_differs_is_named() {
    let client = connect().await;
    let queue = integration_tests::harness::amqp::queue(&client, "other").await;
    tokio::task::block_in_place(|| {
        let differs = run(&["create", &queue]);
        assert_eq!(code(&differs), 1, "{}", err(&differs));
        assert!(err(&differs).contains("x-expires"), "{}", err(&differs));
    });
    client.close().await;
}

#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_cli_who_is_not_let_in_is_4_and_tls_is_by_the_url() {
    let right = shared().unwrap().url().to_owned();
    let wrong = right.replace(ROLE.secret, "canary7f3a");
    let at = |url: &str, words: &[&str]| Mq::new("amqp", "MQ_AMQP_URL", url).run(words);
    let refused = at(&wrong, &["describe", "q"]);
    assert_eq!(code(&refused), 4, "{}", err(&refused));
    assert!(!err(&refused).contains("canary"));
    let elsewhere = at(&format!("{right}-not"), &["describe", "q"]);
    assert_eq!(code(&elsewhere), 1, "{}", err(&elsewhere));
    assert!(
        err(&elsewhere).contains("virtual host"),
        "{}",
        err(&elsewhere)
    );
    let (secured, ca) = (variable("TLS_URL").unwrap(), variable("TLS_CA").unwrap());
    let untrusted = at(&secured, &["describe", "q"]);
    assert_eq!(code(&untrusted), 1, "{}", err(&untrusted));
    let secured = format!("{secured}?cacertfile={ca}");
    let queue = created("tls");
    let sent = at(&secured, &["send", "--topic", &queue, "by TLS"]);
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    assert_eq!(out(&receive(&queue, &["--count", "1"])), "by TLS\n");
    deleted(&queue);
}

#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_cli_bench_counts_and_measures() {
    let queue = created("bench");
    for mode in ["send", "recv", "both"] {
        let told = run(&["bench", mode, "--topic", &queue, "--count", "500", "--json"]);
        assert_eq!(code(&told), 0, "{mode}: {}", err(&told));
        let figures = json(&told).remove(0);
        assert_eq!(figures["protocol"], "amqp", "{figures}");
        assert_eq!(
            (&figures["mode"], &figures["count"]),
            (&mode.into(), &500.into())
        );
        let is_timed = figures["latency_us"]["p99"].is_number();
        assert_eq!(is_timed, mode != "recv", "{figures}");
    }
    holds(&queue, 0);
    deleted(&queue);
}

fn mq() -> Mq {
    Mq::new(
        "amqp",
        "MQ_AMQP_URL",
        shared().unwrap_or_else(|why| panic!("{why}")).url(),
    )
}

fn run(words: &[&str]) -> Output {
    mq().run(words)
}

fn spawn(words: &[&str]) -> Child {
    mq().spawn(words)
}

fn receive(queue: &str, more: &[&str]) -> Output {
    let mut words = vec!["recv", "--topic", queue];
    if !more.contains(&"--timeout") {
        words.extend(["--timeout", "30s"]);
    }
    words.extend(more);
    run(&words)
}

/// A new queue, made by the command.
fn created(what: &str) -> String {
    let queue = unique(what);
    created_as(&queue);
    queue
}

fn created_as(name: &str) {
    let made = run(&["create", name]);
    assert_eq!(code(&made), 0, "{}", err(&made));
    assert!(out(&made).is_empty() && err(&made).contains(name));
}

fn deleted(queue: &str) {
    let gone = run(&["delete", queue]);
    assert_eq!(code(&gone), 0, "{}", err(&gone));
    assert!(out(&gone).is_empty() && err(&gone).contains(queue));
}

/// So many are in the queue, soon: the broker counts what it is given back a moment later.
fn holds(queue: &str, messages: usize) {
    let deadline = now() + Duration::from_secs(10);
    loop {
        let told = json(&run(&["describe", queue, "--json"]));
        if told[0]["visible"] == messages && told[0]["consumers"] == 0 {
            assert_eq!(told[0]["queue"], queue);
            return;
        }
        assert!(now() < deadline, "not {messages}: {told:?}");
    }
}
