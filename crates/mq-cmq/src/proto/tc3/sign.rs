//! The signature: a canonical form of the request, its hash in a string to sign, and an HMAC by a key that is derived for a day and a service.

use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::ALGORITHM;
use crate::proto::Malformed;

/// What of a request is signed.
#[derive(Debug, Clone, Copy)]
pub struct Canonical<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// The path, `/`.
    pub path: &'a str,
    /// The query as it travels, without `?`; empty for POST.
    pub query: &'a str,
    /// Names in lower case, in their order, with the values that are signed.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, or [`UNSIGNED_PAYLOAD`](super::UNSIGNED_PAYLOAD).
    pub payload: &'a [u8],
}

impl Canonical<'_> {
    /// The canonical request.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.method, self.path, self.query);
        for (name, value) in self.headers {
            let _ = writeln!(text, "{name}:{value}");
        }
        let names: Vec<&str> = self.headers.iter().map(|header| header.0).collect();
        let payload = hex(&Sha256::digest(self.payload));
        let _ = write!(text, "\n{}\n{payload}", names.join(";"));
        text
    }

    /// What is signed. `timestamp` is the header `X-TC-Timestamp`, as it travels.
    pub fn string_to_sign(&self, timestamp: &str, scope: Scope<'_>) -> String {
        let hash = hex(&Sha256::digest(self.text()));
        format!("{ALGORITHM}\n{timestamp}\n{scope}\n{hash}")
    }
}

/// For what a signature holds. Its `Display` is `date/service/tc3_request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The day in UTC, `YYYY-MM-DD`.
    pub date: &'a str,
    /// The service's name; some SDKs take it from the endpoint's.
    pub service: &'a str,
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{TERMINATOR}", self.date, self.service)
    }
}

/// A secret key, ready to derive from. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// Prepares `secret`; a key of any length will do.
    pub fn new(secret: &str) -> Option<Self> {
        Hmac::new_from_slice(format!("TC3{secret}").as_bytes())
            .ok()
            .map(Self)
    }

    /// The signature of `text`, in hexadecimal digits; `None` never, since keys of any length will do.
    pub fn sign(&self, scope: Scope<'_>, text: &str) -> Option<String> {
        let mac = self.derived(scope)?.chain_update(text);
        Some(hex(&mac.finalize().into_bytes()))
    }

    /// Whether `signature` is that of `text`, compared in constant time.
    pub fn verify(&self, scope: Scope<'_>, text: &str, signature: &str) -> bool {
        let mac = self
            .derived(scope)
            .map(|derived| derived.chain_update(text));
        let bytes = unhex(signature);
        mac.zip(bytes)
            .is_some_and(|(mac, bytes)| mac.verify_slice(&bytes).is_ok())
    }

    fn derived(&self, scope: Scope<'_>) -> Option<Hmac<Sha256>> {
        let mut mac = self.0.clone();
        for part in [scope.date, scope.service, TERMINATOR] {
            let key = mac.chain_update(part).finalize().into_bytes();
            mac = Hmac::new_from_slice(&key).ok()?;
        }
        Some(mac)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

/// The header `Authorization`. Its `Display` is the header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// Who signed.
    pub secret_id: &'a str,
    /// For what.
    pub scope: Scope<'a>,
    /// Which headers are signed, in lower case.
    pub signed_headers: Vec<&'a str>,
    /// The signature, in hexadecimal digits.
    pub signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads the header's value.
    ///
    /// # Errors
    ///
    /// What is not as it should be; the value is not repeated.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let rest = text.trim().strip_prefix(ALGORITHM).ok_or_else(|| {
            Malformed::new("the Authorization does not begin with TC3-HMAC-SHA256")
        })?;
        let part = |name: &'static str| {
            let mut parts = rest
                .split(',')
                .filter_map(|part| part.trim().split_once('='));
            let found = parts.find(|(key, _)| *key == name);
            let found = found.map(|(_, value)| value).filter(|it| !it.is_empty());
            found.ok_or_else(|| Malformed::new(format!("the Authorization has no {name}")))
        };
        let credential = part("Credential")?;
        let mut parts = credential.rsplitn(4, '/');
        let (terminator, service, date) = (parts.next(), parts.next(), parts.next());
        let (Some(TERMINATOR), Some(service), Some(date), Some(secret_id)) =
            (terminator, service, date, parts.next())
        else {
            return Err(Malformed::new(
                "the Credential is not id/date/service/tc3_request",
            ));
        };
        Ok(Self {
            secret_id,
            scope: Scope { date, service },
            signed_headers: part("SignedHeaders")?.split(';').collect(),
            signature: part("Signature")?,
        })
    }
}

impl fmt::Display for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
            self.secret_id,
            self.scope,
            self.signed_headers.join(";"),
            self.signature
        )
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for pair in text.as_bytes().chunks(2) {
        let [high, low] = pair else { return None };
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
    }
    Some(bytes)
}

const TERMINATOR: &str = "tc3_request";

#[cfg(test)]
#[path = "sign/tests.rs"]
mod tests;
