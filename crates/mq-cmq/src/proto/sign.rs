//! The signature of a request: HMAC over method, host, path and all parameters.
//!
//! Source: Tencent Cloud's documents on CMQ's signature (product 406, document 5906), and what its SDKs for Python and Java do.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// How requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SignatureMethod {
    /// HMAC with SHA-1: what a request means that does not name its method. Only for servers that know nothing else.
    HmacSha1,
    /// HMAC with SHA-256: the default.
    #[default]
    HmacSha256,
}

impl SignatureMethod {
    /// The value of the parameter `SignatureMethod`.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HmacSHA1",
            Self::HmacSha256 => "HmacSHA256",
        }
    }
}

/// A secret key, ready to sign. `Debug` shows the method alone.
#[derive(Clone)]
pub struct SigningKey(Keyed);

#[derive(Clone)]
enum Keyed {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl SigningKey {
    /// Prepares `secret`; a key of any length will do.
    pub fn new(method: SignatureMethod, secret: &str) -> Option<Self> {
        let keyed = match method {
            SignatureMethod::HmacSha1 => Keyed::Sha1(Hmac::new_from_slice(secret.as_bytes()).ok()?),
            SignatureMethod::HmacSha256 => {
                Keyed::Sha256(Hmac::new_from_slice(secret.as_bytes()).ok()?)
            }
        };
        Some(Self(keyed))
    }

    /// The method that it signs by.
    pub const fn method(&self) -> SignatureMethod {
        match self.0 {
            Keyed::Sha1(_) => SignatureMethod::HmacSha1,
            Keyed::Sha256(_) => SignatureMethod::HmacSha256,
        }
    }

    /// The signature of `text`, in Base64, not yet encoded for the wire.
    pub fn sign(&self, text: &str) -> String {
        match &self.0 {
            Keyed::Sha1(keyed) => {
                let mac = keyed.clone().chain_update(text.as_bytes());
                STANDARD.encode(mac.finalize().into_bytes())
            }
            Keyed::Sha256(keyed) => {
                let mac = keyed.clone().chain_update(text.as_bytes());
                STANDARD.encode(mac.finalize().into_bytes())
            }
        }
    }

    /// Whether `signature` is that of `text`, compared in constant time.
    pub fn verify(&self, text: &str, signature: &str) -> bool {
        let Ok(bytes) = STANDARD.decode(signature) else {
            return false;
        };
        match &self.0 {
            Keyed::Sha1(keyed) => {
                let mac = keyed.clone().chain_update(text.as_bytes());
                mac.verify_slice(&bytes).is_ok()
            }
            Keyed::Sha256(keyed) => {
                let mac = keyed.clone().chain_update(text.as_bytes());
                mac.verify_slice(&bytes).is_ok()
            }
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({:?})", self.method())
    }
}

/// What is signed: `METHOD host path ? key=value & …`, without blanks.
///
/// Keys are sorted by their bytes *before* `_` becomes `.` in them (values stay as they are); values are raw, not encoded; empty ones are
/// kept; `Signature` itself is left out. `host` is the `Host` header's: with the port, where it is not the scheme's own.
///
/// `msgBody.10` sorts before `msgBody.2`: the order here is not the messages'.
pub fn string_to_sign<K: AsRef<str>, V: AsRef<str>>(
    method: &str,
    host: &str,
    path: &str,
    pairs: &[(K, V)],
) -> String {
    let mut sorted: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(key, value)| (key.as_ref(), value.as_ref()))
        .filter(|(key, _)| *key != SIGNATURE)
        .collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0));
    let size: usize = sorted
        .iter()
        .map(|(key, value)| key.len() + value.len() + 2)
        .sum();
    let mut text = String::with_capacity(method.len() + host.len() + path.len() + 1 + size);
    for part in [method, host, path] {
        text.push_str(part);
    }
    let mut separator = '?';
    for (key, value) in sorted {
        text.push(separator);
        separator = '&';
        text.push_str(&dotted(key));
        text.push('=');
        text.push_str(value);
    }
    text
}

fn dotted(key: &str) -> Cow<'_, str> {
    if key.contains('_') {
        key.replace('_', ".").into()
    } else {
        key.into()
    }
}

