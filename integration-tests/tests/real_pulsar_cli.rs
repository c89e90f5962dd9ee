//! `mq pulsar` on a real Pulsar, as scripts see it: output, exit codes, pipes and signals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::process::{Child, Output};

use integration_tests::brokers::pulsar::{ADMIN, CERTIFIED};
use integration_tests::harness::command::{Mq, code, err, interrupt, json, line_of, out, wait};
use integration_tests::harness::pulsar::{Manage, told, url};
use integration_tests::harness::unique;
use serde_json::json as value;

#[test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
fn real_pulsar_cli_what_is_sent_is_received() {
    let topic = unique("cli");
    let line = ["send", "--topic", &topic, "n {i}", "--count", "5", "--json"];
    let more = ["--key", "k", "-p", "a=1", "-p", "b=x=y"];
    let sent = run(&[&line[..], &more].concat());
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    let receipts = json(&sent);
    let flags = ["--from", "earliest", "--count", "5", "--json"];
    let received = receive(&topic, &flags);
    assert_eq!(code(&received), 0, "{}", err(&received));
    let messages = json(&received);
    assert_eq!((receipts.len(), messages.len()), (5, 5));
    for (number, message) in messages.iter().enumerate() {
        for field in ["id", "topic", "queue", "offset"] {
            assert_eq!(message[field], receipts[number][field], "{field}");
        }
        assert_eq!(
            (&message["topic"], &message["queue"]),
            (&value!(topic), &value!(""))
        );
        assert_eq!(message["key"], "k");
        assert_eq!(message["body"], format!("n {number}"));
        let properties = value!({"a": "1", "b": "x=y"});
        assert_eq!(message["properties"], properties);
        assert_eq!(message["redelivery_count"], 0);
        assert!(message["received_at"].as_str() >= message["born_at"].as_str());
    }
    // What was printed is acknowledged.
    let none = receive(&topic, &["--exit-on-idle", "1s"]);
    assert_eq!((code(&none), out(&none)), (0, String::new()));
    let other = ["--group", "other", "--from", "earliest", "--count", "1"];
    assert_eq!(out(&receive(&topic, &other)), "n 0\n");
}

/// A partitioned topic is one topic, and each of its partitions can be named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_cli_partitions_are_told() {
    let manage = Manage::shared();
    let namespace = manage.namespace("cli").await;
    let topic = format!("persistent://{namespace}/orders");
    manage.partition(&topic, 3).await;
    tokio::task::block_in_place(|| {
        let at = |words: &[&str]| run(&[&["--namespace", &namespace][..], words].concat());
        assert_eq!(out(&at(&["topics"])), "orders\n");
        let empty = json(&at(&["describe", "orders", "--json"]));
        let queues: Vec<_> = empty
            .iter()
            .map(|it| it["queue"].as_str().unwrap())
            .collect();
        assert_eq!(queues, ["0", "1", "2"]);
        assert!(
            empty.iter().all(|it| it.get("last_id").is_none()),
            "{empty:?}"
        );
        let send = [
            "send", "--topic", "orders", "{i}", "--count", "60", "--json",
        ];
        let sent = json(&at(&[&send[..], &["--batch-messages", "1"]].concat()));
        let into: BTreeSet<_> = sent.iter().map(|it| it["queue"].to_string()).collect();
        assert_eq!(into.len(), 3, "round robin reaches all");
        for end in json(&at(&["describe", "orders", "--json"])) {
            let of = sent.iter().filter(|it| it["queue"] == end["queue"]);
            let last = of.map(|it| &it["id"]).next_back();
            assert_eq!(end.get("last_id"), last);
        }
        let table = out(&at(&["describe", "orders"]));
        assert!(table.starts_with("PARTITION  LAST\n0          "), "{table}");
        let whole = format!("{topic}-partition-1");
        let mut there = sent.iter().filter(|it| it["queue"] == "1");
        let recv = ["recv", "--topic", &whole, "--from", "earliest", "--json"];
        let limits = ["--exit-on-idle", "2s"];
        for message in json(&run(&[&recv[..], &limits].concat())) {
            assert_eq!(
                (&message["topic"], &message["queue"]),
                (&value!(whole), &value!("1"))
            );
            assert_eq!(Some(&message["id"]), there.next().map(|it| &it["id"]));
        }
        assert!(there.next().is_none());
    });
}

#[test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
fn real_pulsar_cli_too_few_is_5_and_what_came_is_printed() {
    let topic = unique("cli");
    assert_eq!(code(&run(&["send", "--topic", &topic, "only"])), 0);
    let flags = ["--from", "earliest", "--count", "2", "--timeout", "2s"];
    let shown = ["-f", r"%t|%q|%o|%b\n"];
    let received = receive(&topic, &[&flags[..], &shown].concat());
    assert_eq!(code(&received), 5);
    assert_eq!(out(&received), format!("{topic}|||only\n"));
    let said = err(&received);
    assert!(said.ends_with("received: 1 of 2\n"), "{said}");
}

