//! Tokens (JWT) of a secured broker: made here, as `bin/pulsar tokens` would in a second each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::{ADMIN, NOBODY};
use crate::brokers::{Context as _, Result};

/// Where a broker's tokens and its key lie.
#[derive(Debug, Clone)]
pub struct Tokens {
    dir: PathBuf,
}

impl Tokens {
    /// Makes a key and what it signs.
    pub(super) fn written(dir: &Path) -> Result<Self> {
        let dir = dir.join("tokens");
        fs::create_dir_all(&dir).context(|| format!("cannot create {}", dir.display()))?;
        let tokens = Self { dir };
        let key: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(KEY)
            .collect();
        let write = |path: PathBuf, bytes: &[u8]| {
            fs::write(&path, bytes).context(|| format!("cannot write {}", path.display()))
        };
        write(tokens.key(), &key)?;
        for role in [ADMIN, NOBODY] {
            write(tokens.of(role), token(&key, role, None).as_bytes())?;
        }
        let long_ago = UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let expired = token(&key, ADMIN, Some(long_ago));
        write(tokens.expired(), expired.as_bytes())?;
        Ok(tokens)
    }

    /// The file with the key of 32 bytes that the broker knows; [`token`] signs with it.
    pub fn key(&self) -> PathBuf {
        self.dir.join("secret.key")
    }

    /// The file with the admin's token.
    pub fn admin(&self) -> PathBuf {
        self.of(ADMIN)
    }

    /// The file with the token of a role without permissions.
    pub fn nobody(&self) -> PathBuf {
        self.of(NOBODY)
    }

    /// The file with a token of the admin's that was good until 2001.
    pub fn expired(&self) -> PathBuf {
        self.of("expired")
    }

    pub(super) fn read(&self, name: &str) -> Result<String> {
        let path = self.of(name);
        fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))
    }

    fn of(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// A token of this role, signed with a broker's key; good until then, or for ever.
///
/// # Panics
/// Never: HMAC takes keys of any length.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub fn token(key: &[u8], role: &str, until: Option<SystemTime>) -> String {
    let claims = match until {
        Some(until) => {
            let since = until.duration_since(UNIX_EPOCH).unwrap_or_default();
            json!({ "sub": role, "exp": since.as_secs() })
        }
        None => json!({ "sub": role }),
    };
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let head = encode(br#"{"alg":"HS256"}"#);
    let signed = format!("{head}.{}", encode(claims.to_string().as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(signed.as_bytes());
    let signature = mac.finalize().into_bytes();
    format!("{signed}.{}", encode(&signature))
}

const KEY: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_another_library_makes_of_the_same() {
        // Python's hmac, hashlib.sha256 and base64 of {"exp":1000000000,"sub":"admin"}; that a broker takes them is tested with one.
        let made = token(
            &[b'k'; 32],
            "admin",
            Some(UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)),
        );
        assert_eq!(
            made,
            "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjEwMDAwMDAwMDAsInN1YiI6ImFkbWluIn0.Vd9Xew_leKHNcRwKpmf0Fh9zC7OlBEf27pNr-hFOqvo"
        );
    }
}
