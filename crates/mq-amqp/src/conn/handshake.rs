//! From a socket to an open connection: who speaks, how large frames may be, which virtual host.
// AMQP 0-9-1, 2.2.4 "The Connection Class"; rabbitmq-java-client: AMQConnection.start

use std::time::Duration;

use bytes::BytesMut;
use bytestring::ByteString;
use mq_core::{Endpoint, ErrorKind, Retry};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Settled;
use super::options::{Mechanism, Options};
use crate::error::{Error, Result, refused};
use crate::proto::{
    ConnectionOpen, ConnectionStart, ConnectionStartOk, ConnectionTune, ConnectionTuneOk,
    FRAME_MIN, Frame, FrameDecoder, Hidden, Kind, Malformed, Method, PROTOCOL_HEADER, ReplyCode,
    Table, Value, put_frame,
};
use mq_net::Stream;

/// An open connection, before a driver has it.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) inbound: BytesMut,
    pub(super) decoder: FrameDecoder,
    pub(super) settled: Settled,
}

/// Connects to one server and opens the virtual host.
pub(super) async fn open(endpoint: &Endpoint, options: &Options, role: &str) -> Result<Opened> {
    let whole = async {
        let stream = Stream::open(endpoint, options.tls.as_ref()).await;
        let stream = stream.map_err(|cause| not_connected(&cause))?;
        let talk = Talk {
            stream,
            inbound: BytesMut::with_capacity(8 * 1024),
            decoder: FrameDecoder::new(FRAME_MIN.max(options.frame_max as usize)),
            heard: false,
        };
        talk.open(options, role).await
    };
    let result = tokio::time::timeout(options.connect_timeout, whole).await;
    let result = result.unwrap_or_else(|_| {
        let message = format!("no connection within {:?}", options.connect_timeout);
        Err(Error::builder(ErrorKind::Connect, message).build())
    });
    result.map_err(|error| {
        error
            .into_builder()
            .operation("connect")
            .endpoint(endpoint.to_string())
            .build()
    })
}

/// The dialogue before there are channels.
struct Talk {
    stream: Stream,
    inbound: BytesMut,
    decoder: FrameDecoder,
    heard: bool,
}

impl Talk {
    async fn open(mut self, options: &Options, role: &str) -> Result<Opened> {
        self.write(&PROTOCOL_HEADER).await?;
        let start = match self.read().await? {
            Method::ConnectionStart(start) => start,
            other => return Err(unexpected(&other)),
        };
        let mechanism = choose(&start, options)?;
        self.send(ConnectionStartOk {
            client_properties: client_properties(options, role),
            mechanism: ByteString::from_static(mechanism.name()),
            response: Hidden(options.response(mechanism)),
            locale: ByteString::from_static("en_US"),
        })
        .await?;
        let tune = match self.read().await {
            Ok(Method::ConnectionTune(tune)) => tune,
            Ok(Method::ConnectionSecure(_)) => return Err(more_wanted(mechanism)),
            Ok(other) => return Err(unexpected(&other)),
            Err(error) if error.kind() == ErrorKind::Disconnected && !tells_of_refusals(&start) => {
                return Err(login_refused(error));
            }
            Err(error) => return Err(error),
        };
        let settled = settle(&tune, options);
        self.send(ConnectionTuneOk {
            channel_max: settled.channel_max,
            frame_max: u32::try_from(settled.frame_max).unwrap_or(u32::MAX),
            heartbeat: u16::try_from(settled.heartbeat.as_secs()).unwrap_or(u16::MAX),
        })
        .await?;
        self.decoder.set_frame_max(settled.frame_max);
        self.send(ConnectionOpen {
            virtual_host: options.vhost.clone().into(),
            reserved_1: ByteString::new(),
            reserved_2: false,
        })
        .await?;
        match self.read().await? {
            Method::ConnectionOpenOk(_) => {}
            other => return Err(unexpected(&other)),
        }
        Ok(Opened {
            stream: self.stream,
            inbound: self.inbound,
            decoder: self.decoder,
            settled,
        })
    }

    async fn send(&mut self, method: impl Into<Method>) -> Result<()> {
        let mut out = BytesMut::new();
        let method = method.into();
        put_frame(&mut out, Kind::Method, 0, |out| method.encode(out));
        self.write(&out).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        written.await.map_err(|cause| broke(&cause))
    }

    async fn read(&mut self) -> Result<Method> {
        loop {
            let frame = self.decoder.decode(&mut self.inbound);
            let frame = frame.map_err(|malformed| strange(&malformed, &self.inbound))?;
            if let Some(frame) = frame {
                if frame.kind == Kind::Heartbeat {
                    continue;
                }
                return match only_method(frame).map_err(|malformed| strange(&malformed, &[]))? {
                    Method::ConnectionClose(close) => {
                        Err(refused(close.reply_code, &close.reply_text))
                    }
                    method => Ok(method),
                };
            }
            let count = self
                .stream
                .read_buf(&mut self.inbound)
                .await
                .map_err(|cause| broke(&cause))?;
            if count == 0 {
                return Err(hung_up(self.heard));
            }
            self.heard = true;
        }
    }
}

/// There are no contents yet.
fn only_method(frame: Frame) -> std::result::Result<Method, Malformed> {
    match frame.kind {
        Kind::Method => Method::decode(frame.payload),
        _ => Err(Malformed::new("frame", "a content before anything is open")),
    }
}

