//! A client's options.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mq_core::{Endpoint, Propagator, Secret, ServiceUrl};

use super::Client;
#[cfg(feature = "tls")]
use crate::conn::TlsParts;
use crate::conn::{Mechanism, Options, TlsConfig};
use crate::error::{Result, invalid};

/// Options of a [`Client`]. Made by [`Client::builder`] or [`Client::from_url`]; used by [`connect`](Self::connect).
#[derive(Clone)]
#[must_use = "a client is made by connect"]
pub struct ClientBuilder {
    endpoints: Vec<Endpoint>,
    vhost: String,
    user: String,
    secret: Secret,
    mechanism: Option<Mechanism>,
    name: Option<String>,
    secured: bool,
    #[cfg(feature = "tls")]
    tls: TlsParts,
    heartbeat: Duration,
    frame_max: u32,
    channel_max: u16,
    connect_timeout: Duration,
    call_timeout: Duration,
    max_message: u64,
    propagator: Option<Arc<dyn Propagator>>,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            endpoints: vec![Endpoint::new("localhost", PORT)],
            vhost: "/".to_owned(),
            user: "guest".to_owned(),
            secret: Secret::new("guest"),
            mechanism: None,
            name: None,
            secured: false,
            #[cfg(feature = "tls")]
            tls: TlsParts::default(),
            heartbeat: Duration::from_secs(10),
            frame_max: 128 * 1024,
            channel_max: 2047,
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            max_message: 128 * 1024 * 1024,
            propagator: None,
        }
    }

    /// Options from `amqp://user:password@host[:port][,host…]/vhost[?option=value&…]`.
    ///
    /// `amqps://` is the same over TLS, with port 5671 instead of 5672 if none is given. The virtual host is what stands behind the first `/`
    /// with `%` for what can't stand there (`%2f` is `/`); `|` can stand there as it is. Without a `/` it is `/`; with nothing behind it, too.
    /// Several hosts are of one cluster and are tried in turn. Options, named as in RabbitMQ's own URLs where it has them: `heartbeat` in
    /// seconds (0: none), `connection_timeout` in milliseconds, `frame_max`, `channel_max`, `auth_mechanism` (`plain`, `amqplain`, `external`),
    /// `connection_name`, and with TLS `cacertfile`, `certfile`, `keyfile`, `server_name_indication`.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: says what is wrong, and repeats nothing of the password.
    // rabbitmq.com/docs/uri-spec, uri-query-parameters
    pub fn from_url(url: &str) -> Result<Self> {
        let scheme = url
            .trim()
            .split("://")
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let (secured, port) = match &*scheme {
            "amqp" => (false, PORT),
            "amqps" => (true, PORT_TLS),
            _ => return Err(invalid(CONNECT, "the URL begins with amqp:// or amqps://")),
        };
        let parsed = ServiceUrl::parse(url, Some(port))
            .map_err(|error| invalid(CONNECT, format!("the URL can't be read: {error}")))?;
        let mut builder = Self::new();
        builder.secured = secured;
        builder.endpoints = parsed.endpoints;
        if let Some(vhost) = parsed.path {
            if vhost.contains('｜') {
                let told = format!(
                    "the virtual host \"{vhost}\" has a full-width bar (｜), as consoles print it; write an ASCII bar (|)"
                );
                return Err(invalid(CONNECT, told));
            }
            builder.vhost = vhost;
        }
        if let (Some(user), Some(secret)) = (parsed.user, parsed.secret) {
            (builder.user, builder.secret) = (user, secret);
        }
        for (name, value) in parsed.query {
            builder = builder.option(&name, &value)?;
        }
        Ok(builder)
    }

    fn option(mut self, name: &str, value: &str) -> Result<Self> {
        match name {
            "heartbeat" => self.heartbeat = Duration::from_secs(number(name, value)?),
            "connection_timeout" => {
                self.connect_timeout = Duration::from_millis(number(name, value)?);
            }
            "frame_max" => self.frame_max = number(name, value)?,
            "channel_max" => self.channel_max = number(name, value)?,
            "connection_name" => self.name = Some(value.to_owned()),
            "auth_mechanism" => self.mechanism = Some(mechanism(value)?),
            "cacertfile" | "certfile" | "keyfile" | "server_name_indication" => {
                self.tls_option(name, value)?;
            }
            _ => {
                return Err(invalid(
                    CONNECT,
                    format!("the URL has an unknown option \"{name}\""),
                ));
            }
        }
        Ok(self)
    }

    /// The hosts of the cluster, in the place of those that are there.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = Endpoint>) -> Self {
        self.endpoints = hosts.into_iter().collect();
        self
    }

    /// The virtual host, as it is: nothing is encoded or decoded. Default `/`.
    pub fn vhost(mut self, vhost: impl Into<String>) -> Self {
        self.vhost = vhost.into();
        self
    }

    /// User and password. Default `guest`.
    pub fn credentials(mut self, user: impl Into<String>, password: Secret) -> Self {
        self.user = user.into();
        self.secret = password;
        self
    }

    /// How to log in. Default: `PLAIN`, or `AMQPLAIN` where the server has not got that.
    pub const fn mechanism(mut self, mechanism: Mechanism) -> Self {
        self.mechanism = Some(mechanism);
        self
    }

    /// What the server's own tools show for the connections.
    pub fn connection_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A connection on which nothing was heard for twice as long is given up. Default 10 s; zero: none. Whole seconds count, and the server's
    /// own value if that is shorter.
    pub const fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// The largest frame in bytes, if the server allows as much. Default 131072; at least 4096.
    pub const fn frame_max(mut self, bytes: u32) -> Self {
        self.frame_max = bytes;
        self
    }

    /// How many channels a connection may have, if the server allows as many. Default 2047.
    pub const fn channel_max(mut self, channels: u16) -> Self {
        self.channel_max = channels;
        self
    }

    /// How long it may take to reach one host, login included. Default 10 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a declaration, and whatever else has a reply, may take. Default 30 s.
    pub const fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// The largest body that is received, in bytes; a message that is larger is refused without being requeued. Default 128 MiB.
    pub const fn max_message_size(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// Takes traces from where a message is sent to where [`Consumer::run`](crate::Consumer::run) handles it, in its headers. What a message carries
    /// already stays. Default: none.
    pub fn propagator(mut self, propagator: impl Propagator) -> Self {
        self.propagator = Some(Arc::new(propagator));
        self
    }

    /// Connects, and keeps the connection up from then on.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for options that can't be; `Connect` if no host can be reached; `Auth` for a wrong user or password, or no access to the
    /// virtual host; `NotFound` if there is no such virtual host; `Protocol` for a server that speaks something else.
    pub async fn connect(self) -> Result<Client> {
        Client::connect(self.options()?).await
    }

    pub(crate) fn options(self) -> Result<Options> {
        if self.endpoints.is_empty() {
            return Err(invalid(CONNECT, "no host given"));
        }
        if self.vhost.len() > 255 {
            return Err(invalid(CONNECT, "the virtual host has more than 255 bytes"));
        }
        if self.frame_max < 4096 {
            return Err(invalid(
                CONNECT,
                "frame_max is less than 4096, which every peer has to take",
            ));
        }
        if self.channel_max == 0 {
            return Err(invalid(
                CONNECT,
                "channel_max is 0: no channel could be opened",
            ));
        }
        Ok(Options {
            tls: self.tls_config()?,
            endpoints: self.endpoints,
            vhost: self.vhost,
            user: self.user,
            secret: self.secret.into(),
            mechanism: self.mechanism,
            name: self.name,
            heartbeat: self.heartbeat,
            frame_max: self.frame_max,
            channel_max: self.channel_max,
            connect_timeout: self.connect_timeout,
            call_timeout: self.call_timeout,
            max_message: self.max_message,
            propagator: self.propagator,
        })
    }
}

