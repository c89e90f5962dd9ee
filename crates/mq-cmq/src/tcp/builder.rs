//! What a client over TCP is made of.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mq_core::Endpoint;

use super::{Checkers, TcpClient};
use crate::auth::Signer;
use crate::client::{Carrier, Client, ClientBuilder, Shared};
use crate::conn::{Gateways, LinkOptions, OnQuery};
use crate::error::{Error, Result, invalid};
use crate::proto::tcp::{self, Auth};

/// Options of a [`TcpClient`]. Made by [`TcpClient::from_url`], or by [`ClientBuilder::tcp`] from the options that it shares with a
/// [`Client`]. `Debug` shows no secret.
#[must_use = "a client is made by build()"]
#[derive(Clone)]
pub struct TcpClientBuilder {
    http: ClientBuilder,
    gateways: Vec<String>,
    client_id: Option<String>,
}

impl TcpClientBuilder {
    pub(crate) const fn new(http: ClientBuilder) -> Self {
        Self {
            http,
            gateways: Vec::new(),
            client_id: None,
        }
    }

    pub(super) fn from_url(url: &str) -> Result<Self> {
        let text = url.trim();
        let begins = text.get(..SCHEME.len());
        if !begins.is_some_and(|it| it.eq_ignore_ascii_case(SCHEME)) {
            return Err(invalid(READ, "the scheme is not \"cmq+tcp\""));
        }
        let rest = text.get(SCHEME.len()..).unwrap_or_default();
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let is_gateway = |option: &&str| option.starts_with(GATEWAY);
        let (gateways, others): (Vec<&str>, Vec<&str>) = options
            .split('&')
            .filter(|option| !option.is_empty())
            .partition(is_gateway);
        let http = format!("cmq+http:{rest}?{}", others.join("&"));
        let http = http.trim_end_matches('?');
        let gateways = gateways.iter().filter_map(|it| it.strip_prefix(GATEWAY));
        let builder = Self::new(Client::from_url(http)?);
        Ok(builder.gateways(gateways))
    }

    /// The gateways, `host:port` each, in the place of those that the name server tells, which may be addresses that can't be reached from
    /// here. Each has to serve everything; they are tried in turn. Default none.
    pub fn gateways<T: Into<String>>(mut self, addresses: impl IntoIterator<Item = T>) -> Self {
        self.gateways = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// How long an operation may take, as [`ClientBuilder::timeout`] has it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.http = self.http.timeout(timeout);
        self
    }

    /// What the client calls itself, in server logs; default a random name.
    pub fn client_id(mut self, name: impl Into<String>) -> Self {
        self.client_id = Some(name.into());
        self
    }

    /// The client. Nothing is sent: the first request connects.
    ///
    /// # Errors
    ///
    /// As for [`ClientBuilder::build`]; kind `Invalid`, too: a gateway is no `host:port`, or the keys are temporary ones, which TCP has no
    /// place for.
    pub fn build(self) -> Result<TcpClient> {
        let fixed = self.gateways.iter().map(|it| Endpoint::parse(it, None));
        let fixed: Vec<Endpoint> = fixed
            .collect::<Result<_, _>>()
            .map_err(|what| invalid(BUILD, format!("gateway: {what}")))?;
        let client_id = self
            .client_id
            .unwrap_or_else(|| format!("mq-cmq-{:016x}", fastrand::u64(..)));
        let mut failed = None;
        let checkers = Arc::new_cyclic(|checkers: &Weak<Checkers>| {
            let made = carry(self.http.clone(), client_id, fixed, Weak::clone(checkers));
            Checkers::new(
                made.map(Arc::new)
                    .map_err(|error| failed = Some(error))
                    .ok(),
            )
        });
        match (failed, checkers.shared()) {
            (None, Some(shared)) => Ok(TcpClient {
                client: Client::of(Arc::clone(shared)),
                checkers,
            }),
            (failed, _) => Err(failed.unwrap_or_else(no_client)),
        }
    }
}

fn carry(
    http: ClientBuilder,
    client_id: String,
    fixed: Vec<Endpoint>,
    checkers: Weak<Checkers>,
) -> Result<Shared> {
    let (signer, connect_timeout, clock) = http.parts()?;
    if signer.token.is_some() {
        let why = "a temporary key can't log in over TCP, which has no place for its token";
        return Err(invalid(BUILD, why));
    }
    let on_query: OnQuery = Arc::new(move |query| {
        if let Some(checkers) = checkers.upgrade() {
            Checkers::asked(&checkers, query);
        }
    });
    let options = LinkOptions {
        auth: auth(&signer, client_id),
        connect_timeout,
        clock,
        on_query,
    };
    http.shared(Some(Carrier::new(Gateways::new(options), fixed)))
}

fn auth(signer: &Signer, client_id: String) -> Auth {
    Auth {
        signature: tcp::signature(&signer.key, &client_id, &signer.secret_id),
        method: signer.key.method().wire_name().to_owned(),
        secret_id: signer.secret_id.clone(),
        client_id,
    }
}

fn no_client() -> Error {
    invalid(BUILD, "there is no client")
}

impl fmt::Debug for TcpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpClientBuilder")
            .field("http", &self.http)
            .field("gateways", &self.gateways)
            .field("client_id", &self.client_id)
            .finish()
    }
}

const SCHEME: &str = "cmq+tcp:";
const GATEWAY: &str = "gateway=";
const READ: &str = "read url";
const BUILD: &str = "build";

#[cfg(test)]
mod tests {
    use mq_core::ErrorKind;

    use super::*;

    #[test]
    fn a_url_says_it_all() {
        let url = "CMQ+TCP://AKID:canary@h:8080?gateway=g:1&signature=sha1&gateway=g:2";
        let builder = TcpClient::from_url(url).unwrap();
        assert_eq!(builder.gateways, ["g:1", "g:2"]);
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(
            shown.contains("h:8080") && !shown.contains("canary"),
            "{shown}"
        );
        assert!(
            TcpClient::from_url("cmq+tcp://AKID:k@h")
                .unwrap()
                .build()
                .is_ok()
        );
        for bad in [
            "cmq+http://AKID:canary@h",
            "canary",
            "cmq+tcp://AKID:canary@h?x=1",
        ] {
            let error = TcpClient::from_url(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!format!("{error:#?}").contains("canary"), "{error}");
        }
        let temporary = crate::Credentials::new("AKID", "k").token("t");
        let bad = Client::builder().http("h").credentials(temporary).tcp();
        assert_eq!(bad.build().unwrap_err().kind(), ErrorKind::Invalid);
        let bad = TcpClient::from_url("cmq+tcp://AKID:k@h?gateway=g").unwrap();
        assert_eq!(bad.build().unwrap_err().kind(), ErrorKind::Invalid);
    }
}
