//! TLS by rustls with ring, verified with the platform's roots or with a CA of the user's.

use std::io;
use std::sync::Arc;

use mq_core::Endpoint;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use crate::error::{Error, Result, invalid};

/// How connections are secured.
#[derive(Clone)]
pub(crate) struct TlsConfig {
    connector: TlsConnector,
    server_name: Option<ServerName<'static>>,
}

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

/// PEM texts.
#[derive(Default, Clone)]
pub(crate) struct TlsParts {
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) server_name: Option<String>,
}

impl TlsConfig {
    /// Trusts the certificates of `ca` alone; without it, what the platform trusts.
    pub(crate) fn new(parts: TlsParts) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let config = match parts.ca {
            Some(pem) => config.with_root_certificates(roots(&pem)?),
            None => config.with_platform_verifier().map_err(unusable)?,
        };
        let config = match parts.identity {
            Some((chain, key)) => {
                let (chain, key) = identity(&chain, &key)?;
                config.with_client_auth_cert(chain, key).map_err(unusable)?
            }
            None => config.with_no_client_auth(),
        };
        let server_name = parts.server_name.map(|name| {
            ServerName::try_from(name).map_err(|_| {
                invalid(
                    CONNECT,
                    "the TLS server name is neither a host name nor an address",
                )
            })
        });
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            server_name: server_name.transpose()?,
        })
    }

    /// Does the handshake.
    pub(super) async fn secure(
        &self,
        socket: TcpStream,
        endpoint: &Endpoint,
    ) -> io::Result<Stream> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(endpoint.host().to_owned()).map_err(io::Error::other)?,
        };
        let stream = self.connector.connect(name, socket).await?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

fn roots(pem: &[u8]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| invalid(CONNECT, "the CA is not PEM"))?;
        roots.add(certificate).map_err(unusable)?;
    }
    if roots.is_empty() {
        return Err(invalid(CONNECT, "the CA's file has no certificate"));
    }
    Ok(roots)
}

fn identity(
    chain: &[u8],
    key: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid(CONNECT, "the client certificate is not PEM"))?;
    if chain.is_empty() {
        return Err(invalid(
            CONNECT,
            "the client certificate's file has no certificate",
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| invalid(CONNECT, "the client's key is not PEM"))?;
    Ok((chain, key))
}

fn unusable(cause: rustls::Error) -> Error {
    let error = invalid(CONNECT, "TLS can't be set up").into_builder();
    error.source(cause).build()
}

const CONNECT: &str = "connect";
