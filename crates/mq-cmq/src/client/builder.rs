//! What a client is made of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mq_core::{Clock, Endpoint, ServiceUrl};

use super::{Carrier, Client, Shared};
use crate::auth::{Credentials, Signer};
use crate::conn::{Pool, PoolOptions, TimerClock, TlsConfig};
use crate::error::{Result, invalid};
use crate::proto::{HttpMethod, SignatureMethod};
use crate::tcp::TcpClientBuilder;

/// Options of a [`Client`]. `Debug` shows no secret.
#[must_use = "a client is made by build()"]
#[derive(Clone)]
pub struct ClientBuilder {
    https: bool,
    endpoint: Option<String>,
    path: String,
    credentials: Option<Credentials>,
    signature: SignatureMethod,
    method: HttpMethod,
    region: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
    attempts: u32,
    resend_unknown: bool,
    batch_bytes: usize,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "tls")]
    ca: Option<Vec<u8>>,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            https: false,
            endpoint: None,
            path: PATH.to_owned(),
            credentials: None,
            signature: SignatureMethod::default(),
            method: HttpMethod::default(),
            region: None,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            attempts: 4,
            resend_unknown: false,
            batch_bytes: 64 * 1024,
            clock: Arc::new(TimerClock),
            #[cfg(feature = "tls")]
            ca: None,
        }
    }

    pub(super) fn from_url(text: &str) -> Result<Self> {
        let mut builder = Self::new();
        let https = text.trim().to_ascii_lowercase().starts_with("cmq+https:");
        let url = ServiceUrl::parse(text, Some(default_port(https)))
            .map_err(|cause| invalid(READ, cause.to_string()))?;
        builder.https = match url.scheme.as_str() {
            "cmq+http" => false,
            "cmq+https" => true,
            // Not repeated: of a URL with a mistake it may be anything.
            _ => {
                return Err(invalid(
                    READ,
                    "the scheme is neither \"cmq+http\" nor \"cmq+https\"",
                ));
            }
        };
        let [endpoint] = url.endpoints.as_slice() else {
            return Err(invalid(READ, "a CMQ client has one endpoint"));
        };
        builder.endpoint = Some(endpoint.to_string());
        if let Some(path) = url.path {
            builder.path = format!("/{path}");
        }
        if let (Some(id), Some(key)) = (url.user, url.secret) {
            builder.credentials = Some(Credentials::new(id, key));
        }
        for (key, value) in url.query {
            builder.option(&key, value)?;
        }
        Ok(builder)
    }

    fn option(&mut self, key: &str, value: String) -> Result<()> {
        match (key, value.as_str()) {
            ("signature", "sha1") => self.signature = SignatureMethod::HmacSha1,
            ("signature", "sha256") => self.signature = SignatureMethod::HmacSha256,
            ("method", "get") => self.method = HttpMethod::Get,
            ("method", "post") => self.method = HttpMethod::Post,
            ("region", _) => self.region = Some(value),
            ("signature" | "method", _) => {
                let message = format!("the option \"{key}\" has an unknown value");
                return Err(invalid(READ, message));
            }
            _ => return Err(invalid(READ, format!("unknown option \"{key}\""))),
        }
        Ok(())
    }

    /// The server: `host` or `host:port`, spoken to in plain HTTP; the port is 80 if none is given.
    pub fn http(mut self, endpoint: impl Into<String>) -> Self {
        (self.https, self.endpoint) = (false, Some(endpoint.into()));
        self
    }

    /// The server: `host` or `host:port`, spoken to over TLS; the port is 443 if none is given.
    pub fn https(mut self, endpoint: impl Into<String>) -> Self {
        (self.https, self.endpoint) = (true, Some(endpoint.into()));
        self
    }

    /// The path of the endpoint, as it travels; default `/v2/index.php`. It is signed.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The keys that sign every request; required, if the URL has none.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// How requests are signed; default SHA-256.
    pub const fn signature(mut self, method: SignatureMethod) -> Self {
        self.signature = method;
        self
    }

    /// How requests travel; default POST. By GET, a request whose URL would have more than 2048 characters is refused, and whoever logs
    /// URLs logs bodies.
    pub const fn method(mut self, method: HttpMethod) -> Self {
        self.method = method;
        self
    }

    /// The parameter `Region`, such as `gz`; default none. Only older endpoints ask for it.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// How long connecting may take, the TLS handshake included; default 3 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call may take, its attempts and the pauses between them included; default 10 s. A receive may take as long *and* its
    /// wait.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a request is sent at most, within the time-out; default 4, at least 1. It is sent again, after a pause that grows from
    /// 0.1 s and is jittered, while the service throttles (4420, 4480) or no connection can be made: in both cases nothing was applied.
    pub fn attempts(mut self, most: u32) -> Self {
        self.attempts = most.max(1);
        self
    }

    /// Whether requests are also sent again whose outcome is unknown; default `false`. A message may then be stored twice, under two ids:
    /// for consumers that recognise duplicates.
    pub const fn resend_unknown(mut self, yes: bool) -> Self {
        self.resend_unknown = yes;
        self
    }

    /// How many bytes the bodies of one batch request have together at most; default 64 KiB, which every version of the service takes.
    /// The current one takes 1 MiB. Larger batches are split; a message that is larger goes alone.
    pub const fn batch_bytes(mut self, most: usize) -> Self {
        self.batch_bytes = most;
        self
    }

    /// The clock that time stamps and deadlines are taken from; default the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The certificates to trust instead of the platform's, in PEM.
    #[cfg(feature = "tls")]
    pub fn ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// The client. Nothing is sent: the first request connects.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: endpoint or credentials are missing or not acceptable, or the CA can't be read. Kind `Unsupported`: HTTPS is asked for, and
    /// the feature `tls` was left out of this build. Not retryable.
    pub fn build(self) -> Result<Client> {
        Ok(Client::of(Arc::new(self.shared(None)?)))
    }

    /// A client that speaks TCP where it can; the endpoint is its name server.
    pub fn tcp(self) -> TcpClientBuilder {
        TcpClientBuilder::new(self)
    }

    /// What else signs and connects for the client.
    pub(crate) fn parts(&self) -> Result<(Signer, Duration, Arc<dyn Clock>)> {
        let credentials = self.credentials.as_ref();
        let credentials = credentials.ok_or_else(|| invalid(BUILD, NO_KEYS))?;
        let signer = Signer::new(credentials, self.signature)?;
        Ok((signer, self.connect_timeout, Arc::clone(&self.clock)))
    }

    pub(crate) fn shared(self, carrier: Option<Carrier>) -> Result<Shared> {
        #[cfg(feature = "tls")]
        let tls = self.https.then(|| TlsConfig::new(self.ca.as_deref()));
        #[cfg(not(feature = "tls"))]
        let tls = self.https.then(TlsConfig::absent);
        let tls = tls.transpose()?;
        let text = self.endpoint.as_deref();
        let text =
            text.ok_or_else(|| invalid(BUILD, "no endpoint is given: call http() or https()"))?;
        let endpoint = Endpoint::parse(text, Some(default_port(self.https)))
            .map_err(|what| invalid(BUILD, what))?;
        if !self.path.starts_with('/') || self.path.contains(['?', '#', ' ']) {
            return Err(invalid(BUILD, "the path is not one of a URL"));
        }
        let (signer, ..) = self.parts()?;
        Ok(Shared {
            signer,
            method: self.method,
            https: self.https,
            host: host_header(&endpoint, self.https),
            path: self.path,
            region: self.region,
            timeout: self.timeout,
            attempts: self.attempts,
            resend_unknown: self.resend_unknown,
            batch_bytes: self.batch_bytes,
            clock: Arc::clone(&self.clock),
            carrier,
            pool: Pool::new(PoolOptions {
                endpoint,
                tls,
                connect_timeout: self.connect_timeout,
                clock: self.clock,
            }),
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("https", &self.https)
            .field("endpoint", &self.endpoint)
            .field("path", &self.path)
            .field("credentials", &self.credentials)
            .field("signature", &self.signature)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// With the port, unless it is the scheme's: what is signed must be what is sent.
pub(crate) fn host_header(endpoint: &Endpoint, https: bool) -> String {
    let text = endpoint.to_string();
    let port = format!(":{}", default_port(https));
    text.strip_suffix(port.as_str())
        .filter(|_| endpoint.port() == default_port(https))
        .map_or_else(|| text.clone(), ToOwned::to_owned)
}

pub(crate) const fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

const PATH: &str = "/v2/index.php";
const READ: &str = "read url";
const BUILD: &str = "build";
const NO_KEYS: &str =
    "no credentials are given: write cmq+http://ID:KEY@host, or call credentials()";

#[cfg(test)]
mod tests {
    use mq_core::ErrorKind;

    use super::*;

    #[test]
    fn a_url_says_it_all() {
        let url = "cmq+http://AKID:s%40cret@h:8080/x/y?signature=sha1&method=get&region=gz";
        let builder = Client::from_url(url).unwrap();
        assert_eq!(builder.path, "/x/y");
        assert_eq!(builder.signature, SignatureMethod::HmacSha1);
        assert_eq!(builder.method, HttpMethod::Get);
        assert_eq!(builder.region.as_deref(), Some("gz"));
        let client = builder.build().unwrap();
        assert_eq!(client.shared.host, "h:8080");
        let client = Client::from_url("CMQ+HTTP://AKID:k@h").unwrap().build();
        let client = client.unwrap();
        assert_eq!(client.shared.host, "h");
        assert_eq!(client.shared.path, PATH);
    }

    #[test]
    fn the_host_has_its_port_unless_it_is_the_schemes() {
        for (endpoint, https, host) in [
            ("h:80", false, "h"),
            ("h:80", true, "h:80"),
            ("h:443", true, "h"),
            ("h:8080", false, "h:8080"),
            ("[::1]:80", false, "[::1]"),
        ] {
            let endpoint = Endpoint::parse(endpoint, None).unwrap();
            assert_eq!(host_header(&endpoint, https), host);
        }
    }

    #[test]
    fn mistakes_are_told_without_the_key() {
        for url in [
            "http://AKID:canary@h",
            "canary",
            "cmq+http://AKID:canary@h;h2",
            "cmq+http://AKID:canary@h?signature=canary",
            "cmq+http://AKID:canary@h?verbose=1",
            "cmq+http://AKID:canary@",
            "cmq+https://:canary@h",
            "cmq+http://AKID:canary@h:99999",
        ] {
            let error = Client::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!format!("{error:#?}").contains("canary"), "{url}: {error}");
        }
        let builder = Client::from_url("cmq+http://AKID:canary@h").unwrap();
        assert!(!format!("{builder:?}").contains("canary"));
        let client = builder.clone().build().unwrap();
        assert!(!format!("{client:?} {client:#?}").contains("canary"));
        for bad in [
            Client::builder(),
            Client::builder().http("h"),
            builder.clone().path("x"),
            builder.http("h:"),
        ] {
            assert_eq!(bad.build().unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
