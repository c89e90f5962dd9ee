//! Real brokers for tests, and what the suites against them share.

pub mod brokers;
pub mod conformance;
pub mod examples;
pub mod foreign;
pub mod harness;
