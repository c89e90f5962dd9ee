//! Opening sockets.

use std::io;
use std::time::Duration;

use mq_core::Endpoint;
use socket2::SockRef;
use tokio::net::{TcpStream, lookup_host};

/// Resolves the name anew and connects to the first of its addresses that answers.
///
/// Send and receive buffers stay with the kernel's own tuning: fixed sizes cost a factor on long links
/// (apache/rocketmq#3825).
pub(crate) async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut last = None;
    let addresses = lookup_host((endpoint.host(), endpoint.port()))
        .await
        .map_err(|cause| {
            io::Error::new(cause.kind(), format!("the name does not resolve ({cause})"))
        })?;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return configured(stream),
            Err(cause) => last = Some(cause),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("the name has no address")))
}

fn configured(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKED))?;
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
    Ok(stream)
}

/// How long the kernel waits for the peer's kernel to acknowledge bytes before it gives the connection up.
#[cfg(target_os = "linux")]
const UNACKED: Duration = Duration::from_secs(20);
#[cfg(not(target_os = "linux"))]
const _: Duration = Duration::ZERO;
