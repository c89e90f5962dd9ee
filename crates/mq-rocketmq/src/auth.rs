//! Access keys, and the signature that every request carries.

mod keys;
mod source;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use mq_core::Secret;
use sha1::Sha1;

pub(crate) use self::keys::{Hope, Keys};
pub use self::source::{CredentialsProvider, Provided};
use crate::error::{Error, invalid};
use crate::proto::{FieldSink, Fields};

/// Access key, secret key and, for temporary keys, a security token. `Debug` shows neither secret nor token.
///
/// Tencent TDMQ calls them role name and role key the other way round in some consoles: the *access key* is what the console lists
/// as the key of the role, and the secret key is its name; Huawei DMS calls them user name and secret key.
#[derive(Debug, Clone)]
pub struct Credentials {
    access_key: String,
    secret_key: Secret,
    token: Option<Secret>,
}

impl Credentials {
    /// Credentials from an access key and a secret key.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<Secret>) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            token: None,
        }
    }

    /// Adds the token that comes with temporary keys.
    #[must_use]
    pub fn security_token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    fn is_same(&self, other: &Self) -> bool {
        let text = |token: &Option<Secret>| token.as_ref().map(|token| token.expose().to_owned());
        self.access_key == other.access_key
            && self.secret_key.expose() == other.secret_key.expose()
            && text(&self.token) == text(&other.token)
    }

    /// The access key, which is no secret.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }
}

/// Signs requests: HMAC-SHA1 over the values of all ext fields in the order of their keys, and the body.
///
/// Source: apache/rocketmq, `AclClientRPCHook` and `AclUtils`; ACL 2.0 verifies the same text. The opaque is not signed, so that a
/// signed header can be sent again under another one.
#[derive(Clone)]
pub(crate) struct Signer {
    access_key: String,
    token: Option<Secret>,
    keyed: Hmac<Sha1>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

impl Signer {
    pub(crate) fn new(credentials: &Credentials) -> Result<Self, Error> {
        let (access_key, secret) = (
            credentials.access_key.trim(),
            credentials.secret_key.expose(),
        );
        if access_key.is_empty() || secret.is_empty() {
            return Err(invalid(
                "connect",
                "the access key or the secret key is empty",
            ));
        }
        let keyed = Hmac::<Sha1>::new_from_slice(secret.as_bytes())
            .map_err(|_| invalid("connect", "the secret key can't be used as a key"))?;
        Ok(Self {
            access_key: access_key.to_owned(),
            token: credentials.token.clone(),
            keyed,
        })
    }

    /// The ext fields that are added to a request with these fields and this body.
    pub(crate) fn sign(&self, fields: &dyn Fields, body: &[u8]) -> Vec<(&'static str, String)> {
        let mut all = Collected::with_room();
        fields.fields(&mut all);
        let mut added = vec![(ACCESS_KEY, self.access_key.clone())];
        if let Some(token) = &self.token {
            added.push((SECURITY_TOKEN, token.expose().to_owned()));
        }
        for (key, value) in &added {
            all.text(key, value);
        }
        let mut mac = self.keyed.clone();
        all.in_key_order(|value| mac.update(value.as_bytes()));
        mac.update(body);
        added.push((SIGNATURE, STANDARD.encode(mac.finalize().into_bytes())));
        added
    }
}

/// Fields in one buffer, so that sorting them moves ranges, not texts.
struct Collected {
    text: String,
    /// Start of the key, start of the value, end of the value.
    marks: Vec<(usize, usize, usize)>,
}

impl Collected {
    /// Room for what most requests have.
    fn with_room() -> Self {
        Self {
            text: String::with_capacity(512),
            marks: Vec::with_capacity(24),
        }
    }

