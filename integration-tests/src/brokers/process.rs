//! Processes that are known by id *and* start time, so that a foreign one is never signalled.
//!
//! ```text
//!   spawn sh ──> waits on stdin ──> we record pid and start time ──> "go" ──> exec java, same pid
//! ```
//! A launcher that is killed before "go" closes the pipe, and the shell ends without a broker.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use super::{Context, Error, Result, now};

/// One process of this boot, not merely a number that may be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks since boot.
    pub(super) start: u64,
}

impl Identity {
    /// The identity of a living process.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid).context(|| "odd process id".to_owned())?;
        match Stat::read(pid) {
            Some(stat) => Ok(Self {
                pid,
                start: stat.start,
            }),
            None => Err(Error::new(format!("process {pid} is gone"))),
        }
    }

    /// Whether this very process runs; a zombie does not.
    pub(super) fn alive(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.start == self.start && stat.state != 'Z')
    }

    /// Whether every thread of it stands still. It takes a moment after the signal.
    pub(super) fn stopped(self) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return false;
        };
        threads.flatten().all(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat"));
            // A thread that is gone moves no more either.
            stat.map_or(true, |text| {
                Stat::parse(&text).is_some_and(|stat| matches!(stat.state, 'T' | 't'))
            })
        })
    }

    /// Signals this process; `false` if it is gone or the id belongs to another one by now.
    pub(super) fn signal(self, signal: Signal) -> bool {
        self.alive() && Pid::from_raw(self.pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
    }
}

/// Ends all of them and what they have started: SIGTERM, a short grace, SIGKILL. Their state is thrown away, so none is given
/// the 15 s that a broker takes to write it.
pub(super) fn end_all(processes: &[Identity]) {
    // Before the first is gone: children of one that is gone are found no more.
    let alive = processes.iter().filter(|process| process.alive());
    let all: Vec<_> = alive.flat_map(|process| tree(*process)).collect();
    for process in processes {
        process.signal(Signal::TERM);
    }
    if !wait_gone(&all, GRACE) {
        for process in &all {
            process.signal(Signal::KILL);
        }
        wait_gone(&all, Duration::from_secs(10));
    }
}

/// Ends one's own child with its process group and what it has started, and reaps it.
pub(super) fn end_group(child: &mut Child) {
    let mut all = Vec::new();
    if let (Ok(root), Ok(None)) = (Identity::of(child.id()), child.try_wait()) {
        all = tree(root);
        // Those that made a group of their own: it does not end Erlang's port programs.
        if let Some(pid) = Pid::from_raw(root.pid) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        for process in &all {
            process.signal(Signal::KILL);
        }
    }
    let _ = child.wait();
    wait_gone(&all, Duration::from_secs(10));
}

/// A process and what it started, found through `/proc`.
pub(super) fn tree(root: Identity) -> Vec<Identity> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return vec![root];
    };
    let all: Vec<(i32, Stat)> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::read(pid)?)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|process| process.pid) {
        let children = all.iter().filter(|(_, stat)| stat.parent == parent);
        found.extend(children.map(|(pid, stat)| Identity {
            pid: *pid,
            start: stat.start,
        }));
        next += 1;
    }
    found
}

/// What to execute, and where its output goes.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) dir: PathBuf,
    pub(super) log: PathBuf,
}

impl Program {
    /// Starts the program after `record` has written down who it is.
    pub(super) fn spawn(&self, record: impl FnOnce(Identity) -> Result<()>) -> Result<Child> {
        let open = || {
            let path = &self.log;
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .context(|| format!("cannot open {}", path.display()))
        };
        let mut child = Command::new("/bin/sh")
            .args(["-c", r#"read -r go && exec "$@""#, "sh"])
            .arg(&self.path)
            .args(&self.args)
            .envs(self.env.iter().cloned())
            .current_dir(&self.dir)
            .stdin(Stdio::piped())
            .stdout(open()?)
            .stderr(open()?)
            .process_group(0)
            .spawn()
            .context(|| format!("cannot start {}", self.path.display()))?;
        let pipe = child.stdin.take();
        let go = Identity::of(child.id()).and_then(record).and_then(|()| {
            let told = pipe.map_or(Ok(()), |mut pipe| pipe.write_all(b"go\n"));
            told.context(|| format!("cannot start {}", self.path.display()))
        });
        if let Err(cause) = go {
            end_group(&mut child);
            return Err(cause);
        }
        Ok(child)
    }
}

/// Finds a program in `PATH`.
pub(super) fn in_path(name: &str, install: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            Error::new(format!(
                "`{name}` is not in PATH: brokers need it, install {install}"
            ))
        })
}

