//! From a socket to a connection that the broker has accepted.
// apache/pulsar: ClientCnx.channelActive, handleConnected, handleAuthChallenge; Commands.newConnect

use bytes::{Bytes, BytesMut};
use mq_core::{Endpoint, ErrorKind, Retry};
use mq_net::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Broker, Options, Settled, asks};
use crate::error::{Error, Result, refused};
use crate::proto::{FRAME_PADDING, FrameDecoder, Incoming, Malformed, api, encode};

/// A connection that the broker has accepted, before a driver has it.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) inbound: BytesMut,
    pub(super) decoder: FrameDecoder,
    pub(super) settled: Settled,
}

/// Connects to a broker, or to it through a proxy.
pub(super) async fn open(broker: &Broker, options: &Options) -> Result<Opened> {
    let whole = async {
        let stream = Stream::open(&broker.address, options.tls.as_ref()).await;
        let stream = stream.map_err(|cause| not_connected(&cause))?;
        let talk = Talk {
            stream,
            inbound: BytesMut::with_capacity(8 * 1024),
            decoder: FrameDecoder::new(MAX_MESSAGE + FRAME_PADDING),
            heard: false,
        };
        talk.open(options, broker.behind.as_ref()).await
    };
    let result = tokio::time::timeout(options.connect_timeout, whole).await;
    let result = result.unwrap_or_else(|_| {
        let message = format!("no connection within {:?}", options.connect_timeout);
        Err(Error::builder(ErrorKind::Connect, message).build())
    });
    result.map_err(|error| {
        let error = error.into_builder().operation("connect");
        error.endpoint(broker.address.to_string()).build()
    })
}

/// What a client says to a challenge, or at first.
pub(super) async fn auth_data(options: &Options) -> Result<api::AuthData> {
    let said = options.auth.say().await?;
    Ok(api::AuthData {
        auth_method_name: Some(options.auth.method().unwrap_or("none").to_owned()),
        auth_data: Some(Bytes::from(said.expose().to_owned())),
    })
}

pub(super) fn auth_response(data: api::AuthData) -> api::BaseCommand {
    asks::auth_response(api::CommandAuthResponse {
        client_version: Some(CLIENT.to_owned()),
        response: Some(data),
        protocol_version: Some(VERSION),
    })
}

/// The dialogue before anything can be asked.
struct Talk {
    stream: Stream,
    inbound: BytesMut,
    decoder: FrameDecoder,
    heard: bool,
}

impl Talk {
    async fn open(mut self, options: &Options, behind: Option<&Endpoint>) -> Result<Opened> {
        let auth = auth_data(options).await?;
        self.send(asks::connect(api::CommandConnect {
            client_version: match &options.description {
                Some(description) => format!("{CLIENT}-{description}"),
                None => CLIENT.to_owned(),
            },
            auth_method_name: auth.auth_method_name,
            auth_data: auth.auth_data.filter(|_| options.auth.method().is_some()),
            protocol_version: Some(VERSION),
            proxy_to_broker_url: behind.map(ToString::to_string),
            feature_flags: Some(api::FeatureFlags {
                supports_auth_refresh: Some(true),
                supports_broker_entry_metadata: Some(true),
                supports_partial_producer: Some(true),
                supports_get_partitioned_metadata_without_auto_creation: Some(true),
                ..api::FeatureFlags::default()
            }),
            ..api::CommandConnect::default()
        }))
        .await?;
        let connected = loop {
            let mut command = self.read().await?;
            if let Some(error) = command.error {
                return Err(refused(error.error, &error.message));
            }
            if command.auth_challenge.is_some() {
                self.send(auth_response(auth_data(options).await?)).await?;
            } else if let Some(connected) = command.connected.take() {
                break connected;
            } else {
                return Err(strange("an answer that is none to CONNECT", &[]));
            }
        };
        let theirs = connected.max_message_size.map(usize::try_from);
        let max_message_size = match theirs {
            Some(Ok(size)) if size > 0 => size.min(MOST_MESSAGE),
            _ => MAX_MESSAGE,
        };
        self.decoder.set_max_frame(max_message_size + FRAME_PADDING);
        Ok(Opened {
            stream: self.stream,
            inbound: self.inbound,
            decoder: self.decoder,
            settled: Settled {
                max_message_size,
                features: connected.feature_flags.unwrap_or_default(),
            },
        })
    }

    async fn send(&mut self, command: api::BaseCommand) -> Result<()> {
        let mut out = BytesMut::new();
        encode::command(&mut out, &command);
        let written = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        };
        written.await.map_err(|cause| broke(&cause))
    }

    async fn read(&mut self) -> Result<Box<api::BaseCommand>> {
        loop {
            let decoded = self.decoder.decode(&mut self.inbound);
            match decoded
                .map_err(|malformed: Malformed| strange(&malformed.to_string(), &self.inbound))?
            {
                Some(Incoming::Command(command)) => return Ok(command),
                Some(_) => return Err(strange("a message before anything was asked", &[])),
                None => {}
            }
            let count = self.stream.read_buf(&mut self.inbound).await;
            if count.map_err(|cause| broke(&cause))? == 0 {
                return Err(hung_up(self.heard));
            }
            self.heard = true;
        }
    }
}

pub(crate) fn not_connected(cause: &std::io::Error) -> Error {
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

pub(super) fn broke(cause: &std::io::Error) -> Error {
    let message = format!("the connection broke: {cause}");
    Error::builder(ErrorKind::Disconnected, message).build()
}

fn hung_up(heard: bool) -> Error {
    let message = "the broker closed the connection during the handshake";
    let error = Error::builder(ErrorKind::Disconnected, message);
    if heard {
        return error.build();
    }
    error
        .hint("a port that takes TLS only does that: say pulsar+ssl:// in the URL")
        .build()
}

fn strange(what: &str, bytes: &[u8]) -> Error {
    let message = format!("the peer does not speak Pulsar's protocol: {what}");
    let error = Error::builder(ErrorKind::Protocol, message);
    match bytes.first() {
        Some(b'H') => error.hint(
            "it looks like a web server: say http:// in the URL, or the port of pulsar://, 6650",
        ),
        Some(0x15) => error.hint("it answers by TLS: say pulsar+ssl:// in the URL"),
        _ => error,
    }
    .build()
}

/// What brokers count clients by.
const CLIENT: &str = concat!("Pulsar-Rust-mq-v", env!("CARGO_PKG_VERSION"));
/// The newest version of the protocol that this client keeps to.
// apache/pulsar: PulsarApi.proto, ProtocolVersion: v20 is topics that move to another cluster, which this client does not follow
const VERSION: i32 = api::ProtocolVersion::V19 as i32;
/// Of a broker that does not say.
// apache/pulsar: Commands.DEFAULT_MAX_MESSAGE_SIZE
const MAX_MESSAGE: usize = 5 * 1024 * 1024;
/// What is believed of one that does.
const MOST_MESSAGE: usize = 1024 * 1024 * 1024;
