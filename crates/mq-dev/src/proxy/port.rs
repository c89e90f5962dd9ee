//! A port that can stop listening and begin again, and stays ours meanwhile.

use std::{
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::shared::lock;

pub(super) struct Port {
    pub(super) upstream: Arc<str>,
    pub(super) addr: SocketAddr,
    accepted: AtomicU64,
    /// `None` while connections are refused.
    listener: Mutex<Option<TcpListener>>,
    /// Bound and never listening: the kernel gives the port to nobody else, and refuses who comes.
    _reserved: TcpSocket,
}

impl Port {
    /// A free port of `127.0.0.1`, listening.
    pub(super) fn open(upstream: &str) -> io::Result<Self> {
        let reserved = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let addr = reserved.local_addr()?;
        Ok(Self {
            upstream: upstream.into(),
            addr,
            accepted: AtomicU64::new(0),
            listener: Mutex::new(Some(listen(addr)?)),
            _reserved: reserved,
        })
    }

    /// How many connections came until now.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Refuses or accepts from now on; what was connected and not yet accepted is reset.
    pub(super) fn refuse(&self, refuse: bool) -> io::Result<()> {
        let mut listener = lock(&self.listener);
        if refuse {
            *listener = None;
        } else if listener.is_none() {
            *listener = Some(listen(self.addr)?);
        }
        Ok(())
    }

    /// The next connection. One that waits has to be polled again after [`refuse`](Self::refuse): drop it, and ask anew.
    pub(super) async fn accept(&self) -> io::Result<TcpStream> {
        let (client, _) = poll_fn(|context| match &*lock(&self.listener) {
            Some(listener) => listener.poll_accept(context),
            None => Poll::Pending,
        })
        .await?;
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(client)
    }
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    bind(addr)?.listen(BACKLOG)
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Two sockets on one port, of which at most one listens.
    socket.set_reuseaddr(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    socket.set_reuseport(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

const BACKLOG: u32 = 1024;
