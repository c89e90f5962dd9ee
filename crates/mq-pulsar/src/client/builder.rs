//! A client's options.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mq_core::{Endpoint, Propagator, Secret, ServiceUrl};

use super::Client;
use crate::auth::Auth;
#[cfg(feature = "tls")]
use crate::conn::TlsParts;
use crate::conn::{Options, TlsConfig};
use crate::error::{Result, invalid};

/// Options of a [`Client`]. Made by [`Client::builder`] or [`Client::from_url`]; used by [`connect`](Self::connect).
#[derive(Clone)]
#[must_use = "a client is made by connect"]
pub struct ClientBuilder {
    endpoints: Vec<Endpoint>,
    web: bool,
    auth: Auth,
    secured: bool,
    #[cfg(feature = "tls")]
    tls: TlsParts,
    listener: Option<String>,
    description: Option<String>,
    connect_timeout: Duration,
    operation_timeout: Duration,
    keep_alive: Duration,
    memory: usize,
    propagator: Option<Arc<dyn Propagator>>,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            endpoints: vec![Endpoint::new("localhost", PORT)],
            web: false,
            auth: Auth::none(),
            secured: false,
            #[cfg(feature = "tls")]
            tls: TlsParts::default(),
            listener: None,
            description: None,
            connect_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(30),
            memory: 64 * 1024 * 1024,
            propagator: None,
        }
    }

    /// Options from `pulsar://host[:port][,host…]`. `pulsar+ssl://` is the same over TLS, with port 6651 instead of 6650 if none is given.
    ///
    /// `http://` (port 8080) and `https://` (8443) are for the addresses that consoles hand out: topics are looked up there, and messages go to the
    /// brokers that are named, over TLS if it is `https://`. Who the client is is then judged when the first producer or consumer is made.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, with what is wrong.
    pub fn from_url(url: &str) -> Result<Self> {
        let told = |error: &dyn fmt::Display| invalid(CONNECT, error.to_string());
        let (scheme, _) = url.split_once("://").unwrap_or(("", url));
        let (web, secured, port) = match &*scheme.trim().to_ascii_lowercase() {
            "pulsar" => (false, false, PORT),
            "pulsar+ssl" => (false, true, PORT_TLS),
            "http" => (true, false, PORT_HTTP),
            "https" => (true, true, PORT_HTTPS),
            _ => {
                let wrong = "the URL begins with pulsar://, pulsar+ssl://, http:// or https://";
                return Err(invalid(CONNECT, wrong));
            }
        };
        let parsed = ServiceUrl::parse(url, Some(port)).map_err(|error| told(&error))?;
        if parsed.user.is_some() {
            let error = invalid(CONNECT, "a Pulsar URL has no user part").into_builder();
            return Err(error.hint("give a token by ClientBuilder::auth").build());
        }
        if parsed.path.is_some() || !parsed.query.is_empty() {
            let message = "nothing stands behind the hosts of a Pulsar URL";
            return Err(invalid(CONNECT, message));
        }
        Ok(Self {
            endpoints: parsed.endpoints,
            web,
            secured,
            ..Self::new()
        })
    }

    /// The addresses at which topics are looked up, in the place of those that are there.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = Endpoint>) -> Self {
        self.endpoints = hosts.into_iter().collect();
        self
    }

    /// Who the client is. Default: nobody in particular.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// A token: short for [`Auth::token`].
    pub fn token(self, token: Secret) -> Self {
        self.auth(Auth::token(token))
    }

    /// Which of a broker's advertised listeners to connect to, where it has several.
    pub fn listener(mut self, name: impl Into<String>) -> Self {
        self.listener = Some(name.into());
        self
    }

    /// What the broker's own tools show behind the client's name, at most 64 bytes.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// How long it may take to reach one host, login included. Default 10 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long making a producer or a consumer, and whatever else has an answer, may take. Default 30 s.
    pub const fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// A connection on which nothing was heard for so long is asked for a sign, and given up after as long again. Default 30 s; zero: never.
    pub const fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    /// How many bytes of messages all producers together may have under way; others wait. Default 64 MiB.
    pub const fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Takes traces from where a message is sent to where it is handled, in its properties. What a message carries already stays. Default: none.
    pub fn propagator(mut self, propagator: impl Propagator) -> Self {
        self.propagator = Some(Arc::new(propagator));
        self
    }

    /// Connects to one of the hosts.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for options that can't be; `Connect` if no host can be reached; `Auth` for a wrong or missing token; `Protocol` for a server
    /// that speaks something else.
    pub async fn connect(self) -> Result<Client> {
        Client::connect(self.options()?).await
    }

    pub(crate) fn options(self) -> Result<Options> {
        if self.endpoints.is_empty() {
            return Err(invalid(CONNECT, "no host given"));
        }
        let description = self.description.as_deref().unwrap_or_default();
        // apache/pulsar: ClientConfigurationData.setDescription
        if description.len() > 64 {
            return Err(invalid(CONNECT, "the description has more than 64 bytes"));
        }
        Ok(Options {
            tls: self.tls_config()?,
            endpoints: self.endpoints,
            web: self.web,
            auth: self.auth,
            listener: self.listener,
            description: self.description,
            connect_timeout: self.connect_timeout,
            operation_timeout: self.operation_timeout,
            keep_alive: self.keep_alive,
            memory: self.memory,
            propagator: self.propagator,
        })
    }
}

