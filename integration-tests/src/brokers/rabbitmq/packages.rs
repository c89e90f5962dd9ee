//! Where RabbitMQ and its Erlang come from: Debian's packages, unpacked into the cache, or what the machine has.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::VERSION;
use crate::brokers::process::{in_path, tail};
use crate::brokers::signals::Stop;
use crate::brokers::{Context as _, Error, Result, cache};

/// A RabbitMQ that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) version: String,
    /// Its scripts; Debian's own in `/usr/sbin` want to be another user.
    pub(super) scripts: PathBuf,
    /// The directory with `erl` and `epmd`.
    pub(super) erlang: PathBuf,
}

/// What `MQ_RABBITMQ_DIR` names, else an installed one of our version, else the packages, else an installed one of any version.
pub(super) fn find(stop: &Stop) -> Result<Server> {
    if let Some(dir) = std::env::var_os(VARIABLE) {
        return installed(Path::new(&dir))?.ok_or_else(|| {
            Error::new(format!(
                "{VARIABLE} names no RabbitMQ: it has sbin/rabbitmq-server and plugins/rabbit-<version>"
            ))
        });
    }
    let found = places().iter().find_map(|dir| installed(dir).ok()?);
    if let Some(server) = found.clone().filter(|server| server.version == VERSION) {
        return Ok(server);
    }
    match cache::fetch(&format!("rabbitmq-{VERSION}"), stop, |dir| {
        download(dir, stop)
    }) {
        Ok(root) => unpacked(&root),
        Err(cause) => {
            stop.check()?;
            found.ok_or_else(|| {
                Error::new(format!(
                    "{cause}\nWhat the launcher needs is RabbitMQ {VERSION}, which Debian 12 has. \
                     Elsewhere install rabbitmq-server, or let {VARIABLE} name a directory \
                     with sbin/rabbitmq-server, and put Erlang's erl and epmd into PATH"
                ))
            })
        }
    }
}

/// The RabbitMQ in that directory, with the Erlang that is in `PATH`.
fn installed(dir: &Path) -> Result<Option<Server>> {
    let scripts = dir.join("sbin");
    let (true, Some(version)) = (scripts.join("rabbitmq-server").is_file(), version(dir)) else {
        return Ok(None);
    };
    let erl = in_path("erl", "Erlang (Debian: apt-get install erlang-base)")?;
    Ok(Some(Server {
        version,
        scripts,
        erlang: erl.parent().map(Path::to_owned).unwrap_or_default(),
    }))
}

/// Where packages and archives put it.
fn places() -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from("/opt/rabbitmq")];
    for parent in ["/usr/lib/rabbitmq/lib", "/usr/local/lib/rabbitmq/lib"] {
        all.extend(servers(Path::new(parent)));
    }
    all
}

fn servers(parent: &Path) -> Vec<PathBuf> {
    named(parent, "rabbitmq_server-")
}

/// What begins so in that directory.
fn named(dir: &Path, beginning: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| {
        let name = path.file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| name.starts_with(beginning))
    });
    found.sort();
    found
}

/// Read from the broker's own plugin, a directory or an archive.
fn version(dir: &Path) -> Option<String> {
    let plugins = named(&dir.join("plugins"), "rabbit-");
    let name = plugins.first()?.file_name()?.to_str()?;
    let version = name.strip_prefix("rabbit-")?;
    Some(version.strip_suffix(".ez").unwrap_or(version).to_owned())
}

/// What [`download`] has left.
fn unpacked(root: &Path) -> Result<Server> {
    let dir = servers(&root.join("usr/lib/rabbitmq/lib"));
    let dir = dir.first().map_or(root, PathBuf::as_path);
    let scripts = dir.join("sbin");
    let version = version(dir).filter(|_| scripts.join("rabbitmq-server").is_file());
    Ok(Server {
        version: version
            .ok_or_else(|| Error::new(format!("{} holds no RabbitMQ", root.display())))?,
        scripts,
        erlang: root.join("usr/lib/erlang/bin"),
    })
}

/// Downloads by apt, which checks what it gets against the signed lists, and unpacks. Needs no root, and installs nothing.
fn download(to: &Path, stop: &Stop) -> Result<()> {
    let apt = in_path("apt-get", "RabbitMQ")?;
    let dpkg = in_path("dpkg-deb", "RabbitMQ")?;
    let archives = to.join("archives");
    fs::create_dir_all(&archives).context(|| format!("cannot create {}", archives.display()))?;
    let log = to.join("apt.log");
    let mut command = Command::new(apt);
    command
        .args(["-q", "download"])
        .arg(format!("rabbitmq-server={VERSION}*"))
        .args(ERLANG.iter().map(|name| format!("erlang-{name}")))
        .current_dir(&archives);
    if !cache::finish(&mut command, &log, stop)?.success() {
        return Err(Error::new(format!(
            "apt-get could not download RabbitMQ {VERSION} and its Erlang \
             (`apt-get update` renews what apt knows):\n{}",
            tail(&log)
        )));
    }
    for archive in named(&archives, "") {
        let mut command = Command::new(&dpkg);
        command.arg("-x").arg(&archive).arg(to);
        if !cache::finish(&mut command, &log, stop)?.success() {
            let said = tail(&log);
            return Err(Error::new(format!("dpkg-deb could not unpack:\n{said}")));
        }
    }
    fs::remove_dir_all(&archives).context(|| "cannot remove the archives".to_owned())?;
    let erlang = to.join("usr/lib/erlang");
    start_from(&erlang.join("bin/erl"), "..")?;
    for erts in named(&erlang, "erts-") {
        start_from(&erts.join("bin/erl"), "../..")?;
    }
    unpacked(to).map(drop)
}

/// Debian's `erl` looks for its files in `/usr/lib/erlang`: this one finds them from where it lies.
fn start_from(erl: &Path, root: &str) -> Result<()> {
    let script = format!(
        "#!/bin/sh\n\
         ROOTDIR=$(cd \"$(dirname \"$0\")/{root}\" && pwd)\n\
         BINDIR=$(echo \"$ROOTDIR\"/erts-*/bin)\n\
         EMU=beam\n\
         PROGNAME=erl\n\
         export ROOTDIR BINDIR EMU PROGNAME\n\
         exec \"$BINDIR/erlexec\" \"$@\"\n"
    );
    fs::write(erl, script)
        .and_then(|()| fs::set_permissions(erl, fs::Permissions::from_mode(0o755)))
        .context(|| format!("cannot write {}", erl.display()))
}

const VARIABLE: &str = "MQ_RABBITMQ_DIR";

/// The parts of Erlang that RabbitMQ's package depends on.
const ERLANG: &[&str] = &[
    "asn1",
    "base",
    "crypto",
    "eldap",
    "ftp",
    "inets",
    "mnesia",
    "os-mon",
    "parsetools",
    "public-key",
    "runtime-tools",
    "snmp",
    "ssl",
    "syntax-tools",
    "tftp",
    "tools",
    "xmerl",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_broker_in_either_form() {
        for plugin in ["rabbit-3.12.1", "rabbit-3.12.1.ez"] {
            let dir = tempfile::tempdir().unwrap();
            assert_eq!(version(dir.path()), None);
            for name in [plugin, "rabbit_common-3.12.1", "ra-2.2.0"] {
                fs::create_dir_all(dir.path().join("plugins").join(name)).unwrap();
            }
            assert_eq!(version(dir.path()).as_deref(), Some("3.12.1"));
            // Without its script it can't be started.
            assert_eq!(installed(dir.path()).unwrap(), None);
            assert!(unpacked(dir.path()).is_err());
        }
    }
}
