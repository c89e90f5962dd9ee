//! `mq pulsar` as scripts see it, without a broker: what Pulsar lacks, or lacks as yet, dead addresses, secrets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, TcpListener};
use std::process::Output;
use std::time::{Duration, Instant};

use assert_cmd::Command;

/// A token that must never come back.
const CANARY: &str = "canary7f3a";

#[test]
fn what_pulsar_lacks_is_wrong_usage_and_not_shown() {
    for (line, part) in [
        ("cancel x", "not there yet"),
        ("groups", "pulsar-admin topics subscriptions"),
        ("lag g", "pulsar-admin topics stats"),
        ("create t", "create-partitioned-topic"),
        ("delete t", "pulsar-admin topics delete"),
        ("send --topic t --tag T x", "-p sets a property"),
        ("send --topic t --ordering-key k x", "--key keeps"),
        ("send --topic t --deliver-after 1s x", "not there yet"),
        (
            "send --topic t --deliver-at 2026-11-20T12:00:00Z x",
            "not there yet",
        ),
        ("send --topic t --deliver-level 3 x", "no delay levels"),
        ("send --topic t --cancellable x", "not there yet"),
        ("send --topic t --batch-messages 0 x", "1 to 65536"),
        ("send --topic t --linger soon x", "--linger"),
        ("send --topic t --compress gzip x", "--compress"),
        ("recv --topic t --filter A", "brokers' plugins"),
        ("recv --topic t --ordered", "key-shared"),
        ("recv --topic t --subscription-type all", "failover"),
        ("bench send --topic t --batch 2", "--batch-messages"),
        ("bench recv --topic t --ordered", "--ordered"),
    ] {
        let ended = mq(line, Some("pulsar://h"));
        assert_eq!(ended.status.code(), Some(2), "{line}: {}", stderr(&ended));
        assert!(stderr(&ended).contains(part), "{line}: {}", stderr(&ended));
    }
    for (line, hidden) in [
        (
            "--help",
            &["groups", "lag", "create", "delete", "cancel"][..],
        ),
        ("send --help", &["--tag", "--deliver", "--cancellable"]),
        ("send --help", &["--ordering-key"]),
        ("recv --help", &["--filter", "--ordered"]),
        ("bench --help", &["--batch ", "--ordered"]),
    ] {
        let shown = String::from_utf8(mq(line, None).stdout).unwrap();
        for word in hidden {
            assert!(!shown.contains(word), "{line}: {word}: {shown}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_url_or_what_lets_in_is_wrong_usage() {
    for (line, url, part) in [
        ("topics", None, "set MQ_PULSAR_URL"),
        ("topics", Some("rocketmq://h:1"), "pulsar://, pulsar+ssl"),
        ("topics", Some("pulsar://h:1/a"), "nothing stands behind"),
        ("topics", Some("pulsar://u:p@h:1"), "no user part"),
        ("topics --tls-ca a", Some("pulsar://h"), "pulsar+ssl://"),
        (
            "topics --tls-ca /absent",
            Some("pulsar+ssl://h"),
            "/absent: No such file",
        ),
        (
            "topics --tls-cert /dev/null",
            Some("pulsar+ssl://h"),
            "go together",
        ),
        (
            "topics --token-file /absent",
            Some("pulsar://h"),
            "--token-file /absent",
        ),
        (
            "topics --token a --token-file b",
            Some("pulsar://h"),
            "one token is enough",
        ),
        ("topics --namespace a", Some("pulsar://h"), "public/default"),
        (
            "topics --namespace a/b/c",
            Some("pulsar://h"),
            "public/default",
        ),
    ] {
        let ended = mq(line, url);
        let told = stderr(&ended);
        assert_eq!(ended.status.code(), Some(2), "{line} {url:?}: {told}");
        assert!(told.contains(part), "{line} {url:?}: {told}");
    }
}

#[test]
fn dead_addresses_are_named_with_the_reason_and_no_output_has_the_token() {
    let (one, two) = (dead_port(), dead_port());
    let url = format!("pulsar://127.0.0.1:{one},127.0.0.1:{two}");
    for line in [
        "send --topic t hello",
        "recv --topic t",
        "bench both --topic t",
        "describe t",
        "topics",
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
        format!("topics --token {CANARY} --url {url}"),
        format!("--token={CANARY} topics --url {url}"),
        format!("topics --token {CANARY} {CANARY}"),
        format!("topics --url pulsar://u:{CANARY}@127.0.0.1:{one}"),
    ];
    for line in &typed {
        let ended = mq(line, None);
        assert_ne!(ended.status.code(), Some(0), "{line}");
        let told = stderr(&ended) + &String::from_utf8_lossy(&ended.stdout);
        assert!(!told.contains(CANARY), "{told}");
    }
    let warned = stderr(&mq(&typed[0], None));
    assert!(warned.contains("put it into MQ_PULSAR_TOKEN"), "{warned}");
}

fn mq(line: &str, url: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mq"));
    command.env_clear().timeout(Duration::from_secs(20));
    command.env("RUST_LOG", "trace").arg("pulsar");
    command.args(line.split(' '));
    if let Some(url) = url {
        command.env("MQ_PULSAR_URL", url);
        if url.contains("127.0.0.1") {
            command.env("MQ_PULSAR_TOKEN", CANARY);
        }
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