/// The last lines of a log, for the message about a failed start.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let skipped = text.lines().count().saturating_sub(30);
    let lines: Vec<_> = text
        .lines()
        .skip(skipped)
        .map(|line| format!("  | {line}"))
        .collect();
    lines.join("\n")
}

fn wait_gone(processes: &[Identity], limit: Duration) -> bool {
    let deadline = now() + limit;
    while processes.iter().any(|process| process.alive()) {
        if now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// The three fields of `/proc/<pid>/stat` that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: i32,
    start: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The program's name may hold blanks and brackets: fields are counted behind its end.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        Some(Self {
            state,
            parent,
            start,
        })
    }
}

const GRACE: Duration = Duration::from_millis(300);

/// Waits until it is ended, and needs no other program.
#[cfg(test)]
pub(super) fn sleeper() -> Child {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "read -r _"]).stdin(Stdio::piped());
    shell.spawn().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_hostile_program_name() {
        let text = "7 (a) R 9) (x) S 42 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 98765 1 1";
        assert_eq!(
            Stat::parse(text),
            Some(Stat {
                state: 'S',
                parent: 42,
                start: 98_765
            })
        );
        assert_eq!(Stat::parse("7 (sh) S 42"), None);
    }

    #[test]
    fn a_process_with_another_start_time_is_not_signalled() {
        let mut child = sleeper();
        let truth = Identity::of(child.id()).unwrap();
        let foreign = Identity {
            start: truth.start + 1,
            ..truth
        };
        assert!(!foreign.alive());
        end_all(&[foreign]);
        assert!(truth.alive());
        end_all(&[truth]);
        assert!(!truth.alive());
        child.wait().unwrap();
    }

    #[test]
    fn a_stopped_process_is_ended_too() {
        let mut child = sleeper();
        let process = Identity::of(child.id()).unwrap();
        assert!(process.signal(Signal::STOP));
        end_all(&[process]);
        assert!(!process.alive());
        child.wait().unwrap();
    }

    #[test]
    fn the_tree_holds_children_of_children() {
        let mut child = Command::new("/bin/sh")
            .args(["-c", "/bin/sh -c '(read -r _); :'; :"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let root = Identity::of(child.id()).unwrap();
        let deadline = now() + Duration::from_secs(5);
        while tree(root).len() < 3 {
            assert!(now() < deadline);
            std::thread::sleep(Duration::from_millis(10));
        }
        let all = tree(root);
        end_all(&all);
        assert!(!all.iter().any(|process| process.alive()));
        child.wait().unwrap();
    }

    #[test]
    fn what_a_process_has_started_is_ended_with_it() {
        let end_root: [fn(Identity, &mut Child); 2] =
            [|root, _| end_all(&[root]), |_, child| end_group(child)];
        for end in end_root {
            let mut child = Command::new("/bin/sh")
                .args(["-c", "/bin/sh -c 'read -r _; :'; :"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            // Kept open, so that nobody ends by reading its end.
            let pipe = child.stdin.take();
            let root = Identity::of(child.id()).unwrap();
            let deadline = now() + Duration::from_secs(5);
            while tree(root).len() < 2 {
                assert!(now() < deadline);
                std::thread::sleep(Duration::from_millis(10));
            }
            let all = tree(root);
            end(root, &mut child);
            assert!(!all.iter().any(|process| process.alive()));
            drop(pipe);
            child.wait().unwrap();
        }
    }

    #[test]
    fn nothing_runs_before_it_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let program = Program {
            path: "/bin/sh".into(),
            args: vec![
                "-c".into(),
                "echo ran with $0 $GREETING".into(),
                "one".into(),
            ],
            env: vec![("GREETING".into(), "hello".into())],
            dir: dir.path().into(),
            log: dir.path().join("log"),
        };
        let failed = program.spawn(|_| Err(Error::new("disk full")));
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&program.log).unwrap(), "");
        let mut recorded = None;
        let mut child = program
            .spawn(|identity| {
                recorded = Some(identity);
                Ok(())
            })
            .unwrap();
        assert_eq!(recorded.unwrap().pid.unsigned_abs(), child.id());
        assert!(child.wait().unwrap().success());
        assert!(tail(&program.log).contains("ran with one hello"));
    }

    #[test]
    fn a_missing_tool_is_named() {
        let text = in_path("no-such-tool", "the tool").unwrap_err().to_string();
        assert!(
            text.contains("`no-such-tool`") && text.contains("install the tool"),
            "{text}"
        );
    }
}
