//! The server's reply codes.

use std::fmt;

/// Why the server closed a channel or a connection, or returned a message.
// AMQP 0-9-1, 1.3 "Status codes and reply codes"
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyCode(pub u16);

macro_rules! codes {
    ($($(#[$about:meta])* $name:ident = $code:literal),+ $(,)?) => {
        impl ReplyCode {
            $($(#[$about])* pub const $name: Self = Self($code);)+

            /// The code's name in the specification, if it has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)+
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// An orderly end.
    REPLY_SUCCESS = 200,
    /// The content is larger than the server takes now.
    CONTENT_TOO_LARGE = 311,
    /// A mandatory message that no queue takes.
    NO_ROUTE = 312,
    /// An immediate message that no consumer takes.
    NO_CONSUMERS = 313,
    /// An operator closed the connection, or the server stops.
    CONNECTION_FORCED = 320,
    /// There is no such virtual host.
    INVALID_PATH = 402,
    /// Not allowed to this user.
    ACCESS_REFUSED = 403,
    /// There is no such exchange or queue.
    NOT_FOUND = 404,
    /// Another connection has it for itself.
    RESOURCE_LOCKED = 405,
    /// It is there, but not as was asked for; an acknowledgement of what is not held; a time-out of one.
    PRECONDITION_FAILED = 406,
    /// A frame that can't be understood.
    FRAME_ERROR = 501,
    /// A field that can't be.
    SYNTAX_ERROR = 502,
    /// A method that can't be carried out, such as an exchange of an unknown type.
    COMMAND_INVALID = 503,
    /// A channel that is not open.
    CHANNEL_ERROR = 504,
    /// A frame at a time when it can't come.
    UNEXPECTED_FRAME = 505,
    /// The server has no room for it.
    RESOURCE_ERROR = 506,
    /// Not allowed, such as a virtual host that the user has no access to, or more channels than may be.
    NOT_ALLOWED = 530,
    /// The server does not know how.
    NOT_IMPLEMENTED = 540,
    /// The server failed.
    INTERNAL_ERROR = 541,
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}
