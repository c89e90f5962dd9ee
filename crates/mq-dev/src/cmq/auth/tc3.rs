//! Who may ask the control plane: secret id, time stamp, signature by TC3-HMAC-SHA256, token.
//!
//! There is no nonce: a request that is made twice within a second looks like one that is sent twice, and both are carried out.

use mq_cmq::ControlCode;
use mq_cmq::proto::tc3::{Authorization, Mismatch, Received};

use super::{Auth, cut};

/// The code, and what is wrong.
pub(in crate::cmq) type No = (ControlCode, String);

impl Auth {
    /// Whether a request may be carried out; `now` is in seconds since the Unix epoch, by the machine's clock.
    ///
    /// # Errors
    /// What is wrong. What the client should have signed is told, as it follows from its request; no secret is.
    pub(in crate::cmq) fn check_tc3(&self, request: &Received<'_>, now: u64) -> Result<(), No> {
        let text = request.header("authorization").unwrap_or_default();
        let authorization = Authorization::parse(text)
            .map_err(|error| (ControlCode::INVALID_AUTHORIZATION, error.to_string()))?;
        let Some(keys) = self.keys.get(authorization.secret_id) else {
            let shown = cut(authorization.secret_id, 64);
            let message = format!("the SecretId {shown} is not found");
            return Err((ControlCode::SECRET_ID_NOT_FOUND, message));
        };
        keys.tc3
            .as_ref()
            .map_or(Err(Mismatch::Timestamp), |key| {
                request.verify(&authorization, key)
            })
            .map_err(|mismatch| told(&mismatch))?;
        let stamp = request.timestamp().unwrap_or_default();
        let apart = stamp.abs_diff(now);
        if apart > self.skew.as_secs() {
            let which = if stamp < now { "behind" } else { "ahead of" };
            let message = format!("X-TC-Timestamp is {apart} s {which} the server's clock");
            return Err((ControlCode::SIGNATURE_EXPIRED, message));
        }
        let given = request.header("x-tc-token").unwrap_or_default();
        if keys
            .token
            .as_ref()
            .is_some_and(|token| !keys.sha256.verify(given, token))
        {
            let message = "the token is not the one that belongs to this key";
            return Err((ControlCode::TOKEN_FAILURE, message.to_owned()));
        }
        Ok(())
    }
}

fn told(mismatch: &Mismatch) -> No {
    let message = match mismatch {
        Mismatch::Signature {
            string_to_sign,
            canonical_request,
        } => {
            // A token may be among the headers that are signed.
            let canonical: Vec<&str> = canonical_request
                .lines()
                .map(|line| match line.split_once(':') {
                    Some(("x-tc-token", _)) => "x-tc-token:***",
                    _ => line,
                })
                .collect();
            format!(
                "{mismatch}; expected string to sign: {}; its canonical request: {}",
                string_to_sign.replace('\n', "\\n"),
                cut(&canonical.join("\\n"), 4096)
            )
        }
        other => other.to_string(),
    };
    (ControlCode::SIGNATURE_FAILURE, message)
}
