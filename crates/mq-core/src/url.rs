//! Service URLs: `scheme://[user:secret@]host[:port][;host[:port]…][/path][?key=value&…]`.

use std::error::Error as StdError;
use std::fmt;

use crate::{Endpoint, Secret};

/// A parsed service URL. `Debug` and errors never show the secret.
///
/// Hosts are separated by `;` or `,`. `%` and two hexadecimal digits decode; any other `%` is literal, since names such as
/// `cluster|ns%topic` carry one. The user part ends at the last `@` before the query, so that a secret may hold `@`, `:` and `/`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServiceUrl {
    /// What stands before `://`, in lower case.
    pub scheme: String,
    /// User name or access key.
    pub user: Option<String>,
    /// Password or secret key.
    pub secret: Option<Secret>,
    /// At least one host.
    pub endpoints: Vec<Endpoint>,
    /// What stands behind the first `/`, decoded; `None` when empty.
    pub path: Option<String>,
    /// The query's pairs, decoded, in order.
    pub query: Vec<(String, String)>,
}

/// Why a service URL can't be read. It never repeats the user part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlError(String);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for UrlError {}

impl ServiceUrl {
    /// Reads `text`; a host without a port gets `default_port`.
    ///
    /// # Errors
    ///
    /// No `://`, no host, a bad host or port, a user part without a secret, a query entry without `=`.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, UrlError> {
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .ok_or_else(|| UrlError("a service URL starts with \"scheme://\"".into()))?;
        let (before_query, query) = rest
            .split_once('?')
            .map_or((rest, None), |(a, b)| (a, Some(b)));
        let (user_part, address) = before_query
            .rsplit_once('@')
            .map_or((None, before_query), |(a, b)| (Some(a), b));
        let (hosts, path) = address
            .split_once('/')
            .map_or((address, ""), |(a, b)| (a, b));
        let (user, secret) = user_part.map(split_user).transpose()?.unzip();
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            user,
            secret,
            endpoints: Self::parse_endpoints(hosts, default_port)?,
            path: Some(decode(path)).filter(|path| !path.is_empty()),
            query: query.map_or_else(|| Ok(Vec::new()), split_query)?,
        })
    }

    /// Reads a list of hosts separated by `;` or `,`.
    ///
    /// # Errors
    ///
    /// An empty list, or what is wrong with one of its entries.
    pub fn parse_endpoints(
        text: &str,
        default_port: Option<u16>,
    ) -> Result<Vec<Endpoint>, UrlError> {
        let endpoints = text
            .split([';', ','])
            .filter(|part| !part.trim().is_empty())
            .map(|part| Endpoint::parse(part, default_port).map_err(UrlError))
            .collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(UrlError("no host given".into()));
        }
        Ok(endpoints)
    }
}

fn split_user(part: &str) -> Result<(String, Secret), UrlError> {
    let (user, secret) = part
        .split_once(':')
        .ok_or_else(|| UrlError("the part before \"@\" is \"access:secret\"".into()))?;
    if user.is_empty() || secret.is_empty() {
        return Err(UrlError(
            "the part before \"@\" lacks its user or its secret".into(),
        ));
    }
    Ok((decode(user), Secret::new(decode(secret))))
}

fn split_query(query: &str) -> Result<Vec<(String, String)>, UrlError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                UrlError(format!(
                    "\"{pair}\" in the query is not of the form key=value"
                ))
            })?;
            Ok((decode(key), decode(value)))
        })
        .collect()
}

/// `%` and two hexadecimal digits decode; any other `%` stays. Bytes that are not UTF-8 leave the text as it was.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if let (b'%', Some(value)) = (byte, hex_pair(tail)) {
            out.push(value);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_part() {
        let url = ServiceUrl::parse(
            "RocketMQ://ak:s%40cr/et@h1:1;[::1]:2,h3/cluster|ns%zz?tls=true&dialect=auto",
            Some(9876),
        )
        .unwrap();
        assert_eq!(url.scheme, "rocketmq");
        assert_eq!(url.user.as_deref(), Some("ak"));
        assert_eq!(url.secret.as_ref().map(Secret::expose), Some("s@cr/et"));
        let hosts: Vec<_> = url.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["h1:1", "[::1]:2", "h3:9876"]);
        assert_eq!(url.path.as_deref(), Some("cluster|ns%zz"));
        assert_eq!(
            url.query,
            [
                ("tls".into(), "true".into()),
                ("dialect".into(), "auto".into())
            ]
        );
        assert!(!format!("{url:?}").contains("cr/et"));
    }

    #[test]
    fn percent_decodes_only_two_digits() {
        assert_eq!(decode("a%7Cb%topic%2"), "a|b%topic%2");
        assert_eq!(decode("%ff"), "%ff");
    }

    #[test]
    fn errors_do_not_repeat_the_secret() {
        for text in [
            "x://canary@h:1",
            "x://user:canary@",
            "x://u:canary@h:0",
            "canary",
            "x://:canary@h:1",
        ] {
            let error = ServiceUrl::parse(text, None).unwrap_err().to_string();
            assert!(!error.contains("canary"), "{text}: {error}");
        }
    }
}
