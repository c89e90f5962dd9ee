#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
//! ```text
//!  args (what was typed) ─► plan (what is to be done, or a usage error) ─► send │ recv │ bench │ inspect │ change ─► exit code
//!                                                                                       │
//!                                                                                    adapter ─► protocol clients
//! ```

pub mod adapter;
mod args;
mod bench;
mod change;
mod dev;
mod exit;
mod format;
mod inspect;
mod interrupt;
mod json;
mod output;
mod plan;
mod recv;
mod run;
mod send;
mod split;

pub use self::run::run;
