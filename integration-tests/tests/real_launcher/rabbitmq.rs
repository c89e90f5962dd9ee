//! A RabbitMQ node, asked by hand.

use std::net::TcpStream;
use std::sync::Arc;

use integration_tests::brokers::rabbitmq::{
    GUEST, LIMITED, NOBODY, Node, Probe, ROLE, TlsProbe, VHOST,
};
use integration_tests::brokers::{Certificates, User};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, children, first_word, listening, runs, send, state};

#[test]
#[ignore = "needs apt, or RabbitMQ and Erlang"]
fn real_own_amqp_launcher_passes_variables_and_the_code_on() {
    let sandbox = Sandbox::new(PROFILE);
    let mut launcher = sandbox.run("$MQ_AMQP_CTL -q list_vhosts && env; exit 42");
    let mut text = String::new();
    std::io::Read::read_to_string(launcher.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert_eq!(launcher.wait().unwrap().code(), Some(42));
    assert!(text.contains(&format!("{VHOST}\n")), "{text}");
    let variable = |name: &str| {
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    let ends = "/amqp-xxx%7CVhostname";
    for (name, begins) in [
        ("MQ_AMQP_URL", "amqp://rolename:KEY12345678@127.0.0.1:"),
        ("MQ_AMQP_TLS_URL", "amqps://rolename:KEY12345678@127.0.0.1:"),
    ] {
        let url = variable(name);
        assert!(url.starts_with(begins) && url.ends_with(ends), "{url}");
    }
    assert!(variable("MQ_AMQP_MANAGEMENT_URL").starts_with("http://guest:guest@127.0.0.1:"));
    assert_eq!(variable("MQ_AMQP_PROFILE"), "rabbitmq");
    assert!(variable("MQ_AMQP_VERSION").starts_with("3."));
    for name in ["MQ_AMQP_TLS_CA", "MQ_AMQP_TLS_CERT", "MQ_AMQP_TLS_KEY"] {
        // Of the sandbox, which is still there.
        assert!(std::path::Path::new(variable(name)).is_file(), "{name}");
    }
    sandbox.assert_empty();
}

/// While the node starts, and when it runs.
#[test]
#[ignore = "needs apt, or RabbitMQ and Erlang"]
fn real_own_amqp_launcher_takes_everything_down_on_signals() {
    let sandbox = Sandbox::new(PROFILE);
    let mut launcher = sandbox.run("echo never");
    while sandbox.processes().len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let early = sandbox.processes();
    send(launcher.id(), Signal::TERM);
    assert_eq!(launcher.wait().unwrap().code(), Some(143));
    assert!(!early.into_iter().any(runs));
    sandbox.assert_empty();

    let mut launcher = sandbox.run("echo up; sleep 600");
    first_word(&mut launcher);
    let all = children(&sandbox.processes());
    assert!(all.len() > 2, "{all:?}");
    send(launcher.id(), Signal::INT);
    assert_eq!(launcher.wait().unwrap().code(), Some(130));
    assert!(!all.into_iter().any(runs));
    sandbox.assert_empty();
}

#[test]
#[ignore = "needs apt, or RabbitMQ and Erlang"]
fn real_own_amqp_launcher_killed_is_cleaned_up_after_by_the_next_up() {
    let sandbox = Sandbox::new(PROFILE);
    let mut launcher = sandbox.run("echo up; sleep 5");
    first_word(&mut launcher);
    let orphans = children(&sandbox.processes());
    send(launcher.id(), Signal::KILL);
    launcher.wait().unwrap();
    assert!(orphans.len() > 2 && orphans.iter().all(|pid| runs(*pid)));

    let up = || {
        let output = sandbox.brokers(&["up", "--profile", PROFILE]).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        output.stdout
    };
    let printed = up();
    assert!(!orphans.into_iter().any(runs), "the next up ends them");
    let [epmd, node] = sandbox.processes()[..] else {
        panic!("not epmd and node")
    };
    // A second `up` finds them.
    assert_eq!(up(), printed);
    assert_eq!(sandbox.processes(), [epmd, node]);
    let status = sandbox.brokers(&["status"]).output().unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).contains("the node answers"));

    let all = children(&[epmd, node]);
    assert!(sandbox.brokers(&["down"]).status().unwrap().success());
    assert!(!all.into_iter().any(runs));
    sandbox.assert_empty();
}

