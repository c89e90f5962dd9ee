//! What a slot's channel publishes, and what comes of it.

use bytestring::ByteString;
use tokio::sync::oneshot;

use crate::Message;
use crate::error::{Error, Result};

/// Why a message was not confirmed.
#[derive(Debug)]
pub(super) enum Failed {
    /// Not this one: it would be the same on another channel.
    Refused(Error),
    /// The channel ended; the error's outcome says whether the broker may have it.
    Lost(Error),
}

impl Failed {
    pub(super) fn into_error(self) -> Error {
        let (Self::Refused(error) | Self::Lost(error)) = self;
        error
    }
}

pub(super) type Answer = oneshot::Receiver<Result<(), Failed>>;

/// A message and where it goes to.
pub(super) struct Outgoing {
    pub(super) message: Message,
    pub(super) exchange: ByteString,
    pub(super) mandatory: bool,
}
