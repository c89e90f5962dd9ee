//! A broker's configuration: the base files that `docker-compose.yml` mounts too, plus an overlay.

use std::fs;
use std::path::{Path, PathBuf};

use super::spec::Spec;
use crate::brokers::{Context as _, Result, workspace};

/// The directory of the base files.
pub fn base_dir() -> PathBuf {
    workspace().join("integration-tests/brokers/rocketmq")
}

/// All that may differ between a native broker and one in a container.
///
/// The bind address is host *and* port here: natively the block of ports is probed, so that
/// several instances can run at once. Ports inside a block derive from its base (`ports.rs`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlay {
    pub(super) listen_port: u16,
    /// `None` for a nameserver.
    pub(super) broker: Option<BrokerOverlay>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BrokerOverlay {
    pub(super) nameserver: String,
    pub(super) store: PathBuf,
}

impl Overlay {
    /// Writes `base` files and this overlay as one file; in a properties file the later line wins.
    pub(super) fn write(&self, base: &[&str], to: &Path) -> Result<()> {
        let mut text = String::new();
        for name in base {
            let path = base_dir().join(name);
            let piece =
                fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
            text.push_str(&piece);
            text.push('\n');
        }
        text.push_str(&self.text());
        fs::write(to, text).context(|| format!("cannot write {}", to.display()))
    }

    fn text(&self) -> String {
        // 4.x knows no bindAddress and listens on every address.
        let mut lines = vec![
            "# overlay".to_owned(),
            "bindAddress=127.0.0.1".to_owned(),
            format!("listenPort={}", self.listen_port),
        ];
        if let Some(BrokerOverlay { nameserver, store }) = &self.broker {
            lines.push(format!("namesrvAddr={nameserver}"));
            lines.push(format!("storePathRootDir={}", store.display()));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Lays out a `ROCKETMQ_HOME`: quiet logging, and the users where ACL is on.
pub(super) fn write_home(home: &Path, spec: &Spec) -> Result<()> {
    let conf = home.join("conf");
    fs::create_dir_all(&conf).context(|| format!("cannot create {}", conf.display()))?;
    // 5.x takes the first from its class path, 4.x does not boot without the other two.
    let logging = [
        "rmq.logback.xml",
        "logback_broker.xml",
        "logback_namesrv.xml",
    ];
    let mut copies: Vec<_> = logging.map(|name| ("logback.xml", name)).to_vec();
    if spec.acl {
        copies.push(("plain_acl.yml", "plain_acl.yml"));
    }
    for (from, to) in copies {
        fs::copy(base_dir().join(from), conf.join(to))
            .context(|| format!("cannot copy {from} to {}", conf.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::User;
    use super::*;
    use crate::brokers::Profile;
    use crate::brokers::profile::Plan;

    fn keys(text: &str) -> Vec<&str> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split_once('='))
            .map(|(key, _)| key)
            .collect()
    }

    #[test]
    fn the_overlay_is_bind_address_nameserver_and_store_and_comes_last() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("broker.conf");
        let broker = BrokerOverlay {
            nameserver: "127.0.0.1:1".into(),
            store: "/s/store".into(),
        };
        let overlay = Overlay {
            listen_port: 2,
            broker: Some(broker),
        };
        overlay
            .write(&["broker-a.conf", "acl.conf"], &file)
            .unwrap();
        let text = fs::read_to_string(file).unwrap();
        let (base, tail) = text.split_once("# overlay\n").unwrap();
        assert_eq!(
            keys(tail),
            [
                "bindAddress",
                "listenPort",
                "namesrvAddr",
                "storePathRootDir"
            ]
        );
        assert!(base.contains("brokerName=broker-a\n") && base.contains("aclEnable=true\n"));
        for key in ["bindAddress", "namesrvAddr", "storePathRootDir"] {
            assert!(!keys(base).contains(&key), "{key} is in the base too");
        }
    }

    #[test]
    fn a_nameserver_has_no_store_and_no_nameserver() {
        let overlay = Overlay {
            listen_port: 2,
            broker: None,
        };
        assert_eq!(
            overlay.text(),
            "# overlay\nbindAddress=127.0.0.1\nlistenPort=2\n"
        );
    }

    #[test]
    fn two_brokers_differ_in_name_and_port_only() {
        let read = |name| fs::read_to_string(base_dir().join(name)).unwrap();
        let (a, b) = (read("broker-a.conf"), read("broker-b.conf"));
        let differing: Vec<_> = a
            .lines()
            .zip(b.lines())
            .filter(|(a, b)| a != b)
            .map(|(a, _)| a)
            .collect();
        assert_eq!(a.lines().count(), b.lines().count());
        assert_eq!(keys(&differing.join("\n")), ["brokerName", "listenPort"]);
    }

    #[test]
    fn the_users_are_those_of_the_file() {
        let text = fs::read_to_string(base_dir().join("plain_acl.yml")).unwrap();
        for User { name, secret } in [User::ADMIN, User::ALICE] {
            assert!(text.contains(&format!("accessKey: {name}\n")), "{name}");
            assert!(
                text.replace('"', "")
                    .contains(&format!("secretKey: {secret}\n")),
                "{name}"
            );
        }
    }

    #[test]
    fn each_base_file_exists() {
        for profile in Profile::ALL {
            let Plan::Rocketmq(spec) = profile.plan() else {
                continue;
            };
            for (_, pieces) in spec.brokers {
                assert!(
                    pieces.iter().all(|piece| base_dir().join(piece).is_file()),
                    "{profile}"
                );
            }
        }
    }
}
