//! A test in a process of its own: to be killed, or to have its memory measured.
//!
//! ```text
//!   #[test] fn real_…() { if let Some(arg) = role("consumer") { return child(&arg) }   ◄─┐
//!                         let child = Child::start("real_…", "consumer", arg);  ── exec ─┘
//! ```

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};

/// The argument of the role that this process was started for by [`Child::start`], if it is `name`.
pub fn role(name: &str) -> Option<String> {
    let text = std::env::var(ROLE).ok()?;
    let (role, argument) = text.split_once(' ')?;
    (role == name).then(|| argument.to_owned())
}

/// The running test executable once more, with one test in it. Killed when dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    lines: BufReader<ChildStdout>,
}

impl Child {
    /// Starts `test` in a new process, in which [`role`] answers `argument`.
    pub fn start(test: &str, role: &str, argument: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("our own path"))
            .args([test, "--exact", "--include-ignored", "--nocapture"])
            .args(["--test-threads", "1"])
            .env(ROLE, format!("{role} {argument}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("our own executable runs");
        let lines = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, lines }
    }

    /// What the child [`say`](Self::say)s next under this name. Blocks; fails when it ends without.
    pub fn hear(&mut self, name: &str) -> String {
        let heard = self.hear_or_end(name);
        heard.unwrap_or_else(|| panic!("the child ended without saying {name:?}"))
    }

    /// As [`hear`](Self::hear); `None` when the child has ended, and said no more.
    pub fn hear_or_end(&mut self, name: &str) -> Option<String> {
        let mut line = String::new();
        while self.lines.read_line(&mut line).expect("readable output") > 0 {
            // The test framework writes "test x ... " without a line's end before it.
            if let Some((_, rest)) = line.trim_end().split_once(MARK)
                && let Some(value) = rest.strip_prefix(name)
            {
                return Some(value.trim().to_owned());
            }
            line.clear();
        }
        None
    }

    /// Says a value to the parent's [`hear`](Self::hear).
    #[allow(clippy::print_stdout, reason = "a pipe to the parent")]
    pub fn say(name: &str, value: impl std::fmt::Display) {
        println!("{MARK}{name} {value}");
    }

    /// Lets a child go on that waits in [`wait_for_go`](Self::wait_for_go).
    pub fn go(&mut self) {
        let input = self.process.stdin.as_mut().expect("piped");
        writeln!(input, "go").expect("the child reads");
    }

    /// In the child: blocks until the parent says [`go`](Self::go).
    pub fn wait_for_go() {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).expect("a pipe");
        assert_eq!(line.trim(), "go", "the parent is gone");
    }

    /// Ends it by SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill().expect("our own child");
        self.process.wait().expect("our own child");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("our own child")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const ROLE: &str = "MQ_TEST_ROLE";
const MARK: &str = "@@";
