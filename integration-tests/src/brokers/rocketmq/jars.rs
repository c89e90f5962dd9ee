//! The brokers' jars, fetched by Maven into a cache keyed by version.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::base_dir;
use crate::brokers::process::{in_path, tail};
use crate::brokers::signals::Stop;
use crate::brokers::{Error, Result, cache};

/// The directory with the jars of that RocketMQ version: nameserver, broker, tools and the Java
/// client. They are downloaded at the first call.
///
/// # Errors
/// If `mvn` is missing or the download fails.
pub fn jars(version: &str) -> Result<PathBuf> {
    fetch(version, &Stop::default())
}

pub(super) fn fetch(version: &str, stop: &Stop) -> Result<PathBuf> {
    cache::fetch(version, stop, |dir| download(version, dir, stop))
}

fn download(version: &str, to: &Path, stop: &Stop) -> Result<()> {
    let mvn = in_path("mvn", "Maven (Debian: apt-get install maven)")?;
    let log = to.join("maven.log");
    let mut command = Command::new(mvn);
    command
        .args(["-q", "-B", "-f"])
        .arg(base_dir().join("pom.xml"))
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-Drocketmq.version={version}"))
        .arg(format!("-DoutputDirectory={}", to.display()));
    let status = cache::finish(&mut command, &log, stop)?;
    if !status.success() || !holds_broker(to, version) {
        return Err(Error::new(format!(
            "mvn could not download RocketMQ {version} ({status}):\n{}",
            tail(&log)
        )));
    }
    Ok(())
}

/// Maven's code alone is not trusted: without the broker's jar there is nothing to start.
fn holds_broker(dir: &Path, version: &str) -> bool {
    dir.join(format!("rocketmq-broker-{version}.jar")).is_file()
}
