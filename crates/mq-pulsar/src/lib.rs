#![doc = include_str!("../README.md")]

#[cfg(feature = "unstable-proto")]
pub mod proto;
#[cfg(not(feature = "unstable-proto"))]
#[allow(
    dead_code,
    unnameable_types,
    unreachable_pub,
    unused_imports,
    reason = "it is public with the feature, and some of it is for servers"
)]
mod proto;
