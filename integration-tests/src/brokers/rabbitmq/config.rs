//! A node's directory: the base files that `docker-compose.yml` mounts too, an overlay, and its own `rabbitmqctl`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::packages::Server;
use super::{Ports, loopback};
use crate::brokers::{Certificates, Context as _, Result, workspace};

/// The directory of the base files.
pub fn base_dir() -> PathBuf {
    workspace().join("integration-tests/brokers/rabbitmq")
}

/// Writes everything that the node and its `rabbitmqctl` read.
pub(super) fn write(dir: &Path, ports: Ports, server: &Server, made: &Certificates) -> Result<()> {
    let tls = dir.join("tls");
    fs::create_dir_all(&tls).context(|| format!("cannot create {}", tls.display()))?;
    made.present(dir, "server")?;
    for name in ["advanced.config", "enabled_plugins"] {
        fs::copy(base_dir().join(name), dir.join(name))
            .context(|| format!("cannot copy {name} to {}", dir.display()))?;
    }
    let base = base_dir().join("rabbitmq.conf");
    let base = fs::read_to_string(&base).context(|| format!("cannot read {}", base.display()))?;
    let conf = dir.join("rabbitmq.conf");
    fs::write(&conf, base + &overlay(dir, ports, &made.ca()))
        .context(|| format!("cannot write {}", conf.display()))?;
    let script = control(dir);
    fs::write(&script, control_script(dir, ports, server))
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .context(|| format!("cannot write {}", script.display()))
}

/// The node's `rabbitmqctl`.
pub(super) fn control(dir: &Path) -> PathBuf {
    dir.join("rabbitmqctl")
}

/// All that differs between a native node and one in a container.
fn overlay(dir: &Path, ports: Ports, ca: &Path) -> String {
    let lines = [
        ("listeners.tcp.1", loopback(ports.amqp()).to_string()),
        ("listeners.ssl.1", loopback(ports.amqps()).to_string()),
        ("ssl_options.cacertfile", ca.display().to_string()),
        (
            "ssl_options.certfile",
            dir.join("tls/server.pem").display().to_string(),
        ),
        (
            "ssl_options.keyfile",
            dir.join("tls/server.key").display().to_string(),
        ),
        // A client may have a certificate: then it must be ours.
        ("ssl_options.verify", "verify_peer".to_owned()),
        ("ssl_options.fail_if_no_peer_cert", "false".to_owned()),
        ("management.tcp.ip", "127.0.0.1".to_owned()),
        ("management.tcp.port", ports.management().to_string()),
        (
            "stream.listeners.tcp.1",
            loopback(ports.stream()).to_string(),
        ),
        ("stream.advertised_host", "127.0.0.1".to_owned()),
        ("stream.advertised_port", ports.stream().to_string()),
        (
            "load_definitions",
            base_dir().join("definitions.json").display().to_string(),
        ),
    ];
    let lines = lines.map(|(key, value)| format!("{key} = {value}\n"));
    format!("\n# overlay\n{}", lines.concat())
}

/// The variables of the node and of its tools.
pub(super) fn environment(dir: &Path, ports: Ports, server: &Server) -> Vec<(String, String)> {
    let path = |name: &str| dir.join(name).display().to_string();
    // An epmd that they start themselves would outlive them.
    let erlang = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}";
    let (first, last) = ports.tools();
    let path_variable = std::env::var("PATH").unwrap_or_default();
    let all = [
        (
            "PATH",
            format!("{}:{path_variable}", server.erlang.display()),
        ),
        // Where the cookie lies: another node's tools can't come in.
        ("HOME", dir.display().to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("ERL_EPMD_PORT", ports.epmd().to_string()),
        ("RABBITMQ_NODENAME", "mq@localhost".to_owned()),
        ("RABBITMQ_DIST_PORT", ports.distribution().to_string()),
        ("RABBITMQ_MNESIA_BASE", path("store")),
        ("RABBITMQ_LOG_BASE", path("log")),
        ("RABBITMQ_PID_FILE", path("pid")),
        ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
        ("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced.config")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
        ("RABBITMQ_PLUGINS_EXPAND_DIR", path("plugins")),
        ("RABBITMQ_FEATURE_FLAGS_FILE", path("feature_flags")),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            // One scheduler is plenty, and starts the fastest.
            format!("+S 1:1 {erlang}"),
        ),
        ("RABBITMQ_CTL_ERL_ARGS", erlang.to_owned()),
        ("RABBITMQ_CTL_DIST_PORT_MIN", first.to_string()),
        ("RABBITMQ_CTL_DIST_PORT_MAX", last.to_string()),
        // The script becomes the node, instead of waiting for it: the recorded process is the node's.
        ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

fn control_script(dir: &Path, ports: Ports, server: &Server) -> String {
    let variables = environment(dir, ports, server).into_iter();
    let variables = variables.map(|(name, value)| format!("export {name}={}\n", quoted(&value)));
    let tool = server.scripts.join("rabbitmqctl").display().to_string();
    format!(
        "#!/bin/sh\n{}exec {} \"$@\"\n",
        variables.collect::<String>(),
        quoted(&tool)
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::brokers::User;
    use crate::brokers::rabbitmq::{GUEST, LIMITED, NOBODY, ROLE, VHOST};

    fn read(name: &str) -> String {
        fs::read_to_string(base_dir().join(name)).unwrap()
    }

    fn keys(text: &str) -> Vec<&str> {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines.map(|(key, _)| key.trim()).collect()
    }

    #[test]
    fn the_overlay_says_nothing_that_the_base_says() {
        let base = read("rabbitmq.conf");
        let overlay = overlay(Path::new("/d"), Ports { base: 29_916 }, Path::new("/ca"));
        for key in keys(&overlay) {
            assert!(!keys(&base).contains(&key), "{key}");
        }
        assert!(overlay.contains("\nlisteners.tcp.1 = 127.0.0.1:29916\n"));
        assert!(!overlay.contains("0.0.0.0"));
    }

    #[test]
    fn the_users_are_those_of_the_file() {
        let file: Value = serde_json::from_str(&read("definitions.json")).unwrap();
        for User { name, secret } in [ROLE, GUEST, LIMITED, NOBODY] {
            let mut users = file["users"].as_array().unwrap().iter();
            let user = users.find(|user| user["name"] == name).unwrap();
            assert_eq!(user["password"], secret, "{name}");
        }
        let mut hosts = file["vhosts"].as_array().unwrap().iter();
        assert!(hosts.any(|host| host["name"] == VHOST));
    }

    #[test]
    fn what_a_shell_reads_is_what_was_meant() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
