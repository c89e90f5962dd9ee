//! How a client says who it is.

mod oauth2;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::header::HeaderValue;
use mq_core::{ErrorKind, Retry, Secret};

pub use self::oauth2::OAuth2;
use crate::error::{Error, Result, invalid};

/// How a client says who it is: at each connect, and when a broker asks anew before the last answer expires.
///
/// `Debug` never shows what it says.
// apache/pulsar: AuthenticationToken, AuthenticationBasic, AuthenticationTls, AuthenticationOAuth2
#[derive(Clone)]
pub struct Auth(Way);

#[derive(Clone)]
enum Way {
    None,
    Token(Secret),
    TokenFile(PathBuf),
    Supplier(Supplier),
    OAuth2(Arc<OAuth2>),
    Basic(String, Secret),
    Certificate,
}

type Supplier = Arc<dyn Fn() -> BoxFuture<'static, Result<Secret, BoxError>> + Send + Sync>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Auth {
    /// Nobody in particular. The default.
    pub const fn none() -> Self {
        Self(Way::None)
    }

    /// A token, such as the role's of a cloud console.
    pub const fn token(token: Secret) -> Self {
        Self(Way::Token(token))
    }

    /// A file with a token, which is read anew whenever it is needed: at each connect and each time a broker asks.
    pub fn token_file(path: impl Into<PathBuf>) -> Self {
        Self(Way::TokenFile(path.into()))
    }

    /// Asks for a token whenever one is needed. An error is tried again later, as a broker that can't be reached is.
    pub fn token_supplier<F, Fut>(supplier: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Secret, BoxError>> + Send + 'static,
    {
        Self(Way::Supplier(Arc::new(move || supplier().boxed())))
    }

    /// Tokens that an identity provider gives out.
    pub fn oauth2(provider: OAuth2) -> Self {
        Self(Way::OAuth2(Arc::new(provider)))
    }

    /// User and password, for brokers with basic authentication.
    pub fn basic(user: impl Into<String>, password: Secret) -> Self {
        Self(Way::Basic(user.into(), password))
    }

    /// Who the client certificate says: see [`ClientBuilder::tls_identity`](crate::ClientBuilder::tls_identity).
    pub const fn certificate() -> Self {
        Self(Way::Certificate)
    }

    /// The name of the method, as brokers know it.
    pub(crate) const fn method(&self) -> Option<&'static str> {
        match self.0 {
            Way::None => None,
            Way::Token(_) | Way::TokenFile(_) | Way::Supplier(_) | Way::OAuth2(_) => Some("token"),
            Way::Basic(..) => Some("basic"),
            Way::Certificate => Some("tls"),
        }
    }

    /// What is said now.
    ///
    /// # Errors
    ///
    /// Kind `Auth`: a file that can't be read, a supplier that failed.
    pub(crate) async fn say(&self) -> Result<Secret> {
        match &self.0 {
            Way::None | Way::Certificate => Ok(Secret::new("")),
            Way::Token(token) => Ok(token.clone()),
            Way::TokenFile(path) => {
                let text = tokio::fs::read_to_string(path).await.map_err(|cause| {
                    let message = format!("the token's file \"{}\" can't be read", path.display());
                    without(message, cause.into())
                })?;
                let token = text.trim();
                if token.is_empty() {
                    let message = format!("the token's file \"{}\" is empty", path.display());
                    return Err(invalid("connect", message));
                }
                Ok(Secret::new(token))
            }
            Way::Supplier(supplier) => {
                let token = supplier().await;
                token.map_err(|cause| without("no token could be had".to_owned(), cause))
            }
            Way::OAuth2(provider) => provider.token().await,
            Way::Basic(user, password) => Ok(Secret::new(format!("{user}:{}", password.expose()))),
        }
    }
}

impl Auth {
    /// What is said in HTTP.
    ///
    /// # Errors
    ///
    /// As [`say`](Self::say); kind `Invalid` for a token that no header can have.
    pub(crate) async fn header(&self) -> Result<Option<HeaderValue>> {
        let said = self.say().await?;
        let value = match self.0 {
            Way::None | Way::Certificate => return Ok(None),
            Way::Basic(..) => format!("Basic {}", BASE64_STANDARD.encode(said.expose())),
            _ => format!("Bearer {}", said.expose()),
        };
        let value = HeaderValue::try_from(value);
        let mut value =
            value.map_err(|_| invalid("connect", "the token has bytes that no token has"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn without(message: String, cause: BoxError) -> Error {
    let error = Error::builder(ErrorKind::Auth, message).operation("connect");
    error.retry(Retry::Later).source(cause).build()
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Auth")
            .field(&self.method().unwrap_or("none"))
            .finish()
    }
}
