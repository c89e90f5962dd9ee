//! Few calls for many frames: one vectored write for all that waits, one large read.

use std::io::{self, IoSlice};

use bytes::BytesMut;
use tokio::net::TcpStream;

use super::Waiter;
use crate::proto::session::Session;

/// Writes until nothing is left or the socket takes no more; says whether the latter.
pub(super) fn write_all_there_is(
    stream: &TcpStream,
    session: &mut Session<Box<dyn Waiter>>,
) -> io::Result<bool> {
    while session.wants_write() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = session.chunks(&mut slices);
        let filled = slices.get(..count).unwrap_or_default();
        match stream.try_write_vectored(filled) {
            Ok(written) => session.written(written),
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(false)
}

/// The answer is whether there was anything.
pub(super) fn read_some(stream: &TcpStream, inbound: &mut BytesMut) -> io::Result<bool> {
    if inbound.capacity() - inbound.len() < READ_SIZE / 4 {
        inbound.reserve(READ_SIZE);
    }
    match stream.try_read_buf(inbound) {
        Ok(0) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the peer closed the connection",
        )),
        Ok(_) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(cause) => Err(cause),
    }
}

/// Slices to a write call.
const SLICES: usize = 128;
/// Bytes that a read call has room for.
pub(super) const READ_SIZE: usize = 64 * 1024;
