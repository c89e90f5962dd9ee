//! The `mq` command on real brokers, as scripts see it: output, exit codes, pipes and signals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Output};
use std::time::Duration;

use integration_tests::harness::command::{Mq, code, err, interrupt, json, out, wait};
use integration_tests::harness::{is_4, nameserver, now, unique, url};
use mq_dev::proxy::Proxy;

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_what_is_sent_is_received() {
    let (topic, group) = (unique("cli"), unique("group"));
    let sent = run(
        &["send", "--topic", &topic, "n {i}", "--count", "5", "--json"]
            .into_iter()
            .chain([
                "--key", "k1 k2", "--tag", "TagA", "-p", "a=1", "-p", "b=x=y",
            ])
            .collect::<Vec<_>>(),
    );
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    let receipts = json(&sent);
    assert_eq!(receipts.len(), 5);
    let received = run(&[
        "recv", "--topic", &topic, "--group", &group, "--count", "5", "--json",
    ]
    .into_iter()
    .chain([
        "--from",
        "earliest",
        "--timeout",
        "30s",
        "--filter",
        "TagA || TagB",
    ])
    .collect::<Vec<_>>());
    assert_eq!(code(&received), 0, "{}", err(&received));
    let mut messages = json(&received);
    messages.sort_by_key(|message| message["body"].as_str().unwrap().to_owned());
    for (number, message) in messages.iter().enumerate() {
        // Receipts are in the order of sending.
        for field in ["id", "topic", "queue", "offset"] {
            assert_eq!(message[field], receipts[number][field], "{field}");
        }
        assert_eq!(message["body"], format!("n {number}"));
        assert_eq!(message["key"], "k1 k2");
        assert_eq!(message["tag"], "TagA");
        assert_eq!(
            message["properties"],
            serde_json::json!({"a": "1", "b": "x=y"})
        );
        assert_eq!(message["redelivery_count"], 0);
        assert!(message["received_at"].as_str() >= message["born_at"].as_str());
    }
}

