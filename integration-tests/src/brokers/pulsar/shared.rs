//! The endpoint that `brokers run --profile pulsar` exports to tests.

use std::net::SocketAddr;

use super::Admin;
use crate::brokers::{Context as _, Error, Result, is_loopback};

/// The broker that this test run shares. Use unique names of topics on it.
#[derive(Debug, Clone)]
pub struct Shared {
    url: String,
    address: String,
}

/// Reads `MQ_PULSAR_URL`.
///
/// # Errors
/// If the variable is missing, or names a host that isn't loopback.
pub fn shared() -> Result<Shared> {
    Shared::parse(&variable("URL")?)
}

/// Reads `MQ_PULSAR_<name>`: `ADMIN_URL`, `PROFILE`, `VERSION`; of profile pulsar-auth also `TLS_URL`, `ADMIN_TLS_URL`, `TLS_CA`, `TLS_CERT`, `TLS_KEY`,
/// and the files `TOKEN`, `TOKEN_NOBODY`, `TOKEN_EXPIRED`, `TOKEN_KEY`.
///
/// # Errors
/// If it is missing.
pub fn variable(name: &str) -> Result<String> {
    let name = format!("MQ_PULSAR_{name}");
    std::env::var(&name).map_err(|_| {
        Error::new(format!(
            "{name} is not set: run the tests below a broker, `cargo run -p integration-tests --bin brokers -- \
             run --profile pulsar -- cargo test … -- --ignored`, or with --profile pulsar-auth"
        ))
    })
}

impl Shared {
    fn parse(url: &str) -> Result<Self> {
        // Somebody's own URL may hold a secret, so no message quotes it.
        let rest = url
            .strip_prefix("pulsar://")
            .ok_or_else(|| Error::new("MQ_PULSAR_URL does not start with pulsar://"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let address = authority.rsplit('@').next().unwrap_or_default();
        for address in address.split(',') {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            if !is_loopback(host) {
                return Err(Error::new(format!(
                    "MQ_PULSAR_URL names {host:?}, which is not loopback: tests create and delete, \
                     they only run against brokers of this machine"
                )));
            }
        }
        Ok(Self {
            url: url.to_owned(),
            address: address.to_owned(),
        })
    }

    /// The URL, without a token.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The broker as `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its management, with the admin's token where the profile has one.
    ///
    /// # Errors
    /// If `MQ_PULSAR_ADMIN_URL` is missing or no address of this machine, or the token can't be read.
    pub fn admin(&self) -> Result<Admin> {
        let url = variable("ADMIN_URL")?;
        let address: SocketAddr = url
            .strip_prefix("http://")
            .and_then(|address| address.parse().ok())
            .filter(|address: &SocketAddr| address.ip().is_loopback())
            .ok_or_else(|| Error::new("MQ_PULSAR_ADMIN_URL is no http://127.0.0.1:port"))?;
        let token = match variable("TOKEN") {
            Ok(file) => {
                let token = std::fs::read_to_string(&file);
                Some(token.context(|| format!("cannot read {file}"))?)
            }
            Err(_) => None,
        };
        Ok(Admin::new(address, token.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_endpoint_is_accepted() {
        for (url, address) in [
            ("pulsar://127.0.0.1:29876", "127.0.0.1:29876"),
            ("pulsar://localhost,[::1]:6650/", "localhost,[::1]:6650"),
        ] {
            assert_eq!(Shared::parse(url).unwrap().address(), address, "{url}");
        }
        for url in [
            "pulsar://10.0.0.1:6650",
            "pulsar://127.0.0.1@mq.example.com",
            "pulsar://127.0.0.1,mq.example.com:6650",
            "pulsar://",
            "http://127.0.0.1",
        ] {
            assert!(Shared::parse(url).is_err(), "{url}");
        }
    }
}
