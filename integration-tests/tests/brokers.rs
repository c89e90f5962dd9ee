//! `brokers --docker` against a recording stand-in for `docker`: which commands it gives, and that
//! containers go down on every way out. No container engine is used.
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
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_brokers"))
            .args(args)
            .env("PATH", empty.path())
            .env("MQ_BROKERS_DIR", empty.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(tool) && text.contains("install"), "{text}");
    }
}
