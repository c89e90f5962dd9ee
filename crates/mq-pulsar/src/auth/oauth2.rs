//! Tokens of an identity provider, by OAuth 2.0's client credentials.
// apache/pulsar: AuthenticationOAuth2, ClientCredentialsFlow, TokenClient; RFC 6749 §4.4, RFC 8414

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use mq_core::{Endpoint, ErrorKind, Retry, Secret, ServiceUrl};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::conn::http::{self, Question, escaped};
use crate::conn::{TlsConfig, now};
use crate::error::{Error, Result, invalid};

/// How to have tokens of an identity provider. Given to [`Auth::oauth2`](super::Auth::oauth2).
///
/// A token is asked for when it is first needed, used for nine tenths of its life, and asked for anew after that; a provider that can't be reached is
/// asked again, as a broker is. `Debug` shows neither secret nor token.
///
/// ```no_run
/// use mq_pulsar::{Auth, Client, OAuth2, Secret};
///
/// # async fn connect() -> mq_pulsar::Result<()> {
/// let provider = OAuth2::new("https://login.example.com", "me", Secret::new("…")).audience("urn:pulsar:prod");
/// let client = Client::from_url("pulsar+ssl://broker")?.auth(Auth::oauth2(provider)).connect().await?;
/// # Ok(())
/// # }
/// ```
pub struct OAuth2 {
    issuer: String,
    client_id: String,
    secret: Secret,
    audience: Option<String>,
    scope: Option<String>,
    timeout: Duration,
    #[cfg(feature = "tls")]
    ca: Option<Vec<u8>>,
    /// Who finds it too old asks for the next, and others wait for that.
    token: Mutex<Option<(Secret, Instant)>>,
}

