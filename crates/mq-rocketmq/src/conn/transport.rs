//! Opening sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mq_core::Endpoint;
use socket2::SockRef;
use tokio::net::{TcpStream, lookup_host};

/// Resolves the name anew and connects to the first of its addresses that answers: they are tried in the resolver's order, the next one
/// when one fails or has not answered for a while (RFC 8305, 5), so that one that is silent does not use up the time of all.
///
/// Send and receive buffers stay with the kernel's own tuning: fixed sizes cost a factor on long links
/// (apache/rocketmq#3825).
pub(crate) async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let addresses = lookup_host((endpoint.host(), endpoint.port()))
        .await
        .map_err(|cause| {
            io::Error::new(cause.kind(), format!("the name does not resolve ({cause})"))
        })?;
    first_of(addresses).await.and_then(configured)
}

async fn first_of(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.peekable();
    let mut attempts = FuturesUnordered::new();
    let mut failed = io::Error::other("the name has no address");
    loop {
        if let Some(address) = addresses.next() {
            attempts.push(TcpStream::connect(address));
        }
        tokio::select! {
            result = attempts.next() => match result {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(cause)) => failed = cause,
                None => return Err(failed),
            },
            () = tokio::time::sleep(STAGGER), if addresses.peek().is_some() => {}
        }
    }
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

// RFC 8305, 8: Connection Attempt Delay
const STAGGER: Duration = Duration::from_millis(250);
/// How long the kernel waits for the peer's kernel to acknowledge bytes before it gives the connection up.
#[cfg(target_os = "linux")]
const UNACKED: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use mq_core::Clock as _;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::conn::TimerClock;

    /// A listener whose line is full: the kernel answers no more connections.
    async fn silent() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut line = Vec::new();
        let short = Duration::from_millis(200);
        while let Ok(stream) = tokio::time::timeout(short, TcpStream::connect(address)).await {
            line.push(stream.unwrap());
        }
        (listener, line)
    }

    #[tokio::test]
    async fn a_silent_address_does_not_keep_the_next_one_waiting() {
        let (silent, _line) = silent().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [&silent, &good].map(|listener| listener.local_addr().unwrap());
        let begun = TimerClock.now();
        let stream = first_of(addresses.into_iter()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        let waited = TimerClock.now() - begun;
        assert!(
            STAGGER <= waited && waited < Duration::from_secs(1),
            "{waited:?}"
        );
    }

    #[tokio::test]
    async fn an_address_that_refuses_costs_no_time() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [&gone, &good].map(|listener| listener.local_addr().unwrap());
        drop(gone);
        let begun = TimerClock.now();
        let stream = first_of(addresses.into_iter()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        assert!(TimerClock.now() - begun < STAGGER);
    }
}
