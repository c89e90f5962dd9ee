//! What a user says about TLS.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::error::{Result, invalid};

/// How the connections to nameservers and brokers are secured: given to [`ClientBuilder::tls`](crate::ClientBuilder::tls).
///
/// A server's certificate is verified: somebody trusted has signed it, it is valid today, and it is for the host that was connected to
/// (a name or an address, as the nameserver list and the brokers' routes have it). Without [`Tls::ca_pem`] those are trusted whom this
/// machine trusts. TLS 1.2 and 1.3 are spoken.
///
/// ```no_run
/// # fn f() -> mq_rocketmq::Result<()> {
/// use mq_rocketmq::{Client, Tls};
///
/// let tls = Tls::new().ca_file("ca.pem")?.identity_files("client.pem", "client.key")?;
/// let builder = Client::from_url("rocketmq://mq.example:9876")?.tls(tls);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Tls {
    pub(crate) trust: Trust,
    pub(crate) pins: Vec<[u8; 32]>,
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// Whose signature counts.
#[derive(Clone)]
pub(crate) enum Trust {
    Platform,
    Own(Vec<CertificateDer<'static>>),
    /// Nobody's: the key itself is known.
    Pins,
    Anybody,
}

/// Who the client is.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Tls {
    /// Verified with the roots that this machine trusts.
    pub fn new() -> Self {
        Self {
            trust: Trust::Platform,
            pins: Vec::new(),
            identity: None,
            server_name: None,
        }
    }

    /// Trusts whoever holds this key, and nobody else: neither issuer nor name nor date of the certificate count. For brokers whose
    /// certificate nobody has signed. The pin as for [`Tls::pin`], which adds more of them.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: it is not of the form `sha256/…`. Not retryable.
    pub fn pinned(pin: &str) -> Result<Self> {
        let mut tls = Self::new().pin(pin)?;
        tls.trust = Trust::Pins;
        Ok(tls)
    }

    /// Trusts these CAs, one or more certificates as PEM, *instead of* the machine's: who has a CA of their own does not want a public one to
    /// vouch for their brokers. Called again, it adds to them.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: there is no certificate in it, or one can't be read. Not retryable.
    pub fn ca_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self> {
        let mut fresh = certificates(pem.as_ref(), "the CA")?;
        match &mut self.trust {
            Trust::Own(known) => known.append(&mut fresh),
            trust => *trust = Trust::Own(fresh),
        }
        Ok(self)
    }

    /// [`Tls::ca_pem`] from a file, which is read at once.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the file can't be read, or as for [`Tls::ca_pem`]. Not retryable.
    pub fn ca_file(self, path: impl AsRef<Path>) -> Result<Self> {
        let pem = read(path.as_ref(), "the CA")?;
        self.ca_pem(pem)
    }

    /// Accepts, of the servers whose certificates are verified, only those with this key: `sha256/` and the base64 of the SHA-256 of the
    /// certificate's `SubjectPublicKeyInfo`, as curl's `--pinnedpubkey` and HPKP have it. Of the server's own certificate, not of an
    /// issuer's. Called again, one more key is accepted: give the next one before you change it.
    ///
    /// ```sh
    /// openssl x509 -in server.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64
    /// ```
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: it is not of that form. Not retryable.
    pub fn pin(mut self, pin: &str) -> Result<Self> {
        let digest = pin.trim().strip_prefix("sha256/").and_then(|base64| {
            let bytes = STANDARD.decode(base64).ok()?;
            <[u8; 32]>::try_from(bytes).ok()
        });
        let digest = digest.ok_or_else(|| {
            let why = format!("the pin \"{pin}\" is not sha256/ and 32 bytes in base64");
            invalid(READ, why)
        })?;
        self.pins.push(digest);
        Ok(self)
    }