/// Also of one batch: what was printed is acknowledged, and nothing else.
#[test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
fn real_pulsar_cli_what_is_not_acknowledged_stays() {
    let topic = unique("cli");
    let from = ["--from", "earliest", "--count", "1"];
    receive(&topic, &["--from", "earliest", "--exit-on-idle", "10ms"]);
    let line = ["send", "--topic", &topic, "{i}", "--count", "300", "--json"];
    let sent = json(&run(&[&line[..], &["--in-flight", "300"]].concat()));
    let entry = |id: &str| id.split(':').take(2).collect::<Vec<_>>().join(":");
    let entries = sent.iter().map(|it| entry(it["id"].as_str().unwrap()));
    let entries: BTreeSet<_> = entries.collect();
    assert!(entries.len() < 100, "there are batches: {}", entries.len());
    let looked = receive(&topic, &["--count", "300", "--no-ack"]);
    assert_eq!(code(&looked), 0, "{}", err(&looked));
    let first = receive(&topic, &[&from[..], &["--json"]].concat());
    let first = json(&first).remove(0);
    // Nobody reads: nothing is printed, so that nothing is taken.
    let mut child = spawn(&["recv", "--topic", &topic]);
    drop(child.stdout.take());
    let ended = wait(child);
    assert_eq!((code(&ended), err(&ended)), (0, String::new()));
    let rest = receive(&topic, &["--count", "299"]);
    assert_eq!(code(&rest), 0, "{}", err(&rest));
    let rest = out(&rest);
    let rest = rest.lines().map(|line| line.parse().unwrap());
    let first = first["body"].as_str().unwrap().parse().unwrap();
    let mut numbers: Vec<usize> = rest.chain([first]).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..300));
    let none = receive(&topic, &["--exit-on-idle", "1s"]);
    assert_eq!((code(&none), out(&none)), (0, String::new()));
}

#[test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
fn real_pulsar_cli_ctrl_c_drains_and_leaves_with_0() {
    let topic = unique("cli");
    run(&["send", "--topic", &topic, "one"]);
    let mut child = spawn(&["recv", "--topic", &topic, "--from", "earliest"]);
    assert_eq!(line_of(&mut child), "one\n");
    interrupt(&child);
    let ended = wait(child);
    assert_eq!(code(&ended), 0, "{}", err(&ended));
    let none = receive(&topic, &["--exit-on-idle", "1s"]);
    assert_eq!((code(&none), out(&none)), (0, String::new()));
}

/// A subscription that somebody has for himself is told at once; a shared one has room.
#[test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
fn real_pulsar_cli_subscriptions_are_of_the_type_that_is_said() {
    let topic = unique("cli");
    run(&["send", "--topic", &topic, "one"]);
    for (taken, fits) in [
        ("exclusive", false),
        ("failover", true),
        ("key-shared", true),
    ] {
        let from = ["--from", "earliest", "--group", taken];
        let of = |how: &'static str| [&from[..], &["--subscription-type", how]].concat();
        let mut first = spawn(&[&["recv", "--topic", &topic][..], &of(taken)].concat());
        assert_eq!(line_of(&mut first), "one\n");
        let same = receive(
            &topic,
            &[&of(taken)[..], &["--exit-on-idle", "1s"]].concat(),
        );
        assert_eq!(code(&same) == 0, fits, "{taken}: {}", err(&same));
        let other = receive(
            &topic,
            &[&of("shared")[..], &["--exit-on-idle", "1s"]].concat(),
        );
        assert_eq!(code(&other), 1, "{taken}: {}", err(&other));
        assert!(err(&other).contains("another type"), "{}", err(&other));
        interrupt(&first);
        assert_eq!(code(&wait(first)), 0);
    }
}

#[test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
fn real_pulsar_cli_batches_are_as_they_are_said() {
    let topic = unique("cli");
    let send = |more: &[&str]| {
        let line = ["send", "--topic", &topic, "{i}", "--count", "64", "--json"];
        let sent = run(&[&line[..], more].concat());
        assert_eq!(code(&sent), 0, "{more:?}: {}", err(&sent));
        json(&sent)
    };
    // ledger:entry:partition, and of a batch the index.
    let largest = |sent: &[serde_json::Value]| {
        let ids = sent.iter().map(|it| it["id"].as_str().unwrap());
        let indexes = ids.filter_map(|id| id.split(':').nth(3)?.parse::<u32>().ok());
        indexes.max()
    };
    assert_eq!(largest(&send(&["--batch-messages", "1"])), None);
    for compress in ["zlib", "lz4", "zstd", "snappy"] {
        let most = send(&[
            "--batch-messages",
            "8",
            "--linger",
            "20ms",
            "--compress",
            compress,
        ]);
        assert_eq!(largest(&most), Some(7), "{compress}");
    }
    assert_eq!(
        largest(&send(&["--linger", "20ms", "--batch-bytes", "1"])),
        None
    );
    let received = receive(&topic, &["--from", "earliest", "--count", "384"]);
    assert_eq!(code(&received), 0, "{}", err(&received));
}

