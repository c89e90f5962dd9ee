//! The runtime's time: that of its timers, which tests can stop and move.

use tokio::time::Instant;

/// Now, as the runtime's timers see it.
#[expect(
    clippy::disallowed_methods,
    reason = "the runtime's clock, which a test owns by pausing it"
)]
pub fn now() -> Instant {
    Instant::now()
}
