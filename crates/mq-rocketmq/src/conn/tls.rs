//! TLS on a connection: the handshake, and records between session and socket.
//!
//! ```text
//!  Session ─ up to 128 slices ─► rustls, records of up to 16 KiB ─► one vectored write ─► socket
//!  frames  ◄───────────────────  rustls ◄──────────────────────  one large read ◄─ socket
//! ```
//!
//! rustls is driven as the state machine that it is, on the socket's readiness: what is written together is encrypted together, and one
//! read takes what is there instead of a record.

mod fault;
mod verify;

use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf as _, BytesMut};
use mq_core::Endpoint;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, SignatureScheme};
use tokio::net::TcpStream;

use self::fault::classify;
use super::broken::Broken;
use super::driver::Waiter;
use super::{READ_SIZE, SLICES};
use crate::error::{Error, Result, invalid};
use crate::proto::session::Session;
use crate::tls::{Tls, TlsFault, Trust};

/// How every connection of a client is secured.
pub(crate) struct TlsConfig {
    rustls: ClientConfig,
    identity: Option<Arc<CertifiedKey>>,
    server_name: Option<ServerName<'static>>,
    /// Nothing is verified: said at every connection.
    insecure: bool,
}

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Loads the platform's roots, if they count: files are read, so not on a thread of the runtime.
    pub(crate) async fn prepare(tls: Tls) -> Result<Self> {
        let prepared = tokio::task::spawn_blocking(move || Self::new(tls)).await;
        prepared.unwrap_or_else(|_| Err(invalid(CONNECT, "the TLS options could not be prepared")))
    }

    fn new(tls: Tls) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let insecure = matches!(tls.trust, Trust::Anybody) && tls.pins.is_empty();
        let verifier = verify::verifier(&tls.trust, tls.pins, &provider)?;
        let identity = tls.identity.map(|identity| {
            let (chain, key) = (identity.chain.clone(), identity.key.clone_key());
            CertifiedKey::from_der(chain, key, &provider).map(Arc::new)
        });
        let identity = identity.transpose().map_err(|cause| {
            unusable(
                "the client certificate and its key can't be used together",
                cause,
            )
        })?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|cause| unusable("no version of TLS can be used", cause))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self {
            rustls: config,
            identity,
            server_name: tls.server_name,
            insecure,
        })
    }

    fn connection(
        &self,
        to: &Endpoint,
        presenter: &Arc<Presenter>,
    ) -> Result<ClientConnection, Broken> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(to.host().to_owned())
                .map_err(|cause| Broken::tls(TlsFault::WrongName, cause))?,
        };
        // Its own for each connection, so that it is known whether this server has asked. Sessions to resume stay shared.
        let mut config = self.rustls.clone();
        config.client_auth_cert_resolver = Arc::<Presenter>::clone(presenter);
        ClientConnection::new(Arc::new(config), name)
            .map_err(|cause| Broken::tls(TlsFault::Handshake, cause))
    }
}

/// Shows the client's certificate, if there is one, and remembers that it was asked for.
#[derive(Debug)]
struct Presenter {
    identity: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Presenter {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.identity.clone()
    }

    /// Also without one: otherwise nobody would ask.
    fn has_certs(&self) -> bool {
        true
    }
}

/// The TLS half of a connection; the socket is its owner's.
pub(crate) struct TlsStream {
    tls: ClientConnection,
    presenter: Arc<Presenter>,
    /// Read from the socket and not yet understood.
    raw: BytesMut,
    /// Nothing has come yet, not even an answer to the greeting.
    silent: bool,
    /// Told when what came before it has been handed on.
    end: Option<Broken>,
}

impl std::fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream").finish_non_exhaustive()
    }
}

impl TlsStream {
    /// Secures a fresh connection. Dropped half way, the connection is of no use.
    pub(super) async fn handshake(
        socket: &TcpStream,
        config: &TlsConfig,
        to: &Endpoint,
    ) -> Result<Self, Broken> {
        if config.insecure {
            tracing::warn!(peer = %to, "the server's certificate is NOT verified: anybody may be at the other end");
        }
        let presenter = Arc::new(Presenter {
            identity: config.identity.clone(),
            asked: AtomicBool::new(false),
        });
        let mut stream = Self {
            tls: config.connection(to, &presenter)?,
            presenter,
            raw: BytesMut::with_capacity(READ_SIZE),
            silent: true,
            end: None,
        };
        let mut nothing = BytesMut::new();
        loop {
            let blocked = stream.flush(socket)?;
            if !stream.tls.is_handshaking() && !blocked {
                return Ok(stream);
            }
            tokio::select! {
                ready = socket.readable() => {
                    ready?;
                    stream.read_some(socket, &mut nothing)?;
                }
                ready = socket.writable(), if blocked => ready?,
            }
            if let Some(end) = stream.end.take() {
                return Err(end);
            }
        }
    }

