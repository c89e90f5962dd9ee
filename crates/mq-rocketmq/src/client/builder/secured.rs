//! What a URL says about TLS, and what becomes of it.

use std::sync::Arc;

use super::ClientBuilder;
use crate::conn::TlsConfig;
use crate::error::{Result, invalid};

/// Whether a key of a URL's query is about TLS.
pub(super) fn is_option(key: &str) -> bool {
    key == "tls" || key.starts_with("tls_")
}

/// `tls=true`, and what goes with it.
///
/// Whoever says how TLS is to be, and not that it is to be, has forgotten it: that is an error, and not a connection in clear.
pub(super) fn read(builder: &mut ClientBuilder, query: &[(String, String)]) -> Result<()> {
    let mut on = false;
    let mut details = Vec::new();
    for (key, value) in query.iter().filter(|(key, _)| is_option(key)) {
        match (key.as_str(), value.as_str()) {
            ("tls", _) => on = is_true(key, value)?,
            ("tls_ca" | "tls_pin" | "tls_cert" | "tls_key" | "tls_name" | "tls_insecure", _) => {
                details.push((key.as_str(), value.as_str()));
            }
            (other, _) => {
                return Err(invalid(READ, format!("unknown option \"{other}\"")));
            }
        }
    }
    match details.first() {
        _ if on => turn_on(builder, &details),
        None => Ok(()),
        Some((key, _)) => {
            let why = format!("\"{key}\" is given without \"tls=true\"");
            Err(invalid(READ, why))
        }
    }
}

fn is_true(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => {
            let why = format!("\"{key}\" is true or false, not \"{other}\"");
            Err(invalid(READ, why))
        }
    }
}

#[cfg(feature = "tls")]
fn turn_on(builder: &mut ClientBuilder, details: &[(&str, &str)]) -> Result<()> {
    let (mut tls, mut certificate, mut key) = (crate::Tls::new(), None, None);
    let mut insecure = false;
    for (name, value) in details {
        match *name {
            "tls_ca" => tls = tls.ca_file(value)?,
            "tls_pin" => tls = tls.pin(value)?,
            "tls_cert" => certificate = Some(*value),
            "tls_key" => key = Some(*value),
            "tls_name" => tls = tls.server_name(value)?,
            _ => insecure = is_true(name, value)?,
        }
    }
    tls = match (certificate, key) {
        (Some(certificate), Some(key)) => tls.identity_files(certificate, key)?,
        (None, None) => tls,
        _ => return Err(invalid(READ, "\"tls_cert\" and \"tls_key\" go together")),
    };
    if insecure {
        tls = tls.danger_accept_invalid_certificates();
    }
    builder.tls = Some(tls);
    Ok(())
}

/// A build without the feature says so at once: not a byte is sent in clear instead.
#[cfg(not(feature = "tls"))]
fn turn_on(_: &mut ClientBuilder, _: &[(&str, &str)]) -> Result<()> {
    let error = crate::Error::builder(
        mq_core::ErrorKind::Unsupported,
        "the URL asks for TLS, and this build has none",
    );
    Err(error
        .operation(READ)
        .hint("build mq-rocketmq with its feature \"tls\", which is on by default")
        .build())
}

/// Loads what TLS needs; nothing where it is not asked for.
#[cfg(feature = "tls")]
pub(super) async fn prepare(builder: &mut ClientBuilder) -> Result<Option<Arc<TlsConfig>>> {
    match builder.tls.take() {
        Some(tls) => Ok(Some(Arc::new(TlsConfig::prepare(tls).await?))),
        None => Ok(None),
    }
}

/// There is none.
#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "the same face as with the feature")]
pub(super) async fn prepare(_: &mut ClientBuilder) -> Result<Option<Arc<TlsConfig>>> {
    Ok(None)
}

const READ: &str = "read url";

#[cfg(test)]
mod tests {
    use mq_core::ErrorKind;

    use crate::Client;

    #[test]
    fn tls_in_a_url_is_on_or_an_error() {
        let url = |query: &str| Client::from_url(&format!("rocketmq://a:1?{query}"));
        #[cfg(feature = "tls")]
        {
            assert!(url("tls=true").unwrap().tls.is_some());
            assert!(
                url("tls=true&tls_insecure=true&tls_name=b")
                    .unwrap()
                    .tls
                    .is_some()
            );
            assert!(url("tls=false").unwrap().tls.is_none());
            for (query, part) in [
                ("tls=true&tls_ca=/absent", "/absent"),
                ("tls=true&tls_pin=x", "sha256/"),
                ("tls=true&tls_key=/absent", "go together"),
                ("tls=true&tls_insecure=1", "true or false"),
            ] {
                let error = url(query).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert!(error.to_string().contains(part), "{query}: {error}");
            }
        }
        #[cfg(not(feature = "tls"))]
        {
            let error = url("tls=true").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.hint().unwrap().contains("feature"));
        }
        for (query, part) in [
            ("tls=1", "true or false"),
            ("tls_ca=/absent", "without \"tls=true\""),
            ("tls=false&tls_insecure=true", "without \"tls=true\""),
            ("tls_c=/absent", "unknown option"),
        ] {
            let error = url(query).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(part), "{query}: {error}");
        }
    }
}
