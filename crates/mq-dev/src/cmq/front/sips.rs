//! A socket that is read in small pieces.
//!
//! hyper doubles its buffer with every read that fills it, and a connection keeps that buffer while its request waits: with small reads it
//! stays small, whatever was sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;

/// See the module.
#[derive(Debug)]
pub(super) struct Sips(Take<TcpStream>);

impl Sips {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self(socket.take(SIP))
    }

    fn socket(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(self.get_mut().0.get_mut())
    }
}

impl AsyncRead for Sips {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let taken = &mut self.get_mut().0;
        // For each read anew: the end is only where the socket has one.
        taken.set_limit(SIP);
        Pin::new(taken).poll_read(context, buffer)
    }
}

impl AsyncWrite for Sips {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.socket().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.get_ref().is_write_vectored()
    }
}

const SIP: u64 = 8 * 1024;
