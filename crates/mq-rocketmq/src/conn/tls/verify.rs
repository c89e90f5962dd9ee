//! Whether a server is who it should be.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

use super::unusable;
use crate::error::Result;
use crate::tls::Trust;

/// Who judges the servers' certificates.
pub(super) fn verifier(
    trust: &Trust,
    pins: Vec<[u8; 32]>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let chain: Option<Arc<dyn ServerCertVerifier>> = match trust {
        Trust::Platform => Some(Arc::new(
            rustls_platform_verifier::Verifier::new(Arc::clone(provider)).map_err(|cause| {
                let error = unusable("this machine's trusted roots can't be read", cause);
                error
                    .into_builder()
                    .hint("give the CA of the brokers (tls_ca in the URL, or Tls::ca_file)")
                    .build()
            })?,
        )),
        Trust::Own(certificates) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                roots
                    .add(certificate.clone())
                    .map_err(|cause| unusable("a certificate of the CA can't be read", cause))?;
            }
            let builder =
                WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
            let built = builder.build();
            let built = built.map_err(|cause| {
                unusable("the CA can't be used", Error::General(cause.to_string()))
            })?;
            Some(built)
        }
        Trust::Pins | Trust::Anybody => None,
    };
    Ok(Arc::new(Judge {
        chain,
        pins,
        provider: Arc::clone(provider),
    }))
}

/// The chain, where it counts, and then the pins, where there are some.
#[derive(Debug)]
struct Judge {
    chain: Option<Arc<dyn ServerCertVerifier>>,
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_server_cert(certificate, intermediates, name, ocsp, now)?;
        }
        if !self.pins.is_empty() {
            let parsed = ParsedCertificate::try_from(certificate)?;
            let digest: [u8; 32] = Sha256::digest(parsed.subject_public_key_info()).into();
            if !self.pins.contains(&digest) {
                let other = OtherError(Arc::new(NotPinned));
                return Err(CertificateError::Other(other).into());
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    // That the server has the key of its certificate is always verified.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// The key of a certificate is none of those that are pinned.
#[derive(Debug)]
pub(super) struct NotPinned;

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key of the certificate is not pinned")
    }
}

impl std::error::Error for NotPinned {}
