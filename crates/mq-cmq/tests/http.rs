//! The client against a server that checks what it is sent and plays answers: whole, halved, late, none.
// `cfg(test)`, so that clippy takes the helpers for tests, too.

#[cfg(test)]
#[path = "http/server.rs"]
mod server;

#[cfg(test)]
#[path = "http/admin.rs"]
mod admin;
#[cfg(test)]
#[path = "http/batches.rs"]
mod batches;
#[cfg(test)]
#[path = "http/consumer.rs"]
mod consumer;
#[cfg(test)]
#[path = "http/control.rs"]
mod control;
#[cfg(test)]
#[path = "http/control_outcomes.rs"]
mod control_outcomes;
#[cfg(test)]
#[path = "http/outcomes.rs"]
mod outcomes;
#[cfg(test)]
#[path = "http/pool.rs"]
mod pool;
#[cfg(test)]
#[path = "http/requests.rs"]
mod requests;
#[cfg(test)]
#[path = "http/tc3.rs"]
mod tc3;
#[cfg(all(test, feature = "tls"))]
#[path = "http/tls.rs"]
mod tls;
