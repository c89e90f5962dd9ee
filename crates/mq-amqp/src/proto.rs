//! AMQP 0-9-1 on the wire, both roles, without sockets, clocks and tasks.
//!
//! ```text
//!  bytes ─► FrameDecoder ─► Frame ─► Assembler (one a channel) ─► Incoming: a method, or one with its content
//!  Method, Properties, body ─► encode, put_frame ─► bytes
//! ```

mod code;
mod content;
mod frame;
mod malformed;
mod method;
mod properties;
mod reader;
mod value;
mod writer;

pub use self::code::ReplyCode;
pub use self::content::{Assembler, Content, Incoming};
pub use self::frame::{
    FRAME_MIN, FRAME_OVERHEAD, Frame, FrameDecoder, Kind, PROTOCOL_HEADER, put_end, put_frame,
    put_head,
};
pub use self::malformed::Malformed;
pub use self::method::*;
pub use self::properties::Properties;
pub use self::reader::Reader;
pub use self::value::{Table, Value};
pub use self::writer::Writer;

#[cfg(test)]
mod tests;