#[cfg(feature = "tls")]
impl ClientBuilder {
    /// Secures the connections, verified with the platform's roots. What `pulsar+ssl://` says.
    pub const fn tls(mut self) -> Self {
        self.secured = true;
        self
    }

    /// Secures the connections, and trusts the certificates in this PEM text alone.
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.secured = true;
        self.tls.ca = Some(pem.into());
        self
    }

    /// Secures the connections, and shows this certificate, with what leads to its issuer, and proves it by this key; both PEM.
    pub fn tls_identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.secured = true;
        self.tls.identity = Some((chain.into(), key.into()));
        self
    }

    /// The name that the server's certificate has to have, if it is not the host's.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.tls.server_name = Some(name.into());
        self
    }

    fn tls_config(&self) -> Result<Option<TlsConfig>> {
        self.secured
            .then(|| TlsConfig::new(self.tls.clone()))
            .transpose()
    }
}

#[cfg(not(feature = "tls"))]
impl ClientBuilder {
    fn tls_config(&self) -> Result<Option<TlsConfig>> {
        if self.secured {
            let message = "this build has no TLS: switch the feature \"tls\" of mq-pulsar on";
            return Err(invalid(CONNECT, message));
        }
        Ok(None)
    }
}

/// Shows neither token nor keys.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("hosts", &self.endpoints)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

const PORT: u16 = 6650;
const PORT_TLS: u16 = 6651;
const PORT_HTTP: u16 = 8080;
const PORT_HTTPS: u16 = 8443;
const CONNECT: &str = "connect";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_a_wrong_one_is_told_without_what_may_be_secret() {
        let hosts = |url| {
            let builder = ClientBuilder::from_url(url).unwrap();
            let hosts: Vec<_> = builder.endpoints.iter().map(ToString::to_string).collect();
            (hosts.join(" "), builder.secured, builder.web)
        };
        for (url, whole, secured, web) in [
            ("pulsar://a,b:7000", "a:6650 b:7000", false, false),
            ("pulsar+ssl://a", "a:6651", true, false),
            ("http://a", "a:8080", false, true),
            ("https://a,b:1/", "a:8443 b:1", true, true),
        ] {
            assert_eq!(hosts(url), (whole.to_owned(), secured, web));
        }
        for url in [
            "pulsar://u:canary@a",
            "kafka://canary",
            "http://a:8080/canary",
            "pulsar://a/canary",
            "pulsar://",
        ] {
            let told = ClientBuilder::from_url(url).unwrap_err();
            assert_eq!(told.kind(), mq_core::ErrorKind::Invalid, "{url}");
            assert!(!told.to_string().contains("canary"), "{told}");
        }
    }
}
