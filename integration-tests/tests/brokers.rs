//! `brokers --docker` against a recording stand-in for `docker`: which commands it gives, and that
//! containers go down on every way out. No container engine is used. And what is said where a tool is missing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// A `docker` that writes down its arguments; it fails if they contain the given word.
struct StandIn {
    dir: tempfile::TempDir,
}

impl StandIn {
    fn new(fails_at: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("calls");
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> '{}'\ncase \" $* \" in *\" {fails_at} \"*) exit 17;; esac\n",
            log.display()
        );
        let docker = dir.path().join("docker");
        fs::write(&docker, script).unwrap();
        fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn brokers(&self, args: &[&str]) -> Output {
        let rest = std::env::var("PATH").unwrap();
        Command::new(env!("CARGO_BIN_EXE_brokers"))
            .args(args)
            .env("PATH", format!("{}:{rest}", self.dir.path().display()))
            .env("MQ_BROKERS_DIR", self.dir.path().join("state"))
            .output()
            .unwrap()
    }

    /// The calls, behind `compose -f <file>`.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        text.lines()
            .map(|line| {
                let rest = line.strip_prefix("compose -f ").expect(line);
                let (file, rest) = rest.split_once(' ').unwrap();
                assert!(Path::new(file).ends_with("docker-compose.yml"));
                rest.to_owned()
            })
            .collect()
    }
}

const UP: &str = "up -d --wait rocketmq-namesrv rocketmq-broker-a rocketmq-broker-b";
const DOWN: &str = "--profile * down";

#[test]
fn docker_run_starts_waits_passes_variables_and_takes_down() {
    let docker = StandIn::new("nothing");
    let show = "echo $MQ_ROCKETMQ_URL $MQ_ROCKETMQ_PROFILE $MQ_ROCKETMQ_VERSION; exit 3";
    let output = docker.brokers(&["run", "--docker", "--", "/bin/sh", "-c", show]);
    assert_eq!(output.status.code(), Some(3));
    let told = "rocketmq://127.0.0.1:31876 rocketmq 5.5.0";
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.lines().any(|line| line == told), "{text}");
    assert_eq!(docker.calls(), [UP, DOWN]);
}

#[test]
fn docker_up_down_and_status_are_one_command_each() {
    let docker = StandIn::new("nothing");
    let up = docker.brokers(&["up", "--docker", "--profile", "rocketmq4-acl"]);
    assert!(up.status.success());
    let url = "export MQ_ROCKETMQ_URL='rocketmq://rocketmq:12345678@127.0.0.1:31756'";
    assert!(String::from_utf8_lossy(&up.stdout).contains(url));
    assert!(docker.brokers(&["status", "--docker"]).status.success());
    assert!(docker.brokers(&["down", "--docker"]).status.success());
    let started = "up -d --wait rocketmq4-acl-namesrv rocketmq4-acl-broker-a";
    assert_eq!(docker.calls(), [started, "--profile * ps", DOWN]);
}

#[test]
fn docker_has_rabbitmq_too() {
    let docker = StandIn::new("nothing");
    // Where there is nothing but a shell there is no `env`.
    let show = "for name in URL MANAGEMENT_URL VERSION TLS_URL; do eval echo MQ_AMQP_$name=\\$MQ_AMQP_$name; done; exit 3";
    let args = ["--docker", "--profile", "rabbitmq", "--", "/bin/sh", "-c"];
    let output = docker.brokers(&[&["run"], &args[..], &[show]].concat());
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stdout);
    for line in [
        "MQ_AMQP_URL=amqp://rolename:KEY12345678@127.0.0.1:29916/amqp-xxx%7CVhostname",
        "MQ_AMQP_MANAGEMENT_URL=http://guest:guest@127.0.0.1:29918",
        "MQ_AMQP_VERSION=3.10",
    ] {
        assert!(text.lines().any(|said| said == line), "{line}: {text}");
    }
    assert!(
        text.lines().any(|said| said == "MQ_AMQP_TLS_URL="),
        "it has none"
    );
    assert_eq!(docker.calls(), ["up -d --wait rabbitmq", DOWN]);
}

