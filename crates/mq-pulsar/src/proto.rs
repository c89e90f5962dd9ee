//! Pulsar's binary protocol on the wire, both roles, without sockets, clocks and tasks.

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::use_self,
    reason = "generated; the definition beside it says what each field is"
)]
#[rustfmt::skip]
pub mod api;
mod redact;
