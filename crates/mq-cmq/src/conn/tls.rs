//! TLS by rustls with ring, verified with the platform's roots or with a CA of the user's.

use std::io;
use std::sync::Arc;

use mq_core::{Endpoint, Error};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::invalid;

/// How connections are secured.
#[derive(Clone)]
pub(crate) struct TlsConfig(TlsConnector);

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Trusts the certificates of `ca` alone, in PEM; without it, what the platform trusts.
    pub(crate) fn new<C>(ca: Option<&[u8]>) -> Result<Self, Error<C>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let config = match ca {
            Some(pem) => config.with_root_certificates(roots(pem)?),
            None => config.with_platform_verifier().map_err(unusable)?,
        };
        let config = Arc::new(config.with_no_client_auth());
        Ok(Self(TlsConnector::from(config)))
    }

    /// Does the handshake.
    pub(super) async fn secure(
        &self,
        stream: TcpStream,
        endpoint: &Endpoint,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(endpoint.host().to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}

fn roots<C>(pem: &[u8]) -> Result<RootCertStore, Error<C>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| invalid("build", format!("the CA is not PEM: {error}")))?;
        roots.add(certificate).map_err(unusable)?;
    }
    if roots.is_empty() {
        return Err(invalid("build", "the CA has no certificate"));
    }
    Ok(roots)
}

fn unusable<C>(error: rustls::Error) -> Error<C> {
    invalid("build", "TLS can't be set up")
        .into_builder()
        .source(error)
        .build()
}