/// A protocol's brokers are none of another's business.
#[test]
#[ignore = "needs JDK 17 and Maven, and apt, or RabbitMQ and Erlang"]
fn real_own_amqp_launcher_runs_beside_rocketmq() {
    let sandbox = Sandbox::new(PROFILE);
    let up = |profiles: &[&str]| {
        let profiles = profiles.iter().flat_map(|name| ["--profile", name]);
        let args: Vec<_> = std::iter::once("up").chain(profiles).collect();
        let output = sandbox.brokers(&args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = up(&["rocketmq4", PROFILE]);
    assert!(printed.contains("MQ_ROCKETMQ_URL=") && printed.contains("MQ_AMQP_URL="));
    let both = sandbox.processes();
    assert_eq!(both.len(), 5);

    // A node that has died is replaced, and RocketMQ's servers stay.
    let of_rocketmq = sandbox.processes_of("rocketmq4");
    let [epmd, node] = sandbox.processes_of(PROFILE)[..] else {
        panic!("not epmd and node")
    };
    send(node.cast_unsigned(), Signal::KILL);
    up(&[PROFILE]);
    assert!(!runs(node) && !runs(epmd));
    assert_eq!(sandbox.processes_of("rocketmq4"), of_rocketmq);
    assert_eq!(sandbox.processes_of(PROFILE).len(), 2);

    let all = sandbox.processes();
    assert!(sandbox.brokers(&["down"]).status().unwrap().success());
    assert!(!all.into_iter().any(runs));
    sandbox.assert_empty();
}

#[test]
#[ignore = "needs apt, or RabbitMQ and Erlang"]
fn real_own_amqp_launcher_node_is_as_promised() {
    let node = Node::start().unwrap();
    let mut probe = Probe::connect(node.addr()).unwrap();
    assert_eq!(probe.mechanisms().unwrap(), ["AMQPLAIN", "PLAIN"]);
    assert_eq!(probe.open(ROLE, VHOST).unwrap(), 10, "heartbeat");
    probe.close().unwrap();
    TcpStream::connect(node.stream_addr()).unwrap();

    let may = |user: User, vhost: &str| Probe::connect(node.addr()).unwrap().open(user, vhost);
    for (user, vhost) in [(ROLE, "/"), (GUEST, "/"), (LIMITED, VHOST)] {
        may(user, vhost).unwrap();
    }
    for (user, vhost) in [
        (GUEST, VHOST),
        (LIMITED, "/"),
        (NOBODY, "/"),
        (NOBODY, VHOST),
    ] {
        let refused = may(user, vhost).unwrap_err();
        assert!(
            refused.contains("NOT_ALLOWED"),
            "{user:?} {vhost}: {refused}"
        );
    }
    let permissions = node.ctl(&["list_user_permissions", LIMITED.name]).unwrap();
    assert!(permissions.contains("^limited_"), "{permissions}");

    let overview = node.manage("GET", "/api/overview", &Value::Null).unwrap();
    let exchanges = overview["exchange_types"].to_string();
    assert!(exchanges.contains("x-consistent-hash"), "{exchanges}");
    let stream = json!({ "durable": true, "arguments": { "x-queue-type": "stream" } });
    node.manage("PUT", "/api/queues/%2F/log", &stream).unwrap();
    let set = |name| node.ctl(&["eval", &format!("application:get_env(rabbit, {name}).")]);
    assert_eq!(set("consumer_timeout").unwrap(), "{ok,10000}\n");
    assert_eq!(set("channel_tick_interval").unwrap(), "{ok,1000}\n");

    // AMQP, AMQPS, management, streams, distribution, epmd.
    assert!(listening(node.addr().port(), 20) >= 6);
}

#[test]
#[ignore = "needs apt, or RabbitMQ and Erlang"]
fn real_own_amqp_launcher_node_knows_who_has_a_certificate() {
    let node = Node::start().unwrap();
    let made = Certificates::made().unwrap();
    let with = made.client_config().unwrap();
    let mut probe = TlsProbe::connect_tls(node.tls_addr(), with).unwrap();
    assert_eq!(
        probe.mechanisms().unwrap(),
        ["AMQPLAIN", "EXTERNAL", "PLAIN"]
    );
    // The name in the certificate is the user's.
    probe.open_by("EXTERNAL", "", VHOST).unwrap();

    let trusting = |ca| {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(ca).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    };
    let without = || TlsProbe::connect_tls(node.tls_addr(), trusting(made.ca())).unwrap();
    without().open(ROLE, VHOST).unwrap();
    // Offered to everybody on this port.
    assert!(without().open_by("EXTERNAL", "", VHOST).is_err());
    let stranger = trusting(made.other_ca());
    let refused = TlsProbe::connect_tls(node.tls_addr(), stranger).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
}

#[test]
#[ignore = "needs apt, or RabbitMQ and Erlang"]
fn real_own_amqp_launcher_node_is_killed_and_restarted_with_what_is_durable() {
    let node = Node::start().unwrap();
    let beside = Node::start().unwrap();
    assert_ne!(node.addr(), beside.addr());
    drop(beside);
    node.manage("PUT", QUEUE, &json!({ "durable": true }))
        .unwrap();
    publish(&node, "kept", 2);
    publish(&node, "lost", 1);
    let before = (node.addr(), node.pid().unwrap(), node.epmd_pid().unwrap());
    let family = children(&[before.1.cast_signed()]);
    assert!(family.len() > 1, "Erlang starts port programs");

    node.kill9().unwrap();
    assert!(!family.into_iter().any(runs));
    assert!(TcpStream::connect(before.0).is_err());
    assert!(node.pid().is_err() && node.kill9().is_err() && node.stop().is_err());
    node.restart().unwrap();
    assert_eq!(bodies(&node), ["kept"]);
    assert_eq!(
        (node.addr(), node.epmd_pid().unwrap()),
        (before.0, before.2)
    );
    assert_ne!(node.pid().unwrap(), before.1);

    node.stop().unwrap();
    assert_eq!(state(node.pid().unwrap().cast_signed()), Some('T'));
    assert!(Probe::connect(node.addr()).is_err(), "a frozen one is mute");
    node.cont().unwrap();
    Probe::connect(node.addr()).unwrap();

    let mut probe = Probe::connect(node.addr()).unwrap();
    probe.open(ROLE, VHOST).unwrap();
    // Read meanwhile: the node resets the connection behind its last word.
    std::thread::scope(|scope| {
        scope.spawn(|| node.shutdown().unwrap());
        assert_eq!(probe.closed().unwrap().0, 320);
    });
    assert!(node.pid().is_err());
    node.restart().unwrap();
    assert_eq!(bodies(&node), ["kept"]);

    let all = children(&[node.pid().unwrap(), before.2].map(u32::cast_signed));
    // A stopped process is ended as well.
    node.stop().unwrap();
    drop(node);
    assert!(!all.into_iter().any(runs));
}

#[test]
#[ignore = "needs apt, or RabbitMQ and Erlang"]
fn real_own_amqp_launcher_node_closes_blocks_and_lists() {
    let node = Node::start().unwrap();
    let mut probe = Probe::connect(node.addr()).unwrap();
    probe.open(ROLE, VHOST).unwrap();
    node.close_all_connections("maintenance").unwrap();
    let (code, why) = probe.closed().unwrap();
    assert_eq!(code, 320);
    assert!(why.contains("maintenance"), "{why}");

    let alarms = || node.ctl(&["eval", "rabbit_alarm:get_alarms()."]).unwrap();
    assert_eq!(alarms(), "[]\n");
    node.short_of_memory(true).unwrap();
    assert!(alarms().contains("memory"), "{}", alarms());
    node.short_of_memory(false).unwrap();
    assert_eq!(alarms(), "[]\n");

    assert_eq!(node.queues("/").unwrap(), []);
    node.manage("PUT", QUEUE, &json!({ "durable": true }))
        .unwrap();
    publish(&node, "one", 2);
    let listed = node.queues("/").unwrap();
    let [queue] = &listed[..] else {
        panic!("{listed:?}")
    };
    let seen = (queue.name.as_str(), queue.ready, queue.unacked);
    assert_eq!((seen, queue.consumers), (("orders", 1, 0), 0));
    assert_eq!(node.queues(VHOST).unwrap(), []);

    let refused = node.ctl(&["list_user_permissions", "none"]).unwrap_err();
    assert!(refused.to_string().contains("none"), "{refused}");
}

/// Delivery mode 2 is persistent.
fn publish(node: &Node, body: &str, mode: u8) {
    let message = json!({
        "properties": { "delivery_mode": mode },
        "routing_key": "orders",
        "payload": body,
        "payload_encoding": "string",
    });
    let path = "/api/exchanges/%2F/amq.default/publish";
    let answer = node.manage("POST", path, &message).unwrap();
    assert_eq!(answer["routed"], true);
}

/// What the queue holds, which stays there.
fn bodies(node: &Node) -> Vec<String> {
    let look = json!({ "count": 9, "ackmode": "ack_requeue_true", "encoding": "auto" });
    let answer = node.manage("POST", &format!("{QUEUE}/get"), &look).unwrap();
    let messages = answer.as_array().unwrap().iter();
    let body = |message: &Value| message["payload"].as_str().unwrap().to_owned();
    messages.map(body).collect()
}

const PROFILE: &str = "rabbitmq";
const QUEUE: &str = "/api/queues/%2F/orders";
