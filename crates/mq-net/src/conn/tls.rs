//! TLS by rustls with ring, verified with the platform's roots or with a CA of the user's.

use std::io;
use std::sync::Arc;

use mq_core::{Endpoint, Error, ErrorKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::stream::Stream;

/// How connections are secured.
#[derive(Clone)]
pub struct TlsConfig {
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
pub struct TlsParts {
    /// The certificates to trust, in the place of the platform's.
    pub ca: Option<Vec<u8>>,
    /// A certificate chain and its key, for servers that ask who the client is.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the server's certificate has to have, if it is not the host's.
    pub server_name: Option<String>,
}

impl std::fmt::Debug for TlsParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsParts")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Trusts the certificates of `ca` alone; without it, what the platform trusts.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: what is no PEM, no certificate, no key, no name.
    pub fn new<C>(parts: TlsParts) -> Result<Self, Error<C>> {
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
            ServerName::try_from(name)
                .map_err(|_| invalid("the TLS server name is neither a host name nor an address"))
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
        Ok(stream.into())
    }
}

fn roots<C>(pem: &[u8]) -> Result<RootCertStore, Error<C>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| invalid("the CA is not PEM"))?;
        roots.add(certificate).map_err(unusable)?;
    }
    if roots.is_empty() {
        return Err(invalid("the CA's file has no certificate"));
    }
    Ok(roots)
}

fn identity<C>(
    chain: &[u8],
    key: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error<C>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid("the client certificate is not PEM"))?;
    if chain.is_empty() {
        return Err(invalid("the client certificate's file has no certificate"));
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|_| invalid("the client's key is not PEM"))?;
    Ok((chain, key))
}

fn unusable<C>(cause: rustls::Error) -> Error<C> {
    let error = invalid("TLS can't be set up").into_builder();
    error.source(cause).build()
}

fn invalid<C>(message: &str) -> Error<C> {
    let error = Error::builder(ErrorKind::Invalid, message);
    error.operation("connect").build()
}