/// The one that was asked for, or the first of ours that the server has.
fn choose(start: &ConnectionStart, options: &Options) -> Result<Mechanism> {
    let offered = String::from_utf8_lossy(&start.mechanisms.0).into_owned();
    let has = |mechanism: &Mechanism| offered.split(' ').any(|name| name == mechanism.name());
    let ours = match options.mechanism {
        Some(asked) => vec![asked],
        None => vec![Mechanism::Plain, Mechanism::AmqPlain],
    };
    ours.iter().copied().find(has).ok_or_else(|| {
        let names: Vec<_> = ours.iter().map(|mechanism| mechanism.name()).collect();
        let message = format!(
            "the server does not take {}, it takes {offered}",
            names.join(" or ")
        );
        let error = Error::builder(ErrorKind::Auth, message).code(ReplyCode::ACCESS_REFUSED);
        error
            .hint("choose another mechanism (auth_mechanism in the URL)")
            .build()
    })
}

/// Whether it says so when it refuses a login. Of one that does, a connection that breaks then is just that: it was killed, for example.
// rabbitmq-server: rabbit_reader.erl, server_capabilities, auth_fail
fn tells_of_refusals(start: &ConnectionStart) -> bool {
    let Some(Value::Table(capabilities)) = start.server_properties.get("capabilities") else {
        return false;
    };
    capabilities.get("authentication_failure_close") == Some(&Value::Bool(true))
}

/// 0 is no limit of the server's; ours is one in any case.
fn settle(tune: &ConnectionTune, options: &Options) -> Settled {
    let lower = |theirs: u32, ours: u32| if theirs == 0 { ours } else { theirs.min(ours) };
    let frame_max = lower(tune.frame_max, options.frame_max) as usize;
    let channel_max = lower(tune.channel_max.into(), options.channel_max.into());
    // The wire has whole seconds, and 0 is none.
    let ours = options.heartbeat.as_millis().div_ceil(1000);
    let ours = u32::try_from(ours).unwrap_or(u32::MAX);
    Settled {
        channel_max: u16::try_from(channel_max).unwrap_or(u16::MAX),
        frame_max: frame_max.max(FRAME_MIN),
        // Whoever wants none has none, and the shorter one counts where both want one.
        heartbeat: Duration::from_secs(match ours {
            0 => 0,
            ours => lower(tune.heartbeat.into(), ours).into(),
        }),
    }
}

fn client_properties(options: &Options, role: &str) -> Table {
    let capabilities = [
        "publisher_confirms",
        "consumer_cancel_notify",
        "exchange_exchange_bindings",
        "basic.nack",
        "connection.blocked",
        "authentication_failure_close",
    ];
    let capabilities: Table = capabilities.into_iter().map(|name| (name, true)).collect();
    let mut properties = Table::new();
    properties.insert("product", "mq-amqp");
    properties.insert("version", env!("CARGO_PKG_VERSION"));
    properties.insert("platform", "Rust");
    properties.insert("capabilities", capabilities);
    if let Some(name) = &options.name {
        properties.insert("connection_name", format!("{name} ({role})"));
    }
    properties
}

fn not_connected(cause: &std::io::Error) -> Error {
    let message = match cause.kind() {
        std::io::ErrorKind::ConnectionRefused => "the connection was refused".to_owned(),
        _ => format!("no connection: {cause}"),
    };
    let error = Error::builder(ErrorKind::Connect, message);
    // What rustls says of a certificate stays so.
    let error = if cause.kind() == std::io::ErrorKind::InvalidData {
        error.retry(Retry::Never)
    } else {
        error
    };
    error
        .hint("check host and port, and that the broker listens there")
        .build()
}

fn broke(cause: &std::io::Error) -> Error {
    Error::builder(
        ErrorKind::Disconnected,
        format!("the connection broke: {cause}"),
    )
    .build()
}

fn hung_up(heard: bool) -> Error {
    let error = Error::builder(
        ErrorKind::Disconnected,
        "the server closed the connection during the handshake",
    );
    if heard {
        return error.build();
    }
    error
        .hint("a port that takes TLS only does that: say amqps:// in the URL")
        .build()
}

fn strange(malformed: &Malformed, bytes: &[u8]) -> Error {
    let error = Error::builder(
        ErrorKind::Protocol,
        format!("the peer does not speak AMQP 0-9-1: {malformed}"),
    );
    match bytes.first() {
        Some(b'H') => error
            .hint("it looks like a web server: the port of AMQP is 5672, of AMQP over TLS 5671")
            .build(),
        Some(0x15) => error
            .hint("it answers by TLS: say amqps:// in the URL")
            .build(),
        _ => error.build(),
    }
}

fn unexpected(method: &Method) -> Error {
    let message = format!("the server sent {} during the handshake", method.name());
    Error::builder(ErrorKind::Protocol, message).build()
}

fn more_wanted(mechanism: Mechanism) -> Error {
    let message = format!("the server asks for more than {} says", mechanism.name());
    Error::builder(ErrorKind::Unsupported, message).build()
}

/// The likely reason, and no certain one: a login that was taken before is tried again.
fn login_refused(cause: Error) -> Error {
    Error::builder(
        ErrorKind::Auth,
        "the server closed the connection when it heard user and password",
    )
    .retry(Retry::Later)
    .hint("check user and password")
    .source(cause)
    .build()
}
