//! A broker of Pulsar, asked by hand.

use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use integration_tests::brokers::Profile;
use integration_tests::brokers::pulsar::{ADMIN, Admin, NOBODY, Node, token};
use integration_tests::harness::wall;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, first_word, listening, runs, send, state};

#[test]
#[ignore = "needs JDK 17 and Maven"]
fn real_own_pulsar_launcher_passes_variables_and_the_code_on() {
    let sandbox = Sandbox::new("pulsar-auth");
    let mut launcher = sandbox.run("env; for f in \"$MQ_PULSAR_TOKEN\"*; do cat $f; done; exit 42");
    let mut text = String::new();
    std::io::Read::read_to_string(launcher.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert_eq!(launcher.wait().unwrap().code(), Some(42));
    for (name, begins) in [
        ("URL", "pulsar://127.0.0.1:"),
        ("TLS_URL", "pulsar+ssl://127.0.0.1:"),
        ("ADMIN_URL", "http://127.0.0.1:"),
        ("ADMIN_TLS_URL", "https://127.0.0.1:"),
        ("PROFILE", "pulsar-auth"),
        ("VERSION", "4.0.8"),
    ] {
        let line = format!("MQ_PULSAR_{name}={begins}");
        assert!(text.lines().any(|said| said.starts_with(&line)), "{line}");
    }
    for name in [
        "TLS_CA",
        "TLS_CERT",
        "TLS_KEY",
        "TOKEN",
        "TOKEN_NOBODY",
        "TOKEN_EXPIRED",
        "TOKEN_KEY",
    ] {
        assert!(text.contains(&format!("MQ_PULSAR_{name}=/")), "{name}");
    }
    // A token's text was read while the broker ran.
    assert!(text.contains("eyJhbGciOiJIUzI1NiJ9."));
    sandbox.assert_empty();
}

/// While the broker starts, and when it runs.
#[test]
#[ignore = "needs JDK 17 and Maven"]
fn real_own_pulsar_launcher_takes_everything_down_on_signals() {
    let sandbox = Sandbox::new(Profile::Pulsar.name());
    let mut launcher = sandbox.run("echo never");
    while sandbox.processes().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    send(launcher.id(), Signal::TERM);
    assert_eq!(launcher.wait().unwrap().code(), Some(143));
    sandbox.assert_empty();

    let mut launcher = sandbox.run("echo up; read -r _");
    assert_eq!(first_word(&mut launcher), "up");
    let brokers = sandbox.processes();
    assert_eq!(brokers.len(), 1);
    send(launcher.id(), Signal::INT);
    assert_eq!(launcher.wait().unwrap().code(), Some(130));
    assert!(!brokers.into_iter().any(runs));
    sandbox.assert_empty();
}

#[test]
#[ignore = "needs JDK 17 and Maven"]
fn real_own_pulsar_launcher_node_is_killed_and_restarted_with_what_is_stored() {
    let node = Node::start().unwrap();
    let beside = Node::start_with(&["acknowledgmentAtBatchIndexLevelEnabled=false"]).unwrap();
    assert_ne!(node.addr(), beside.addr());
    let says = |node: &Node, key: &str| {
        let all = ask(
            node.admin(),
            "GET",
            "/admin/v2/brokers/configuration/runtime",
            Value::Null,
        );
        all.unwrap()[key].as_str().unwrap().to_owned()
    };
    let sets = "acknowledgmentAtBatchIndexLevelEnabled";
    for key in [sets, "transactionCoordinatorEnabled"] {
        assert_eq!(says(&node, key), "true", "{key}");
    }
    assert_eq!(says(&beside, sets), "false");
    drop(beside);
    assert_eq!(listening(node.addr().port(), 4), 2);

    put(
        node.admin(),
        "/admin/v2/persistent/public/default/kept",
        Value::Null,
    );
    let subscription = "/admin/v2/persistent/public/default/kept/subscription/s";
    put(node.admin(), subscription, json!("earliest"));
    let message = json!({ "messages": [{ "payload": "one" }] });
    let produced = "/topics/persistent/public/default/kept";
    ask(node.admin(), "POST", produced, message).unwrap();
    let first = || {
        ask(
            node.admin(),
            "GET",
            &format!("{subscription}/position/1"),
            Value::Null,
        )
    };
    assert_eq!(first().unwrap(), "one");

    let before = (node.addr(), node.pid().unwrap());
    node.kill9().unwrap();
    assert!(TcpStream::connect(before.0).is_err());
    assert!(node.pid().is_err() && node.kill9().is_err() && node.stop().is_err());
    node.restart().unwrap();
    assert_eq!(first().unwrap(), "one");
    assert_eq!(node.addr(), before.0);
    assert_ne!(node.pid().unwrap(), before.1);

    node.stop().unwrap();
    assert_eq!(state(node.pid().unwrap().cast_signed()), Some('T'));
    node.cont().unwrap();
    node.shutdown().unwrap();
    node.restart().unwrap();
    assert_eq!(first().unwrap(), "one");

    let last = node.pid().unwrap().cast_signed();
    // A stopped process is ended as well.
    node.stop().unwrap();
    drop(node);
    assert!(!runs(last));
}

#[test]
#[ignore = "needs JDK 17 and Maven"]
fn real_own_pulsar_launcher_secured_node_knows_who_asks() {
    let node = Node::start_secured(&[]).unwrap();
    assert_eq!(listening(node.addr().port(), 4), 4);
    let tokens = node.tokens().unwrap();
    let http: std::net::SocketAddr = node
        .admin_url()
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let read = |path| std::fs::read_to_string(path).unwrap();
    let clusters = |token: Option<&str>| {
        ask(
            &Admin::new(http, token),
            "GET",
            "/admin/v2/clusters",
            Value::Null,
        )
    };
    let is_refused = |token: Option<&str>, code: &str| {
        let why = clusters(token).unwrap_err();
        assert!(why.contains(code), "{why}");
    };
    clusters(Some(&read(tokens.admin()))).unwrap();
    is_refused(None, " 401 ");
    is_refused(Some(&read(tokens.expired())), " 401 ");
    is_refused(Some(&token(&[1; 32], ADMIN, None)), " 401 ");

    // Who is let in may do nothing yet.
    let nobody = Admin::new(http, Some(&read(tokens.nobody())));
    let lookup = || {
        ask(
            &nobody,
            "GET",
            "/lookup/v2/topic/persistent/public/default/t",
            Value::Null,
        )
    };
    let refused = lookup().unwrap_err();
    assert!(
        refused.contains(" 401 ") || refused.contains(" 403 "),
        "{refused}"
    );
    let permissions = format!("/admin/v2/namespaces/public/default/permissions/{NOBODY}");
    ask(
        node.admin(),
        "POST",
        &permissions,
        json!(["produce", "consume"]),
    )
    .unwrap();
    let found = lookup().unwrap();
    assert_eq!(found["brokerUrl"], node.url());
    assert_eq!(found["brokerUrlTls"], node.tls_url());

    // Good for a while, and then no more.
    let key = std::fs::read(tokens.key()).unwrap();
    let until = |when: SystemTime| clusters(Some(&token(&key, ADMIN, Some(when))));
    until(wall() + Duration::from_secs(3600)).unwrap();
    until(wall() - Duration::from_secs(3600)).unwrap_err();
}

#[expect(clippy::needless_pass_by_value, reason = "literals are given")]
fn ask(admin: &Admin, method: &str, path: &str, told: Value) -> Result<Value, String> {
    admin
        .ask(method, path, &told)
        .map_err(|why| why.to_string())
}

fn put(admin: &Admin, path: &str, told: Value) {
    ask(admin, "PUT", path, told).unwrap();
}
