//! cmq
mod engine;
mod spec;
pub use self::spec::*;
