//! Who may ask: secret id, time stamp, signature, and that no request comes twice.
//!
//! What the documents leave open is chosen here: a time stamp may be 5 minutes off in either direction, and a request (its secret id, time
//! stamp, nonce and signature) is accepted once within that time. The last half a million requests at least are remembered.

mod replays;
mod tc3;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use mq_cmq::proto::action::Given;
use mq_cmq::proto::limits::Refusal;
use mq_cmq::proto::{ErrorCode, SignatureMethod, SigningKey, sign, tcp};

use self::replays::Replays;
pub(super) use self::tc3::No;
use super::engine::Result;

/// What of a request is signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) pairs: &'a [(String, String)],
}

/// Who may ask.
#[derive(Debug)]
pub(super) struct Auth {
    keys: HashMap<String, Keys>,
    skew: Duration,
    replays: Option<Replays>,
}

#[derive(Debug)]
struct Keys {
    sha1: SigningKey,
    sha256: SigningKey,
    tc3: Option<mq_cmq::proto::tc3::Key>,
    /// The signature of the token, which is compared in constant time then.
    token: Option<String>,
}

impl Auth {
    pub(super) fn new(skew: Duration, refuse_replays: bool) -> Self {
        Self {
            keys: HashMap::new(),
            skew,
            replays: refuse_replays.then(|| Replays::new(2 * skew)),
        }
    }

    /// One more who may ask; `None` for a key that can't sign.
    pub(super) fn add(&mut self, id: &str, key: &str, token: Option<&str>) -> Option<()> {
        let sha1 = SigningKey::new(SignatureMethod::HmacSha1, key)?;
        let sha256 = SigningKey::new(SignatureMethod::HmacSha256, key)?;
        let token = token.map(|token| sha256.sign(token));
        let keys = Keys {
            sha1,
            sha256,
            tc3: mq_cmq::proto::tc3::Key::new(key),
            token,
        };
        self.keys.insert(id.to_owned(), keys);
        Some(())
    }

    /// Whether a request may be carried out; `now` is in seconds since the Unix epoch, by the machine's clock.
    ///
    /// # Errors
    /// What is wrong, with the code for it.
    pub(super) fn check(&self, signed: &Signed<'_>, now: u64) -> Result<()> {
        let given = Given::new(signed.pairs);
        let id = given.text("SecretId")?;
        let stamp: u64 = given.number("Timestamp", ErrorCode::OUT_OF_RANGE)?;
        let nonce = given.text("Nonce")?;
        let signature = given.text(sign::SIGNATURE)?;
        let method = given.text_if("SignatureMethod")?;
        let Some(keys) = self.keys.get(id) else {
            return Err(unknown(id));
        };
        self.check_time(stamp, now)?;
        let key = if method == Some(SignatureMethod::HmacSha256.wire_name()) {
            &keys.sha256
        } else {
            &keys.sha1
        };
        let expected = sign::string_to_sign(signed.method, signed.host, signed.path, signed.pairs);
        if !key.verify(&expected, signature) && !verifies_without_at(key, signed, signature) {
            return Err(wrong_signature(key, signed));
        }
        if let Some(token) = &keys.token
            && !keys.sha256.verify(given.text("Token")?, token)
        {
            return Err(failed("the Token is not the one that belongs to this key"));
        }
        let again = self.replays.as_ref();
        if again.is_some_and(|replays| !replays.is_first((id, stamp, nonce, signature), now)) {
            let message = format!(
                "this request was made before: Nonce {} was used with Timestamp {stamp}",
                cut(nonce, 24)
            );
            return Err(failed(&message));
        }
        Ok(())
    }

    /// Whether a connection may make requests. Its signature has neither time nor nonce: whoever reads it can use it again, as the
    /// protocol has it. A temporary key has no place for its token there.
    ///
    /// # Errors
    /// What is wrong, with the code for it.
    pub(super) fn check_login(&self, login: &tcp::Auth) -> Result<()> {
        let Some(keys) = self.keys.get(&login.secret_id) else {
            return Err(unknown(&login.secret_id));
        };
        let key = if login.method == SignatureMethod::HmacSha256.wire_name() {
            &keys.sha256
        } else {
            &keys.sha1
        };
        let expected = format!("{}{}", login.client_id, login.secret_id);
        if !key.verify(&expected, &login.signature) {
            let method = key.method().wire_name();
            let shown = cut(&expected, 256);
            return Err(failed(&format!(
                "the Signature does not fit; expected {method} over: {shown}"
            )));
        }
        if keys.token.is_some() {
            return Err(failed("a temporary key can't be used over TCP"));
        }
        Ok(())
    }

    fn check_time(&self, stamp: u64, now: u64) -> Result<()> {
        let apart = stamp.abs_diff(now);
        if apart <= self.skew.as_secs() {
            return Ok(());
        }
        let which = if stamp < now { "behind" } else { "ahead of" };
        Err(failed(&format!(
            "the Timestamp is {apart} s {which} the server's clock, which is more than {} s",
            self.skew.as_secs()
        )))
    }
}

/// The SDK for Python leaves values out of what it signs that begin with `@`, if it sends them by POST.
fn verifies_without_at(key: &SigningKey, signed: &Signed<'_>, signature: &str) -> bool {
    let left_out = |pair: &&(String, String)| pair.1.starts_with('@');
    if signed.method != "POST" || !signed.pairs.iter().any(|pair| left_out(&pair)) {
        return false;
    }
    let pairs: Vec<&(String, String)> = signed.pairs.iter().filter(|p| !left_out(p)).collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|p| (p.0.as_str(), p.1.as_str())).collect();
    let text = sign::string_to_sign(signed.method, signed.host, signed.path, &pairs);
    key.verify(&text, signature)
}

fn unknown(id: &str) -> Refusal {
    let shown = cut(id, 64);
    if id.starts_with("AKID") {
        let message = format!("SecretId {shown} is not existed");
        return Refusal::new(ErrorCode::SECRET_ID_NOT_FOUND, message);
    }
    let message = format!("SecretId {shown} is not existed, and does not begin with AKID");
    Refusal::new(ErrorCode::SECRET_ID_FORMAT, message)
}

/// With the text that should have been signed: what the client sent, without tokens and bodies, and no more of a value than shows which one
/// it is.
fn wrong_signature(key: &SigningKey, signed: &Signed<'_>) -> Refusal {
    let shown: Vec<(&str, String)> = signed
        .pairs
        .iter()
        .map(|(key, value)| {
            let value = if key == "Token" {
                "***".into()
            } else if key == "msgBody" || key.starts_with("msgBody.") {
                // A client shows this text, and logs it.
                cut(value, 0)
            } else {
                cut(value, 128)
            };
            (key.as_str(), value)
        })
        .collect();
    let text = sign::string_to_sign(signed.method, signed.host, signed.path, &shown);
    let method = key.method().wire_name();
    failed(&format!(
        "the Signature does not fit; expected {method} over: {}",
        cut(&text, 8192)
    ))
}

fn failed(why: &str) -> Refusal {
    let message = format!("authentication failed: {why}");
    Refusal::new(ErrorCode::AUTHENTICATION_FAILED, message)
}

/// The first `most` characters, and how many bytes there were.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => {
            let mut shown = text.get(..at).unwrap_or_default().to_owned();
            let _ = write!(shown, "…({} bytes)", text.len());
            shown
        }
    }
}

#[cfg(test)]
mod tests;
