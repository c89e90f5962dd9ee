//! What a test asks of its node by `rabbitmqctl`.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::Node;
use crate::brokers::process::end_group;
use crate::brokers::{Context as _, Error, Result, now};

/// A queue, as the node lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Messages that no consumer has.
    #[serde(rename = "messages_ready")]
    pub ready: u64,
    /// Messages that a consumer has and has not settled.
    #[serde(rename = "messages_unacknowledged")]
    pub unacked: u64,
    /// How many consumers it has.
    pub consumers: u64,
}

impl Node {
    /// Runs `rabbitmqctl` with these arguments; returns what it prints.
    ///
    /// # Errors
    /// If it fails, then with what it says, or takes more than a minute.
    pub fn ctl(&self, args: &[&str]) -> Result<String> {
        // A file each: threads may ask at a time.
        let out = self.control().with_file_name(format!(
            "ctl-{}-{:x}.log",
            std::process::id(),
            fastrand::u64(..)
        ));
        let said = self.run_ctl(args, &out);
        let _ = fs::remove_file(&out);
        said
    }

    fn run_ctl(&self, args: &[&str], out: &std::path::Path) -> Result<String> {
        let what = || format!("cannot run rabbitmqctl {}", args.join(" "));
        let file = fs::File::create(out).context(what)?;
        let mut child = Command::new(self.control())
            .arg("-q")
            .args(args)
            .stdin(Stdio::null())
            .stdout(file.try_clone().context(what)?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .context(what)?;
        let deadline = now() + LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().context(what)? {
                break status;
            }
            if now() >= deadline {
                end_group(&mut child);
                return Err(Error::new(format!("{}: no end after {LIMIT:?}", what())));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let said = fs::read_to_string(out).context(what)?;
        if status.success() {
            return Ok(said);
        }
        Err(Error::new(format!("{}: {status}\n{said}", what())))
    }

    /// Closes every client's connection with code 320 and this text.
    ///
    /// # Errors
    /// Those of [`Node::ctl`].
    pub fn close_all_connections(&self, why: &str) -> Result<()> {
        // Without --global those of virtual host / alone.
        self.ctl(&["close_all_connections", "--global", why])
            .map(drop)
    }

    /// Has it write down which quorum queues it has. By itself it does so up to 3 s later, and not while they are busy: killed before, it knows no more
    /// where their messages are, makes an empty one in the place of each, and no leader for it.
    ///
    /// # Errors
    /// Those of [`Node::ctl`].
    // rabbitmq/ra: ra_directory.erl, register_name, init (auto_save); rabbitmq-server: rabbit_quorum_queue.erl, recover
    pub fn write_down_quorum_queues(&self) -> Result<()> {
        let tables = "[ok = dets:sync(Table) || Table <- dets:all()].";
        self.ctl(&["eval", tables]).map(drop)
    }

    /// Has it believe that its memory is short, so that it blocks who publishes, or has enough again.
    ///
    /// # Errors
    /// Those of [`Node::ctl`].
    pub fn short_of_memory(&self, short: bool) -> Result<()> {
        let watermark: &[&str] = if short {
            &["0.00001"]
        } else {
            &["absolute", USUAL]
        };
        self.ctl(&[&["set_vm_memory_high_watermark"], watermark].concat())
            .map(drop)
    }

    /// The queues of a virtual host; one that isn't there has none.
    ///
    /// # Errors
    /// Those of [`Node::ctl`].
    pub fn queues(&self, vhost: &str) -> Result<Vec<Queue>> {
        let listed = self.ctl(&[
            "list_queues",
            "-p",
            vhost,
            "--formatter",
            "json",
            "name",
            "messages_ready",
            "messages_unacknowledged",
            "consumers",
        ])?;
        serde_json::from_str(&listed).context(|| format!("cannot read {listed:?}"))
    }
}

/// As the base file has it.
const USUAL: &str = "512MB";
/// Half a second on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);
