//! Sockets, tasks and time.

mod stream;
mod tasks;
mod timer;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "conn/tls_absent.rs"]
mod tls;

pub use self::stream::Stream;
pub use self::tasks::Tasks;
pub use self::timer::now;
pub use self::tls::TlsConfig;
#[cfg(feature = "tls")]
pub use self::tls::TlsParts;
