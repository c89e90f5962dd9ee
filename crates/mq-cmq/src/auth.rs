//! Who the client is: secret id, secret key, and the token of a temporary key.

use mq_core::Secret;

use crate::error::{Result, invalid};
use crate::proto::{SignatureMethod, SigningKey};

/// Secret id, secret key and, for temporary keys, a token. `Debug` shows neither key nor token.
#[derive(Debug, Clone)]
pub struct Credentials {
    secret_id: String,
    secret_key: Secret,
    token: Option<Secret>,
}

impl Credentials {
    /// Credentials from a secret id (`AKID…`) and its key.
    pub fn new(secret_id: impl Into<String>, secret_key: impl Into<Secret>) -> Self {
        Self {
            secret_id: secret_id.into(),
            secret_key: secret_key.into(),
            token: None,
        }
    }

    /// Adds the token that comes with temporary keys.
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The secret id. It travels in the clear and is no secret, whatever its name says.
    pub fn secret_id(&self) -> &str {
        &self.secret_id
    }

    pub(crate) const fn secret_key(&self) -> &Secret {
        &self.secret_key
    }

    pub(crate) const fn given_token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }
}

/// Credentials, ready to sign. `Debug` shows the secret id and the method.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) secret_id: String,
    pub(crate) token: Option<Secret>,
    pub(crate) key: SigningKey,
}

impl Signer {
    pub(crate) fn new(credentials: &Credentials, method: SignatureMethod) -> Result<Self> {
        let secret = credentials.secret_key.expose();
        if credentials.secret_id.is_empty() || secret.is_empty() {
            return Err(invalid("build", "the secret id or the secret key is empty"));
        }
        let key = SigningKey::new(method, secret)
            .ok_or_else(|| invalid("build", "the secret key can't be used as a key"))?;
        Ok(Self {
            secret_id: credentials.secret_id.clone(),
            token: credentials.token.clone(),
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_secret() {
        let credentials = Credentials::new("AKID", "canary-key").token("canary-token");
        let signer = Signer::new(&credentials, SignatureMethod::HmacSha256).unwrap();
        assert!(!format!("{credentials:?} {signer:?} {signer:#?}").contains("canary"));
    }

    #[test]
    fn refuses_empty_keys() {
        for (id, key) in [("", "x"), ("x", "")] {
            let credentials = Credentials::new(id, key);
            assert!(Signer::new(&credentials, SignatureMethod::HmacSha1).is_err());
        }
    }
}
