//! What the kernel says about a process: its memory, its system calls and its CPU time.

use std::fs;
use std::time::Duration;

/// A reading of `/proc`; take two and subtract.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    /// Memory now, in bytes (`VmRSS`).
    pub resident: u64,
    /// The most memory there ever was, in bytes (`VmHWM`).
    pub peak: u64,
    /// Calls of the write family until now (`syscw`).
    pub writes: u64,
    /// Open files and sockets now.
    pub files: usize,
    /// User and system time until now, to 10 ms.
    pub cpu: Duration,
}

impl Meter {
    /// Reads of this process.
    pub fn read() -> Self {
        Self::of(std::process::id())
    }

    /// Reads of another process of this user's.
    pub fn of(pid: u32) -> Self {
        let read = |what| fs::read_to_string(format!("/proc/{pid}/{what}")).expect("Linux's /proc");
        let (status, io, stat) = (read("status"), read("io"), read("stat"));
        let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("Linux's /proc");
        Self {
            resident: field(&status, "VmRSS:") * 1024,
            peak: field(&status, "VmHWM:") * 1024,
            writes: field(&io, "syscw:"),
            files: files.count(),
            cpu: cpu(&stat),
        }
    }
}

/// Fields 14 and 15, behind the name, which may hold anything.
fn cpu(stat: &str) -> Duration {
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
    // A hundredth of a second each, on every Linux.
    Duration::from_millis(ticks * 10)
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in /proc"))
}
