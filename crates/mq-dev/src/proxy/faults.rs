//! Faults that strike one chosen frame: the nth request with a code, or the nth answer to one.
//!
//! ```no_run
//! # use mq_dev::proxy::{Proxy, faults};
//! # async fn example(proxy: &Proxy) {
//! let lost = proxy.inject(faults::drop_reply(310, 1));
//! // … send a message …
//! assert!(lost.fired());
//! # }
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{Action, Ending, Observed, Policy};

/// Loses the `nth` answer to a request with this code: its sender is left in doubt.
#[must_use]
pub fn drop_reply(code: i32, nth: u64) -> Fault {
    Fault::on_reply(code, nth, Action::Drop)
}

/// Loses the `nth` request with this code: it never happened.
#[must_use]
pub fn drop_request(code: i32, nth: u64) -> Fault {
    Fault::on_request(code, nth, Action::Drop)
}

/// Passes on the first half of the `nth` answer to a request with this code, then ends the connection so.
#[must_use]
pub fn cut_reply(code: i32, nth: u64, ending: Ending) -> Fault {
    Fault::on_reply(code, nth, Action::CutMid { at: None, ending })
}

/// Passes on the first half of the `nth` request with this code, then ends the connection so.
#[must_use]
pub fn cut_request(code: i32, nth: u64, ending: Ending) -> Fault {
    Fault::on_request(code, nth, Action::CutMid { at: None, ending })
}

/// Holds the `nth` answer to a request with this code until [`Proxy::release`](super::Proxy::release).
#[must_use]
pub fn hold_reply(code: i32, nth: u64) -> Fault {
    Fault::on_reply(code, nth, Action::Hold)
}

/// Does one thing to one frame, once. Clones mean the same fault.
///
/// It is active after [`Proxy::inject`](super::Proxy::inject), or as the [`Policy`] of a proxy.
#[derive(Debug, Clone)]
pub struct Fault {
    frame: Kind,
    code: i32,
    nth: u64,
    upstream: Option<Arc<str>>,
    action: Action,
    count: Arc<Count>,
}

impl Fault {
    /// Does `action` to the `nth` request with this code, in whichever direction; `nth` counts from 1, 0 never comes.
    #[must_use]
    pub fn on_request(code: i32, nth: u64, action: Action) -> Self {
        Self::new(Kind::Request, code, nth, action)
    }

    /// Does `action` to the `nth` answer to requests with this code; `nth` counts from 1, 0 never comes.
    #[must_use]
    pub fn on_reply(code: i32, nth: u64, action: Action) -> Self {
        Self::new(Kind::Reply, code, nth, action)
    }

    /// Only on connections to this upstream: `host:port` as the route names it. Default: all count together.
    #[must_use]
    pub fn at(mut self, upstream: impl Into<Arc<str>>) -> Self {
        self.upstream = Some(upstream.into());
        self
    }

    /// Whether it struck.
    pub fn fired(&self) -> bool {
        self.count.fired.load(Ordering::Acquire)
    }

    /// How many frames of its kind passed since it is active, the one that it struck and later ones included.
    pub fn seen(&self) -> u64 {
        self.count.seen.load(Ordering::Acquire)
    }

    /// Takes it back, if it did not strike yet. It no longer counts either.
    pub fn disarm(&self) {
        self.count.disarmed.store(true, Ordering::Release);
    }

    pub(super) fn is_disarmed(&self) -> bool {
        self.count.disarmed.load(Ordering::Acquire)
    }

    /// Counts the frame; something to do if it is the one.
    pub(super) fn strike(&self, frame: &Observed<'_>) -> Option<Action> {
        let header = frame.header;
        let is_one = match self.frame {
            Kind::Request => !header.flags.is_response() && header.code == self.code,
            Kind::Reply => header.flags.is_response() && frame.request == Some(self.code),
        };
        let is_here = self
            .upstream
            .as_deref()
            .is_none_or(|it| it == frame.upstream);
        if !is_one || !is_here || self.is_disarmed() {
            return None;
        }
        let seen = self.count.seen.fetch_add(1, Ordering::AcqRel) + 1;
        if seen != self.nth {
            return None;
        }
        self.count.fired.store(true, Ordering::Release);
        Some(self.action)
    }

    fn new(frame: Kind, code: i32, nth: u64, action: Action) -> Self {
        Self {
            frame,
            code,
            nth,
            upstream: None,
            action,
            count: Arc::default(),
        }
    }
}

impl Policy for Fault {
    fn decide(&self, frame: &Observed<'_>) -> Action {
        self.strike(frame).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Request,
    Reply,
}

#[derive(Debug, Default)]
struct Count {
    seen: AtomicU64,
    fired: AtomicBool,
    disarmed: AtomicBool,
}
