//! RocketMQ's nameserver and brokers.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use integration_tests::brokers::{Cluster, Profile};
use integration_tests::harness::{drain, topic_at};
use mq_rocketmq::{Client, Message};
use rustix::process::Signal;

use crate::sandbox::{Sandbox, first_word, runs, send, state};

#[test]
#[ignore = "needs JDK 17 and Maven"]
fn real_own_rocketmq_launcher_passes_variables_and_the_code_on() {
    let sandbox = Sandbox::new(PROFILE);
    let mut launcher = sandbox.run("env; exit 42");
    let mut text = String::new();
    std::io::Read::read_to_string(launcher.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert_eq!(launcher.wait().unwrap().code(), Some(42));
    let url = text
        .lines()
        .find_map(|line| line.strip_prefix("MQ_ROCKETMQ_URL="))
        .unwrap();
    assert!(url.starts_with("rocketmq://127.0.0.1:"), "{url}");
    assert!(text.contains("MQ_ROCKETMQ_VERSION=4.9.7\n"), "{text}");
    sandbox.assert_empty();
}

#[test]
#[ignore = "needs JDK 17 and Maven"]
fn real_own_rocketmq_launcher_takes_everything_down_on_signals() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let sandbox = Sandbox::new(PROFILE);
        // The command starts one more process and ignores what would end it.
        let mut launcher =
            sandbox.run("trap '' INT TERM; sleep 600 & echo $! up; wait; wait; wait");
        let grandchild = first_word(&mut launcher);
        let brokers = sandbox.processes();
        assert_eq!(brokers.len(), 3);
        send(launcher.id(), signal);
        assert_eq!(launcher.wait().unwrap().code(), Some(code));
        assert!(!runs(grandchild.parse().unwrap()));
        assert!(!brokers.into_iter().any(runs));
        sandbox.assert_empty();
    }
}

#[test]
#[ignore = "needs JDK 17 and Maven"]
fn real_own_rocketmq_launcher_signalled_while_brokers_start() {
    let sandbox = Sandbox::new(PROFILE);
    let mut launcher = sandbox.run("echo never");
    while sandbox.processes().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    send(launcher.id(), Signal::TERM);
    assert_eq!(launcher.wait().unwrap().code(), Some(143));
    sandbox.assert_empty();
}

#[test]
#[ignore = "needs JDK 17 and Maven"]
fn real_own_rocketmq_launcher_killed_is_cleaned_up_after_by_the_next_up() {
    let sandbox = Sandbox::new(PROFILE);
    let mut launcher = sandbox.run("echo up; sleep 5");
    first_word(&mut launcher);
    let orphans = sandbox.processes();
    send(launcher.id(), Signal::KILL);
    launcher.wait().unwrap();
    assert!(
        orphans.iter().all(|pid| runs(*pid)),
        "kill -9 leaves brokers"
    );

    let up = sandbox
        .brokers(&["up", "--profile", PROFILE])
        .output()
        .unwrap();
    assert!(
        up.status.success(),
        "{}",
        String::from_utf8_lossy(&up.stderr)
    );
    assert!(!orphans.into_iter().any(runs), "the next up ends them");
    let first = sandbox.processes();
    assert_eq!(first.len(), 3);

    // A second `up` finds them, and another profile of the protocol is refused.
    assert_eq!(
        sandbox
            .brokers(&["up", "--profile", PROFILE])
            .output()
            .unwrap()
            .stdout,
        up.stdout
    );
    assert_eq!(sandbox.processes(), first);
    let other = sandbox
        .brokers(&["up", "--profile", "rocketmq"])
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(1));
    let status = sandbox.brokers(&["status"]).output().unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).contains("the nameserver answers"));

    assert!(sandbox.brokers(&["down"]).status().unwrap().success());
    assert!(!first.into_iter().any(runs));
    sandbox.assert_empty();
}

#[test]
#[ignore = "needs JDK 17 and Maven"]
fn real_own_rocketmq_launcher_panic_takes_everything_down() {
    let pids = std::panic::catch_unwind(|| {
        let cluster = Cluster::start(Profile::Rocketmq4).unwrap();
        let pids = ["namesrv", "broker-a", "broker-b"]
            .map(|name| cluster.broker(name).unwrap().pid().unwrap());
        assert!(pids.into_iter().all(|pid| runs(pid.cast_signed())));
        std::panic::panic_any(pids);
    });
    let pids = pids.unwrap_err().downcast::<[u32; 3]>().unwrap();
    assert!(!pids.iter().any(|pid| runs(pid.cast_signed())));
}

#[tokio::test]
#[ignore = "needs JDK 17 and Maven"]
async fn real_own_rocketmq_launcher_cluster_kills_stops_continues_and_restarts() {
    let cluster = Cluster::start(Profile::Rocketmq).unwrap();
    let beside = Cluster::start(Profile::Rocketmq4).unwrap();
    assert_ne!(cluster.namesrv(), beside.namesrv());
    drop(beside);
    let broker = cluster.broker("broker-b").unwrap();
    let before = (broker.addr(), broker.pid().unwrap());

    broker.kill9().unwrap();
    assert!(!runs(before.1.cast_signed()));
    assert!(TcpStream::connect(before.0).is_err());
    assert!(broker.pid().is_err() && broker.kill9().is_err());
    broker.restart().unwrap();
    assert_eq!(broker.addr(), before.0);
    assert_ne!(broker.pid().unwrap(), before.1);

    broker.stop().unwrap();
    assert_eq!(state(broker.pid().unwrap().cast_signed()), Some('T'));
    broker.cont().unwrap();
    assert_ne!(state(broker.pid().unwrap().cast_signed()), Some('T'));
    assert!(cluster.broker("broker-c").is_err());

    let nameserver: SocketAddr = cluster.namesrv().parse().unwrap();
    let pid = cluster.nameserver().unwrap().pid().unwrap();
    // A stopped process is ended as well.
    cluster.nameserver().unwrap().stop().unwrap();
    drop(cluster);
    assert!(!runs(pid.cast_signed()));
    assert!(TcpStream::connect(nameserver).is_err());
}

#[test]
#[ignore = "needs JDK 17 and Maven"]
fn real_own_rocketmq_launcher_acl_profiles_are_ready_when_they_refuse() {
    for profile in [Profile::RocketmqAcl, Profile::Rocketmq4Acl] {
        let cluster = Cluster::start(profile).unwrap();
        assert!(
            cluster
                .url()
                .starts_with("rocketmq://rocketmq:12345678@127.0.0.1:")
        );
    }
}

#[tokio::test]
#[ignore = "needs JDK 17, Maven and 2 GiB of memory"]
async fn real_own_rocketmq_launcher_bench_profile_boots() {
    let cluster = Cluster::start(Profile::RocketmqBench).unwrap();
    let topic = topic_at(cluster.namesrv(), "bench", 1).await;
    let client = Client::from_url(cluster.url()).unwrap();
    let client = client.connect().await.unwrap();
    let producer = client.producer("bench").build().await.unwrap();
    producer.send(Message::new(&topic, "hello")).await.unwrap();
    let received = drain(&client, &topic, 1).await;
    assert_eq!(received[0].body(), "hello");
    client.close().await.unwrap();
}

/// 4.9.7 boots in half the time of 5.5.0.
const PROFILE: &str = "rocketmq4";
