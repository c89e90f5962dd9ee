//! What may happen to a frame on its way.

use std::time::Duration;

use mq_rocketmq::proto::Header;

use super::Direction;

/// What to do with one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Action {
    /// Pass it on.
    #[default]
    Forward,
    /// Lose it. A lost answer leaves its sender in doubt; a lost request never happened.
    Drop,
    /// Pass it on later. Frames behind it are not held up: they overtake it.
    Delay(Duration),
    /// Pass it on at the next [`Proxy::release`](super::Proxy::release). Frames behind it overtake it. A connection that
    /// ends loses what it holds.
    Hold,
    /// End the connection, both ways, before this frame; what was forwarded before it still arrives.
    Close,
    /// Reset the connection, both ways, before this frame; what was forwarded before it may be lost with it.
    Reset,
    /// Pass on only the beginning of it, then end the connection, both ways.
    CutMid {
        /// How many bytes, of those with the length prefix; one byte at least is missing. `None`: half of them.
        at: Option<usize>,
        /// How the connection ends.
        ending: Ending,
    },
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It is closed (FIN): what was written before arrives.
    Close,
    /// It is reset (RST): what was written before may be lost, and the peer hears of an error.
    Reset,
}

/// A frame the policy is asked about.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Observed<'a> {
    /// The connection it came on; ids are never reused.
    pub connection: u64,
    /// Where it goes.
    pub direction: Direction,
    /// The server it goes to or comes from, `host:port` as the route named it.
    pub upstream: &'a str,
    /// The code of the request: its own, or of the request it answers (`None` for an answer to nothing).
    pub request: Option<i32>,
    /// The decoded header.
    pub header: &'a Header,
}

/// Decides what happens to each frame. Called on the connection's task: it must not block.
pub trait Policy: Send + Sync + 'static {
    /// Decides about one frame.
    fn decide(&self, frame: &Observed<'_>) -> Action;
}

impl<F> Policy for F
where
    F: Fn(&Observed<'_>) -> Action + Send + Sync + 'static,
{
    fn decide(&self, frame: &Observed<'_>) -> Action {
        self(frame)
    }
}

pub(super) fn forward_all(_frame: &Observed<'_>) -> Action {
    Action::Forward
}
