//! Certificates of the TLS profiles: made once, kept beside the caches, valid for this machine's loopback only.
//!
//! ```text
//!   .brokers/tls/   ca.pem ── server.pem, client.pem, expired.pem (each with its .key)      other-ca.pem
//!   <server>/tls/   server.pem, server.key (a copy, watched by the server), tls.properties
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::{Context, Result, home};

/// Where the certificates lie.
#[derive(Debug, Clone)]
pub struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// The certificates of this checkout; made if there are none.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn made() -> Result<Self> {
        let dir = home().join("tls");
        if !dir.join("ca.pem").exists() {
            fs::create_dir_all(home()).context(|| "cannot create the brokers' directory".into())?;
            let fresh = home().join(format!(
                "tls-{}-{:x}",
                std::process::id(),
                fastrand::u64(..)
            ));
            fs::create_dir(&fresh).context(|| format!("cannot create {}", fresh.display()))?;
            write_all(&fresh)?;
            // Somebody else may have been faster: theirs are as good.
            if fs::rename(&fresh, &dir).is_err() {
                let _ = fs::remove_dir_all(&fresh);
            }
        }
        Ok(Self { dir })
    }

    /// The CA that has signed the brokers' certificates, and the clients'.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A CA that has signed nothing.
    pub fn other_ca(&self) -> PathBuf {
        self.dir.join("other-ca.pem")
    }

    /// A client's certificate.
    pub fn client(&self) -> PathBuf {
        self.dir.join("client.pem")
    }

    /// Its key.
    pub fn client_key(&self) -> PathBuf {
        self.dir.join("client.key")
    }

    /// Gives the server at `dir` the certificate of that name. A running one looks twice a second.
    pub(super) fn present(&self, dir: &Path, name: &str) -> Result<()> {
        for kind in ["key", "pem"] {
            let (from, to) = (self.dir.join(name), dir.join("tls/server"));
            let (from, to) = (from.with_extension(kind), to.with_extension(kind));
            fs::copy(&from, &to).context(|| format!("cannot copy {}", from.display()))?;
        }
        Ok(())
    }

    /// How the launcher itself speaks to the servers: with the client's certificate.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>> {
        let unread = || "cannot read the certificates of the TLS profiles".to_owned();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.ca()).context(unread)?)
            .context(unread)?;
        let chain = vec![CertificateDer::from_pem_file(self.client()).context(unread)?];
        let key = PrivateKeyDer::from_pem_file(self.client_key()).context(unread)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context(unread)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .context(unread)?;
        Ok(Arc::new(config))
    }
}

fn write_all(dir: &Path) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))
    };
    let unmade = || "cannot make certificates".to_owned();
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named(name);
        let key = KeyPair::generate().context(unmade)?;
        CertifiedIssuer::self_signed(params, key).context(unmade)
    };
    let ca = authority("mq test CA")?;
    for name in ["server", "client", "expired"] {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).context(unmade)?;
        params.distinguished_name = named(name);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        if name == "expired" {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().context(unmade)?;
        let signed = params.signed_by(&key, &ca).context(unmade)?;
        write(&format!("{name}.pem"), signed.pem())?;
        write(&format!("{name}.key"), key.serialize_pem())?;
    }
    write("other-ca.pem", authority("mq test other CA")?.pem())?;
    write("ca.pem", ca.pem())
}

fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}
