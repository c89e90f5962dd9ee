//! What goes out of a connection.

use std::time::Duration;

use bytes::BytesMut;
use mq_cmq::proto::tcp::{Packet, encode};
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Something for the wire.
#[derive(Debug)]
pub(in crate::cmq) enum Out {
    Packet(Packet),
    /// Half of its frame, and then nothing more.
    Half(Packet),
    /// Nothing more.
    Close,
}

/// Writes what comes until nothing can come any more, or a fault wants an end, or the other side does not read.
pub(super) async fn write(
    mut outgoing: mpsc::Receiver<Out>,
    mut socket: OwnedWriteHalf,
    patience: Duration,
) {
    let mut buf = BytesMut::new();
    while let Some(first) = outgoing.recv().await {
        let mut next = Some(first);
        let mut ends = false;
        while let Some(out) = next {
            ends = put(out, &mut buf);
            // What is there leaves in one write.
            next = if ends || buf.len() >= ENOUGH {
                None
            } else {
                outgoing.try_recv().ok()
            };
        }
        let written = timeout(patience, socket.write_all(&buf)).await;
        if ends || !matches!(written, Ok(Ok(()))) {
            return;
        }
        if buf.capacity() > 2 * ENOUGH {
            buf = BytesMut::new();
        }
        buf.clear();
    }
}

/// Whether it is the last.
fn put(out: Out, buf: &mut BytesMut) -> bool {
    let before = buf.len();
    let (packet, half) = match out {
        Out::Packet(packet) => (packet, false),
        Out::Half(packet) => (packet, true),
        Out::Close => return true,
    };
    // Sixteen bodies of 1 MiB fit.
    if let Err(error) = encode(&packet, buf) {
        tracing::error!(%error, "gateway: an answer does not fit into a frame");
        return true;
    }
    if half {
        let length = buf.len() - before;
        buf.truncate(before + length / 2);
    }
    half
}

const ENOUGH: usize = 64 * 1024;
