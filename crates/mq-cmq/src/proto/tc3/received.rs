//! A request as a server has it, and whether it is signed by who it says.

use super::sign::{Authorization, Canonical, Key};
use super::{UNSIGNED_PAYLOAD, date};

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: &'a str,
    /// Names, in any case, and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// Why a request is not signed by who it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// `X-TC-Timestamp` is missing, or no number.
    #[error("X-TC-Timestamp is missing, or is not a time in seconds")]
    Timestamp,
    /// The day of the scope is not that of the time stamp.
    #[error("the credential's date is {scope}, the timestamp's is {timestamp}")]
    Date {
        /// Of the scope.
        scope: String,
        /// Of the time stamp, in UTC.
        timestamp: String,
    },
    /// Type or host are not signed, or a header is missing that is.
    #[error("the header {0} is not signed, or missing")]
    Header(String),
    /// The signature is another one.
    #[error("the signature does not match")]
    Signature {
        /// What a client has to sign that reads the request as it came.
        string_to_sign: String,
        /// What is hashed in it.
        canonical_request: String,
    },
}

impl<'a> Received<'a> {
    /// The value of a header, without blanks around it.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|header| header.0.eq_ignore_ascii_case(name));
        found.map(|header| header.1.trim())
    }

    /// When it was signed, in seconds since 1970, by its own word.
    pub fn timestamp(&self) -> Option<u64> {
        self.header(TIMESTAMP)?.parse().ok()
    }

    /// The string to sign, as it follows from the request as it came.
    ///
    /// # Errors
    ///
    /// [`Mismatch::Timestamp`], [`Mismatch::Header`].
    pub fn string_to_sign(&self, authorization: &Authorization<'_>) -> Result<String, Mismatch> {
        self.signed_as(authorization, Way::AsSent, |canonical, timestamp| {
            canonical.string_to_sign(timestamp, authorization.scope)
        })
    }

    /// Checks the signature, in constant time for each of the ways in which SDKs read one request: service and date are those of the scope; the host
    /// is signed with its port, or without (the SDK for Node); values as they are, or in lower case (as documented). Time and id are for the caller
    /// to judge.
    ///
    /// # Errors
    ///
    /// See [`Mismatch`]. No secret is in it.
    pub fn verify(&self, authorization: &Authorization<'_>, key: &Key) -> Result<(), Mismatch> {
        let seconds = self.timestamp().ok_or(Mismatch::Timestamp)?;
        let timestamp = date::utc_date(seconds);
        if timestamp != authorization.scope.date {
            let scope = authorization.scope.date.to_owned();
            return Err(Mismatch::Date { scope, timestamp });
        }
        let signed = &authorization.signed_headers;
        for needed in ["content-type", "host"] {
            if !signed.contains(&needed) {
                return Err(Mismatch::Header(needed.to_owned()));
            }
        }
        for way in [Way::AsSent, Way::Lower, Way::NoPort, Way::LowerNoPort] {
            let matches = self.signed_as(authorization, way, |canonical, timestamp| {
                let text = canonical.string_to_sign(timestamp, authorization.scope);
                key.verify(authorization.scope, &text, authorization.signature)
            })?;
            if matches {
                return Ok(());
            }
        }
        self.signed_as(authorization, Way::AsSent, |canonical, timestamp| {
            Err(Mismatch::Signature {
                string_to_sign: canonical.string_to_sign(timestamp, authorization.scope),
                canonical_request: canonical.text(),
            })
        })?
    }

    fn signed_as<T>(
        &self,
        authorization: &Authorization<'_>,
        way: Way,
        then: impl FnOnce(Canonical<'_>, &str) -> T,
    ) -> Result<T, Mismatch> {
        let timestamp = self.header(TIMESTAMP).ok_or(Mismatch::Timestamp)?;
        let mut values = Vec::with_capacity(authorization.signed_headers.len());
        for name in &authorization.signed_headers {
            let value = self.header(name);
            let value = value.ok_or_else(|| Mismatch::Header((*name).to_owned()))?;
            values.push(way.value(name, value));
        }
        let names = authorization.signed_headers.iter().copied();
        let headers: Vec<_> = names.zip(values.iter().map(String::as_str)).collect();
        let unsigned = self.header("x-tc-content-sha256") == Some(UNSIGNED_PAYLOAD);
        let canonical = Canonical {
            method: self.method,
            path: self.path,
            query: self.query,
            headers: &headers,
            payload: if unsigned {
                UNSIGNED_PAYLOAD.as_bytes()
            } else {
                self.body
            },
        };
        Ok(then(canonical, timestamp))
    }
}

/// How a client may have read what it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AsSent,
    Lower,
    NoPort,
    LowerNoPort,
}

impl Way {
    fn value(self, name: &str, value: &str) -> String {
        let portless = matches!(self, Self::NoPort | Self::LowerNoPort) && name == "host";
        let value = match value.rsplit_once(':') {
            Some((host, port)) if portless && port.bytes().all(|it| it.is_ascii_digit()) => host,
            _ => value,
        };
        match self {
            Self::AsSent | Self::NoPort => value.to_owned(),
            Self::Lower | Self::LowerNoPort => value.to_lowercase(),
        }
    }
}

