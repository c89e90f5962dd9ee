//! Vocabulary shared by the `mq` client crates.
//!
//! What a message-queue client needs whatever the protocol: an [`Error`] that says whether the broker may have
//! applied what was asked ([`Outcome`]), [`Endpoint`]s and service URLs, [`Secret`]s that can't be printed, a
//! [`Clock`] that tests can own, message [`Properties`], a [`Propagator`] of traces, a [`RateLimit`] and decompression with a bound.

mod clock;
pub mod decompress;
mod endpoint;
mod error;
mod propagator;
mod properties;
mod rate_limit;
mod secret;
mod url;

pub use clock::{Clock, ManualClock, SystemClock, later};
pub use endpoint::Endpoint;
pub use error::{Error, ErrorBuilder, ErrorKind, Outcome, Retry};
pub use propagator::Propagator;
pub use properties::Properties;
pub use rate_limit::RateLimit;
pub use secret::Secret;
pub use url::{ServiceUrl, UrlError};
