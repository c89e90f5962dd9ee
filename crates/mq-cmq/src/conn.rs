//! The endpoint's connections: one pool, and a link to each gateway; one deadline a request, and the word on whether bytes have left.

mod gateways;
mod link;
mod pool;
mod tasks;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "conn/tls_absent.rs"]
mod tls;
mod transport;

use std::time::{Instant, SystemTime};

use mq_core::Clock;

pub(crate) use self::gateways::Gateways;
pub(crate) use self::link::{LinkOptions, OnQuery};
pub(crate) use self::pool::{Answer, Failure, Pool, PoolOptions};
pub(crate) use self::tasks::Tasks;
pub(crate) use self::tls::TlsConfig;

/// Calendar time from the machine, monotonic time from the runtime's timer, which tests can stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimerClock;

impl Clock for TimerClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this clock is what the rest takes time from"
    )]
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        mq_core::SystemClock.wall()
    }
}
