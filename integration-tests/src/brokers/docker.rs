//! The same profiles as containers: `docker compose up --wait` and `down`.
//!
//! Never run on a container engine: the command lines are tested against a recording stand-in,
//! the compose file against compose's own loader.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::ports::broker_port;
use super::process::in_path;
use super::{Context, Error, Profile, Result, workspace};

/// What `docker-compose.yml` must say about one server of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// The service's name.
    pub name: String,
    /// Image with its version as tag.
    pub image: String,
    /// Published on loopback, the same number inside and outside, since routes name it; the last
    /// one is the port it listens on.
    pub ports: Vec<u16>,
    /// The base files of its configuration, in order.
    pub base: &'static [&'static str],
    /// The name in routes; `None` for a nameserver.
    pub broker: Option<&'static str>,
    /// The nameserver it registers with, as `service:port`; `None` for a nameserver.
    pub nameserver: Option<String>,
    /// The question of its health check, a sub-command of `mqadmin`.
    pub health: &'static str,
}

/// The services of a profile, as the launcher's table has them. None for one with TLS: its certificates are the launcher's.
pub fn services(profile: Profile) -> Vec<Service> {
    let spec = profile.spec();
    if spec.tls.is_some() {
        return Vec::new();
    }
    let image = format!("apache/rocketmq:{}", spec.version);
    let nameserver = format!("{profile}-namesrv");
    let registry = format!("{nameserver}:{}", spec.base_port);
    let mut all = vec![Service {
        name: nameserver,
        image: image.clone(),
        ports: vec![spec.base_port],
        base: &["namesrv.conf"],
        broker: None,
        nameserver: None,
        health: "getNamesrvConfig",
    }];
    all.extend(
        spec.brokers
            .iter()
            .enumerate()
            .map(|(index, (name, base))| {
                let port = broker_port(spec.base_port, index);
                Service {
                    name: format!("{profile}-{name}"),
                    image: image.clone(),
                    ports: vec![port - 2, port],
                    base,
                    broker: Some(name),
                    nameserver: Some(registry.clone()),
                    health: "topicRoute",
                }
            }),
    );
    all
}

/// The compose file, at the workspace's root.
pub fn compose_file() -> PathBuf {
    workspace().join("docker-compose.yml")
}

/// Starts the profile's containers and waits until each is healthy; returns the URL.
pub(super) fn up(profile: Profile) -> Result<String> {
    let services = services(profile);
    if services.is_empty() {
        return Err(Error::new(format!(
            "profile {profile} runs natively only: leave out --docker"
        )));
    }
    let names = services.into_iter().map(|service| service.name);
    let mut args = vec!["up".to_owned(), "-d".to_owned(), "--wait".to_owned()];
    args.extend(names);
    compose(&args)?;
    let nameserver = format!("127.0.0.1:{}", profile.spec().base_port);
    profile.url(&nameserver)
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
