//! What the TLS library says, in our words.

use rustls::{AlertDescription, CertificateError, Error};

use crate::conn::broken::Broken;
use crate::tls::TlsFault;

/// `asked`: the server wanted a certificate; `shown`: there was one to show.
pub(super) fn classify(error: &Error, asked: bool, shown: bool) -> Broken {
    let fault = match error {
        Error::InvalidCertificate(why) => certificate(why),
        // No record of TLS at all.
        Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => TlsFault::NotTls,
        Error::AlertReceived(alert) => match refused(*alert) {
            true if shown => TlsFault::ClientCertificateRefused,
            true if asked => TlsFault::ClientCertificateMissing,
            _ if matches!(
                alert,
                AlertDescription::CloseNotify | AlertDescription::UserCanceled
            ) =>
            {
                return Broken::new("the peer closed the connection");
            }
            _ => TlsFault::Handshake,
        },
        _ => TlsFault::Handshake,
    };
    Broken::tls(fault, error)
}

fn certificate(why: &CertificateError) -> TlsFault {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::UnknownIssuer,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFault::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::WrongName
        }
        CertificateError::Other(other) if other.0.is::<super::verify::NotPinned>() => {
            TlsFault::WrongKey
        }
        // webpki's word for a certificate that has signed itself as a CA.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            TlsFault::UnknownIssuer
        }
        _ => TlsFault::BadCertificate,
    }
}

/// Alerts with which a server sends a client's certificate, or its absence, away.
// RFC 8446, 6.2; JDK 17 answers an absent one with bad_certificate.
fn refused(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure
            // The signature of an issuer that has the name of a trusted one.
            | AlertDescription::DecryptError
    )
}
