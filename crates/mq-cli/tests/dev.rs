//! `mq dev`, as a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use mq_cmq::{
    Client, ControlClient, DeadLetter, Queue, Received, TcpClient, TopicMessage, Verdict,
};

/// A server that is ended, whatever becomes of the test.
struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    url: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut process = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut url).unwrap();
        assert!(url.ends_with('\n'), "the line has come whole: {url:?}");
        let url = url.trim_end().to_owned();
        Self {
            process,
            stdout,
            url,
        }
    }

    /// The next line of its output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn queue(&self, name: &str) -> Queue {
        let client = Client::from_url(&self.url).unwrap().attempts(1).build();
        client.unwrap().queue(name).unwrap()
    }

    /// Ends it as Ctrl-C does; its exit code. Its URL was all of its output.
    #[cfg(unix)]
    fn interrupt(mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line, and no more");
        self.process.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mq"));
    command.args(["dev", "cmq"]).args(arguments);
    command.env_remove("RUST_LOG").stderr(Stdio::piped());
    command
}

fn failed(arguments: &[&str]) -> (Option<i32>, String) {
    // A server that starts instead of failing is killed: it has no exit code then.
    let mut command = assert_cmd::Command::from_std(command(arguments));
    let ended = command.timeout(Duration::from_secs(10)).output().unwrap();
    assert!(ended.stdout.is_empty(), "talk goes to stderr");
    let stderr = String::from_utf8(ended.stderr).unwrap();
    (ended.status.code(), stderr)
}

async fn body(queue: &Queue) -> Option<String> {
    let message = queue.receive(Duration::ZERO).await.unwrap();
    message.map(Received::into_body)
}

const SEED: &str = r#"
[[queue]]
name = "dead"

[[queue]]
name = "orders"
visibility_seconds = 1
dead_letter = { queue = "dead", max_receives = 1 }

[[topic]]
name = "news"
filter = "routing"

[[subscription]]
topic = "news"
name = "all"
queue = "orders"
binding_keys = ["a.#"]
"#;

#[cfg(unix)]
#[tokio::test]
async fn what_was_seeded_is_there_and_a_snapshot_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let seed = dir.path().join("seed.toml");
    fs::write(&seed, SEED).unwrap();
    let snapshot = dir.path().join("snapshot.json");
    let arguments = [
        "--seed",
        seed.to_str().unwrap(),
        "--snapshot",
        snapshot.to_str().unwrap(),
    ];
    let server = Server::start(&arguments);
    assert!(
        server
            .url
            .starts_with("cmq+http://AKIDdev:dev-secret@127.0.0.1:")
    );
    server.queue("orders").send("1").await.unwrap();
    let client = Client::from_url(&server.url).unwrap().build().unwrap();
    let message = TopicMessage::new("2").routing_key("a.b");
    client
        .topic("news")
        .unwrap()
        .publish(message)
        .await
        .unwrap();
    assert_eq!(server.interrupt(), Some(0));

    let again = Server::start(&arguments);
    let orders = again.queue("orders");
    assert_eq!(body(&orders).await.as_deref(), Some("1"));
    assert_eq!(body(&orders).await.as_deref(), Some("2"));
    // Received once and not deleted: a second later they are in the other queue.
    let dead = again
        .queue("dead")
        .receive(Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(dead.unwrap().body(), "1");
    assert_eq!(again.interrupt(), Some(0));
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 2, "nothing is left beside seed and snapshot");
}

/// The first line is what it is without a gateway.
#[tokio::test]
async fn with_a_gateway_it_says_where_tcp_and_the_control_plane_are() {
    let mut server = Server::start(&["--gateway", "127.0.0.1:0"]);
    let at = server.url.strip_prefix("cmq+http://").unwrap();
    let expected = [
        format!("cmq+tcp://{at}"),
        format!("cmq+tc3+http://{at}?region=ap-guangzhou"),
    ];
    let urls = [server.line(), server.line()];
    assert_eq!(urls, expected);
    let [tcp, control] = urls;
    let control = ControlClient::from_url(&control).unwrap().build().unwrap();
    let making = control.create_queue("paid").transactional(true);
    making.await.unwrap();
    let client = TcpClient::from_url(&tcp).unwrap().build().unwrap();
    let orders = client.transactional("paid", |_| async { Verdict::Rollback });
    let prepared = orders.unwrap().begin("order").await.unwrap();
    prepared.commit().await.unwrap();
    // Committed over TCP, received over HTTP.
    assert_eq!(body(&server.queue("paid")).await.as_deref(), Some("order"));
}

