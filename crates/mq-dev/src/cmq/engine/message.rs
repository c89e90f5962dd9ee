//! A message in a queue, and as it leaves one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Body;

/// A message in a queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) id: u64,
    pub(super) body: Body,
    pub(super) enqueued: u64,
    /// 0 for never.
    pub(super) first_received: u64,
    pub(super) receives: u32,
    /// Of a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Arc<Origin>>,
    pub(super) state: State,
}

/// Where a dead letter died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) queue_id: String,
    /// In milliseconds.
    pub(crate) enqueued: u64,
    pub(crate) receives: u32,
}

/// Who can have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// Anybody.
    Ready { since: u64 },
    /// Nobody yet.
    Delayed { until: u64 },
    /// Who has the handle.
    Held { until: u64, handle: u64 },
}

/// A message as it is delivered. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) id: u64,
    pub(crate) handle: u64,
    pub(crate) body: Body,
    pub(crate) enqueued: u64,
    pub(crate) first_received: u64,
    pub(crate) next_visible: u64,
    pub(crate) receives: u32,
    /// Of a dead letter.
    pub(crate) origin: Option<Arc<Origin>>,
}

/// A message on its way to another queue.
#[derive(Debug)]
pub(super) struct Dead {
    /// The folded name of that queue.
    pub(super) target: Box<str>,
    pub(super) id: u64,
    pub(super) body: Body,
    pub(super) origin: Arc<Origin>,
}
