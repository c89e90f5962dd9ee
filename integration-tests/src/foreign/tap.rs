//! Stands between a client and a server on loopback, and keeps what passes.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Both directions of a connection.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    /// What the client wrote.
    pub up: Vec<u8>,
    /// What the server wrote.
    pub down: Vec<u8>,
}

/// Forwards connections and keeps their bytes. Dropped, it closes them.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    recorded: Arc<Mutex<Vec<Streams>>>,
    _accepting: JoinSet<()>,
}

impl Tap {
    /// Begins to listen.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let mut accepting = JoinSet::new();
        let shared = Arc::clone(&recorded);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    // A connection that breaks is the client's to notice.
                    let _ = forward(client, server, &shared).await;
                });
            }
        });
        Ok(Self {
            address,
            recorded,
            _accepting: accepting,
        })
    }

    /// Where clients are to connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has passed until now, connection by connection.
    pub fn streams(&self) -> Vec<Streams> {
        lock(&self.recorded).clone()
    }
}

async fn forward(
    client: TcpStream,
    server: SocketAddr,
    recorded: &Mutex<Vec<Streams>>,
) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let number = {
        let mut recorded = lock(recorded);
        recorded.push(Streams::default());
        recorded.len() - 1
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let keep = |bytes: &[u8], up: bool| {
        let mut recorded = lock(recorded);
        if let Some(streams) = recorded.get_mut(number) {
            let stream = if up {
                &mut streams.up
            } else {
                &mut streams.down
            };
            stream.extend_from_slice(bytes);
        }
    };
    tokio::try_join!(
        copy(from_client, to_server, |bytes| keep(bytes, true)),
        copy(from_server, to_client, |bytes| keep(bytes, false)),
    )?;
    Ok(())
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    keep: impl Fn(&[u8]),
) -> io::Result<()> {
    let mut bytes = bytes::BytesMut::with_capacity(64 * 1024);
    while from.read_buf(&mut bytes).await? > 0 {
        // Before it goes on: who has the answer finds it recorded.
        keep(&bytes);
        to.write_all(&bytes).await?;
        bytes.clear();
    }
    to.shutdown().await
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