/// Whoever asks for the gateway is told the address that is advertised.
#[tokio::test]
async fn what_is_advertised_is_where_clients_go() {
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = elsewhere.local_addr().unwrap().to_string();
    let seed = tempfile::NamedTempFile::new().unwrap();
    fs::write(&seed, "[[queue]]\nname = \"q\"").unwrap();
    let path = seed.path().to_str().unwrap();
    let arguments = ["--gateway", "127.0.0.1:0", "--advertise", &address];
    let mut server = Server::start(&[&arguments[..], &["--seed", path]].concat());
    let client = TcpClient::from_url(&server.line()).unwrap().build();
    let queue = client.unwrap().queue("q").unwrap();
    let arrived = elsewhere.accept();
    let sending = async { queue.send("x").await };
    tokio::select! {
        arrived = arrived => drop(arrived.unwrap()),
        sent = sending => panic!("sent to another address: {sent:?}"),
    }
}

/// What the README shows as a file is one.
#[tokio::test]
async fn the_seed_in_the_readme_is_taken_as_it_stands() {
    let readme = include_str!("../README.md");
    let (_, seed) = readme.split_once("```toml\n").unwrap();
    let (seed, _) = seed.split_once("```").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, seed).unwrap();
    let server = Server::start(&["--seed", file.path().to_str().unwrap()]);
    let client = Client::from_url(&server.url).unwrap().build().unwrap();
    let rule = server.queue("alarms").attributes().await.unwrap();
    assert_eq!(rule.visibility, Duration::from_secs(10));
    let dead = DeadLetter::after_receives("lost", 3);
    assert_eq!(rule.dead_letter, Some(dead));
    let news = client.topic("news").unwrap();
    let storm = TopicMessage::new("storm");
    news.publish(storm.clone().tag("fog")).await.unwrap_err();
    news.publish(storm.tag("alarm")).await.unwrap();
    let weather = client.topic("weather").unwrap();
    let sun = TopicMessage::new("sun");
    let asia = sun.clone().routing_key("asia.tokyo");
    weather.publish(asia).await.unwrap_err();
    weather
        .publish(sun.routing_key("europe.rome"))
        .await
        .unwrap();
    assert_eq!(
        body(&server.queue("alarms")).await.as_deref(),
        Some("storm")
    );
    assert_eq!(body(&server.queue("europe")).await.as_deref(), Some("sun"));
}

#[tokio::test]
async fn faults_strike() {
    let seed = tempfile::NamedTempFile::new().unwrap();
    fs::write(&seed, "[[queue]]\nname = \"q\"").unwrap();
    let path = seed.path().to_str().unwrap();
    let server = Server::start(&["--seed", path, "--fault", "lose-one:send@2,500:receive@1"]);
    let queue = server.queue("q");
    for text in ["1", "2", "3"] {
        queue.send(text).await.unwrap();
    }
    assert!(queue.receive(Duration::ZERO).await.is_err());
    assert_eq!(body(&queue).await.as_deref(), Some("1"));
    assert_eq!(body(&queue).await.as_deref(), Some("3"));
}

#[test]
fn what_is_wrong_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.toml");
    fs::write(&bad, "[[queue]]\nnames = \"q\"").unwrap();
    let refused = dir.path().join("refused.toml");
    fs::write(&refused, "[[queue]]\nname = \"a b\"").unwrap();
    let (bad, refused) = (bad.to_str().unwrap(), refused.to_str().unwrap());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, code, part) in [
        (["--fault", "explode"], 2, "--fault: "),
        (["--seed", bad], 2, "names"),
        (["--seed", refused], 2, "a b"),
        (["--seed", "/absent.toml"], 1, "/absent.toml"),
        (["--snapshot", bad], 1, "bad.toml"),
        (["--listen", "nowhere"], 2, "socket address"),
        (["--listen", &taken], 1, "start the server"),
        (["--push", "everywhere"], 2, "off, public, any"),
        (["--gateway", &taken], 1, "start the server"),
        (["--advertise", "h:1"], 2, "--gateway"),
        (["--count", "1"], 2, "--count"),
    ] {
        let (ended, told) = failed(&arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
    }
}

/// Its start, measured in a fresh process: 100 ms are promised for an optimised build, and the tests' builds share their machine.
#[test]
fn it_starts_at_once() {
    let before = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let _server = Server::start(&[]);
    let took = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .saturating_sub(before);
    assert!(took < Duration::from_secs(5), "{took:?}");
}
