//! Host and port of a server.

use std::fmt;

/// Host (a name, an IPv4 or an IPv6 address, without brackets) and port. `Display` brackets IPv6.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// An endpoint from its parts.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// Reads `host:port`, `[v6]:port`, or `host` alone when there is a default port.
    ///
    /// # Errors
    ///
    /// What is wrong with `text`, in words: no host, a port that is not a number from 1 to 65535, no port where there is no default.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, String> {
        let text = text.trim();
        let (host, port) = split(text)?;
        if host.is_empty() {
            return Err(format!("no host in \"{text}\""));
        }
        if host
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "/@?#｜|".contains(c))
        {
            return Err(format!("\"{host}\" is not a host name"));
        }
        let port = match (port, default_port) {
            (Some(digits), _) => digits
                .parse::<u16>()
                .ok()
                .filter(|port| *port != 0)
                // Not quoted: in "key:secret" without a host after it, it is the secret.
                .ok_or_else(|| format!("what follows \"{host}:\" is not a port (1 to 65535)"))?,
            (None, Some(port)) => port,
            (None, None) => return Err(format!("no port in \"{text}\"")),
        };
        Ok(Self::new(host, port))
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is `localhost` or a loopback address, so that nothing sent there leaves the machine.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    }
}

fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, tail) = rest
            .split_once(']')
            .ok_or_else(|| format!("no closing bracket in \"{text}\""))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(format!("\"{host}\" is not an IPv6 address"));
        }
        return match tail.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if tail.is_empty() => Ok((host, None)),
            None => Err(format!("unexpected text behind the bracket in \"{text}\"")),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(format!(
            "write an IPv6 address in brackets: \"[{text}]:port\""
        )),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_addresses() {
        let cases = [
            ("localhost:9876", None, "localhost:9876"),
            ("10.0.0.1", Some(9876), "10.0.0.1:9876"),
            ("[::1]:9876", None, "[::1]:9876"),
            ("[::1]", Some(1), "[::1]:1"),
            (" host ", Some(2), "host:2"),
        ];
        for (text, default, shown) in cases {
            assert_eq!(
                Endpoint::parse(text, default).unwrap().to_string(),
                shown,
                "{text}"
            );
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("", "no host"),
            (":9876", "no host"),
            ("host", "no port"),
            ("host:0", "not a port"),
            ("host:99999", "not a port"),
            ("host:x", "not a port"),
            ("::1:9876", "in brackets"),
            ("[::1", "closing bracket"),
            ("[name]:1", "not an IPv6 address"),
            ("a b:1", "not a host name"),
        ];
        for (text, part) in cases {
            let error = Endpoint::parse(text, None).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn knows_loopback() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(Endpoint::new(host, 1).is_loopback(), "{host}");
        }
        assert!(!Endpoint::new("10.0.0.1", 1).is_loopback());
        assert!(!Endpoint::new("localhost.example", 1).is_loopback());
    }
}
