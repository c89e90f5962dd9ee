//! The broker's archive, fetched by Maven and unpacked into the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::VERSION;
use crate::brokers::process::{in_path, tail};
use crate::brokers::signals::Stop;
use crate::brokers::{Context as _, Error, Result, cache};

/// The directory with `lib`, `conf` and `bin`. 245 MB are downloaded at the first call.
pub(super) fn fetch(stop: &Stop) -> Result<PathBuf> {
    cache::fetch(&format!("pulsar-{VERSION}"), stop, |dir| {
        download(dir, stop)
    })
}

fn download(to: &Path, stop: &Stop) -> Result<()> {
    let mvn = in_path("mvn", "Maven (Debian: apt-get install maven)")?;
    let tar = in_path("tar", "tar")?;
    let sum = in_path("sha512sum", "coreutils")?;
    let log = to.join("maven.log");
    let run = |command: &mut Command, what: &str| {
        let status = cache::finish(command, &log, stop)?;
        if status.success() {
            return Ok(());
        }
        let said = tail(&log);
        Err(Error::new(format!(
            "could not {what} Pulsar {VERSION} ({status}):\n{said}"
        )))
    };
    let mut command = Command::new(mvn);
    command
        .args(["-q", "-B", "--strict-checksums", COPY])
        .arg(format!(
            "-Dartifact=org.apache.pulsar:{ARTIFACT}:{VERSION}:tar.gz:bin"
        ))
        .arg(format!("-DoutputDirectory={}", to.display()));
    run(&mut command, "download")?;
    let archive = to.join(format!("{ARTIFACT}-{VERSION}-bin.tar.gz"));
    let list = to.join("archive.sha512");
    fs::write(&list, format!("{SHA512}  {}\n", archive.display()))
        .context(|| format!("cannot write {}", list.display()))?;
    run(
        Command::new(sum).args(["--check", "--strict"]).arg(&list),
        "verify",
    )?;
    let below = ["lib", "conf", "bin"].map(|name| format!("apache-pulsar-{VERSION}/{name}"));
    let mut command = Command::new(tar);
    command.arg("-xzf").arg(&archive).arg("-C").arg(to);
    run(command.arg("--strip-components=1").args(below), "unpack")?;
    fs::remove_file(&archive).context(|| "cannot remove the archive".to_owned())
}

const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";
const ARTIFACT: &str = "pulsar-server-distribution";
/// As seen when this was written; the repository itself names a SHA-1 only.
const SHA512: &str = "65b769b10696cdfebf7fc5bcdc95dd663702e27051e616c1a13cb100e9127952\
    5be35352171befe7b0011176330aab29bd0a6c8a0f2f0646641af46d2e33cbd6";
