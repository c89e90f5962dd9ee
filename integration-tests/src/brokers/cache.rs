//! What is downloaded once and kept: a directory is complete, or it is not there.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::lock::Lock;
use super::process::end_group;
use super::signals::Stop;
use super::{Context as _, Result, directory, home};

/// Where downloads are kept: `MQ_BROKERS_CACHE`, or beside the runs.
pub fn cache() -> PathBuf {
    directory("MQ_BROKERS_CACHE", || home().join("cache"))
}

/// The directory of that name, filled by `fill` if it isn't there; who comes second waits.
pub(super) fn fetch(
    name: &str,
    stop: &Stop,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    fetch_into(&cache(), name, stop, fill)
}

fn fetch_into(
    cache: &Path,
    name: &str,
    stop: &Stop,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let complete = cache.join(name);
    if complete.join(MARK).is_file() {
        return Ok(complete);
    }
    let _downloading = Lock::wait(&cache.join(format!("{name}.lock")), stop)?;
    if complete.join(MARK).is_file() {
        return Ok(complete);
    }
    let partial = cache.join(format!("{name}.partial"));
    remove(&partial)?;
    fs::create_dir_all(&partial).context(|| format!("cannot create {}", partial.display()))?;
    fill(&partial)?;
    File::create(partial.join(MARK)).context(|| "cannot mark the download".to_owned())?;
    remove(&complete)?;
    fs::rename(&partial, &complete).context(|| format!("cannot fill {}", complete.display()))?;
    Ok(complete)
}

/// Runs a tool to its end, unless `stop` is raised; what it says goes to the log.
pub(super) fn finish(command: &mut Command, log: &Path, stop: &Stop) -> Result<ExitStatus> {
    let name = command.get_program().display().to_string();
    let out = File::create(log).context(|| format!("cannot create {}", log.display()))?;
    let err = out
        .try_clone()
        .context(|| format!("cannot share the log of {name}"))?;
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = command
        .process_group(0)
        .spawn()
        .context(|| format!("cannot start {name}"))?;
    loop {
        if let Some(status) = child
            .try_wait()
            .context(|| format!("cannot wait for {name}"))?
        {
            return Ok(status);
        }
        if let Err(stopped) = stop.check() {
            end_group(&mut child);
            return Err(stopped);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
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
        let stop = Stop::default();
        let version = dir.path().join("0.0.0");
        fs::create_dir_all(&version).unwrap();
        // Unmarked: it is filled again, and what fails leaves no mark.
        let fail = |_: &Path| Err(crate::brokers::Error::new("no network"));
        assert!(fetch_into(dir.path(), "0.0.0", &stop, fail).is_err());
        assert!(!version.join(MARK).exists());
        let fill = |dir: &Path| {
            fs::write(dir.join("jar"), "").unwrap();
            Ok(())
        };
        assert_eq!(
            fetch_into(dir.path(), "0.0.0", &stop, fill).unwrap(),
            version
        );
        assert!(version.join("jar").is_file());
        assert_eq!(
            fetch_into(dir.path(), "0.0.0", &stop, fail).unwrap(),
            version
        );
    }

    #[test]
    fn a_tool_is_ended_when_the_launcher_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut tool = Command::new("/bin/sh");
        tool.args(["-c", "sleep 600"]);
        let log = dir.path().join("log");
        assert!(finish(&mut tool, &log, &Stop::raised_for_test()).is_err());
        let mut tool = Command::new("/bin/sh");
        tool.args(["-c", "echo said; exit 3"]);
        let status = finish(&mut tool, &log, &Stop::default()).unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(fs::read_to_string(log).unwrap(), "said\n");
    }
}
