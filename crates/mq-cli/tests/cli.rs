//! The command as scripts see it, without a broker: usage errors, exit codes, help, dead addresses, secrets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, TcpListener};
use std::process::Output;
use std::time::{Duration, Instant};

use assert_cmd::Command;

/// A key that must never come back.
const CANARY: &str = "canary7f3a";

#[test]
fn usage_errors_leave_with_2_and_say_what_to_write() {
    for (line, part) in [
        ("", "Usage: mq"),
        ("kafka send --topic t x", "unrecognized subcommand 'kafka'"),
        ("rocketmq bench", "<MODE>"),
        ("rocketmq bench both --topic t --size 8", "at least 16"),
        ("rocketmq bench recv --topic t --batch 2", "--batch is for"),
        (
            "rocketmq bench recv --topic t --svg out.svg",
            "take send or both",
        ),
        ("rocketmq create", "<NAME>"),
        ("rocketmq create g --group --queues 2", "--queues"),
        ("rocketmq delete g --queues 2", "--queues"),
        ("rocketmq send x", "--topic <TOPIC>"),
        ("rocketmq send --topic t", "no message given"),
        (
            "rocketmq send --topic t x --deliver-after now",
            "--deliver-after",
        ),
        ("rocketmq cancel", "<HANDLE>"),
        ("rocketmq recv --topic t --ordered --no-ack", "--no-ack"),
        ("rocketmq recv --topic t --filter a>1", "SQL92"),
        ("rocketmq recv --topic t -f %z", "%z means nothing"),
        ("rocketmq recv --topic t --from now", "earliest, latest"),
        ("rocketmq lag", "<GROUP>"),
        ("rocketmq topics", "set MQ_ROCKETMQ_URL"),
        ("rocketmq topics --url 127.0.0.1:9876", "scheme://"),
        (
            "rocketmq topics --url pulsar://h:1",
            "expected \"rocketmq\"",
        ),
        (
            "rocketmq topics --url rocketmq://h:1?tls=true&tls_ca=/absent",
            "/absent",
        ),
        ("rocketmq topics --url rocketmq://h:1?tls_ca=a", "tls=true"),
        (
            "rocketmq send --topic t x --url rocketmq://h:1 --compress snappy",
            "zlib, lz4 and zstd",
        ),
        (
            "rocketmq send --topic t x --batch-messages 2",
            "--batch-messages: how messages go",
        ),
        (
            "rocketmq recv --topic t --subscription-type shared",
            "Pulsar's alone",
        ),
        (
            "rocketmq topics --url rocketmq://h:1/a｜b",
            "full-width bar",
        ),
    ] {
        let ended = mq(line).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{line}: {}", stderr(&ended));
        assert!(stderr(&ended).contains(part), "{line}: {}", stderr(&ended));
        assert!(ended.stdout.is_empty(), "{line}: talk goes to stderr");
    }
}

#[test]
fn an_empty_variable_is_no_url() {
    let ended = mq("rocketmq topics")
        .env("MQ_ROCKETMQ_URL", "")
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2));
}

#[test]
fn help_is_data_and_stays_as_it_is() {
    for (name, line) in [
        ("mq", "--help"),
        ("rocketmq", "rocketmq --help"),
        ("send", "rocketmq send --help"),
        ("recv", "rocketmq recv --help"),
        ("bench", "rocketmq bench --help"),
        ("create", "rocketmq create --help"),
        ("delete", "rocketmq delete --help"),
        ("cmq", "cmq --help"),
        ("cmq_send", "cmq send --help"),
        ("cmq_recv", "cmq recv --help"),
        ("cmq_create", "cmq create --help"),
        ("amqp", "amqp --help"),
        ("amqp_send", "amqp send --help"),
        ("amqp_recv", "amqp recv --help"),
        ("amqp_bench", "amqp bench --help"),
        ("amqp_create", "amqp create --help"),
        ("amqp_describe", "amqp describe --help"),
        ("pulsar", "pulsar --help"),
        ("pulsar_send", "pulsar send --help"),
        ("pulsar_recv", "pulsar recv --help"),
        ("pulsar_bench", "pulsar bench --help"),
        ("pulsar_topics", "pulsar topics --help"),
        ("pulsar_describe", "pulsar describe --help"),
        ("dev_cmq", "dev cmq --help"),
        ("demo", "demo --help"),
    ] {
        let told = mq(line).output().unwrap();
        assert_eq!(told.status.code(), Some(0), "{line}");
        assert!(told.stderr.is_empty(), "{line}");
        insta::assert_snapshot!(name, String::from_utf8(told.stdout).unwrap());
    }
}

#[test]
fn dead_addresses_are_named_with_the_reason_within_the_connect_timeout() {
    let (one, two) = (dead_port(), dead_port());
    for command in COMMANDS {
        let begun = now();
        let ended = mq(command)
            .env(
                "MQ_ROCKETMQ_URL",
                format!("rocketmq://127.0.0.1:{one};127.0.0.1:{two}"),
            )
            .output()
            .unwrap();
        assert!(begun.elapsed() < Duration::from_secs(4), "{command}");
        assert_eq!(ended.status.code(), Some(1), "{command}");
        let told = stderr(&ended);
        for port in [one, two] {
            assert!(told.contains(&format!("127.0.0.1:{port}")), "{told}");
        }
        assert!(
            told.contains("refused") && told.contains("check host and port"),
            "{told}"
        );
    }
}

