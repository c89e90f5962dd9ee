//! Starts real brokers on loopback, natively from Maven's jars and archives and Debian's packages, waits until each *answers its
//! protocol*, and takes every one of them down again.
//!
//! ```text
//!   brokers run -- CMD                       one profile a protocol, shared by CMD's tests through MQ_<PROTOCOL>_URL
//!   Cluster::start(Profile), Node::start()   a test's own brokers: kill -9, stop, continue, restart
//!        │
//!        ├─ cache                .brokers/cache/<version>: downloaded once, complete or not there
//!        ├─ ports                a free block below 32768, held by a file lock
//!        ├─ rocketmq, rabbitmq, pulsar   downloads, configuration, readiness: what is a protocol's own
//!        └─ server, process      sh waits for "go" ─ recorded in state.json ─ exec java, or RabbitMQ
//! ```
//!
//! A launcher that dies by `kill -9` leaves `.brokers/run/<run>/state.json` behind; the next start
//! ends what it records, by process id *and* start time. The `--docker` switch is tested against
//! a recording stand-in for `docker`; it was never run on a container engine.
//!
//! Everything here blocks, so that it works from a plain test and inside a tokio one.

mod cache;
mod certificates;
mod cli;
mod docker;
mod environment;
mod http;
mod lock;
mod ports;
mod process;
mod profile;
pub mod pulsar;
pub mod rabbitmq;
mod rocketmq;
mod server;
mod signals;
mod state;

pub use self::cache::cache;
pub use self::certificates::Certificates;
pub use self::cli::main;
pub use self::docker::{Container, compose_file};
pub use self::environment::without_package;
pub use self::profile::Profile;
pub use self::rocketmq::{
    Broker, Cluster, Service, Shared, User, base_dir, jars, services, shared,
};

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

/// What went wrong while brokers were started, watched or stopped; the text says what to do.
#[derive(Debug)]
pub struct Error(String);

/// The result of everything the launcher does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Adds to an I/O error what was being done to which file.
trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error(format!("{}: {cause}", what())))
    }
}

/// Where caches and runs live: `MQ_BROKERS_DIR`, or `.brokers` beside the workspace's `Cargo.toml`.
fn home() -> PathBuf {
    directory("MQ_BROKERS_DIR", || workspace().join(".brokers"))
}

/// A directory that a variable may move. Absolute: Maven and the brokers have their own idea of
/// what a relative one starts from.
fn directory(variable: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(default, PathBuf::from);
    std::path::absolute(&path).unwrap_or(path)
}

/// Whether a host is this machine: tests create and delete, and never where a variable happens to point at production.
fn is_loopback(host: &str) -> bool {
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn workspace() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .map_or_else(|| package.clone(), PathBuf::from)
}

#[expect(
    clippy::disallowed_methods,
    reason = "deadlines of real processes run on real time"
)]
fn now() -> Instant {
    Instant::now()
}
