//! Tools for those who develop against a broker: today a proxy that records, decodes and breaks the traffic of RocketMQ's
//! remoting protocol.
//!
//! What this is not: something to put before a production broker. Every frame is cut out, decoded and counted.

pub mod proxy;

#[cfg(feature = "cmq")]
pub mod cmq;
