//! What passed, as it was.

use bytes::Bytes;
use mq_rocketmq::proto::Header;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the nameserver or broker: "up".
    ToServer,
    /// From the nameserver or broker to the client: "down".
    ToClient,
}

/// One recorded frame.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Recorded {
    /// The connection it came on; ids are never reused.
    pub connection: u64,
    /// Where it went.
    pub direction: Direction,
    /// The code of the request: its own, or of the request it answers (`None` for an answer to nothing).
    pub request: Option<i32>,
    /// The whole frame with its length prefix, as its sender wrote it: a route is not yet rewritten here.
    pub frame: Bytes,
    /// The decoded header.
    pub header: Header,
    /// The body, a view of `frame`.
    pub body: Bytes,
}

/// One recorded frame of Pulsar's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PulsarFrame {
    /// The connection it came on; ids are never reused.
    pub connection: u64,
    /// Where it went.
    pub direction: Direction,
    /// The whole frame with its total size, as its sender wrote it: an address is not yet rewritten here.
    pub frame: Bytes,
}

/// Recorded frames, up to a limit of bytes.
#[derive(Debug)]
pub(super) struct Transcript<T> {
    frames: Vec<T>,
    bytes: usize,
    full: bool,
}

impl<T> Default for Transcript<T> {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            bytes: 0,
            full: false,
        }
    }
}

impl<T> Transcript<T> {
    pub(super) fn push(&mut self, recorded: T, length: usize) {
        let bytes = self.bytes + length;
        if self.full || bytes > LIMIT {
            // Once a frame is missing, a later one would make the record look whole.
            self.full = true;
            return;
        }
        self.bytes = bytes;
        self.frames.push(recorded);
    }

    pub(super) fn frames(&self) -> &[T] {
        &self.frames
    }

    pub(super) const fn is_complete(&self) -> bool {
        !self.full
    }
}

const LIMIT: usize = 64 << 20;
