//! Messages that were not sent.

use std::fmt;

use mq_core::{ErrorKind, Outcome};

use crate::Message;
use crate::error::Error;

/// A message that was not sent, or may not have been, with the message given back.
///
/// The message keeps the id under which it was sent, so that sending it again is recognisable as the same message.
#[non_exhaustive]
pub struct SendError {
    /// What failed.
    pub error: Error,
    /// The message.
    pub message: Box<Message>,
}

impl SendError {
    pub(crate) fn new(error: Error, message: Message) -> Self {
        Self {
            error,
            message: Box::new(message),
        }
    }

    /// Whether the broker may have stored the message.
    pub const fn outcome(&self) -> Outcome {
        self.error.outcome()
    }

    /// What kind of failure it was.
    pub const fn kind(&self) -> ErrorKind {
        self.error.kind()
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl From<SendError> for Error {
    fn from(failed: SendError) -> Self {
        failed.error
    }
}

/// Failures of sends that nobody awaited.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Unheard {
    /// How many there were.
    pub count: u64,
    /// The last of them, at most 64, with their messages.
    pub last: Vec<SendError>,
}

impl Unheard {
    pub(crate) fn add(&mut self, failed: SendError) {
        self.count += 1;
        if self.last.len() == MOST_UNHEARD {
            self.last.remove(0);
        }
        self.last.push(failed);
    }
}

impl fmt::Display for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages were not sent", self.count)?;
        match self.last.last() {
            Some(last) => write!(f, "; the last: {last}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Unheard {}

const MOST_UNHEARD: usize = 64;
