//! The file in which a broadcasting consumer keeps its offsets: its name, its lock, its format, and replacing it.
//!
//! ```text
//!   DIR/offsets-GROUP.json        replaced by a rename: after a crash it is the old one or the new one
//!       offsets-GROUP.json.tmp    the next one, while it is written; what a crash leaves of it is never read
//!       offsets-GROUP.json.lock   empty; locked while a consumer has the file, by the kernel, so that the lock dies with its process
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use mq_core::{ErrorKind, Retry};
use serde::{Deserialize, Serialize};

use crate::conn::QueueId;
use crate::error::Error;

/// Where to go on, queue by queue.
pub(super) type Table = BTreeMap<QueueId, i64>;

/// The file, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct OffsetFile {
    path: PathBuf,
    group: Arc<str>,
    _lock: File,
}

/// What stands in the file, version 1: topic, broker and number of each queue, and the offset that is to be read next.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    /// With its namespace, as topics are.
    group: String,
    offsets: BTreeMap<String, BTreeMap<String, BTreeMap<i32, i64>>>,
}

/// Of whatever version.
#[derive(Debug, Deserialize)]
struct AnyVersion {
    version: u64,
}

impl OffsetFile {
    /// Locks the file of `group` below `dir`, which is made if it is not there, and reads it. No file is no offsets.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: it is another consumer's, or it can't be read or understood; the message names it.
    pub(super) fn open(dir: &Path, group: &Arc<str>) -> Result<(Self, Table), Error> {
        // The working directory may be another one later.
        let dir = &std::path::absolute(dir).map_err(|cause| unusable(dir, "be used", cause))?;
        let path = dir.join(file_name(group));
        fs::create_dir_all(dir).map_err(|cause| unusable(dir, "be made", cause))?;
        let lock_path = beside(&path, ".lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|cause| unusable(&lock_path, "be opened", cause))?;
        lock_soon(&lock, &lock_path, &path)?;
        let table = match read(&path) {
            Ok(bytes) => parse(&bytes, group).map_err(|why| why.error(&path))?,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Table::new(),
            Err(cause) => return Err(unusable(&path, "be read", cause)),
        };
        let file = Self {
            path,
            group: Arc::clone(group),
            _lock: lock,
        };
        Ok((file, table))
    }

    /// Replaces what the file says. However it ends, the file is whole.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, retryable: a full disk, a missing permission.
    pub(super) fn write(&self, table: &Table) -> Result<(), Error> {
        let document = document(&self.group, table);
        self.replace(&document).map_err(|cause| {
            let path = self.path.display();
            Error::builder(ErrorKind::Invalid, format!("\"{path}\" can't be written"))
                .operation("store offsets")
                .retry(Retry::Later)
                .source(cause)
                .build()
        })
    }

    fn replace(&self, document: &Document) -> io::Result<()> {
        let next = beside(&self.path, ".tmp");
        let mut bytes = serde_json::to_vec_pretty(document)?;
        bytes.push(b'\n');
        let mut file = File::create(&next)?;
        file.write_all(&bytes)?;
        // Before the rename, or a power failure could leave an empty file under the name.
        file.sync_all()?;
        drop(file);
        fs::rename(&next, &self.path)?;
        sync_dir(&self.path)
    }
}

/// Waits a moment for a consumer that has just gone: the thread that writes its offsets holds the lock until it is done.
fn lock_soon(lock: &File, lock_path: &Path, path: &Path) -> Result<(), Error> {
    for _ in 0..LOCK_TRIES {
        // Not std's method of this name, which is newer than our oldest Rust.
        match FileExt::try_lock(lock) {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(cause)) => {
                return Err(unusable(lock_path, "be locked", cause));
            }
        }
    }
    Err(in_use(path))
}

/// `%` and `|`, which not every file system takes, become `@` and `+`, which no group has: two groups never share a name.
fn file_name(group: &str) -> String {
    let group = group.replace('%', "@").replace('|', "+");
    format!("offsets-{group}.json")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The rename itself is on the disk only when its directory is.
fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        // Elsewhere a directory can't be opened.
        Some(dir) if cfg!(unix) => File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == MOST_BYTES {
        let message = format!("it has {MOST_BYTES} bytes or more");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}

/// Why a file is not taken.
#[derive(Debug)]
enum Refusal {
    Damaged(serde_json::Error),
    Negative(i64),
    Version(u64),
    OtherGroup(String),
}

fn parse(bytes: &[u8], group: &str) -> Result<Table, Refusal> {
    let AnyVersion { version } = serde_json::from_slice(bytes).map_err(Refusal::Damaged)?;
    if version != u64::from(VERSION) {
        return Err(Refusal::Version(version));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(Refusal::Damaged)?;
    // On a file system that does not tell A from a, two groups have one file.
    if document.group != group {
        return Err(Refusal::OtherGroup(document.group));
    }
    let mut table = Table::new();
    for (topic, brokers) in document.offsets {
        let topic: Arc<str> = topic.into();
        for (broker, queues) in brokers {
            let broker: Arc<str> = broker.into();
            for (id, next) in queues {
                if next < 0 {
                    return Err(Refusal::Negative(next));
                }
                let (topic, broker) = (Arc::clone(&topic), Arc::clone(&broker));
                table.insert(QueueId { topic, broker, id }, next);
            }
        }
    }
    Ok(table)
}

fn document(group: &str, table: &Table) -> Document {
    let mut document = Document {
        version: VERSION,
        group: group.to_owned(),
        offsets: BTreeMap::new(),
    };
    for (queue, next) in table {
        let brokers = document.offsets.entry(queue.topic.to_string()).or_default();
        let queues = brokers.entry(queue.broker.to_string()).or_default();
        queues.insert(queue.id, *next);
    }
    document
}

impl Refusal {
    fn error(self, path: &Path) -> Error {
        let path = path.display();
        let message = match &self {
            Self::Damaged(_) => format!("the offsets in \"{path}\" are damaged"),
            Self::Negative(next) => {
                format!("the offsets in \"{path}\" are damaged: one of them is {next}")
            }
            Self::Version(version) => {
                format!("\"{path}\" is of version {version}, and this reads version {VERSION}")
            }
            Self::OtherGroup(group) => format!("\"{path}\" is of the group \"{group}\""),
        };
        let hint = match &self {
            Self::Version(_) => "use the release that wrote it, or move it away to begin anew",
            Self::OtherGroup(_) => "give each group a directory of its own",
            _ => "put a copy of it back, or move it away to begin anew",
        };
        let error = refused(message).hint(hint);
        match self {
            Self::Damaged(cause) => error.source(cause).build(),
            _ => error.build(),
        }
    }
}

fn unusable(path: &Path, what: &str, cause: io::Error) -> Error {
    let message = format!("\"{}\" can't {what}", path.display());
    let hint = "see to its owner and its permissions, or choose another directory";
    refused(message).hint(hint).source(cause).build()
}

fn in_use(path: &Path) -> Error {
    let message = format!("another consumer uses \"{}\"", path.display());
    let hint = "give each consumer a directory of its own, or close the other one first";
    refused(message).hint(hint).build()
}

fn refused(message: String) -> mq_core::ErrorBuilder<crate::ResponseCode> {
    Error::builder(ErrorKind::Invalid, message).operation("start consumer")
}

const VERSION: u32 = 1;
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// A queue takes some 100 bytes at most.
const MOST_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests;