const TIMESTAMP: &str = "x-tc-timestamp";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::tc3::Scope;

    const HEADERS: &[(&str, &str)] = &[
        ("Host", "Node.example:8080"),
        ("Content-Type", "application/json"),
        ("X-TC-Action", "DescribeCmqQueues"),
        ("X-TC-Timestamp", "1700000000"),
    ];
    const REQUEST: Received<'_> = Received {
        method: "POST",
        path: "/",
        query: "",
        headers: HEADERS,
        body: b"{}",
    };

    /// What a client signs that reads its request as `headers` and `payload`.
    fn signature(headers: &[(&str, &str)], payload: &[u8], scope: Scope<'_>) -> String {
        let canonical = Canonical {
            method: "POST",
            path: "/",
            query: "",
            headers,
            payload,
        };
        let text = canonical.string_to_sign("1700000000", scope);
        Key::new("secret").unwrap().sign(scope, &text).unwrap()
    }

    fn judged(
        request: Received<'_>,
        headers: &[(&str, &str)],
        payload: &[u8],
        scope: Scope<'_>,
    ) -> Result<(), Mismatch> {
        let signature = signature(headers, payload, scope);
        let authorization = Authorization {
            secret_id: "AKID",
            scope,
            signed_headers: headers.iter().map(|header| header.0).collect(),
            signature: &signature,
        };
        request.verify(&authorization, &Key::new("secret").unwrap())
    }

    const SCOPE: Scope<'_> = Scope {
        date: "2023-11-14",
        service: "tdmq",
    };
    const TYPE: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn the_ways_of_sdks_are_taken_and_no_other() {
        let foreign = Scope {
            service: "127",
            ..SCOPE
        };
        for (headers, scope) in [
            (vec![TYPE, ("host", "Node.example:8080")], SCOPE),
            (vec![TYPE, ("host", "node.example:8080")], SCOPE),
            (vec![TYPE, ("host", "Node.example")], foreign),
            (vec![TYPE, ("host", "node.example")], SCOPE),
            (
                vec![
                    TYPE,
                    ("host", "node.example:8080"),
                    ("x-tc-action", "describecmqqueues"),
                ],
                SCOPE,
            ),
        ] {
            assert_eq!(
                judged(REQUEST, &headers, b"{}", scope),
                Ok(()),
                "{headers:?}"
            );
            let error = judged(REQUEST, &headers, b"{ }", scope).unwrap_err();
            assert!(matches!(error, Mismatch::Signature { .. }), "{error:?}");
        }
        let other = [TYPE, ("host", "other.example:8080")];
        assert!(judged(REQUEST, &other, b"{}", SCOPE).is_err());
    }

    #[test]
    fn a_body_is_unsigned_only_where_the_request_says_so() {
        let headers = [TYPE, ("host", "Node.example:8080")];
        let unsigned = UNSIGNED_PAYLOAD.as_bytes();
        assert!(judged(REQUEST, &headers, unsigned, SCOPE).is_err());
        let mut all = HEADERS.to_vec();
        all.push(("X-TC-Content-SHA256", UNSIGNED_PAYLOAD));
        let request = Received {
            headers: &all,
            ..REQUEST
        };
        assert_eq!(judged(request, &headers, unsigned, SCOPE), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named_without_the_key() {
        let whole = [TYPE, ("host", "Node.example:8080")];
        let another = Scope {
            date: "2023-11-15",
            ..SCOPE
        };
        assert_eq!(
            judged(REQUEST, &whole, b"{}", another)
                .unwrap_err()
                .to_string(),
            "the credential's date is 2023-11-15, the timestamp's is 2023-11-14"
        );
        assert_eq!(
            judged(REQUEST, &[TYPE], b"{}", SCOPE),
            Err(Mismatch::Header("host".into()))
        );
        let absent = [TYPE, whole[1], ("x-tc-token", "t")];
        assert_eq!(
            judged(REQUEST, &absent, b"{}", SCOPE),
            Err(Mismatch::Header("x-tc-token".into()))
        );
        let timeless = Received {
            headers: &HEADERS[..3],
            ..REQUEST
        };
        assert_eq!(
            judged(timeless, &whole, b"{}", SCOPE),
            Err(Mismatch::Timestamp)
        );
        let error = judged(REQUEST, &whole, b"x", SCOPE).unwrap_err();
        let Mismatch::Signature {
            string_to_sign,
            canonical_request,
        } = error
        else {
            panic!("{error:?}");
        };
        assert!(
            string_to_sign
                .starts_with("TC3-HMAC-SHA256\n1700000000\n2023-11-14/tdmq/tc3_request\n")
        );
        assert!(canonical_request.contains("\nhost:Node.example:8080\n"));
    }
}