    /// Shows servers that ask for it this certificate, with its issuers behind it, as PEM, and proves it with the key (PKCS#8, PKCS#1 or
    /// SEC1, not encrypted).
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: certificate or key can't be read; nothing of the key is told. That both belong together is found by
    /// [`ClientBuilder::connect`](crate::ClientBuilder::connect). Not retryable.
    pub fn identity_pem(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self> {
        let chain = certificates(chain.as_ref(), "the client certificate")?;
        // Not the library's words: they might quote the file.
        let key = PrivateKeyDer::from_pem_slice(key.as_ref()).map_err(|_| {
            let why = "the client's key is not a PEM file with an unencrypted private key";
            invalid(READ, why)
        })?;
        self.identity = Some(Arc::new(Identity { chain, key }));
        Ok(self)
    }

    /// [`Tls::identity_pem`] from two files, which are read at once.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: a file can't be read, or as for [`Tls::identity_pem`]. Not retryable.
    pub fn identity_files(self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        let chain = read(chain.as_ref(), "the client certificate")?;
        let key = read(key.as_ref(), "the client's key")?;
        self.identity_pem(chain, key)
    }

    /// Expects this name, or IP address, in the certificate of every server instead of the host that was connected to. For clusters whose
    /// routes have addresses and whose certificates have a name.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: it is neither a DNS name nor an IP address. Not retryable.
    pub fn server_name(mut self, name: &str) -> Result<Self> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            let why = format!("\"{name}\" is neither a DNS name nor an IP address");
            invalid(READ, why)
        })?;
        self.server_name = Some(name);
        Ok(self)
    }

    /// Accepts any certificate of anybody: whoever is between can read and change all, and take the access key's signatures. For a look at
    /// a test cluster; every connection logs a warning. Pins still count.
    pub fn danger_accept_invalid_certificates(mut self) -> Self {
        self.trust = Trust::Anybody;
        self
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("trust", &self.trust)
            .field("pins", &self.pins.len())
            .field("identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .finish()
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Platform => f.write_str("Platform"),
            Self::Own(certificates) => write!(f, "Own({})", certificates.len()),
            Self::Pins => f.write_str("Pins"),
            Self::Anybody => f.write_str("Anybody"),
        }
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|_| invalid(READ, format!("{what} is not a PEM file")))?;
    if all.is_empty() {
        let why = format!("{what}: there is no certificate in the PEM");
        return Err(invalid(READ, why));
    }
    Ok(all)
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|cause| {
        let error = invalid(
            READ,
            format!("{what} can't be read from {}", path.display()),
        );
        error.into_builder().source(cause).build()
    })
}

const READ: &str = "read tls options";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_read_says_so_and_repeats_no_key() {
        let tls = Tls::new;
        let canary = "-----BEGIN PRIVATE KEY-----\ncanary!\n-----END PRIVATE KEY-----\n";
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let pem = made.cert.pem();
        for (error, part) in [
            (tls().ca_pem("x").unwrap_err(), "no certificate"),
            (tls().ca_file("/absent/ca").unwrap_err(), "/absent/ca"),
            (tls().pin("md5/x").unwrap_err(), "sha256/"),
            (tls().pin("sha256/AAAA").unwrap_err(), "32 bytes"),
            (
                tls().identity_pem(&pem, canary).unwrap_err(),
                "client's key",
            ),
            (tls().identity_pem(&pem, &pem).unwrap_err(), "client's key"),
            (tls().server_name("a b").unwrap_err(), "a b"),
        ] {
            assert_eq!(error.kind(), mq_core::ErrorKind::Invalid);
            let said = format!("{error:#}");
            assert!(said.contains(part) && !said.contains("canary"), "{said}");
        }
        let key = made.signing_key.serialize_pem();
        let tls = tls().identity_pem(&pem, &key).unwrap();
        let shown = format!("{tls:?}");
        let secret = key.lines().nth(1).unwrap();
        assert!(!shown.contains(secret) && shown.contains("identity: true"));
    }
}