#[derive(Deserialize)]
struct Discovered {
    token_endpoint: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds.
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct KeyFile {
    client_id: String,
    client_secret: String,
    issuer_url: Option<String>,
}

impl OAuth2 {
    /// A provider, by the address that its discovery document stands below, and who the client is there.
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>, secret: Secret) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: client_id.into(),
            secret,
            audience: None,
            scope: None,
            timeout: Duration::from_secs(10),
            #[cfg(feature = "tls")]
            ca: None,
            token: Mutex::new(None),
        }
    }

    /// A provider, by the JSON text of a key file as Pulsar's other clients read it: `client_id`, `client_secret`, and `issuer_url`, if none is given.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: no such text, or no issuer.
    pub fn from_key_file(text: &str, issuer: Option<&str>) -> Result<Self> {
        let file: KeyFile = serde_json::from_str(text).map_err(|_| {
            let wrong = "the key file is no JSON with client_id and client_secret";
            invalid("oauth2", wrong)
        })?;
        let issuer = issuer.map(str::to_owned).or(file.issuer_url);
        let issuer = issuer.ok_or_else(|| {
            let wrong = "neither the key file nor the caller says who the issuer is";
            invalid("oauth2", wrong)
        })?;
        Ok(Self::new(
            issuer,
            file.client_id,
            Secret::new(file.client_secret),
        ))
    }

    /// Whom the token is for, as most providers want to know.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// What the token is to allow; several are separated by blanks.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// How long the provider may take to answer, each time. Default 10 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Trusts the certificates in this PEM text alone, in the place of the platform's. Of the provider; the brokers' are the client's matter.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// A token that lives.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for an issuer that is no address; `Auth` for a client that the provider does not know; else what asking answers.
    pub(super) async fn token(&self) -> Result<Secret> {
        let mut token = self.token.lock().await;
        if let Some((secret, until)) = token.as_ref().filter(|(_, until)| now() < *until) {
            tracing::trace!(left = ?*until - now(), "the token lives");
            return Ok(secret.clone());
        }
        let asked = now();
        let granted = self.ask().await.map_err(|error| {
            let error = error.into_builder().operation("oauth2");
            error.build()
        })?;
        let secret = Secret::new(granted.access_token);
        // Without a word of its age it is asked for each time.
        let life = Duration::from_secs(granted.expires_in.unwrap_or_default().min(LONGEST_LIFE));
        *token = Some((secret.clone(), asked + life * 9 / 10));
        Ok(secret)
    }

    async fn ask(&self) -> Result<Granted> {
        let issuer = self.issuer.trim_end_matches('/');
        let document = format!("{issuer}/.well-known/openid-configuration");
        let found: Discovered = self.exchange(&document, Method::GET, String::new()).await?;
        let mut form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            escaped(&self.client_id),
            escaped(self.secret.expose())
        );
        for (name, value) in [("audience", &self.audience), ("scope", &self.scope)] {
            if let Some(value) = value {
                form = format!("{form}&{name}={}", escaped(value));
            }
        }
        self.exchange(&found.token_endpoint, Method::POST, form)
            .await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        url: &str,
        method: Method,
        form: String,
    ) -> Result<T> {
        let (endpoint, tls, path) = self.read(url)?;
        let mut headers = Vec::new();
        if method == Method::POST {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.push(("content-type", kind));
        }
        let question = Question {
            method,
            path,
            headers,
            body: Bytes::from(form),
        };
        let answered = http::ask(&endpoint, tls.as_ref(), question, self.timeout).await?;
        if answered.status == 200 {
            return serde_json::from_slice(&answered.body).map_err(|_| strange(&endpoint));
        }
        Err(refused(answered.status, &answered.body, &endpoint))
    }

    /// A URL's host, how it is secured, and the rest.
    fn read(&self, url: &str) -> Result<(Endpoint, Option<TlsConfig>, String)> {
        let bad = || {
            invalid(
                "oauth2",
                "the provider's address begins with https:// and a host",
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (tls, port) = match scheme {
            "https" => (Some(self.tls()?), 443),
            // The secret is told: so only on this machine.
            "http" => (None, 80),
            _ => return Err(bad()),
        };
        let hosts = ServiceUrl::parse_endpoints(host, Some(port)).map_err(|_| bad())?;
        let endpoint = hosts.into_iter().next().ok_or_else(bad)?;
        let is_here = ["localhost", "127.0.0.1", "::1"].contains(&endpoint.host());
        if tls.is_none() && !is_here {
            let error = invalid("oauth2", "the provider's address is not secured");
            let error = error.into_builder();
            return Err(error
                .hint("write https://; http:// is for localhost alone")
                .build());
        }
        Ok((endpoint, tls, format!("/{path}")))
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Result<TlsConfig> {
        TlsConfig::new(crate::conn::TlsParts {
            ca: self.ca.clone(),
            ..crate::conn::TlsParts::default()
        })
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self, reason = "with TLS it has what is trusted")]
    fn tls(&self) -> Result<TlsConfig> {
        let message = "this build has no TLS: switch the feature \"tls\" of mq-pulsar on";
        Err(invalid("oauth2", message))
    }
}

fn refused(status: u16, body: &[u8], endpoint: &Endpoint) -> Error {
    let told = serde_json::from_slice::<Refusal>(body).ok();
    let words = told.map(|told| match told.error_description {
        Some(more) => format!("{}: {more}", told.error),
        None => told.error,
    });
    let message = match words {
        Some(words) => format!("the identity provider gives no token: {words}"),
        None => format!("the identity provider answered with status {status}"),
    };
    let error = Error::builder(ErrorKind::Auth, message).endpoint(endpoint.to_string());
    if matches!(status, 429 | 500..) {
        return error.retry(Retry::Later).build();
    }
    let error = error.retry(Retry::Never);
    error
        .hint("check issuer, client id, secret and audience")
        .build()
}

fn strange(endpoint: &Endpoint) -> Error {
    let message = "the identity provider answered with something else";
    let error = Error::builder(ErrorKind::Protocol, message).endpoint(endpoint.to_string());
    error.build()
}

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// A day: nobody wants to add up more.
const LONGEST_LIFE: u64 = 24 * 60 * 60;
