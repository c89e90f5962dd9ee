//! Sockets, secured or not.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use mq_core::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::client::TlsStream;

use super::tls::TlsConfig;

/// A connection's bytes.
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects, and secures the connection where that is asked for: there is no way to a stream that is not.
    ///
    /// # Errors
    ///
    /// What connecting or the TLS handshake answers; kind `InvalidData` for a certificate that is not to be trusted.
    pub async fn open(endpoint: &Endpoint, tls: Option<&TlsConfig>) -> io::Result<Self> {
        let socket = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
        socket.set_nodelay(true)?;
        // No TCP_USER_TIMEOUT: it counts a peer as gone that is alive and reads nothing, as a broker short of memory does. Heartbeats tell them apart.
        match tls {
            None => Ok(Self(Inner::Plain(socket))),
            Some(tls) => tls.secure(socket, endpoint).await,
        }
    }
}

#[cfg(feature = "tls")]
impl From<TlsStream<TcpStream>> for Stream {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self(Inner::Tls(Box::new(stream)))
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $do:expr) => {
        match &mut $self.get_mut().0 {
            Inner::Plain($stream) => $do,
            #[cfg(feature = "tls")]
            Inner::Tls($stream) => $do,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