    /// Whether [`TlsStream::read_some`] has something to tell without the socket.
    pub(super) fn has_news(&self) -> bool {
        self.end.is_some()
    }

    /// Writes until nothing is left or the socket takes no more; says whether the latter.
    pub(super) fn write_all_there_is(
        &mut self,
        socket: &TcpStream,
        session: &mut Session<Box<dyn Waiter>>,
    ) -> Result<bool, Broken> {
        loop {
            // First what is encrypted already: rustls holds one round, not more.
            if self.flush(socket)? {
                return Ok(true);
            }
            if !session.wants_write() {
                return Ok(false);
            }
            let mut slices = [io::IoSlice::new(&[]); SLICES];
            let count = session.chunks(&mut slices);
            let filled = slices.get(..count).unwrap_or_default();
            let taken = self.tls.writer().write_vectored(filled)?;
            session.written(taken);
        }
    }

    /// The answer is whether anything came from the peer.
    pub(super) fn read_some(
        &mut self,
        socket: &TcpStream,
        inbound: &mut BytesMut,
    ) -> Result<bool, Broken> {
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        self.raw.reserve(READ_SIZE);
        match socket.try_read_buf(&mut self.raw) {
            Ok(0) => return Err(self.closed()),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(cause) if self.silent => return Err(Broken::tls(TlsFault::NotTls, cause)),
            Err(cause) => return Err(cause.into()),
        }
        self.silent = false;
        let before = inbound.len();
        if let Err(end) = self.decrypt(inbound) {
            // The peer is told why, if it still listens.
            let _ = self.flush(socket);
            if inbound.len() == before {
                return Err(end);
            }
            self.end = Some(end);
        }
        Ok(true)
    }

    fn decrypt(&mut self, inbound: &mut BytesMut) -> Result<(), Broken> {
        while !self.raw.is_empty() {
            let mut rest = &self.raw[..];
            let taken = self.tls.read_tls(&mut rest)?;
            self.raw.advance(taken);
            let state = self.tls.process_new_packets().map_err(|error| {
                let asked = self.presenter.asked.load(Ordering::Relaxed);
                classify(&error, asked, self.presenter.identity.is_some())
            })?;
            let mut left = state.plaintext_bytes_to_read();
            inbound.reserve(left);
            while left > 0 {
                let mut reader = self.tls.reader();
                let plain = reader.fill_buf()?;
                let count = plain.len();
                inbound.extend_from_slice(plain);
                reader.consume(count);
                left = left.saturating_sub(count.max(1));
            }
            if state.peer_has_closed() {
                return Err(self.closed());
            }
        }
        Ok(())
    }

    fn closed(&self) -> Broken {
        let closed = "the peer closed the connection";
        if self.silent {
            // apache/rocketmq: NettyRemotingServer.TlsModeHandler, what a server does that has TLS switched off.
            return Broken::tls(
                TlsFault::NotTls,
                "it closed the connection instead of answering",
            );
        }
        if self.tls.is_handshaking() {
            return Broken::new("the peer closed the connection during the TLS handshake");
        }
        Broken::new(closed)
    }

    /// Writes what is encrypted; says whether the socket takes no more.
    fn flush(&mut self, socket: &TcpStream) -> Result<bool, Broken> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Writing(socket)) {
                Ok(_) => {}
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.last_words(socket).unwrap_or_else(|| cause.into())),
            }
        }
        Ok(false)
    }

    /// A server that refuses a certificate says so and hangs up: writing may fail before its word was read.
    fn last_words(&mut self, socket: &TcpStream) -> Option<Broken> {
        socket.try_read_buf(&mut self.raw).ok()?;
        self.silent &= self.raw.is_empty();
        let said = self.decrypt(&mut BytesMut::new()).err();
        said.filter(|broken| broken.tls.is_some())
    }

    /// Tells the peer that nothing more comes, as far as that goes without waiting.
    pub(super) fn say_goodbye(&mut self, socket: &TcpStream) {
        self.tls.send_close_notify();
        while self.tls.wants_write() && self.tls.write_tls(&mut Writing(socket)).is_ok() {}
    }
}

/// Writes to a socket that is ready or says so.
struct Writing<'a>(&'a TcpStream);

impl io::Write for Writing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unusable(what: &str, cause: rustls::Error) -> Error {
    let error = invalid(CONNECT, what).into_builder();
    error.source(cause).build()
}

const CONNECT: &str = "connect";

#[cfg(test)]
mod tests;
