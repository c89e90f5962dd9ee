//! The two ways in which a group consumes. What differs between them is decided by a `match` on this, in four places:
//!
//! ```text
//!                           Clustering                        Broadcasting
//!   offsets.rs              at the broker, for the group      in a file, for this consumer
//!   rebalance.rs, shares    this member's part                every queue
//!   run.rs, what failed     back to the broker (returns.rs)   again from here (redeliver.rs)
//!   options.rs, topics      the retry topic among them        those subscribed to
//! ```

use super::offsets::Local;

/// See the module.
#[derive(Debug)]
pub(crate) enum Model {
    Clustering,
    Broadcasting(Local),
}

impl Model {
    /// As brokers call it.
    // apache/rocketmq: MessageModel
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Clustering => "CLUSTERING",
            Self::Broadcasting(_) => "BROADCASTING",
        }
    }
}
