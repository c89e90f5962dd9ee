//! What a slot's channel publishes, and what comes of it.

use bytestring::ByteString;
use tokio::sync::oneshot;

use crate::Message;
use crate::error::{Error, Result};
use crate::publisher::encode::Head;

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

/// What a lane is to write.
pub(super) enum Job {
    Publish(Box<Publish>),
    Ack(u64),
}

pub(super) struct Publish {
    pub(super) head: Head,
    pub(super) message: Message,
    pub(super) exchange: ByteString,
    /// What is acknowledged when it is confirmed, and whose it is.
    pub(super) then: Option<Then>,
    pub(super) returned: Option<Error>,
    pub(super) answer: oneshot::Sender<Result<(), Failed>>,
}

/// The delivery that is acknowledged when a message is confirmed.
pub(super) struct Then {
    pub(super) tag: u64,
    pub(super) id: ByteString,
    /// The half is ended by it.
    pub(super) ends: bool,
}

impl Job {
    /// Nobody waits for a half message that is not stored yet.
    pub(super) fn is_needless(&self) -> bool {
        match self {
            Self::Publish(publish) => publish.then.is_none() && publish.answer.is_closed(),
            Self::Ack(_) => false,
        }
    }
}
