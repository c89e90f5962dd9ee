//! A whole request: the action's parameters, the common ones, and the signature.

use super::{Action, Params, SigningKey, form, sign};

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HttpMethod {
    /// As a form: the default.
    #[default]
    Post,
    /// In the URL, which may have up to 2048 characters. Proxies write URLs, and so bodies, into their logs.
    Get,
}

impl HttpMethod {
    /// `GET` or `POST`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
        }
    }
}

/// What every request carries, and what is signed beside its parameters. `Debug` shows no token.
#[derive(Clone, Copy)]
pub struct Common<'a> {
    /// How it travels.
    pub method: HttpMethod,
    /// The `Host` header.
    pub host: &'a str,
    /// The path of the endpoint.
    pub path: &'a str,
    /// Whose key signs.
    pub secret_id: &'a str,
    /// The token that goes with a temporary key.
    pub token: Option<&'a str>,
    /// Only older endpoints ask for it.
    pub region: Option<&'a str>,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Another one for each request.
    pub nonce: u64,
}

impl std::fmt::Debug for Common<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Common")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("path", &self.path)
            .field("secret_id", &self.secret_id)
            .field("timestamp", &self.timestamp)
            .field("nonce", &self.nonce)
            .finish_non_exhaustive()
    }
}

/// Writes a request as a form or query, signed.
pub fn encode<A: Action>(action: &A, common: &Common<'_>, key: &SigningKey) -> String {
    let mut params = Params::new();
    params.text("Action", A::NAME);
    params.text("SecretId", common.secret_id);
    params.number("Timestamp", common.timestamp);
    params.number("Nonce", common.nonce);
    params.text("SignatureMethod", key.method().wire_name());
    params.text_if("Region", common.region);
    params.text_if("Token", common.token);
    action.params(&mut params);
    let method = common.method.as_str();
    let text = sign::string_to_sign(method, common.host, common.path, params.pairs());
    params.text(sign::SIGNATURE, key.sign(&text));
    form::encode(params.pairs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::SignatureMethod;
    use crate::proto::action::SendMessage;

    #[test]
    fn a_request_is_read_and_verified_as_a_server_does() {
        let common = Common {
            method: HttpMethod::Post,
            host: "127.0.0.1:8080",
            path: "/v2/index.php",
            secret_id: "AKIDtest",
            token: Some("canary"),
            region: None,
            timestamp: 1_700_000_000,
            nonce: 42,
        };
        let action = SendMessage {
            queue: "q_1",
            body: "hello world & 中=文",
            delay_seconds: Some(3),
        };
        let key = SigningKey::new(SignatureMethod::HmacSha256, "secret").unwrap();
        let pairs = form::decode(encode(&action, &common, &key).as_bytes(), 99).unwrap();
        let value = |key: &str| &pairs.iter().find(|pair| pair.0 == key).unwrap().1;
        assert_eq!(value("Action"), "SendMessage");
        assert_eq!(value("msgBody"), "hello world & 中=文");
        assert_eq!(value("delaySeconds"), "3");
        assert_eq!(value("Token"), "canary");
        let text = sign::string_to_sign("POST", common.host, common.path, &pairs);
        assert!(key.verify(&text, value("Signature")));
        assert!(!format!("{common:?}").contains("canary"));
    }
}