#[cfg(feature = "tls")]
impl ClientBuilder {
    /// Secures the connections, verified with the platform's roots. What `amqps://` says.
    pub const fn tls(mut self) -> Self {
        self.secured = true;
        self
    }

    /// Secures the connections, and trusts the certificates in this PEM text alone.
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.secured = true;
        self.tls.ca = Some(pem.into());
        self
    }

    /// Secures the connections, and shows this certificate, with what leads to its issuer, and proves it by this key; both PEM.
    pub fn tls_identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.secured = true;
        self.tls.identity = Some((chain.into(), key.into()));
        self
    }

    /// The name that the server's certificate has to have, if it is not the host's.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.tls.server_name = Some(name.into());
        self
    }

    fn tls_config(&self) -> Result<Option<TlsConfig>> {
        self.secured
            .then(|| TlsConfig::new(self.tls.clone()))
            .transpose()
    }

    fn tls_option(&mut self, name: &str, value: &str) -> Result<()> {
        if !self.secured {
            return Err(invalid(
                CONNECT,
                format!("\"{name}\" is an option of amqps://, and the URL says amqp://"),
            ));
        }
        if name == "server_name_indication" {
            self.tls.server_name = Some(value.to_owned());
            return Ok(());
        }
        let bytes = std::fs::read(value).map_err(|cause| {
            invalid(CONNECT, format!("{name}: \"{value}\" can't be read"))
                .into_builder()
                .source(cause)
                .build()
        })?;
        match name {
            "cacertfile" => self.tls.ca = Some(bytes),
            "certfile" => self.tls.identity.get_or_insert_default().0 = bytes,
            _ => self.tls.identity.get_or_insert_default().1 = bytes,
        }
        Ok(())
    }
}

