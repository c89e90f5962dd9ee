//! The brokers' jars, fetched by Maven into a cache keyed by version.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::lock::Lock;
use super::process::{end_group, in_path, tail};
use super::signals::Stop;
use super::{Context, Error, Result, config, directory, home};

/// The directory with the jars of that RocketMQ version: nameserver, broker, tools and the Java
/// client. They are downloaded at the first call.
///
/// # Errors
/// If `mvn` is missing or the download fails.
pub fn jars(version: &str) -> Result<PathBuf> {
    fetch(version, &Stop::default())
}

pub(super) fn fetch(version: &str, stop: &Stop) -> Result<PathBuf> {
    let cache = directory("MQ_BROKERS_CACHE", || home().join("cache"));
    fetch_into(&cache, version, stop)
}

fn fetch_into(cache: &Path, version: &str, stop: &Stop) -> Result<PathBuf> {
    let complete = cache.join(version);
    if complete.join(MARK).is_file() {
        return Ok(complete);
    }
    let _downloading = Lock::wait(&cache.join(format!("{version}.lock")), stop)?;
    if complete.join(MARK).is_file() {
        return Ok(complete);
    }
    let partial = cache.join(format!("{version}.partial"));
    remove(&partial)?;
    fs::create_dir_all(&partial).context(|| format!("cannot create {}", partial.display()))?;
    download(version, &partial, stop)?;
    File::create(partial.join(MARK)).context(|| "cannot mark the download".to_owned())?;
    remove(&complete)?;
    fs::rename(&partial, &complete).context(|| format!("cannot fill {}", complete.display()))?;
    Ok(complete)
}

fn download(version: &str, to: &Path, stop: &Stop) -> Result<()> {
    let mvn = in_path("mvn", "Maven (Debian: apt-get install maven)")?;
    let log = to.join("maven.log");
    let out = File::create(&log).context(|| format!("cannot create {}", log.display()))?;
    let err = out
        .try_clone()
        .context(|| "cannot share the log of mvn".to_owned())?;
    let mut command = Command::new(mvn);
    command
        .args(["-q", "-B", "-f"])
        .arg(config::base_dir().join("pom.xml"))
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-Drocketmq.version={version}"))
        .arg(format!("-DoutputDirectory={}", to.display()))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().context(|| "cannot start mvn".to_owned())?;
    let status = loop {
        if let Some(status) = child
            .try_wait()
            .context(|| "cannot wait for mvn".to_owned())?
        {
            break status;
        }
        if let Err(stopped) = stop.check() {
            end_group(&mut child);
            return Err(stopped);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
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

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

/// Written last: a directory without it is an interrupted download.
const MARK: &str = ".complete";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_marked_directory_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let version = dir.path().join("0.0.0");
        fs::create_dir_all(&version).unwrap();
        let raised = Stop::raised_for_test();
        // Unmarked: it would download, and is stopped before.
        assert!(fetch_into(dir.path(), "0.0.0", &raised).is_err());
        fs::create_dir_all(&version).unwrap();
        File::create(version.join(MARK)).unwrap();
        assert_eq!(fetch_into(dir.path(), "0.0.0", &raised).unwrap(), version);
    }
}
