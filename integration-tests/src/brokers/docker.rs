//! The same profiles as containers: `docker compose up --wait` and `down`.
//!
//! Never run on a container engine: the command lines are tested against a recording stand-in,
//! the compose file against compose's own loader.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::process::in_path;
use super::{Context, Error, Profile, Result, workspace};

/// The compose file, at the workspace's root.
pub fn compose_file() -> PathBuf {
    workspace().join("docker-compose.yml")
}

/// What `docker-compose.yml` must say about a broker that is one container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// The service's name, and its profile's.
    pub name: &'static str,
    /// Image with its version as tag.
    pub image: String,
    /// What listens where, by the variable that says so. Published on loopback, the same number inside and outside.
    pub ports: Vec<(&'static str, u16)>,
    /// The directory of base files that is mounted.
    pub base: PathBuf,
}

/// Starts the profile's containers and waits until each is healthy; returns their variables.
pub(super) fn up(profile: Profile) -> Result<Vec<(String, String)>> {
    let containers = profile.containers();
    if containers.is_empty() {
        return Err(Error::new(format!(
            "profile {profile} runs natively only: leave out --docker"
        )));
    }
    let mut args = ["up", "-d", "--wait"].map(str::to_owned).to_vec();
    args.extend(containers);
    compose(&args)?;
    profile.container_variables()
}

/// Removes every container of the file; their data goes with them.
pub(super) fn down() -> Result<()> {
    compose(&["--profile", "*", "down"].map(str::to_owned))
}

/// Shows the containers.
pub(super) fn status() -> Result<()> {
    compose(&["--profile", "*", "ps"].map(str::to_owned))
}

fn compose(args: &[String]) -> Result<()> {
    let docker = in_path(
        "docker",
        "Docker with its compose plugin, or leave out --docker",
    )?;
    let status = Command::new(docker)
        .args(["compose", "-f"])
        .arg(compose_file())
        .args(args)
        .stdin(Stdio::null())
        .status()
        .context(|| "cannot start docker".to_owned())?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(format!(
        "`docker compose {}` failed: {status}",
        args.join(" ")
    )))
}
