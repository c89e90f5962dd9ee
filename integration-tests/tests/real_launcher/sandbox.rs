//! The launcher as a process, in a directory of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use integration_tests::brokers::cache;
use rustix::process::{Pid, Signal, kill_process};

/// A state directory and the profile to start there; downloads are shared with everybody.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
    profile: &'static str,
}

impl Sandbox {
    pub(crate) fn new(profile: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, profile }
    }

    pub(crate) fn brokers(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brokers"));
        command
            .args(args)
            .env("MQ_BROKERS_DIR", self.dir.path())
            .env("MQ_BROKERS_CACHE", cache());
        command
    }

    pub(crate) fn run(&self, script: &str) -> Child {
        let args = ["run", "--profile", self.profile, "--", "sh", "-c", script];
        self.brokers(&args).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// The recorded process ids that run.
    pub(crate) fn processes(&self) -> Vec<i32> {
        self.processes_of("")
    }

    /// Those of one profile.
    pub(crate) fn processes_of(&self, profile: &str) -> Vec<i32> {
        let mut found = Vec::new();
        for run in self.runs() {
            let name = run.file_name().unwrap().to_str().unwrap();
            if !name.starts_with(profile) {
                continue;
            }
            let Ok(text) = std::fs::read(run.join("state.json")) else {
                continue;
            };
            let state: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let servers = state["servers"].as_array().unwrap();
            found.extend(
                servers.iter().map(|server| {
                    i32::try_from(server["process"]["pid"].as_i64().unwrap()).unwrap()
                }),
            );
        }
        found.retain(|pid| runs(*pid));
        found
    }

    fn runs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join("run"));
        entries
            .map(|all| all.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default()
    }

    /// Neither a directory nor a process that mentions it is left.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.runs(), Vec::<PathBuf>::new());
        let needle = self.dir.path().to_str().unwrap().as_bytes();
        for entry in std::fs::read_dir("/proc").unwrap() {
            let line = std::fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
            let mentions = line.windows(needle.len()).any(|window| window == needle);
            assert!(!mentions, "{}", String::from_utf8_lossy(&line));
        }
    }
}

impl Drop for Sandbox {
    /// A test that failed may have left what `up` started.
    fn drop(&mut self) {
        let _ = self.brokers(&["down"]).stdout(Stdio::null()).status();
    }
}

/// Waits until the command has printed a line.
pub(crate) fn first_word(launcher: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(launcher.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

pub(crate) fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

pub(crate) fn runs(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// These processes, and those that they have started.
pub(crate) fn children(roots: &[i32]) -> Vec<i32> {
    let mut all = roots.to_vec();
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
            let started = thread.unwrap().path().join("children");
            let started = std::fs::read_to_string(started).unwrap_or_default();
            all.extend(
                started
                    .split_whitespace()
                    .map(|pid| pid.parse::<i32>().unwrap()),
            );
        }
        next += 1;
    }
    all
}

pub(crate) fn state(pid: i32) -> Option<char> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    text.ok()?.rsplit_once(") ")?.1.chars().next()
}

/// How many sockets listen on these ports; fails if one does beyond loopback.
pub(crate) fn listening(base: u16, size: u16) -> usize {
    let mut seen = 0;
    for (file, loopback) in [
        ("/proc/net/tcp", &["0100007F"][..]),
        // Java's sockets are of both families.
        (
            "/proc/net/tcp6",
            &[
                "00000000000000000000000001000000",
                "0000000000000000FFFF00000100007F",
            ],
        ),
    ] {
        let table = std::fs::read_to_string(file).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (address, port) = fields[1].split_once(':').unwrap();
            let port = u16::from_str_radix(port, 16).unwrap();
            if fields[3] == LISTEN && (base..base + size).contains(&port) {
                assert!(loopback.contains(&address), "port {port}: {address}");
                seen += 1;
            }
        }
    }
    seen
}

/// A socket's state in `/proc/net/tcp`.
const LISTEN: &str = "0A";
