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

/// Recorded frames, up to a limit of bytes.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    frames: Vec<Recorded>,
    bytes: usize,
    full: bool,
}

impl Transcript {
    pub(super) fn push(&mut self, recorded: Recorded) {
        let bytes = self.bytes + recorded.frame.len();
        if self.full || bytes > LIMIT {
            // Once a frame is missing, a later one would make the record look whole.
            self.full = true;
            return;
        }
        self.bytes = bytes;
        self.frames.push(recorded);
    }

    pub(super) fn frames(&self) -> &[Recorded] {
        &self.frames
    }

    pub(super) const fn is_complete(&self) -> bool {
        !self.full
    }
}

const LIMIT: usize = 64 << 20;
