//! Servers with TLS: their options, and what can be changed while they run.

use std::path::Path;

use super::{Broker, Cluster, OPENS};
use crate::brokers::rocketmq::ready::Door;
use crate::brokers::rocketmq::spec::Spec;
use crate::brokers::rocketmq::tls::install;
use crate::brokers::{Certificates, Error, Result};

impl Cluster {
    /// The same, to be changed.
    ///
    /// # Errors
    /// None in practice: every profile has one.
    pub fn nameserver_mut(&mut self) -> Result<&mut Broker> {
        let found = self
            .servers
            .iter_mut()
            .find(|server| server.guard.is_none());
        found.ok_or_else(|| Error::new("there is no nameserver"))
    }
}

impl Broker {
    /// Its `ROCKETMQ_HOME`, where `conf/plain_acl.yml` lies: a running 4.x reads it again when it changes.
    pub fn home(&self) -> &Path {
        &self.server.program.dir
    }

    /// Gives it a certificate that has expired, or the good one again; it reads it within a second. Profiles with TLS only.
    ///
    /// # Errors
    /// If the files can't be written.
    pub fn certificate_expired(&self, expired: bool) -> Result<()> {
        let name = if expired { "expired" } else { "server" };
        Certificates::made()?.present(&self.server.program.dir, name)
    }

    /// Starts it again with TLS switched off, or in the mode that its profile has.
    ///
    /// # Errors
    /// If it isn't ready within two minutes.
    pub fn restart_without_tls(&mut self) -> Result<()> {
        // What comes later wins; the class path comes after the options.
        let at = OPENS.len();
        let off = "-Dtls.server.mode=disabled".to_owned();
        self.server
            .program
            .args
            .retain(|option| !option.starts_with("-Dtls.server.mode"));
        self.server.program.args.insert(at, off);
        self.door = Door::Plain;
        self.restart()
    }
}

/// The JVM options of a server whose home is `dir`.
pub(super) fn options(base: &[&str], spec: &Spec, dir: &Path) -> Result<Vec<String>> {
    let mut options: Vec<String> = base.iter().map(ToString::to_string).collect();
    if let Some(tls) = spec.tls {
        options.extend(install(tls, dir)?);
    }
    Ok(options)
}
