//! TCP: connections, logins, frames, answers; the same state as over HTTP.
//!
//! ```text
//!  accept ─► one task a connection: read ─► frames ─► login ─► faults ─► engine ─► channel ─► write
//!              └ too many: closed at once                         └ a pull that waits: a task of its own ─┘
//!  a half message of which nobody knows ─► question ─► its sender's channel, or another one of the same secret id
//! ```
//!
//! What bounds memory: who has not logged in has frames of 64 KiB at most and [`Patience::head`] for it; a read buffer of more than 16 KiB is of the
//! [`Room`] that requests have together; a frame has 2 MiB; 256 pulls wait at a time; what is answered is a channel of 64, behind which nothing
//! more is read.

mod answer;
mod buffer;
mod clients;
mod connection;
mod requests;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(super) use self::clients::Clients;
pub(super) use self::write::Out;
use super::front::Patience;
use super::room::Room;
use super::shared::Shared;

/// Accepts until it is dropped; all connections end with it.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    patience: Patience,
    room: Room,
) {
    let mut life = shared.life.subscribe();
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) if connections.len() < patience.connections => {
                    number += 1;
                    tracing::debug!(%peer, number, "gateway: connected");
                    let shared = Arc::clone(&shared);
                    connections.spawn(connection::serve(socket, number, shared, patience, room.clone()));
                }
                Ok(_) => tracing::warn!(most = patience.connections, "gateway: too many connections: closed at once"),
                Err(error) => {
                    // Out of files, most likely: it gets better when connections end.
                    tracing::warn!(%error, "gateway: could not accept");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = life.changed() => connections.shutdown().await,
        }
    }
}
