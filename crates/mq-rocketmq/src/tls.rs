//! How connections are secured: what to trust, who to be, and what can go wrong.

#[cfg(feature = "tls")]
mod options;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use mq_core::{ErrorKind, Retry};

#[cfg(feature = "tls")]
pub use self::options::Tls;
#[cfg(feature = "tls")]
pub(crate) use self::options::Trust;

/// Why a connection is not secure, or why a server wants it otherwise: the `source()` of the [`Error`](crate::Error) that an operation
/// ends with.
///
/// ```
/// # fn look(error: &mq_rocketmq::Error) {
/// use std::error::Error as _;
/// use mq_rocketmq::{TlsError, TlsFault};
///
/// let tls = error.source().and_then(|cause| cause.downcast_ref::<TlsError>());
/// if tls.is_some_and(|tls| tls.fault() == TlsFault::Expired) {
///     println!("the brokers' certificates are to be renewed");
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TlsError {
    fault: TlsFault,
    detail: Arc<str>,
}

/// What is wrong with a connection's security.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsFault {
    /// Nobody who is trusted has signed the server's certificate.
    UnknownIssuer,
    /// The server's certificate has expired, or this machine's clock is ahead.
    Expired,
    /// The server's certificate is not valid yet, or this machine's clock is behind.
    NotYetValid,
    /// The server's certificate is for other names than the one that was connected to.
    WrongName,
    /// The server's key is none of those that are pinned.
    WrongKey,
    /// The server's certificate can't be accepted for another reason.
    BadCertificate,
    /// The server does not speak TLS, and this client does.
    NotTls,
    /// The server speaks TLS only, and this client does not.
    TlsRequired,
    /// The server wants to see a certificate, and this client has none.
    ClientCertificateMissing,
    /// The server refuses this client's certificate.
    ClientCertificateRefused,
    /// The handshake failed for another reason, such as no version or cipher in common.
    Handshake,
}

impl TlsError {
    pub(crate) fn new(fault: TlsFault, detail: impl fmt::Display) -> Self {
        Self {
            fault,
            detail: detail.to_string().into(),
        }
    }

    /// What is wrong.
    pub const fn fault(&self) -> TlsFault {
        self.fault
    }
}

/// The words of the TLS library.
impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl StdError for TlsError {}

impl TlsFault {
    /// A server that sends certificates away does so as one that refuses a login.
    pub(crate) const fn kind(self) -> ErrorKind {
        match self {
            Self::ClientCertificateMissing | Self::ClientCertificateRefused => ErrorKind::Auth,
            _ => ErrorKind::Connect,
        }
    }

    /// A connection that is closed without a word may also be one to a server that is just going down.
    pub(crate) const fn retry(self) -> Retry {
        match self {
            Self::NotTls | Self::TlsRequired => Retry::Later,
            _ => Retry::Never,
        }
    }

    pub(crate) const fn hint(self) -> &'static str {
        match self {
            Self::UnknownIssuer => {
                "give the CA that signed it (tls_ca in the URL, or Tls::ca_file); a broker without a certificate of its own shows one that \
                 nobody has signed"
            }
            Self::Expired => {
                "renew the server's certificate, or set this machine's clock right if it is ahead"
            }
            Self::NotYetValid => {
                "set this machine's clock right if it is behind, or wait until the certificate begins"
            }
            Self::WrongName => {
                "connect by a name that the certificate has, or say which one to expect (tls_name in the URL, or Tls::server_name)"
            }
            Self::WrongKey => {
                "if the server's key was changed on purpose, pin the new one (tls_pin in the URL, or Tls::pin); if not, somebody is between"
            }
            Self::BadCertificate => "give the server a certificate for TLS servers",
            Self::NotTls => {
                "look whether the port is right and TLS switched on there; without TLS, leave tls=true away"
            }
            Self::TlsRequired => {
                "a server that takes TLS only does that: say tls=true in the URL, or ClientBuilder::tls; else check host and port"
            }
            Self::ClientCertificateMissing => {
                "give a certificate and its key (tls_cert and tls_key in the URL, or Tls::identity_files)"
            }
            Self::ClientCertificateRefused => {
                "look whether the server trusts the issuer of this client's certificate, and whether it has expired"
            }
            Self::Handshake => "look which versions and ciphers of TLS the server allows",
        }
    }

    pub(crate) const fn says(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "nobody who is trusted here has signed the server's certificate",
            Self::Expired => "the server's certificate has expired",
            Self::NotYetValid => "the server's certificate is not valid yet",
            Self::WrongName => "the server's certificate is for other names",
            Self::WrongKey => "the server's key is not one of those that are pinned",
            Self::BadCertificate => "the server's certificate can't be accepted",
            Self::NotTls => "the server does not speak TLS",
            Self::TlsRequired => "the server closed the connection without a word",
            Self::ClientCertificateMissing => "the server wants a client certificate",
            Self::ClientCertificateRefused => "the server refuses the client certificate",
            Self::Handshake => "the TLS handshake failed",
        }
    }
}