#[test]
fn a_server_that_keeps_silent_is_named_within_the_connect_timeout() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let begun = now();
    let ended = mq("rocketmq topics")
        .env("MQ_ROCKETMQ_URL", format!("rocketmq://127.0.0.1:{port}"))
        .output()
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(matches!(ended.status.code(), Some(1 | 5)));
    assert!(
        stderr(&ended).contains(&format!("127.0.0.1:{port}")),
        "{}",
        stderr(&ended)
    );
}

#[test]
fn no_output_has_the_secret() {
    let url = format!("rocketmq://ak:{CANARY}@127.0.0.1:{}", dead_port());
    let typed = [
        format!("rocketmq topics --url {url}"),
        format!("rocketmq topics --url {url}?tls=true"),
        format!("rocketmq topics --url {url}?nonsense"),
        format!("rocketmq topics --url {url}/a｜b"),
        format!("rocketmq topics --url rocketmq://ak:{CANARY}@"),
        format!("rocketmq topics --url rocketmq://{CANARY}@h:1"),
        format!("rocketmq topics --url amqp://ak:{CANARY}@h:1"),
        // In the wrong place, where the argument parser would quote it.
        format!("rocketmq topics {url}"),
        format!("rocketmq {url}"),
        format!("{url} topics"),
        format!("rocketmq --url {url}"),
        format!("rocketmq topics ak:{CANARY}@127.0.0.1:9876"),
        format!("rocketmq topics rocketmq://ak:{CANARY}"),
        format!("rocketmq recv --topic t --count={url}"),
        format!("rocketmq recv --topic t --from ak:{CANARY}@h:1"),
        format!("rocketmq recv --topic t --timeout {url}"),
        format!("rocketmq send --topic t x -p {url}"),
        format!("rocketmq send --topic {url} x"),
    ];
    for line in typed.iter().map(String::as_str).chain(COMMANDS) {
        let ended = mq(line)
            .env("MQ_ROCKETMQ_URL", &url)
            .env("RUST_LOG", "trace")
            .output()
            .unwrap();
        assert_ne!(ended.status.code(), Some(0), "{line}");
        let told = stderr(&ended) + &String::from_utf8_lossy(&ended.stdout);
        assert!(!told.contains(CANARY), "{line}: {told}");
    }
}

#[test]
fn help_on_wrong_usage_keeps_its_placeholders() {
    let told = mq("rocketmq").output().unwrap();
    assert_eq!(told.status.code(), Some(2));
    let placeholders = "rocketmq://[access:secret@]host:9876[;host2:9876][/namespace]";
    assert!(stderr(&told).contains(placeholders), "{}", stderr(&told));
}

#[test]
fn files_that_can_not_be_written_are_found_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let port = dead_port();
    let bench = |more: &str| {
        let line = format!("rocketmq bench send --topic t {more}");
        mq(&line)
            .env("MQ_ROCKETMQ_URL", format!("rocketmq://127.0.0.1:{port}"))
            .output()
            .unwrap()
    };
    for (more, part) in [
        (format!("--svg {}", file("absent/x")), "can't be written"),
        (format!("--histogram {}", file("")), "can't be written"),
        (
            format!("--histogram {} --svg {}", file("x"), file("./x")),
            "the same file",
        ),
    ] {
        let ended = bench(&more);
        assert_eq!(ended.status.code(), Some(2), "{more}");
        let told = stderr(&ended);
        assert!(told.contains(part) && !told.contains("127.0.0.1"), "{told}");
    }
    // Without a result, what was there stays.
    std::fs::write(file("old"), "old").unwrap();
    let ended = bench(&format!("--histogram {}", file("old")));
    assert_eq!(ended.status.code(), Some(1), "{}", stderr(&ended));
    assert_eq!(std::fs::read_to_string(file("old")).unwrap(), "old");
}

#[test]
fn a_secret_that_is_typed_is_warned_about() {
    let url = format!("rocketmq://ak:{CANARY}@127.0.0.1:{}", dead_port());
    let typed = mq(&format!("rocketmq topics --url {url}"))
        .output()
        .unwrap();
    assert!(stderr(&typed).contains("warning: --url holds a secret"));
    let kept = mq("rocketmq topics")
        .env("MQ_ROCKETMQ_URL", url)
        .output()
        .unwrap();
    assert!(!stderr(&kept).contains("warning"));
}

fn mq(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mq"));
    // Whoever runs the tests may have a broker of their own in the environment.
    command
        .args(line.split_whitespace())
        .env_remove("MQ_ROCKETMQ_URL")
        .env_remove("RUST_LOG")
        .timeout(Duration::from_secs(20));
    command
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

const COMMANDS: [&str; 9] = [
    "rocketmq send --topic t hello",
    "rocketmq recv --topic t",
    "rocketmq bench both --topic t",
    "rocketmq topics",
    "rocketmq groups",
    "rocketmq create t",
    "rocketmq delete g --group",
    "rocketmq describe t",
    "rocketmq lag g",
];