#[test]
fn docker_has_pulsar_and_not_the_secured_one() {
    let docker = StandIn::new("nothing");
    let show = "echo $MQ_PULSAR_URL $MQ_PULSAR_ADMIN_URL $MQ_PULSAR_PROFILE $MQ_PULSAR_VERSION";
    let run = |profile| {
        let args = ["run", "--docker", "--profile", profile, "--", "/bin/sh"];
        docker.brokers(&[&args[..], &["-c", show]].concat())
    };
    let output = run("pulsar");
    assert!(output.status.success());
    let told = "pulsar://127.0.0.1:29876 http://127.0.0.1:29878 pulsar 4.0.8";
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.lines().any(|said| said == told), "{text}");
    assert_eq!(docker.calls(), ["up -d --wait pulsar", DOWN]);

    let refused = run("pulsar-auth");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("runs natively only"), "{said}");
}

#[test]
fn docker_that_fails_to_start_is_taken_down_and_the_command_is_not_run() {
    let docker = StandIn::new("up");
    let output = docker.brokers(&["run", "--docker", "--", "echo", "ran"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("docker compose up"));
    assert_eq!(docker.calls(), [UP, DOWN]);
}

#[test]
fn docker_that_fails_to_go_down_is_a_failure() {
    let docker = StandIn::new("down");
    let output = docker.brokers(&["run", "--docker", "--", "/bin/sh", "-c", ":"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(docker.calls(), [UP, DOWN]);
}

#[test]
fn two_profiles_of_one_protocol_are_wrong_usage() {
    let docker = StandIn::new("nothing");
    let profiles = ["--profile", "rocketmq", "--profile", "rocketmq4"];
    let mut args = vec!["run", "--docker"];
    args.extend(profiles);
    args.extend(["--", "/bin/sh", "-c", ":"]);
    let output = docker.brokers(&args);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("one of a protocol at a time"));
    assert!(docker.calls().is_empty());
}

#[test]
fn a_missing_tool_is_named() {
    let empty = tempfile::tempdir().unwrap();
    for (args, tool) in [
        (&["run", "--", "/bin/sh", "-c", ":"][..], "`java`"),
        (&["run", "--docker", "--", "/bin/sh", "-c", ":"], "`docker`"),
        (
            &["run", "--profile", "rabbitmq", "--", "/bin/sh", "-c", ":"],
            "`apt-get`",
        ),
        (
            &["run", "--profile", "pulsar", "--", "/bin/sh", "-c", ":"],
            "`java`",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_brokers"))
            .args(args)
            .env("PATH", empty.path())
            .env("MQ_BROKERS_DIR", empty.path())
            .env_remove("MQ_BROKERS_CACHE")
            .env_remove("MQ_RABBITMQ_DIR")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(tool) && text.contains("install"), "{text}");
    }
}

/// A directory of programs that the launcher finds before all others.
fn programs(all: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, script) in all {
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir
}

/// What `brokers run --profile rabbitmq` says when it fails.
fn rabbitmq_fails(path: &Path, dir: Option<&Path>) -> String {
    let state = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_brokers"));
    command
        .args(["run", "--profile", "rabbitmq", "--", "/bin/sh", "-c", ":"])
        .env("PATH", path)
        .env("MQ_BROKERS_DIR", state.path())
        .env_remove("MQ_BROKERS_CACHE")
        .env_remove("MQ_RABBITMQ_DIR");
    if let Some(dir) = dir {
        command.env("MQ_RABBITMQ_DIR", dir);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_machine_whose_apt_has_another_rabbitmq_is_told_what_to_do() {
    // There is no erl: what the machine may have installed is no help.
    let told = "echo \"E: Version '3.10.8*' for 'rabbitmq-server' was not found\"; exit 100";
    let bin = programs(&[("apt-get", told), ("dpkg-deb", "exit 1")]);
    let text = rabbitmq_fails(bin.path(), None);
    assert!(text.contains("was not found"), "{text}");
    for words in [
        "Debian 12",
        "install rabbitmq-server",
        "MQ_RABBITMQ_DIR",
        "erl and epmd",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn an_installed_rabbitmq_is_taken_where_it_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let text = rabbitmq_fails(empty.path(), Some(empty.path()));
    assert!(text.contains("MQ_RABBITMQ_DIR names no RabbitMQ"), "{text}");

    let bin = programs(&[("erl", "exit 1"), ("epmd", "exit 0")]);
    let server = programs(&[
        ("sbin/rabbitmq-server", "echo the installed one; exit 1"),
        ("plugins/rabbit-3.12.1/ebin/rabbit.app", ""),
    ]);
    let text = rabbitmq_fails(bin.path(), Some(server.path()));
    assert!(text.contains("node did not start"), "{text}");
    assert!(text.contains("| the installed one"), "{text}");
}
