//! What the kernel says about this process: its memory and its system calls.

use std::fs;

/// A reading of `/proc/self`; take two and subtract.
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
}

impl Meter {
    /// Reads.
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("Linux's /proc");
        let io = fs::read_to_string("/proc/self/io").expect("Linux's /proc");
        Self {
            resident: field(&status, "VmRSS:") * 1024,
            peak: field(&status, "VmHWM:") * 1024,
            writes: field(&io, "syscw:"),
            files: fs::read_dir("/proc/self/fd")
                .expect("Linux's /proc")
                .count(),
        }
    }
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in /proc/self"))
}