/// The parameter that carries the signature.
pub const SIGNATURE: &str = "Signature";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of Tencent Cloud's documents on signatures of API 2.0.
    #[test]
    fn the_vector_of_the_documents_holds() {
        let pairs = [
            ("offset", "0"),
            ("limit", "20"),
            ("Action", "DescribeInstances"),
            ("Nonce", "11886"),
            ("Timestamp", "1465185768"),
            ("Region", "gz"),
            ("instanceIds.0", "ins-09dx96dg"),
            ("SecretId", "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA"),
        ];
        let text = string_to_sign("GET", "cvm.api.qcloud.com", "/v2/index.php", &pairs);
        assert_eq!(
            text,
            "GETcvm.api.qcloud.com/v2/index.php?Action=DescribeInstances&Nonce=11886&Region=gz\
             &SecretId=AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA&Timestamp=1465185768\
             &instanceIds.0=ins-09dx96dg&limit=20&offset=0"
        );
        let key = "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA";
        let key = SigningKey::new(SignatureMethod::HmacSha1, key).unwrap();
        assert_eq!(key.sign(&text), "NSI3UqqD99b/UJb4tbG/xZpRW64=");
    }

    /// A body with blank, `&`, `=` and Chinese; a host with a port; what the Python SDK sends. Computed with the SDK's own code.
    #[test]
    fn both_methods_hold_with_a_port_and_raw_values() {
        for (method, expected) in [
            (SignatureMethod::HmacSha1, "MQymvt18yMuWzY8KvGf7kQeIyZs="),
            (
                SignatureMethod::HmacSha256,
                "IkPCx2sdrDTDoagX+oqizkYcZt9pMQ6SZrL6KEQUeUs=",
            ),
        ] {
            let pairs = [
                ("queueName", "q_1"),
                ("msgBody", "hello world & 中=文"),
                ("delaySeconds", "0"),
                ("Timestamp", "1700000000"),
                ("SignatureMethod", method.wire_name()),
                ("SecretId", "AKIDtest"),
                ("RequestClient", "SDK_Python_1.3"),
                ("Nonce", "42"),
                ("Action", "SendMessage"),
                ("Signature", "left out"),
            ];
            let text = string_to_sign("POST", "127.0.0.1:8080", "/v2/index.php", &pairs);
            assert!(text.starts_with("POST127.0.0.1:8080/v2/index.php?Action=SendMessage&"));
            assert!(text.ends_with("&msgBody=hello world & 中=文&queueName=q_1"));
            let key = SigningKey::new(method, "secret").unwrap();
            assert_eq!(key.sign(&text), expected);
            assert!(key.verify(&text, expected));
            assert!(!key.verify(&text.replace("q_1", "q.1"), expected));
            assert!(!key.verify(&text, "not base64!"));
            assert!(!key.verify(&text, ""));
        }
    }

    #[test]
    fn indices_sort_by_bytes_and_underscores_become_dots_afterwards_in_keys_only() {
        let mut pairs: Vec<(String, &str)> =
            (0..12).map(|at| (format!("msgBody.{at}"), "a_b")).collect();
        // `_` sorts behind upper case letters and before lower case ones; `.` before both.
        pairs.push(("x_1".into(), ""));
        pairs.push(("xA".into(), "v"));
        let text = string_to_sign("GET", "h", "/", &pairs);
        let keys: Vec<&str> = text
            .split(['?', '&'])
            .skip(1)
            .map(|pair| pair.split_once('=').unwrap().0)
            .collect();
        let expected = "msgBody.0 msgBody.1 msgBody.10 msgBody.11 msgBody.2 msgBody.3 msgBody.4 msgBody.5 msgBody.6 \
                        msgBody.7 msgBody.8 msgBody.9 xA x.1";
        assert_eq!(keys.join(" "), expected);
        assert!(text.contains("msgBody.10=a_b&"));
        assert!(text.ends_with("&x.1="), "an empty value is kept: {text}");
    }

    #[test]
    fn shows_no_secret() {
        let key = SigningKey::new(SignatureMethod::HmacSha256, "canary").unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(HmacSha256)");
    }

    proptest! {
        #[test]
        fn the_order_of_parameters_does_not_matter(pairs in proptest::collection::btree_map("[a-zA-Z_.0-9]{1,8}", ".*", 0..20)) {
            let forth: Vec<_> = pairs.iter().collect();
            let back: Vec<_> = pairs.iter().rev().collect();
            prop_assert_eq!(
                string_to_sign("GET", "h", "/", &forth),
                string_to_sign("GET", "h", "/", &back)
            );
        }
    }
}
