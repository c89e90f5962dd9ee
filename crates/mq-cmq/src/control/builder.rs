//! What a client of the control plane is made of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use mq_core::{Clock, Endpoint, ServiceUrl};

use super::shared::Shared;
use super::{ControlClient, Result};
use crate::auth::Credentials;
use crate::client::{default_port, host_header};
use crate::conn::{Pool, PoolOptions, TimerClock, TlsConfig};
use crate::error::invalid;
use crate::proto::tc3::Key;

/// Options of a [`ControlClient`]. `Debug` shows no secret.
#[must_use = "a client is made by build()"]
#[derive(Clone)]
pub struct ControlClientBuilder {
    https: bool,
    endpoint: String,
    credentials: Option<Credentials>,
    region: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
    attempts: u32,
    resend_unknown: bool,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "tls")]
    ca: Option<Vec<u8>>,
}

impl ControlClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            https: true,
            endpoint: ENDPOINT.to_owned(),
            credentials: None,
            region: None,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            attempts: 4,
            resend_unknown: false,
            clock: Arc::new(TimerClock),
            #[cfg(feature = "tls")]
            ca: None,
        }
    }

    pub(super) fn from_url(text: &str) -> Result<Self> {
        let https = text.trim().to_ascii_lowercase().starts_with(HTTPS);
        let url = ServiceUrl::parse(text, Some(default_port(https)))
            .map_err(|cause| invalid(READ, cause.to_string()))?;
        if !https && url.scheme != HTTP {
            // Not repeated: of a URL with a mistake it may be anything.
            let message = "the scheme is neither \"cmq+tc3+https\" nor \"cmq+tc3+http\"";
            return Err(invalid(READ, message));
        }
        let [endpoint] = url.endpoints.as_slice() else {
            return Err(invalid(READ, "a control client has one endpoint"));
        };
        if url.path.is_some() {
            return Err(invalid(READ, "the control plane has no path but /"));
        }
        let mut builder = Self::new();
        (builder.https, builder.endpoint) = (https, endpoint.to_string());
        if let (Some(id), Some(key)) = (url.user, url.secret) {
            builder.credentials = Some(Credentials::new(id, key));
        }
        for (key, value) in url.query {
            match key.as_str() {
                "region" => builder.region = Some(value),
                _ => return Err(invalid(READ, format!("unknown option \"{key}\""))),
            }
        }
        Ok(builder)
    }

    /// The server: `host` or `host:port`, spoken to over TLS; the port is 443 if none is given. Default `tdmq.tencentcloudapi.com`.
    pub fn https(mut self, endpoint: impl Into<String>) -> Self {
        (self.https, self.endpoint) = (true, endpoint.into());
        self
    }

    /// The server: `host` or `host:port`, spoken to in plain HTTP, for dev servers; the port is 80 if none is given. Requests are signed, and can be
    /// read on the way.
    pub fn http(mut self, endpoint: impl Into<String>) -> Self {
        (self.https, self.endpoint) = (false, endpoint.into());
        self
    }

    /// The keys that sign every request; required, if the URL has none. A token of temporary keys travels with each request.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The region, such as `ap-guangzhou`; required, if the URL has none.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// How long connecting may take, the TLS handshake included; default 3 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call may take, its attempts and the pauses between them included; default 10 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a request is sent at most, within the time-out; default 4, at least 1. It is sent again, after a pause that grows from 0.1 s and is
    /// jittered, while the service throttles (`RequestLimitExceeded`) or no connection can be made: in both cases nothing was applied. What only reads
    /// (descriptions and lists) is also sent again after a broken connection, a status of 5xx or an error inside the service. A quota that is used
    /// up (`LimitExceeded`) is no reason: no pause changes it.
    pub fn attempts(mut self, most: u32) -> Self {
        self.attempts = most.max(1);
        self
    }

    /// Whether also those requests are sent again after an unknown outcome that change something; default `false`. A message may then be stored twice,
    /// and a queue that was made may be answered with [`ControlCode::QUEUE_EXISTS`](super::ControlCode::QUEUE_EXISTS), outcome `Unknown`.
    pub const fn resend_unknown(mut self, yes: bool) -> Self {
        self.resend_unknown = yes;
        self
    }

    /// The clock that time stamps and deadlines are taken from; default the machine's. The service refuses time stamps that are 5 minutes off.
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
    /// Kind `Invalid`: credentials or region are missing, something is not acceptable, or the CA can't be read. Kind `Unsupported`: HTTPS is asked
    /// for, and the feature `tls` was left out of this build. Not retryable.
    pub fn build(self) -> Result<ControlClient> {
        #[cfg(feature = "tls")]
        let tls = self.https.then(|| TlsConfig::new(self.ca.as_deref()));
        #[cfg(not(feature = "tls"))]
        let tls = self.https.then(TlsConfig::absent);
        let tls = tls.transpose()?;
        let endpoint = Endpoint::parse(&self.endpoint, Some(default_port(self.https)))
            .map_err(|what| invalid(BUILD, what))?;
        let region = self.region.unwrap_or_default();
        if region.is_empty()
            || !region
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'-')
        {
            let message = if region.is_empty() {
                "no region is given"
            } else {
                "the region is not one"
            };
            let error = invalid(BUILD, message).into_builder();
            return Err(error.hint("give one such as ap-guangzhou").build());
        }
        let credentials = self.credentials.as_ref();
        let credentials = credentials.ok_or_else(|| invalid(BUILD, "no credentials are given"))?;
        let shared = Shared {
            key: key(credentials)?,
            secret_id: credentials.secret_id().to_owned(),
            token: credentials.given_token().cloned(),
            region,
            // In lower case, as it is signed.
            host: host_header(&endpoint, self.https).to_ascii_lowercase(),
            timeout: self.timeout,
            attempts: self.attempts,
            resend_unknown: self.resend_unknown,
            clock: Arc::clone(&self.clock),
            pool: Pool::new(PoolOptions {
                endpoint,
                tls,
                connect_timeout: self.connect_timeout,
                clock: self.clock,
            }),
        };
        Ok(ControlClient {
            shared: Arc::new(shared),
        })
    }
}

