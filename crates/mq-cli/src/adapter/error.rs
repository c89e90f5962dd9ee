//! Errors of all protocols under one face.

use std::fmt;

use mq_core::{ErrorKind, Outcome, Retry};

use super::Outgoing;

/// What failed, in the words of the protocol that failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// Over RocketMQ's remoting protocol.
    RocketMq(mq_rocketmq::Error),
    /// Over CMQ's HTTP or TCP.
    Cmq(mq_cmq::Error),
    /// Over CMQ's control plane.
    CmqControl(mq_cmq::ControlError),
    /// Over AMQP 0-9-1.
    Amqp(mq_amqp::Error),
    /// Over Pulsar's binary protocol.
    Pulsar(mq_pulsar::Error),
}

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A send that did not succeed, with the message given back.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failed {
    /// What failed.
    pub error: Error,
    /// The message, as it was given.
    pub message: Box<Outgoing>,
    /// The id under which it was sent, if it got one.
    pub id: Option<String>,
}

/// A change that was not carried out, or not everywhere.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Unchanged {
    /// What failed, and where the change was carried out all the same.
    pub error: Error,
    /// Whether the change may stand somewhere. Made again, it completes what is missing.
    pub partial: bool,
}

impl Error {
    /// The kind of failure.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::RocketMq(error) => error.kind(),
            Self::Cmq(error) => error.kind(),
            Self::CmqControl(error) => error.kind(),
            Self::Amqp(error) => error.kind(),
            Self::Pulsar(error) => error.kind(),
        }
    }

    /// The broker's own code, if it answered with one.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::RocketMq(error) => error.code().map(|code| code.0),
            Self::Cmq(error) => {
                let code = error.code()?;
                i32::try_from(code.number()).ok()
            }
            // Its codes are words, and stand in the message.
            Self::CmqControl(_) => None,
            Self::Amqp(error) => error.code().map(|code| i32::from(code.0)),
            Self::Pulsar(error) => error.code().map(|code| code.0),
        }
    }

    /// Whether the broker may have applied what was asked.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::RocketMq(error) => error.outcome(),
            Self::Cmq(error) => error.outcome(),
            Self::CmqControl(error) => error.outcome(),
            Self::Amqp(error) => error.outcome(),
            Self::Pulsar(error) => error.outcome(),
        }
    }

    /// Whether the same call is worth making again.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::RocketMq(error) => error.retry(),
            Self::Cmq(error) => error.retry(),
            Self::CmqControl(error) => error.retry(),
            Self::Amqp(error) => error.retry(),
            Self::Pulsar(error) => error.retry(),
        }
    }
}

/// One line; with `{:#}` the chain of causes too.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RocketMq(error) => error.fmt(f),
            Self::Cmq(error) => error.fmt(f),
            Self::CmqControl(error) => error.fmt(f),
            Self::Amqp(error) => error.fmt(f),
            Self::Pulsar(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::RocketMq(error) => error.source(),
            Self::Cmq(error) => error.source(),
            Self::CmqControl(error) => error.source(),
            Self::Amqp(error) => error.source(),
            Self::Pulsar(error) => error.source(),
        }
    }
}

impl From<mq_rocketmq::Error> for Error {
    fn from(error: mq_rocketmq::Error) -> Self {
        Self::RocketMq(error)
    }
}

impl From<mq_cmq::Error> for Error {
    fn from(error: mq_cmq::Error) -> Self {
        Self::Cmq(error)
    }
}

impl From<mq_cmq::ControlError> for Error {
    fn from(error: mq_cmq::ControlError) -> Self {
        Self::CmqControl(error)
    }
}

impl From<mq_pulsar::Error> for Error {
    fn from(error: mq_pulsar::Error) -> Self {
        Self::Pulsar(error)
    }
}

impl From<mq_amqp::Error> for Error {
    fn from(error: mq_amqp::Error) -> Self {
        Self::Amqp(error)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl fmt::Display for Unchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Unchanged {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl From<mq_cmq::Error> for Unchanged {
    fn from(error: mq_cmq::Error) -> Self {
        Self {
            partial: error.outcome() == Outcome::Unknown,
            error: error.into(),
        }
    }
}

impl From<mq_cmq::ControlError> for Unchanged {
    fn from(error: mq_cmq::ControlError) -> Self {
        Self {
            partial: error.outcome() == Outcome::Unknown,
            error: error.into(),
        }
    }
}

impl From<mq_amqp::Error> for Unchanged {
    fn from(error: mq_amqp::Error) -> Self {
        Self {
            partial: error.outcome() == Outcome::Unknown,
            error: error.into(),
        }
    }
}

impl From<mq_rocketmq::ChangeError> for Unchanged {
    fn from(failed: mq_rocketmq::ChangeError) -> Self {
        Self {
            partial: failed.is_partial(),
            error: failed.error.into(),
        }
    }
}
