//! The endpoint that `brokers run` exports to tests.

use crate::brokers::{Error, Result, is_loopback};

/// The brokers that this test run shares. Use unique topic and group names on them.
#[derive(Clone)]
pub struct Shared {
    url: String,
    namesrv: String,
}

/// Reads `MQ_ROCKETMQ_URL`.
///
/// # Errors
/// If the variable is missing, or names a host that isn't loopback: the command line client reads
/// the same variable, so it may point at production, and tests create and delete.
pub fn shared() -> Result<Shared> {
    let url = std::env::var(VARIABLE).map_err(|_| {
        Error::new(format!(
            "{VARIABLE} is not set: run the tests below a broker, \
             `cargo run -p integration-tests --bin brokers -- run -- cargo test … -- --ignored`"
        ))
    })?;
    Shared::parse(&url)
}

impl Shared {
    fn parse(url: &str) -> Result<Self> {
        // The URL may hold a secret, so no message quotes it.
        let rest = url
            .strip_prefix("rocketmq://")
            .ok_or_else(|| Error::new(format!("{VARIABLE} does not start with rocketmq://")))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let namesrv = authority.rsplit('@').next().unwrap_or_default();
        for endpoint in namesrv.split([',', ';']) {
            let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
            if !is_loopback(host) {
                return Err(Error::new(format!(
                    "{VARIABLE} names {host:?}, which is not loopback: tests create and delete, \
                     they only run against brokers of this machine"
                )));
            }
        }
        Ok(Self {
            url: url.to_owned(),
            namesrv: namesrv.to_owned(),
        })
    }

    /// The URL, with credentials if the profile wants some.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What these brokers want, beyond a connection: the launcher's URL has it.
    pub fn secured(&self) -> Option<&'static str> {
        match (self.url.contains("tls=true"), self.url.contains('@')) {
            (true, true) => Some("TLS+ACL"),
            (true, false) => Some("TLS"),
            (false, true) => Some("ACL"),
            (false, false) => None,
        }
    }

    /// The nameserver as `host:port`.
    pub fn namesrv(&self) -> &str {
        &self.namesrv
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("namesrv", &self.namesrv)
            .finish_non_exhaustive()
    }
}

const VARIABLE: &str = "MQ_ROCKETMQ_URL";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_endpoints_are_accepted() {
        for (url, namesrv) in [
            ("rocketmq://127.0.0.1:31876", "127.0.0.1:31876"),
            (
                "rocketmq://key:se@cret@localhost:1/?tls=false",
                "localhost:1",
            ),
            ("rocketmq://[::1]:9876", "[::1]:9876"),
            (
                "rocketmq://127.0.0.1:1,127.0.0.2:2",
                "127.0.0.1:1,127.0.0.2:2",
            ),
        ] {
            assert_eq!(Shared::parse(url).unwrap().namesrv(), namesrv, "{url}");
        }
        for url in [
            "rocketmq://10.0.0.1:9876",
            "rocketmq://127.0.0.1:1,mq.example.com:2",
            "rocketmq://127.0.0.1@mq.example.com:2",
            "rocketmq://",
            "http://127.0.0.1:1",
        ] {
            assert!(Shared::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_secret_is_in_no_debug_text_and_no_error() {
        let fine = Shared::parse("rocketmq://key:hunter2@127.0.0.1:1").unwrap();
        assert!(!format!("{fine:?}").contains("hunter2"));
        let refused = Shared::parse("rocketmq://key:hunter2@10.0.0.1:1").unwrap_err();
        assert!(refused.to_string().contains(VARIABLE));
        assert!(!refused.to_string().contains("hunter2"));
    }
}
