//! What happens to a client's connections, for those who watch.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::conn::{Notice, Observer};
use crate::error::Error;
use crate::topology::Replayed;

/// Which of a client's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The one that publishers have.
    Publishing,
    /// The one of consumers and of what declares.
    Consuming,
}

/// Something that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A connection stands, for the first time or again.
    Connected {
        /// Which.
        role: Role,
        /// To whom, as `host:port`.
        endpoint: String,
    },
    /// A connection was lost; another is being made.
    Disconnected {
        /// Which.
        role: Role,
        /// Why.
        error: Error,
    },
    /// The broker takes no messages for now: it is short of memory or disk. Sends wait.
    Blocked {
        /// In the broker's words.
        reason: String,
    },
    /// The broker takes messages again.
    Unblocked,
    /// A queue whose name the broker chose was made anew after a reconnect. Bindings and consumers of this client follow by themselves.
    QueueRenamed {
        /// Its former name.
        old: String,
        /// Its name now.
        new: String,
    },
    /// Something could not be declared again after a reconnect; the rest was. Or a consumer could not begin again, and the connection stands: it is
    /// tried on, after up to 5 s each time, and this is told once for each outage.
    NotRestored {
        /// What, as `queue "name"` or `consumer of queue "name"`.
        what: String,
        /// Why.
        error: Error,
    },
    /// No connection will be made any more, since no attempt can succeed.
    Ended {
        /// Which.
        role: Role,
        /// Why.
        error: Error,
    },
}

impl From<Replayed> for Event {
    fn from(replayed: Replayed) -> Self {
        match replayed {
            Replayed::Renamed { old, new } => Self::QueueRenamed { old, new },
            Replayed::Refused { what, error } => Self::NotRestored { what, error },
        }
    }
}

/// Receives [`Event`]s. Made by [`Client::events`](crate::Client::events).
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    pub(super) const fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// The next event; `None` when the client is gone. Events that came while nobody read for long are passed over.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "events were missed");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// So many events wait for who is slow.
pub(super) const KEPT: usize = 256;

pub(super) fn observer(events: broadcast::Sender<Event>) -> Observer {
    Arc::new(move |role, notice| {
        let role = if role == super::PUBLISHING {
            Role::Publishing
        } else {
            Role::Consuming
        };
        let event = match notice {
            Notice::Up { endpoint } => Event::Connected { role, endpoint },
            Notice::Lost(error) => Event::Disconnected { role, error },
            Notice::Blocked(reason) => Event::Blocked { reason },
            Notice::Unblocked => Event::Unblocked,
            Notice::Ended(error) => Event::Ended { role, error },
        };
        // Nobody has to listen.
        let _ = events.send(event);
    })
}