#[test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
fn real_pulsar_cli_what_does_not_exist_is_said() {
    for (words, part) in [
        (
            &["describe", "not-there"][..],
            "public/default/not-there (11",
        ),
        (&["topics", "--namespace", "public/none"], "Namespace"),
        (&["send", "--topic", "public/none/t", "x"], "Namespace"),
    ] {
        let ended = run(words);
        assert_eq!(code(&ended), 1, "{words:?}: {}", err(&ended));
        assert!(err(&ended).contains(part), "{words:?}: {}", err(&ended));
    }
    let none = run(&["send", "--topic", "a/b", "x"]);
    assert_eq!(code(&none), 2, "{}", err(&none));
}

#[test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
fn real_pulsar_cli_bench_counts_and_measures() {
    let topic = unique("bench");
    for mode in ["send", "recv", "both"] {
        let told = run(&["bench", mode, "--topic", &topic, "--count", "500", "--json"]);
        assert_eq!(code(&told), 0, "{mode}: {}", err(&told));
        let figures = json(&told).remove(0);
        assert_eq!(figures["protocol"], "pulsar", "{figures}");
        assert_eq!(
            (&figures["mode"], &figures["count"]),
            (&mode.into(), &500.into())
        );
        let is_timed = figures["latency_us"]["p99"].is_number();
        assert_eq!(is_timed, mode != "recv", "{figures}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Pulsar with tokens and TLS (profile pulsar-auth)"]
async fn real_pulsar_auth_cli_who_is_not_let_in_is_4_and_a_token_comes_from_anywhere() {
    let topic = Manage::shared().topic("cli").await;
    tokio::task::block_in_place(|| {
        let send = ["send", "--topic", &topic, "x"];
        let token = std::fs::read_to_string(told("TOKEN")).unwrap();
        let (file, typed) = (told("TOKEN"), token.trim());
        let by_file = run(&[&send[..], &["--token-file", &file]].concat());
        assert_eq!((code(&by_file), err(&by_file)), (0, String::new()));
        let by_variable = mq().with("MQ_PULSAR_TOKEN", typed).run(&send);
        assert_eq!((code(&by_variable), err(&by_variable)), (0, String::new()));
        let by_value = run(&[&send[..], &["--token", typed]].concat());
        assert_eq!(code(&by_value), 0, "{}", err(&by_value));
        assert!(err(&by_value).contains("warning: --token is a secret"));
        assert!(
            !err(&by_value).contains(typed),
            "it told the token of {ADMIN}"
        );
        for (how, words) in [
            ("nobody", vec![]),
            ("wrong", vec!["--token", "canary7f3a"]),
            ("expired", vec!["--token-file", &told("TOKEN_EXPIRED")]),
            ("no permission", vec!["--token-file", &told("TOKEN_NOBODY")]),
        ] {
            let refused = run(&[&send[..], &words].concat());
            assert_eq!(code(&refused), 4, "{how}: {}", err(&refused));
            assert!(!err(&refused).contains("canary"), "{}", err(&refused));
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Pulsar with tokens and TLS (profile pulsar-auth)"]
async fn real_pulsar_auth_cli_is_let_in_by_a_certificate_over_tls() {
    let manage = Manage::shared();
    let namespace = manage.namespace("cli").await;
    let actions = ["produce", "consume"];
    manage.permit(&namespace, CERTIFIED, &actions).await;
    let topic = format!("persistent://{namespace}/orders");
    manage.partition(&topic, 2).await;
    tokio::task::block_in_place(|| {
        let at = |words: &[&str]| Mq::new("pulsar", "MQ_PULSAR_URL", told("TLS_URL")).run(words);
        let (ca, cert, key) = (told("TLS_CA"), told("TLS_CERT"), told("TLS_KEY"));
        let send = ["send", "--topic", &topic, "by TLS"];
        let strangers = at(&send);
        assert_eq!(code(&strangers), 1, "{}", err(&strangers));
        assert!(
            err(&strangers).contains("certificate"),
            "{}",
            err(&strangers)
        );
        let flags = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
        let sent = at(&[&send[..], &flags].concat());
        assert_eq!(code(&sent), 0, "{}", err(&sent));
        let recv = ["recv", "--topic", &topic, "--from", "earliest"];
        let limits = ["--count", "1", "--timeout", "30s"];
        let received = at(&[&recv[..], &limits, &flags].concat());
        assert_eq!(out(&received), "by TLS\n", "{}", err(&received));
    });
}

fn mq() -> Mq {
    Mq::new("pulsar", "MQ_PULSAR_URL", url())
}

fn run(words: &[&str]) -> Output {
    mq().run(words)
}

fn spawn(words: &[&str]) -> Child {
    mq().spawn(words)
}

fn receive(topic: &str, more: &[&str]) -> Output {
    let mut words = vec!["recv", "--topic", topic];
    if !more.contains(&"--timeout") {
        words.extend(["--timeout", "30s"]);
    }
    words.extend(more);
    run(&words)
}
