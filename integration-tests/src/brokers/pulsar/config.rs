//! What a broker reads and how its JVM is started: the archive's configuration, the base files that `docker-compose.yml` mounts too, and an overlay.

use std::fs;
use std::path::{Path, PathBuf};

use super::{LISTENER, Ports, Spec, Tokens};
use crate::brokers::{Certificates, Context as _, Result, workspace};

/// The directory of the base files.
pub fn base_dir() -> PathBuf {
    workspace().join("integration-tests/brokers/pulsar")
}

/// What differs from one broker to the next.
pub(super) struct Overlay<'a> {
    pub(super) dir: &'a Path,
    pub(super) ports: Ports,
    pub(super) spec: &'static Spec,
    pub(super) tokens: Option<&'a Tokens>,
    /// Lines of the test's own; they win.
    pub(super) more: &'a [&'a str],
}

impl Overlay<'_> {
    /// Writes everything that the broker reads.
    pub(super) fn write(&self, home: &Path) -> Result<()> {
        let mut pieces = vec![
            home.join("conf/standalone.conf"),
            base_dir().join("pulsar.conf"),
        ];
        if self.spec.secured {
            pieces.push(base_dir().join("secured.conf"));
            let tls = self.dir.join("tls");
            fs::create_dir_all(&tls).context(|| format!("cannot create {}", tls.display()))?;
            Certificates::made()?.present(self.dir, "server")?;
        }
        let mut text = String::new();
        for piece in pieces {
            let more = fs::read_to_string(&piece);
            text += &more.context(|| format!("cannot read {}", piece.display()))?;
            text.push('\n');
        }
        for (key, value) in self.lines()? {
            text.extend([key, "=", &value, "\n"]);
        }
        for line in self.more {
            text.extend([line, "\n"]);
        }
        let conf = self.file();
        fs::write(&conf, text).context(|| format!("cannot write {}", conf.display()))
    }

    fn file(&self) -> PathBuf {
        self.dir.join("standalone.conf")
    }

    fn lines(&self) -> Result<Vec<(&'static str, String)>> {
        let ports = self.ports;
        let (plain, tls) = (ports.plain(), ports.tls());
        let mut listeners = vec![
            format!("main:pulsar://127.0.0.1:{plain}"),
            format!("{LISTENER}:pulsar://localhost:{plain}"),
        ];
        let mut lines = vec![
            ("bindAddress", "127.0.0.1".to_owned()),
            ("brokerServicePort", plain.to_string()),
            ("webServicePort", ports.admin().to_string()),
            // It names the listeners' addresses instead.
            ("advertisedAddress", String::new()),
            ("internalListenerName", "main".to_owned()),
        ];
        if let Some(tokens) = self.tokens {
            listeners.push(format!("main:pulsar+ssl://127.0.0.1:{tls}"));
            listeners.push(format!("{LISTENER}:pulsar+ssl://localhost:{tls}"));
            lines.extend(self.secured_lines(tokens)?);
        }
        lines.push(("advertisedListeners", listeners.join(",")));
        Ok(lines)
    }

    fn secured_lines(&self, tokens: &Tokens) -> Result<Vec<(&'static str, String)>> {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let admin = format!("token:{}", tokens.read(super::ADMIN)?);
        let key = format!("file://{}", tokens.key().display());
        let ca = Certificates::made()?.ca();
        Ok(vec![
            ("brokerServicePortTls", self.ports.tls().to_string()),
            ("webServicePortTls", self.ports.admin_tls().to_string()),
            ("tlsCertificateFilePath", path("tls/server.pem")),
            ("tlsKeyFilePath", path("tls/server.key")),
            ("tlsTrustCertsFilePath", ca.display().to_string()),
            ("tokenSecretKey", key),
            (
                "basicAuthConf",
                base_dir().join("htpasswd").display().to_string(),
            ),
            ("brokerClientAuthenticationParameters", admin),
        ])
    }

    /// The JVM's arguments. `bin/pulsar` would start three processes before, and its own directory would be the broker's.
    pub(super) fn arguments(&self, home: &Path) -> Vec<String> {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let mut args: Vec<String> = JVM.iter().map(ToString::to_string).collect();
        let conf = home.join("conf/log4j2.yaml");
        args.push(format!("-Dlog4j.configurationFile={}", conf.display()));
        args.push(format!("-Dpulsar.log.dir={}", path("logs")));
        args.push(format!("-Dpulsar.config.file={}", self.file().display()));
        args.extend(["-cp".to_owned(), format!("{}/lib/*", home.display())]);
        args.push("org.apache.pulsar.PulsarStandaloneStarter".to_owned());
        // Neither functions nor their storage.
        args.extend(["-nfw", "-nss", "--metadata-dir"].map(str::to_owned));
        args.push(path("metadata"));
        args.extend(["--bookkeeper-dir".to_owned(), path("bookkeeper")]);
        args
    }
}

