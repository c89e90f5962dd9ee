//! `mq amqp` as scripts see it, without a broker: what AMQP lacks, dead addresses, secrets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, TcpListener};
use std::process::Output;
use std::time::{Duration, Instant};

use assert_cmd::Command;

/// A key that must never come back.
const CANARY: &str = "canary7f3a";

#[test]
fn what_amqp_lacks_is_wrong_usage_and_not_shown() {
    for (line, part) in [
        ("cancel x", "no handle of a scheduled message"),
        ("topics", "rabbitmqctl list_queues"),
        ("groups", "no consumer groups"),
        ("lag g", "describe shows"),
        ("send --topic q --key k x", "--key: AMQP's messages have"),
        ("send --topic q --tag T x", "exchange/routing.key"),
        ("send --topic q --deliver-level 3 x", "no delay levels"),
        ("send --topic q --cancellable x", "add --deliver-after"),
        ("send --topic q --compress zlib x", "--compress"),
        ("recv --topic q --group g", "--group"),
        ("recv --topic q --filter A", "--filter"),
        ("recv --topic q --ordered --no-ack", "--no-ack"),
        ("bench send --topic q --batch 2", "--in-flight"),
        ("bench recv --topic q --group g", "--group"),
        ("bench recv --topic q --ordered", "--ordered"),
        ("create q --queues 3", "NAME/PARTITIONS"),
        ("create q --group", "--group"),
        ("delete q --group", "--group"),
    ] {
        let ended = mq(line, Some("amqp://h"));
        assert_eq!(ended.status.code(), Some(2), "{line}: {}", stderr(&ended));
        assert!(stderr(&ended).contains(part), "{line}: {}", stderr(&ended));
    }
    for (line, hidden) in [
        ("--help", &["topics  ", "groups", "lag"][..]),
        ("send --help", &["--key", "--tag", "--deliver-level"]),
        ("send --help", &["--compress"]),
        ("recv --help", &["--group", "--filter"]),
        ("bench --help", &["--group", "--batch", "--ordered"]),
        ("create --help", &["--queues", "--group"]),
        ("delete --help", &["--group"]),
    ] {
        let shown = String::from_utf8(mq(line, None).stdout).unwrap();
        for word in hidden {
            assert!(!shown.contains(word), "{line}: {word}: {shown}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_url_is_wrong_usage() {
    for (url, part) in [
        (None, "set MQ_AMQP_URL"),
        (Some("rocketmq://h:1"), "amqp:// or amqps://"),
        (Some("amqp://h:1/a｜b"), "full-width bar"),
        (Some("amqp://h:1?cacertfile=/absent"), "amqps://"),
        (Some("amqps://h:1?cacertfile=/absent"), "/absent"),
        (Some("amqp://h:1?heartbeat=soon"), "heartbeat"),
        (Some("amqp://h:1?frame_max=1"), "4096"),
    ] {
        let ended = mq("describe q", url);
        assert_eq!(ended.status.code(), Some(2), "{url:?}: {}", stderr(&ended));
        let told = stderr(&ended);
        assert!(told.contains(part), "{url:?}: {told}");
    }
}

#[test]
fn dead_addresses_are_named_with_the_reason_and_no_output_has_the_secret() {
    let (one, two) = (dead_port(), dead_port());
    let url = format!("amqp://role:{CANARY}@127.0.0.1:{one},127.0.0.1:{two}/a|b");
    for line in [
        "send --topic q hello",
        "recv --topic q",
        "bench both --topic q",
        "describe q",
        "create q",
        "delete q",
    ] {
        let begun = now();
        let ended = mq(line, Some(&url));
        assert!(begun.elapsed() < Duration::from_secs(4), "{line}");
        let told = stderr(&ended);
        assert_eq!(ended.status.code(), Some(1), "{line}: {told}");
        for port in [one, two] {
            assert!(told.contains(&format!("127.0.0.1:{port}")), "{told}");
        }
        assert!(told.contains("refused"), "{told}");
        assert!(
            !told.contains(CANARY) && !told.contains("warning"),
            "{told}"
        );
    }
    let typed = [
        format!("describe q --url {url}"),
        format!("describe q --url {url}?nonsense=1"),
        format!("describe q --url amqp://role:{CANARY}@"),
        format!("describe q {url}"),
        format!("--url {url}"),
        format!("send --topic {url} x"),
        format!("recv --topic q --timeout {url}"),
    ];
    for line in &typed {
        let ended = mq(line, None);
        assert_ne!(ended.status.code(), Some(0), "{line}");
        let told = stderr(&ended) + &String::from_utf8_lossy(&ended.stdout);
        assert!(!told.contains(CANARY), "{told}");
    }
    let warned = stderr(&mq(&typed[0], None));
    assert!(warned.contains("put the URL into MQ_AMQP_URL"), "{warned}");
}

fn mq(line: &str, url: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mq"));
    command.env_clear().timeout(Duration::from_secs(20));
    command.env("RUST_LOG", "trace").arg("amqp");
    command.args(line.split(' '));
    if let Some(url) = url {
        command.env("MQ_AMQP_URL", url);
    }
    command.output().unwrap()
}

/// A port where nobody listens.
fn dead_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[expect(clippy::disallowed_methods, reason = "a process runs on real time")]
fn now() -> Instant {
    Instant::now()
}
