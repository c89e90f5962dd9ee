//! The `mq` command as scripts run it.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::now;
use crate::brokers::without_package;

/// The commands of one protocol, with one broker.
#[derive(Clone)]
pub struct Mq {
    protocol: &'static str,
    variable: &'static str,
    url: String,
    more: Vec<(&'static str, String)>,
}

impl Mq {
    /// `mq PROTOCOL …`, with the broker's URL in its variable.
    pub fn new(protocol: &'static str, variable: &'static str, url: impl Into<String>) -> Self {
        Self {
            protocol,
            variable,
            url: url.into(),
            more: Vec::new(),
        }
    }

    /// With another variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// Starts it, with pipes.
    pub fn spawn(&self, words: &[&str]) -> Child {
        Command::new(built())
            .arg(self.protocol)
            .args(words)
            .env(self.variable, &self.url)
            .env_remove("RUST_LOG")
            // The launcher calls a file so; to the command it is the token.
            .env_remove("MQ_PULSAR_TOKEN")
            .envs(self.more.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs it to its end.
    pub fn run(&self, words: &[&str]) -> Output {
        self.feed(words, &[])
    }

    /// Runs it to its end, with this on stdin.
    pub fn feed(&self, words: &[&str], input: &[u8]) -> Output {
        let mut child = self.spawn(words);
        child.stdin.take().unwrap().write_all(input).unwrap();
        wait(child)
    }
}

impl std::fmt::Debug for Mq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mq").field(&self.protocol).finish()
    }
}

/// Waits for the end, which has to come.
pub fn wait(mut child: Child) -> Output {
    let deadline = now() + Duration::from_secs(60);
    // Little enough is printed here to fit into a pipe.
    while child.try_wait().unwrap().is_none() {
        if now() > deadline {
            child.kill().unwrap();
            panic!(
                "it does not end: {}",
                err(&child.wait_with_output().unwrap())
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// The next line that it prints. The pipe stays open, or it would end.
#[expect(
    clippy::unbuffered_bytes,
    reason = "a buffer would keep what comes behind the line"
)]
pub fn line_of(child: &mut Child) -> String {
    let output = child.stdout.as_mut().unwrap();
    let mut line = Vec::new();
    for byte in output.bytes() {
        line.push(byte.unwrap());
        if line.ends_with(b"\n") {
            break;
        }
    }
    String::from_utf8(line).unwrap()
}

/// As Ctrl-C does.
pub fn interrupt(child: &Child) {
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Each line of its output.
pub fn json(output: &Output) -> Vec<Value> {
    out(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Its exit code.
pub fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

/// What it printed.
pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it said.
pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The command, built once.
fn built() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        without_package(&mut build)
            .args(["build", "--workspace", "--bin", "mq"])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let built = build.stderr(Stdio::inherit()).output().unwrap();
        assert!(built.status.success(), "mq does not build");
        let messages = String::from_utf8(built.stdout).unwrap();
        messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| {
                message
                    .pointer("/target/name")
                    .is_some_and(|name| name == "mq")
            })
            .find_map(|message| Some(message.get("executable")?.as_str()?.into()))
            .expect("cargo names the executable it built")
    })
}
