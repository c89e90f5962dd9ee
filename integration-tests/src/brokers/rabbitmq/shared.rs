//! The endpoint that `brokers run --profile rabbitmq` exports to tests.

use crate::brokers::{Error, Result, is_loopback};

/// The node that this test run shares. Use unique names of queues and exchanges on it.
#[derive(Clone)]
pub struct Shared {
    url: String,
    address: String,
}

/// Reads `MQ_AMQP_URL`.
///
/// # Errors
/// If the variable is missing, or names a host that isn't loopback.
pub fn shared() -> Result<Shared> {
    Shared::parse(&variable("URL")?)
}

/// Reads `MQ_AMQP_<name>`: `TLS_URL`, `TLS_CA`, `TLS_CERT`, `TLS_KEY`, `MANAGEMENT_URL`, `CTL`, `VERSION`.
///
/// # Errors
/// If it is missing.
pub fn variable(name: &str) -> Result<String> {
    let name = format!("MQ_AMQP_{name}");
    std::env::var(&name).map_err(|_| {
        Error::new(format!(
            "{name} is not set: run the tests below a node, `cargo run -p integration-tests --bin brokers -- \
             run --profile rabbitmq -- cargo test … -- --ignored`"
        ))
    })
}

impl Shared {
    fn parse(url: &str) -> Result<Self> {
        // The URL holds a secret, so no message quotes it.
        let rest = url
            .strip_prefix("amqp://")
            .ok_or_else(|| Error::new("MQ_AMQP_URL does not start with amqp://"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let address = authority.rsplit('@').next().unwrap_or_default();
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        if !is_loopback(host) {
            return Err(Error::new(format!(
                "MQ_AMQP_URL names {host:?}, which is not loopback: tests create and delete, \
                 they only run against brokers of this machine"
            )));
        }
        Ok(Self {
            url: url.to_owned(),
            address: address.to_owned(),
        })
    }

    /// The URL, with the role's credentials and its virtual host.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The node as `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_endpoint_is_accepted() {
        for (url, address) in [
            ("amqp://r:k@127.0.0.1:29916/amqp-xxx%7CV", "127.0.0.1:29916"),
            ("amqp://localhost", "localhost"),
            ("amqp://[::1]:5672/?heartbeat=1", "[::1]:5672"),
        ] {
            assert_eq!(Shared::parse(url).unwrap().address(), address, "{url}");
        }
        for url in [
            "amqp://10.0.0.1:5672",
            "amqp://127.0.0.1@mq.example.com",
            "amqp://",
            "http://127.0.0.1",
            "x-amqp://127.0.0.1",
        ] {
            assert!(Shared::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_secret_is_in_no_debug_text_and_no_error() {
        let fine = Shared::parse("amqp://role:hunter2@127.0.0.1:1").unwrap();
        assert!(!format!("{fine:?}").contains("hunter2"));
        let refused = Shared::parse("amqp://role:hunter2@10.0.0.1:1").unwrap_err();
        assert!(refused.to_string().contains("10.0.0.1"));
        assert!(!refused.to_string().contains("hunter2"));
    }
}
