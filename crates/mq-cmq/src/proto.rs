//! CMQ's wire, without a socket: requests as key-value pairs, their signature, and answers.
//!
//! ```text
//!  action ─► Params (ordered pairs) ─► + common parameters ─► string to sign ─► Signature ─► form or query
//!  answer bytes ─► Envelope (code, message, requestId) ─► the action's Reply, or an ErrorCode
//! ```
//!
//! Nothing here knows a runtime, a clock or dice: time stamps and nonces are given in.

#![cfg_attr(
    not(feature = "unstable-proto"),
    allow(
        dead_code,
        unused_imports,
        unnameable_types,
        unreachable_pub,
        reason = "both roles are here; a client alone plays one"
    )
)]

pub mod action;
pub mod answer;
pub mod code;
pub mod form;
pub mod limits;
pub mod malformed;
pub mod params;
pub mod request;
pub mod sign;
pub mod tc3;
pub mod tcp;

pub use self::action::{Action, FromParams, Given};
pub use self::answer::Envelope;
pub use self::code::ErrorCode;
pub use self::malformed::Malformed;
pub use self::params::Params;
pub use self::request::{Common, HttpMethod};
pub use self::sign::{SignatureMethod, SigningKey};
