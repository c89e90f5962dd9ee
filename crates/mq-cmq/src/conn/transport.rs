//! One connection: TCP, TLS where it is asked for, and HTTP/1.1 on it.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use mq_core::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::tasks::Tasks;
use super::tls::TlsConfig;

/// What sends requests on one connection, one at a time.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Connects. The connection's task is one of `tasks`.
pub(super) async fn connect(
    endpoint: &Endpoint,
    tls: Option<&TlsConfig>,
    tasks: &Tasks,
) -> io::Result<Sender> {
    let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
    stream.set_nodelay(true)?;
    match tls {
        Some(tls) => speak(tls.secure(stream, endpoint).await?, tasks).await,
        None => speak(stream, tasks).await,
    }
}

async fn speak<S>(stream: S, tasks: &Tasks) -> io::Result<Sender>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tasks.spawn(async move {
        // Whoever waits for an answer hears of it there.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended");
        }
    });
    Ok(sender)
}