/// Memory of a small machine, the quick compiler alone, and what bin/pulsar says to a JVM.
const JVM: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xms256m",
    "-Xmx512m",
    "-XX:MaxDirectMemorySize=512m",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/java.util.zip=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.platform=ALL-UNNAMED",
    "--add-opens=java.management/sun.management=ALL-UNNAMED",
    "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.net.preferIPv4Stack=true",
    "-Djute.maxbuffer=10485760",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dorg.apache.pulsar.shade.io.netty.tryReflectionSetAccessible=true",
    "-Dpulsar.allocator.exit_on_oom=true",
    "-Dbookkeeper.metadata.bookie.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataBookieDriver",
    "-Dbookkeeper.metadata.client.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataClientDriver",
    "-Dlog4j2.is.webapp=false",
    "-Dlog4j.shutdownHookEnabled=false",
    "-Dpulsar.log.appender=Console",
    "-Dpulsar.log.level=warn",
    "-Dpulsar.log.root.level=warn",
    "-Dpulsar.log.immediateFlush=true",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::pulsar::{ADMIN, BASIC, OPEN, SECURED};

    fn read(name: &str) -> String {
        fs::read_to_string(base_dir().join(name)).unwrap()
    }

    fn overlay(spec: &'static Spec, tokens: Option<&Tokens>) -> Vec<(&'static str, String)> {
        let ports = Ports {
            base: spec.base_port,
        };
        let (dir, more) = (Path::new("/d"), &[][..]);
        let overlay = Overlay {
            dir,
            ports,
            spec,
            tokens,
            more,
        };
        overlay.lines().unwrap()
    }

    #[test]
    fn the_overlay_says_nothing_that_a_base_file_says() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::written(dir.path()).unwrap();
        for (spec, tokens) in [(&OPEN, None), (&SECURED, Some(&tokens))] {
            for (key, _) in overlay(spec, tokens) {
                for file in ["pulsar.conf", "secured.conf"] {
                    let said = read(file)
                        .lines()
                        .any(|line| line.starts_with(&format!("{key}=")));
                    assert!(!said, "{key} in {file}");
                }
            }
        }
    }

    #[test]
    fn nothing_listens_beyond_loopback_and_both_listeners_are_told() {
        let lines = overlay(&OPEN, None);
        let value = |key| &lines.iter().find(|line| line.0 == key).unwrap().1;
        assert_eq!(value("bindAddress"), "127.0.0.1");
        assert_eq!(
            value("advertisedListeners"),
            "main:pulsar://127.0.0.1:29876,named:pulsar://localhost:29876"
        );
    }

    #[test]
    fn the_roles_are_those_of_the_files() {
        assert!(read("secured.conf").contains(&format!("\nsuperUserRoles={ADMIN}\n")));
        assert!(read("htpasswd").starts_with(&format!("{}:", BASIC.name)));
    }
}
