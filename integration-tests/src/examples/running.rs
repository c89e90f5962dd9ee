//! Builds the examples and runs them, for tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::{Section, rewritten, sections};
use crate::brokers::without_package;
use crate::harness::now;

/// The examples, built once, with what the README says of them.
#[derive(Debug)]
pub struct Built {
    programs: BTreeMap<String, PathBuf>,
    readme: String,
    sections: Vec<Section>,
}

/// What one example did.
struct Ran<'a> {
    section: &'a Section,
    /// Or why there is none.
    output: Result<String, String>,
}

impl Built {
    /// Builds all examples, as they are built with all tests, and reads their README.
    pub fn all() -> Self {
        let mut build = Command::new(env!("CARGO"));
        without_package(&mut build)
            .args(["build", "--workspace", "--examples"])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(directory());
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let built = build.stderr(Stdio::inherit()).output().expect("cargo runs");
        assert!(built.status.success(), "the examples don't build");
        let messages = String::from_utf8(built.stdout).expect("UTF-8");
        let programs = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|message| {
                let name = message.get("target")?.get("name")?.as_str()?.to_owned();
                Some((name, message.get("executable")?.as_str()?.into()))
            });
        let readme = std::fs::read_to_string(readme()).expect("examples/README.md");
        Self {
            programs: programs.collect(),
            sections: sections(&readme).expect("a README of sections"),
            readme,
        }
    }

    /// Runs those examples, all at a time, each with what it is to have in its environment, and compares what they print with
    /// the README. With `MQ_UPDATE=1` the README is made to say what they print, where that is something else.
    pub fn check(&self, wanted: impl Fn(&str) -> Option<Vec<(&'static str, String)>>) {
        let chosen: Vec<_> = self
            .sections
            .iter()
            .filter_map(|section| Some((section, wanted(&section.name)?)))
            .collect();
        assert!(!chosen.is_empty(), "no example was chosen");
        let ran: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = chosen
                .into_iter()
                .map(|(section, variables)| scope.spawn(move || self.run(section, &variables)))
                .collect();
            let ended = running.into_iter().map(ScopedJoinHandle::join);
            ended.map(|ended| ended.expect("it ran")).collect()
        });
        let (mut wrong, mut fresh) = (Vec::new(), Vec::new());
        for Ran { section, output } in &ran {
            match output {
                Ok(output) => {
                    if let Err(difference) = section.compare(output) {
                        wrong.push(difference);
                        fresh.push((*section, output.as_str()));
                    }
                }
                Err(why) => panic!("{}: {why}", section.name),
            }
        }
        if is_update() {
            std::fs::write(readme(), rewritten(&self.readme, &fresh)).expect("it can be written");
        } else {
            assert!(wrong.is_empty(), "{}\n{HOW}", wrong.join("\n"));
        }
    }

    fn run<'a>(&self, section: &'a Section, variables: &[(&'static str, String)]) -> Ran<'a> {
        let output = match self.programs.get(&section.name) {
            Some(program) => run(program, variables),
            None => Err("there is no such example".to_owned()),
        };
        Ran { section, output }
    }
}

/// Whether the README is to be rewritten.
pub fn is_update() -> bool {
    std::env::var("MQ_UPDATE").is_ok_and(|value| value == "1")
}

fn run(program: &Path, variables: &[(&'static str, String)]) -> Result<String, String> {
    let mut command = Command::new(program);
    for foreign in FOREIGN {
        command.env_remove(foreign);
    }
    let mut child = command
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .current_dir(directory())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let deadline = now() + LIMIT;
    // Little enough is printed to fit into a pipe.
    let in_time = loop {
        if child.try_wait().expect("it can be waited for").is_some() {
            break true;
        }
        if now() > deadline {
            child.kill().expect("it can be ended");
            break false;
        }
        std::thread::sleep(LOOK_AGAIN);
    };
    let ended = child.wait_with_output().expect("it can be read");
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    if in_time && ended.status.success() {
        return Ok(printed);
    }
    let how = if in_time {
        ended.status.to_string()
    } else {
        format!("it does not end within {LIMIT:?}")
    };
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(format!("{how}\n{printed}{said}"))
}

fn directory() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap().join("examples")
}

fn readme() -> PathBuf {
    directory().join("README.md")
}

const HOW: &str = "if that is how it is to be, MQ_UPDATE=1 rewrites the README";
const LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Variables that would lead an example elsewhere.
const FOREIGN: &[&str] = &[
    "MQ_CMQ_CONTROL_URL",
    "MQ_CMQ_TCP_URL",
    "MQ_CMQ_URL",
    "MQ_ROCKETMQ_URL",
    "ROCKETMQ_AK",
    "ROCKETMQ_SK",
    "TDMQ_ADDRESS",
    "TDMQ_NAMESPACE",
    "TDMQ_ACCESS_KEY",
    "TDMQ_SECRET_KEY",
    "TDMQ_TOKEN",
    "TDMQ_TOPIC",
    "RUST_LOG",
];