/// The handle of `send` is what `cancel` takes; what is junk is wrong usage. On 4.x nothing is sent.
#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_what_is_scheduled_is_cancelled_by_its_handle() {
    let topic = unique("cli");
    let scheduled = |when: &[&str]| {
        let line = ["send", "--topic", &topic, "later", "--json"];
        run(&[&line[..], when].concat())
    };
    let sent = scheduled(&["--deliver-after", "10m"]);
    if is_4() {
        assert_eq!(code(&sent), 1, "{}", err(&sent));
        let told = &json(&sent)[0];
        assert_eq!(told["kind"], "unsupported");
        assert_eq!(told["outcome"], "not_sent");
        // The URL may say what it likes: it is noticed, and said that it was delivered.
        let url = format!("{}?dialect=apache5", url());
        let sent = scheduled(&["--deliver-after", "10m", "--url", &url]);
        assert_eq!(code(&sent), 3, "{}", err(&sent));
        assert_eq!(json(&sent)[0]["outcome"], "unknown");
        return;
    }
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    let handle = json(&sent)[0]["handle"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        let cancelled = run(&["cancel", &handle]);
        assert_eq!(code(&cancelled), 0, "{}", err(&cancelled));
        assert_eq!(String::from_utf8_lossy(&cancelled.stdout), "cancelled\n");
    }
    let past = scheduled(&["--deliver-at", "2001-02-03T04:05:06Z"]);
    assert!(err(&past).contains("delivered at once"), "{}", err(&past));
    assert_eq!(json(&past)[0]["at_once"], true);
    let past = json(&past)[0]["handle"].as_str().unwrap().to_owned();
    let late = run(&["cancel", &past]);
    assert_eq!(code(&late), 1, "{}", err(&late));
    assert_eq!(String::from_utf8_lossy(&late.stdout), "too late\n");
    let junk = run(&["cancel", &handle[1..]]);
    assert_eq!(code(&junk), 2, "{}", err(&junk));
    assert!(err(&junk).contains("no handle"), "{}", err(&junk));
    let beyond = scheduled(&["--deliver-after", "96h"]);
    assert_eq!(code(&beyond), 1, "{}", err(&beyond));
    assert_eq!(json(&beyond)[0]["code"], 13);
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_a_level_delays_on_every_version() {
    let (topic, group) = (unique("cli"), unique("group"));
    // On the tests' brokers 4 s and 1 s: what was sent last comes first.
    for level in ["7", "1"] {
        let line = ["send", "--topic", &topic, level, "--json"];
        let sent = run(&[&line[..], &["--deliver-level", level]].concat());
        assert_eq!(code(&sent), 0, "{}", err(&sent));
        assert!(json(&sent)[0]["handle"].is_string());
    }
    let received = receive(&topic, &group, &["--count", "2"]);
    assert_eq!(code(&received), 0, "{}", err(&received));
    assert_eq!(out(&received), "1\n7\n");
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_what_has_one_ordering_key_is_sent_and_received_in_order() {
    let (topic, group) = (unique("cli"), unique("group"));
    let line = ["send", "--topic", &topic, "{i}", "--count", "20", "--json"];
    let sent = run(&[&line[..], &["--ordering-key", "order 7"]].concat());
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    let sent = json(&sent);
    let offsets: Vec<_> = sent.iter().map(|line| line["offset"].as_i64()).collect();
    assert!(offsets.is_sorted(), "{offsets:?}");
    assert!(sent.iter().all(|line| line["queue"] == sent[0]["queue"]));
    let received = receive(&topic, &group, &["--ordered", "--count", "20"]);
    assert_eq!(code(&received), 0, "{}", err(&received));
    let numbers: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(out(&received).lines().collect::<Vec<_>>(), numbers);
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_stdin_is_cut_and_a_failure_stands_in_its_place() {
    let topic = unique("cli");
    // The second is empty, which brokers refuse; the last is no UTF-8, and compressed on the way.
    let mut input = b"one||||three||".to_vec();
    input.extend([0xff].repeat(5000));
    let flags = [
        "send",
        "--topic",
        &topic,
        "-",
        "--delimiter",
        "||",
        "--json",
    ];
    let sent = feed(&[&flags[..], &["--compress", "zstd"]].concat(), &input);
    assert_eq!(code(&sent), 3, "{}", err(&sent));
    let lines = json(&sent);
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1]["outcome"], "not_sent");
    assert_eq!(lines[1]["kind"], "invalid");
    assert!(lines[0]["id"].is_string() && lines[2]["id"].is_string());
    let received = json(&receive(
        &topic,
        &unique("group"),
        &["--count", "3", "--json"],
    ));
    let binary = received.iter().find(|line| line["body"].is_null()).unwrap();
    assert!(binary["body_base64"].as_str().unwrap().starts_with("////"));
    let text: Vec<_> = received
        .iter()
        .filter_map(|line| line["body"].as_str())
        .collect();
    assert!(text.contains(&"one") && text.contains(&"three"));
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_too_few_is_5_and_what_came_is_printed() {
    let (topic, group) = (unique("cli"), unique("group"));
    assert_eq!(
        code(&run(&["send", "--topic", &topic, "only", "--key", "k"])),
        0
    );
    let flags = ["--count", "2", "--timeout", "4s", "-f", r"%t|%k|%T|%o|%b\n"];
    let received = receive(&topic, &group, &flags);
    assert_eq!(code(&received), 5);
    assert_eq!(out(&received), format!("{topic}|k||0|only\n"));
    let said = err(&received);
    assert!(said.starts_with("mq: timed out after "), "{said}");
    assert!(said.ends_with("received: 1 of 2\n"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    // Idle is an end like any other, unless a number was asked for.
    let idle = receive(&topic, &group, &["--exit-on-idle", "1s"]);
    assert_eq!((code(&idle), err(&idle)), (0, String::new()));
    let short = receive(&topic, &group, &["--exit-on-idle", "1s", "--count", "1"]);
    assert_eq!(code(&short), 5);
    assert!(
        err(&short).ends_with("received: 0 of 1\n"),
        "{}",
        err(&short)
    );
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_no_ack_leaves_everything_as_it_was() {
    let (topic, group) = (unique("cli"), unique("group"));
    // One a queue, so that a broker that has stored no offset says 0 of each.
    run(&["send", "--topic", &topic, "{i}", "--count", "8"]);
    let looked = receive(&topic, &group, &["--count", "8", "--no-ack"]);
    assert_eq!(code(&looked), 0, "{}", err(&looked));
    assert_eq!(lag(&group), 8);
    let taken = json(&receive(&topic, &group, &["--count", "8", "--json"]));
    assert!(taken.iter().all(|message| message["redelivery_count"] == 0));
    assert_eq!(lag(&group), 0);
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_a_closed_pipe_ends_it_and_takes_nothing_along() {
    let (topic, group) = (unique("cli"), unique("group"));
    run(&["send", "--topic", &topic, "first"]);
    let mut child = spawn(&[
        "recv", "--topic", &topic, "--group", &group, "--from", "earliest",
    ]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "first\n");
    // The reader has gone, and nothing more needs to come for that to be noticed.
    let ended = wait(child);
    assert_eq!(code(&ended), 0);
    assert_eq!(err(&ended), "", "a closed pipe is nothing to talk about");
    run(&["send", "--topic", &topic, "second"]);
    // Nobody reads from the beginning: nothing is printed, so that nothing is taken.
    let mut child = spawn(&["recv", "--topic", &topic, "--group", &group]);
    drop(child.stdout.take());
    assert_eq!(code(&wait(child)), 0);
    let left = receive(&topic, &group, &["--count", "1", "--json"]);
    let left = json(&left);
    assert_eq!(left[0]["body"], "second");
    assert_eq!(left[0]["redelivery_count"], 0);
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_ctrl_c_drains_and_leaves_with_0() {
    let (topic, group) = (unique("cli"), unique("group"));
    let mut child = spawn(&["send", "--topic", &topic, "-", "--json"]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.contains("\"id\""), "{line}");
    // It waits for stdin, which stays open.
    interrupt(&child);
    assert_eq!(code(&wait(child)), 0);
    drop(input);
    let mut child = spawn(&[
        "recv", "--topic", &topic, "--group", &group, "--from", "earliest",
    ]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    interrupt(&child);
    assert_eq!(code(&wait(child)), 0);
    assert_eq!(lag(&group), 0, "what was printed is acknowledged");
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_a_second_ctrl_c_leaves_at_once() {
    let (topic, group) = (unique("cli"), unique("group"));
    let body = "x".repeat(1000);
    assert_eq!(
        code(&run(&["send", "--topic", &topic, &body, "--count", "200"])),
        0
    );
    // Nobody reads: the pipe is full, and draining waits for it.
    let mut child = spawn(&[
        "recv", "--topic", &topic, "--group", &group, "--from", "earliest",
    ]);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    std::thread::sleep(Duration::from_secs(2));
    interrupt(&child);
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("once more leaves at once"), "{line}");
    assert!(child.try_wait().unwrap().is_none(), "it is still draining");
    interrupt(&child);
    assert_eq!(code(&wait(child)), 130);
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_topics_and_queues_are_shown_without_the_namespace() {
    let (topic, group) = (unique("cli"), unique("group"));
    let inside = format!("{}/rocketmq-cli|ns", url());
    let with = |words: &[&str]| run(&[&["--url", &inside], words].concat());
    let sent = with(&["send", "--topic", &topic, "hi", "--json"]);
    assert_eq!(json(&sent)[0]["topic"], topic);
    let received = [
        "recv", "--topic", &topic, "--group", &group, "--from", "earliest",
    ];
    let received = with(&[&received[..], &["--count", "1", "--json"]].concat());
    assert_eq!(json(&received)[0]["topic"], topic);
    let listed = out(&with(&["topics"]));
    assert!(listed.lines().any(|line| line == topic), "{listed}");
    assert!(!listed.contains("RMQ_SYS") && !listed.contains("TBW102"));
    let all = out(&with(&["topics", "--all"]));
    assert!(all.contains(&format!("%RETRY%{group}\n")), "{all}");
    let outside = out(&run(&["topics"]));
    assert!(outside.contains(&format!("rocketmq-cli|ns%{topic}\n")));
    let queues = json(&with(&["describe", &topic, "--json"]));
    let messages: i64 = queues
        .iter()
        .filter_map(|queue| queue["messages"].as_i64())
        .sum();
    assert_eq!(messages, 1);
    let table = out(&with(&["lag", &group]));
    assert!(
        table.starts_with("TOPIC") && table.contains(&topic),
        "{table}"
    );
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_what_does_not_exist_is_said() {
    for words in [["describe", "nosuch-topic"], ["lag", "nosuch-group"]] {
        let ended = run(&words);
        assert_eq!(code(&ended), 1);
        assert!(err(&ended).contains(words[1]) && err(&ended).contains("check its name"));
    }
    let waited = receive("nosuch-topic", &unique("group"), &["--timeout", "1s"]);
    assert_eq!(code(&waited), 5);
    assert!(err(&waited).contains("does not exist"), "{}", err(&waited));
    assert!(err(&waited).ends_with("received: 0\n"), "{}", err(&waited));
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_the_rate_is_kept() {
    let topic = unique("cli");
    run(&["send", "--topic", &topic, "warm up"]);
    let begun = now();
    let flags = [
        "send", "--topic", &topic, "{i}", "--count", "21", "--rate", "20/s",
    ];
    assert_eq!(code(&run(&flags)), 0);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_bench_counts_and_measures() {
    let (topic, group) = (unique("cli"), unique("group"));
    let bench = |mode: &str| {
        let flags = [
            "bench", mode, "--topic", &topic, "--group", &group, "--count", "200", "--json",
        ];
        let told = run(&flags);
        assert_eq!(code(&told), 0, "{mode}: {}", err(&told));
        json(&told).remove(0)
    };
    for mode in ["send", "recv", "both"] {
        let figures = bench(mode);
        assert_eq!(figures["protocol"], "rocketmq", "{figures}");
        assert_eq!(figures["mode"], mode);
        assert_eq!(
            (&figures["count"], &figures["size"]),
            (&200.into(), &128.into())
        );
        for name in [
            "seconds",
            "messages_per_second",
            "cpu_us_per_message",
            "peak_rss_bytes",
        ] {
            assert!(figures[name].as_f64().unwrap() > 0.0, "{name}: {figures}");
        }
        // Draining says nothing about how long a message was on its way.
        let is_timed = mode != "recv";
        assert_eq!(
            figures["latency_us"]["p99"].is_number(),
            is_timed,
            "{figures}"
        );
    }
    assert_eq!(lag(&group), 0);
}

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_cli_topics_and_groups_are_made_listed_and_deleted() {
    let (topic, group) = (unique("made"), unique("group"));
    let quiet = |words: &[&str], part: &str| {
        let ended = run(words);
        assert_eq!(code(&ended), 0, "{words:?}: {}", err(&ended));
        assert!(out(&ended).is_empty() && err(&ended).contains(part));
    };
    for _ in 0..2 {
        quiet(&["create", &topic, "--queues", "3"], &topic);
        quiet(&["create", &group, "--group"], &group);
    }
    let described = json(&run(&["describe", &topic, "--json"]));
    assert!(!described.is_empty() && described.len().is_multiple_of(3));
    assert_eq!(code(&run(&["send", "--topic", &topic, "hello"])), 0);
    let has = |words: &[&str], name: &str| {
        let listed = out(&run(words));
        listed.lines().any(|line| line == name)
    };
    assert!(has(&["topics"], &topic) && has(&["groups"], &group));
    assert!(has(
        &["groups", "--json"],
        &format!("{{\"group\":\"{group}\"}}")
    ));
    quiet(&["delete", &topic], &topic);
    quiet(&["delete", &group, "--group"], &group);
    assert!(!has(&["topics"], &topic) && !has(&["groups"], &group));
    for words in [&["delete", &topic][..], &["delete", &group, "--group"]] {
        let ended = run(words);
        assert_eq!(code(&ended), 1, "{}", err(&ended));
        assert!(err(&ended).contains("check its name"), "{}", err(&ended));
    }
    let own = run(&["delete", "TBW102"]);
    assert_eq!(code(&own), 2, "{}", err(&own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MQ_ROCKETMQ_URL"]
async fn real_rocketmq_cli_bench_sends_batches_and_writes_its_files() {
    let proxy = Proxy::builder(nameserver()).start().await.unwrap();
    let counted = format!("rocketmq://{}", proxy.addr());
    let topic = unique("cli");
    assert_eq!(code(&run(&["create", &topic, "--queues", "1"])), 0);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (histogram, svg) = (file("out.hgrm"), file("out.svg"));
    let told = run(&[
        "bench",
        "send",
        "--url",
        &counted,
        "--topic",
        &topic,
        "--count",
        "205",
        "--batch",
        "10",
        "--in-flight",
        "4",
        "--json",
        "--histogram",
        &histogram,
        "--svg",
        &svg,
    ]);
    assert_eq!(code(&told), 0, "{}", err(&told));
    let figures = json(&told).remove(0);
    assert_eq!(
        (&figures["batch"], &figures["count"]),
        (&10.into(), &205.into())
    );
    // Twenty of ten, and the last five.
    assert_eq!((proxy.requests(320), proxy.requests(310)), (21, 0));
    let stored = json(&run(&["describe", &topic, "--json"]));
    let count = stored
        .iter()
        .map(|queue| queue["messages"].as_i64().unwrap());
    assert_eq!(count.sum::<i64>(), 205);
    let text = std::fs::read_to_string(histogram).unwrap();
    assert!(text.starts_with("       Value     Percentile"), "{text}");
    assert!(text.contains("Total count    =          205]"), "{text}");
    let drawn = std::fs::read_to_string(svg).unwrap();
    assert!(drawn.starts_with("<svg ") && drawn.contains("batches of 10"));
    // Both ways, what came in batches is received one by one.
    let both = [
        "bench",
        "both",
        "--topic",
        &topic,
        "--group",
        &unique("group"),
        "--count",
        "50",
        "--batch",
        "7",
        "--json",
    ];
    let told = run(&both);
    assert_eq!(code(&told), 0, "{}", err(&told));
    assert_eq!(json(&told)[0]["count"], 50);
}

fn mq() -> Mq {
    Mq::new("rocketmq", "MQ_ROCKETMQ_URL", url())
}

fn spawn(words: &[&str]) -> Child {
    mq().spawn(words)
}

fn run(words: &[&str]) -> Output {
    mq().run(words)
}

fn feed(words: &[&str], input: &[u8]) -> Output {
    mq().feed(words, input)
}

fn receive(topic: &str, group: &str, more: &[&str]) -> Output {
    let mut words = vec![
        "recv", "--topic", topic, "--group", group, "--from", "earliest",
    ];
    if !more.contains(&"--timeout") {
        words.extend(["--timeout", "30s"]);
    }
    words.extend(more);
    run(&words)
}

fn lag(group: &str) -> i64 {
    let told = run(&["lag", group, "--json"]);
    assert_eq!(code(&told), 0, "{}", err(&told));
    json(&told)
        .iter()
        .map(|queue| queue["lag"].as_i64().unwrap())
        .sum()
}
