//! The wire codec of RocketMQ's remoting protocol: bytes in, values out, and back, without IO, clock or randomness.
//!
//! ```text
//!            0        4            8             8 + header
//!   frame    | length | kind|header | header …   | body …          frame.rs, codec.rs
//!                        0 = JSON, 1 = binary
//!   header   code, flags, opaque, remark, ext fields                fields.rs, command/*
//!   body     JSON (route, heartbeat …) or stored messages           json.rs, message/*
//! ```
//!
//! Every decoder serves both roles, so that a dev broker and a proxy can be built on it.
//! Lengths are checked against the bytes at hand and against a cap before anything is allocated.

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

pub mod code;
pub mod codec;
pub mod command;
pub mod fields;
pub mod frame;
pub mod json;
pub mod malformed;
pub mod message;
pub(crate) mod reader;
pub mod session;

pub use self::code::{RequestCode, ResponseCode};
pub use self::codec::{Encoded, Flags, Header, HeaderCodec, HeaderParts, Language, encode};
pub use self::command::{Reply, Request};
pub(crate) use self::fields::{DECIMAL, decimal};
pub use self::fields::{ExtFields, Field, FieldSink, Fields, NoFields};
pub use self::frame::{Frame, FrameDecoder, MAX_EXT_FIELDS, MAX_FRAME, MAX_HEADER};
pub use self::malformed::Malformed;
