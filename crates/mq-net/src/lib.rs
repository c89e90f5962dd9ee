#![doc = include_str!("../README.md")]

mod conn;

#[cfg(feature = "tls")]
pub use self::conn::TlsParts;
pub use self::conn::{Stream, Tasks, TlsConfig, now};
