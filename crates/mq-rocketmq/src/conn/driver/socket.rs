//! Few calls for many frames: one vectored write for all that waits, one large read.

use std::io::{self, IoSlice};

use bytes::BytesMut;
use tokio::net::TcpStream;

use super::{Setting, Waiter};
use crate::conn::broken::Broken;
use crate::conn::tls::TlsStream;
use crate::conn::{READ_SIZE, SLICES, transport};
use crate::proto::Malformed;
use crate::proto::session::Session;
use crate::tls::TlsFault;

/// A connection, secured or not.
pub(super) struct Socket {
    stream: TcpStream,
    tls: Option<Box<TlsStream>>,
    /// The peer has said something that is not only TLS.
    heard: bool,
}

impl Socket {
    /// Connects, and secures the connection where that is asked for: there is no way to a socket that is not.
    pub(super) async fn open(setting: &Setting) -> Result<Self, Broken> {
        let stream = transport::connect(&setting.endpoint).await?;
        let tls = match &setting.tls {
            Some(config) => {
                let secured = TlsStream::handshake(&stream, config, &setting.endpoint);
                Some(Box::new(secured.await?))
            }
            None => None,
        };
        Ok(Self {
            stream,
            tls,
            heard: false,
        })
    }

    /// The peer's bytes are not this protocol.
    pub(super) fn strange(&self, malformed: &Malformed) -> Broken {
        if self.tls.is_none() && malformed.reason.contains("TLS record") {
            return Broken::tls(TlsFault::TlsRequired, malformed);
        }
        Broken::new(format!(
            "the peer does not speak this protocol: {malformed}"
        ))
    }

    /// Waits until [`Socket::read_some`] has something to do.
    pub(super) async fn readable(&self) -> io::Result<()> {
        if self.tls.as_ref().is_some_and(|tls| tls.has_news()) {
            return Ok(());
        }
        self.stream.readable().await
    }

    /// Waits until the socket takes bytes.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Writes until nothing is left or the socket takes no more; says whether the latter.
    pub(super) fn write_all_there_is(
        &mut self,
        session: &mut Session<Box<dyn Waiter>>,
    ) -> Result<bool, Broken> {
        if let Some(tls) = &mut self.tls {
            return tls.write_all_there_is(&self.stream, session);
        }
        while session.wants_write() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = session.chunks(&mut slices);
            let filled = slices.get(..count).unwrap_or_default();
            match self.stream.try_write_vectored(filled) {
                Ok(written) => session.written(written),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if !self.heard => return Err(went("the connection was reset")),
                Err(cause) => return Err(Broken::new(format!("writing failed: {cause}"))),
            }
        }
        Ok(false)
    }

    /// The answer is whether there was anything.
    pub(super) fn read_some(&mut self, inbound: &mut BytesMut) -> Result<bool, Broken> {
        let before = inbound.len();
        let any = match &mut self.tls {
            Some(tls) => tls.read_some(&self.stream, inbound)?,
            None => self.read_plain(inbound)?,
        };
        self.heard |= inbound.len() > before;
        Ok(any)
    }

    fn read_plain(&self, inbound: &mut BytesMut) -> Result<bool, Broken> {
        if inbound.capacity() - inbound.len() < READ_SIZE / 4 {
            inbound.reserve(READ_SIZE);
        }
        match self.stream.try_read_buf(inbound) {
            Ok(0) if !self.heard => Err(went(CLOSED)),
            Ok(0) => Err(Broken::new(CLOSED)),
            Ok(_) => Ok(true),
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(_) if !self.heard => Err(went("the connection was reset")),
            Err(cause) => Err(cause.into()),
        }
    }
}

/// What a server does that takes TLS only.
// apache/rocketmq: NettyRemotingServer.TlsModeHandler
fn went(how: &'static str) -> Broken {
    Broken::tls(TlsFault::TlsRequired, how)
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.say_goodbye(&self.stream);
        }
    }
}

const CLOSED: &str = "the peer closed the connection";
