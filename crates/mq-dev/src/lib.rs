//! Tools for those who develop against a broker: a proxy that records, decodes and breaks the traffic of RocketMQ's remoting
//! protocol, and, with the feature `cmq`, a CMQ server in memory.
//!
//! What this is not: something to put before a production broker, or in the place of one.

pub mod proxy;

#[cfg(feature = "cmq")]
pub mod cmq;