fn key(credentials: &Credentials) -> Result<Key> {
    let secret = credentials.secret_key().expose();
    if credentials.secret_id().is_empty() || secret.is_empty() {
        let message = "the secret id or the secret key is empty";
        return Err(invalid(BUILD, message));
    }
    let fits = |text: &str| HeaderValue::from_str(text).is_ok();
    if !fits(credentials.secret_id()) || credentials.secret_id().contains(['/', ',']) {
        return Err(invalid(BUILD, "the secret id is not one"));
    }
    if credentials
        .given_token()
        .is_some_and(|it| !fits(it.expose()))
    {
        return Err(invalid(BUILD, "the token is not one"));
    }
    Key::new(secret).ok_or_else(|| invalid(BUILD, "the secret key can't be used as a key"))
}

impl fmt::Debug for ControlClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlClientBuilder")
            .field("https", &self.https)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

const ENDPOINT: &str = "tdmq.tencentcloudapi.com";
const HTTPS: &str = "cmq+tc3+https:";
const HTTP: &str = "cmq+tc3+http";
const READ: &str = "read url";
const BUILD: &str = "build";

#[cfg(test)]
mod tests {
    use mq_core::ErrorKind;

    use super::*;

    #[test]
    fn a_url_says_it_all() {
        let url = "cmq+tc3+http://AKID:s%40cret@Host:8080?region=ap-guangzhou";
        let client = ControlClient::from_url(url).unwrap().build().unwrap();
        assert_eq!(client.shared.host, "host:8080");
        assert_eq!(client.shared.region, "ap-guangzhou");
        assert_eq!(client.shared.secret_id, "AKID");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn the_services_own_endpoint_is_the_default() {
        let url = "CMQ+TC3+HTTPS://AKID:k@tdmq.tencentcloudapi.com/?region=ap-guangzhou";
        let told = ControlClient::from_url(url).unwrap();
        let untold = ControlClient::builder()
            .credentials(Credentials::new("AKID", "k"))
            .region("ap-guangzhou");
        for builder in [told, untold] {
            let shared = builder.build().unwrap().shared;
            assert_eq!(shared.host, "tdmq.tencentcloudapi.com");
        }
    }

    #[test]
    fn a_region_is_needed() {
        let url = "cmq+tc3+http://AKID:canary@h";
        let error = ControlClient::from_url(url).unwrap().build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(
            error.to_string(),
            "build: no region is given; give one such as ap-guangzhou"
        );
    }

    #[test]
    fn mistakes_are_told_without_the_key() {
        for url in [
            "canary",
            "cmq+http://AKID:canary@h?region=r",
            "cmq+tc3://AKID:canary@h?region=r",
            "cmq+tc3+http://AKID:canary@h;h2?region=r",
            "cmq+tc3+http://AKID:canary@h/path?region=r",
            "cmq+tc3+http://AKID:canary@h?regoin=r",
            "cmq+tc3+http://AKID:canary@",
            "cmq+tc3+http://AKID:canary@h:99999",
        ] {
            let error = ControlClient::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!format!("{error:#?}").contains("canary"), "{url}: {error}");
        }
        let url = "cmq+tc3+http://AKID:canary@h?region=r";
        let builder = ControlClient::from_url(url).unwrap();
        let with = |id: &str, key: &str, token: &str| {
            let credentials = Credentials::new(id, key).token(token);
            builder.clone().credentials(credentials)
        };
        let client = with("AKID", "canary", "canary").build().unwrap();
        assert!(!format!("{builder:?} {client:?} {client:#?}").contains("canary"));
        for bad in [
            ControlClient::builder().http("h").region("r"),
            builder.clone().region("a b"),
            builder.clone().http("h:"),
            with("", "canary", "canary"),
            with("AKID", "", "canary"),
            with("AK/ID", "canary", "canary"),
            with("AKID", "canary", "canary\n"),
        ] {
            let error = bad.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!format!("{error:#?}").contains("canary"), "{error}");
        }
    }
}