#[cfg(not(feature = "tls"))]
impl ClientBuilder {
    fn tls_config(&self) -> Result<Option<TlsConfig>> {
        if self.secured {
            return Err(invalid(
                CONNECT,
                "this build has no TLS: switch the feature \"tls\" of mq-amqp on",
            ));
        }
        Ok(None)
    }

    #[expect(clippy::unused_self, reason = "the same face as with the feature")]
    fn tls_option(&mut self, name: &str, _: &str) -> Result<()> {
        Err(invalid(
            CONNECT,
            format!("\"{name}\" needs the feature \"tls\" of mq-amqp"),
        ))
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| {
        invalid(
            CONNECT,
            format!("{name} in the URL is not a number that it can be"),
        )
    })
}

fn mechanism(name: &str) -> Result<Mechanism> {
    match &*name.to_ascii_lowercase() {
        "plain" => Ok(Mechanism::Plain),
        "amqplain" => Ok(Mechanism::AmqPlain),
        "external" => Ok(Mechanism::External),
        _ => Err(invalid(
            CONNECT,
            "auth_mechanism in the URL is plain, amqplain or external",
        )),
    }
}

/// Shows neither password nor keys.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("hosts", &self.endpoints)
            .field("vhost", &self.vhost)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

const PORT: u16 = 5672;
const PORT_TLS: u16 = 5671;
const CONNECT: &str = "connect";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_is_read_as_it_was_written_and_a_bar_of_consoles_is_pointed_out() {
        for (url, vhost) in [
            ("amqp://h", "/"),
            ("amqp://h/", "/"),
            ("amqp://h/%2f", "/"),
            ("amqp://h/amqp-xxx|name", "amqp-xxx|name"),
            ("amqp://h/amqp-xxx%7Cname", "amqp-xxx|name"),
        ] {
            assert_eq!(ClientBuilder::from_url(url).unwrap().vhost, vhost, "{url}");
        }
        for url in ["amqp://u:canary@h/a｜b", "amqp://u:canary@h/a%EF%BD%9Cb"] {
            let told = ClientBuilder::from_url(url).unwrap_err().to_string();
            assert!(told.contains("full-width bar"), "{told}");
            assert!(!told.contains("canary"), "{told}");
        }
    }
}