    fn in_key_order(mut self, mut each: impl FnMut(&str)) {
        let slice = |from: usize, to: usize| self.text.get(from..to).unwrap_or_default();
        self.marks
            .sort_by(|a, b| slice(a.0, a.1).cmp(slice(b.0, b.1)));
        for (_, from, to) in &self.marks {
            each(slice(*from, *to));
        }
    }
}

impl FieldSink for Collected {
    fn text(&mut self, key: &str, value: &str) {
        let start = self.text.len();
        self.text.push_str(key);
        let middle = self.text.len();
        self.text.push_str(value);
        self.marks.push((start, middle, self.text.len()));
    }
}

const ACCESS_KEY: &str = "AccessKey";
const SECURITY_TOKEN: &str = "SecurityToken";
const SIGNATURE: &str = "Signature";

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;

    impl Fields for Two {
        fn fields(&self, sink: &mut dyn FieldSink) {
            sink.text("topic", "t");
            sink.int("a", 7);
        }
    }

    #[test]
    fn signs_values_in_key_order_and_the_body() {
        let signer = Signer::new(&Credentials::new("ak", "sk")).unwrap();
        let added = signer.sign(&Two, b"body");
        // Keys in byte order: AccessKey, a, topic.
        let mut mac = Hmac::<Sha1>::new_from_slice(b"sk").unwrap();
        mac.update(b"ak7tbody");
        let expected = STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(
            added,
            [("AccessKey", "ak".to_owned()), ("Signature", expected)]
        );
    }

    /// Frames that the Java client signed with these keys: ours is the same to the letter.
    #[test]
    fn signs_as_java_does() {
        let captured = [
            include_str!("../tests/fixtures/java-5.5.0/json/acl-310-send-v2-request.hex"),
            include_str!("../tests/fixtures/java-5.5.0/json/acl-token-310-send-v2-request.hex"),
            include_str!("../tests/fixtures/java-5.5.0/json/acl-34-heartbeat-request.hex"),
            include_str!("../tests/fixtures/java-5.5.0/json/acl-11-pull-request.hex"),
            include_str!("../tests/fixtures/java-5.5.0/json/acl-105-route-request.hex"),
            include_str!("../tests/fixtures/java-5.5.0/binary/acl-310-send-v2-request.hex"),
        ];
        for frame in captured.into_iter().flat_map(frames) {
            let ext = &frame.header.ext;
            let mut credentials = Credentials::new("rocketmq", "12345678");
            if let Some(token) = ext.text(SECURITY_TOKEN) {
                credentials = credentials.security_token(token);
            }
            let mut unsigned = crate::proto::ExtFields::new();
            for (key, value) in ext.iter() {
                // Java's binary form writes the command's own fields twice; its reader keeps a map.
                let again = unsigned.text(key).is_some();
                if !again && ![ACCESS_KEY, SECURITY_TOKEN, SIGNATURE].contains(&key) {
                    unsigned.push(key, value);
                }
            }
            let added = Signer::new(&credentials)
                .unwrap()
                .sign(&unsigned, &frame.body);
            let ours = added.iter().find(|(key, _)| *key == SIGNATURE).unwrap();
            assert_eq!(
                Some(ours.1.as_str()),
                ext.text(SIGNATURE),
                "{:?}",
                frame.header
            );
        }
    }

    fn frames(hex: &str) -> Vec<crate::proto::Frame> {
        let digits: Vec<u8> = hex
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| line.trim().bytes())
            .collect();
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let mut buffer = bytes::BytesMut::from(&bytes[..]);
        let mut decoder = crate::proto::FrameDecoder::new(crate::proto::MAX_FRAME);
        let frames: Vec<_> = std::iter::from_fn(|| decoder.decode(&mut buffer).unwrap()).collect();
        assert!(!frames.is_empty() && buffer.is_empty());
        frames
    }

    #[test]
    fn shows_no_secret() {
        let credentials = Credentials::new("ak", "canary-secret").security_token("canary-token");
        let signer = Signer::new(&credentials).unwrap();
        assert!(!format!("{credentials:?} {signer:?}").contains("canary"));
    }

    #[test]
    fn refuses_empty_keys() {
        assert!(Signer::new(&Credentials::new("", "x")).is_err());
        assert!(Signer::new(&Credentials::new("x", "")).is_err());
    }
}
