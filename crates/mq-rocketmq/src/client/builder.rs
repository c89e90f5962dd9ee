//! Options of a client, and connecting.

mod secured;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mq_core::{Clock, Endpoint, ServiceUrl};

use super::{Board, Client, Groups, Handle, HeartbeatTurns, Shared, client_id};
use crate::auth::{Credentials, CredentialsProvider, Keys};
use crate::conn::{
    Connections, Contact, Identity, Nameservers, OnContact, OnRequest, Patience, Routes, Tasks,
    Terms, TimerClock, TlsConfig, WeakRoutes, start_upkeep,
};
use crate::error::{Result, invalid};
use crate::id::{UniqueIds, local_address};
use crate::name::Namespace;
use crate::proto::command::{CheckTransaction, GetRoute, NotifyConsumersChanged, ResetOffset};
use crate::proto::{HeaderCodec, Language, Request, RequestCode, ResponseCode};
use crate::schedule::Dialect;

/// Options of a [`Client`]. Setters don't fail; what can't be is found by [`ClientBuilder::connect`].
#[derive(Clone)]
#[must_use = "a builder does nothing until connect() is awaited"]
pub struct ClientBuilder {
    nameservers: Vec<String>,
    credentials: Option<Credentials>,
    provider: Option<Arc<dyn CredentialsProvider>>,
    #[cfg(feature = "tls")]
    tls: Option<crate::Tls>,
    namespace: String,
    header_codec: HeaderCodec,
    connect_timeout: Duration,
    half_open_timeout: Duration,
    request_timeout: Duration,
    new_topic_queues: i32,
    dialect: Dialect,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            nameservers: Vec::new(),
            credentials: None,
            provider: None,
            #[cfg(feature = "tls")]
            tls: None,
            namespace: String::new(),
            header_codec: HeaderCodec::Json,
            connect_timeout: Duration::from_secs(3),
            half_open_timeout: Duration::from_secs(18),
            request_timeout: Duration::from_secs(3),
            new_topic_queues: 4,
            dialect: Dialect::Auto,
        }
    }

    pub(super) fn from_url(text: &str) -> Result<Self> {
        let url = ServiceUrl::parse(text, Some(NAMESERVER_PORT))
            .map_err(|cause| invalid("read url", cause.to_string()))?;
        if url.scheme != "rocketmq" {
            let message = format!("the scheme is \"{}\", expected \"rocketmq\"", url.scheme);
            return Err(invalid("read url", message));
        }
        let mut builder = Self::new();
        for (key, value) in &url.query {
            if key == "dialect" {
                builder.dialect = value.parse()?;
            } else if !secured::is_option(key) {
                return Err(invalid("read url", format!("unknown option \"{key}\"")));
            }
        }
        secured::read(&mut builder, &url.query)?;
        builder.nameservers = url.endpoints.iter().map(ToString::to_string).collect();
        builder.namespace = url.path.unwrap_or_default();
        // Said at once, not at connect: the URL is what is wrong.
        Namespace::new(&builder.namespace)?;
        if let (Some(access), Some(secret)) = (url.user, url.secret) {
            builder.credentials = Some(Credentials::new(access, secret));
        }
        Ok(builder)
    }

    /// Adds nameservers: `host:port`, or several separated by `;`. The port is 9876 if none is given.
    pub fn nameserver(mut self, address: impl Into<String>) -> Self {
        self.nameservers.push(address.into());
        self
    }

    /// The keys that sign every request; default those of the URL, or none.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        (self.credentials, self.provider) = (Some(credentials), None);
        self
    }

    /// The keys of the environment ([`Credentials::from_env`]), unless the URL has some or others were given: those win, and the
    /// environment is not read.
    ///
    /// # Errors
    ///
    /// As for [`Credentials::from_env`].
    pub fn credentials_from_env(self) -> Result<Self> {
        if self.credentials.is_some() || self.provider.is_some() {
            return Ok(self);
        }
        Ok(self.credentials(Credentials::from_env()?))
    }

    /// Who gives the keys, and others when they change: see [`CredentialsProvider`]. Instead of [`ClientBuilder::credentials`] and of the
    /// URL's.
    pub fn credentials_provider(mut self, provider: impl CredentialsProvider) -> Self {
        self.credentials = None;
        self.provider = Some(Arc::new(provider));
        self
    }

    /// Secures every connection, to nameservers and brokers alike; default not. There is no way back to one that is not secured: where the
    /// handshake fails, nothing is sent.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Put in front of topic and group names, as `namespace%name`; default none. On Tencent TDMQ it is `cluster|namespace`, with an
    /// ASCII bar. A name that carries it already is left as it is.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How headers are written; default JSON, which every broker reads. Binary is smaller and faster, and understood by the
    /// open-source brokers; requests that it can't express go as JSON.
    pub const fn header_codec(mut self, codec: HeaderCodec) -> Self {
        self.header_codec = codec;
        self
    }

    /// How long connecting may take, and with it finding out that no nameserver answers; default 3 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a connection may be silent while an answer is awaited, before it is given up and made anew; default 18 s, at least 100 ms.
    /// After half of it the peer is asked for a sign of life, so that long polls may well be silent for longer.
    pub fn half_open_timeout(mut self, timeout: Duration) -> Self {
        self.half_open_timeout = timeout.max(Duration::from_millis(100));
        self
    }

    /// How long an answer to anything but sends and pulls may take; default 3 s.
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How many queues a topic gets, on each broker, that is created by sending to it; default 4. Only where the cluster creates
    /// topics by itself.
    pub const fn new_topic_queues(mut self, count: u16) -> Self {
        self.new_topic_queues = count as i32;
        self
    }

    /// How times of delivery and cancellations travel; default [`Dialect::Auto`], which knows Apache's brokers. On Huawei DMS and Tencent
    /// TDMQ it must be said: there is nothing to recognise them by. In a URL: `?dialect=auto|apache4|apache5|dms|tdmq`.
    pub const fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Connects: asks the nameservers until one answers.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: an option is not acceptable. Kind `Connect`: no nameserver answered within the connect timeout; the error names
    /// each address and why. Kind `Auth`: the keys or the client's certificate were refused, or the credentials provider gave no keys.
    /// Where TLS failed, a [`TlsError`](crate::TlsError) is the source. [`Error::retry`](crate::Error::retry) says whether it is worth
    /// trying again.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, nothing is left behind.
    pub async fn connect(mut self) -> Result<Client> {
        let endpoints = nameservers(&self.nameservers, "connect")?;
        let tls = secured::prepare(&mut self).await?;
        let handle = Arc::new(Handle {
            shared: self.share(endpoints, tls)?,
        });
        let client = Client { handle };
        let shared = client.shared();
        shared.connections.start_keys().await?;
        let request = GetRoute::new(crate::conn::DEFAULT_TOPIC);
        match shared.routes.nameservers().ask(&request, "connect").await {
            Ok(_) => {}
            // An answer all the same: a cluster need not create topics by itself.
            Err(error) if error.code() == Some(&ResponseCode::TOPIC_NOT_EXIST) => {}
            Err(error) => return Err(error),
        }
        start_upkeep(shared);
        Ok(client)
    }

    fn share(self, endpoints: Vec<Endpoint>, tls: Option<Arc<TlsConfig>>) -> Result<Arc<Shared>> {
        let clock: Arc<dyn Clock> = Arc::new(TimerClock);
        let (tasks, groups) = (Arc::new(Tasks::new()), Arc::new(Groups::default()));
        let first = endpoints
            .first()
            .map(|to| local_address(to.host(), to.port()));
        let address = first.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let client_id: Arc<str> = client_id(address).into();
        let identity = Identity {
            client_id: Arc::clone(&client_id),
            codec: self.header_codec,
            language: Language::RUST,
            version: VERSION,
            keys: Arc::new(match self.provider {
                Some(provider) => Keys::provided(provider),
                None => Keys::fixed(self.credentials.as_ref())?,
            }),
        };
        let (stale, board): (Arc<OnceLock<WeakRoutes>>, _) =
            (Arc::default(), Arc::new(Board::new()));
        let connections = Arc::new(Connections::new(
            identity,
            Terms {
                patience: Patience {
                    connect: self.connect_timeout,
                    half_open: self.half_open_timeout,
                },
                tls,
            },
            Arc::clone(&clock),
            Arc::clone(&tasks),
            on_request(Arc::clone(&groups)),
            on_contact(Arc::clone(&board), Arc::clone(&stale)),
        ));
        let nameservers =
            Nameservers::new(endpoints, Arc::clone(&connections), self.connect_timeout);
        let routes = Routes::new(
            nameservers,
            &tasks,
            Arc::clone(&clock),
            Arc::clone(&board),
            self.new_topic_queues,
        );
        // The driver tasks and the routes know each other from here on.
        drop(stale.set(routes.downgrade()));
        Ok(Arc::new(Shared {
            connections,
            routes,
            tasks,
            groups,
            turns: HeartbeatTurns::default(),
            board,
            versions: Arc::default(),
            dialect: self.dialect,
            clock,
            namespace: Namespace::new(&self.namespace)?,
            unique_ids: UniqueIds::new(address),
            request_timeout: self.request_timeout,
            client_id,
            closed: AtomicBool::new(false),
        }))
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("nameservers", &self.nameservers)
            .field("namespace", &self.namespace)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// Reads addresses of nameservers.
pub(super) fn nameservers(
    texts: &[impl AsRef<str>],
    operation: &'static str,
) -> Result<Vec<Endpoint>> {
    let mut endpoints = Vec::new();
    for text in texts {
        let some = ServiceUrl::parse_endpoints(text.as_ref(), Some(NAMESERVER_PORT))
            .map_err(|cause| invalid(operation, format!("nameserver address: {cause}")))?;
        endpoints.extend(some);
    }
    if endpoints.is_empty() {
        return Err(invalid(operation, "no nameserver given"));
    }
    Ok(endpoints)
}

/// What brokers ask of clients. Unknown requests are ignored: a newer broker may ask for more.
fn on_request(groups: Arc<Groups>) -> OnRequest {
    Arc::new(move |from, frame| {
        let (ext, body) = (&frame.header.ext, &frame.body);
        let read = match RequestCode(frame.header.code) {
            NotifyConsumersChanged::CODE => NotifyConsumersChanged::parse(ext, body)
                .map(|notice| groups.rebalance(&notice.consumer_group)),
            ResetOffset::CODE => ResetOffset::parse(ext, body).map(|order| groups.reset(&order)),
            CheckTransaction::CODE => {
                CheckTransaction::parse(ext, body).and_then(|asked| groups.asked(from, asked))
            }
            code => {
                tracing::debug!(peer = %from, %code, "request ignored");
                return;
            }
        };
        if let Err(malformed) = read {
            tracing::warn!(peer = %from, %malformed, "what the broker asks can't be read");
        }
    })
}

/// After a lost connection the routes may be out of date.
fn on_contact(board: Arc<Board>, stale: Arc<OnceLock<WeakRoutes>>) -> OnContact {
    Arc::new(move |peer, contact| {
        match contact {
            Contact::Made => return board.connected(peer),
            Contact::Forgotten(reason) => return board.forgotten(peer, reason),
            Contact::Failed(reason) => board.connect_failed(peer, reason),
            Contact::Lost(reason) => board.lost(peer, reason),
        }
        let Some(routes) = stale.get().and_then(WeakRoutes::upgrade) else {
            return;
        };
        for topic in routes.topics() {
            routes.refresh_soon(&topic);
        }
    })
}

const NAMESERVER_PORT: u16 = 9876;

/// Brokers decide by this number what a client understands. 5.3.3's: new enough for standard JSON, full signatures, and to be asked for
/// a new connection (1500) instead of being cut off.
const VERSION: i32 = 479;

#[cfg(test)]
mod tests {
    use mq_core::ErrorKind;

    use super::*;

    #[test]
    fn a_url_gives_every_option() {
        let url = "rocketmq://ak:sk@a:1;b/rocketmq-x|ns?tls=false&dialect=dms";
        let builder = Client::from_url(url).unwrap();
        assert_eq!(builder.dialect, Dialect::HuaweiDms);
        assert_eq!(builder.nameservers, ["a:1", "b:9876"]);
        assert_eq!(builder.namespace, "rocketmq-x|ns");
        assert_eq!(builder.credentials.unwrap().access_key(), "ak");
    }

    #[test]
    fn bad_urls_say_why() {
        let cases = [
            ("pulsar://a:1", "expected \"rocketmq\""),
            ("rocketmq://", "no host"),
            ("rocketmq://a:1?x=1", "unknown option"),
            ("rocketmq://a:1?dialect=kafka", "apache5"),
            ("rocketmq://a:1/rocketmq-x｜ns", "full-width bar"),
        ];
        for (url, part) in cases {
            let error = Client::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(part), "{url}: {error}");
        }
    }
}
