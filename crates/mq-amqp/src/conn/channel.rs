//! A channel: calls with their replies, and the way to its lane.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mq_core::{ErrorKind, Outcome};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;

use super::{Command, Connection, Key, Lane};
use crate::error::{Error, Result};
use crate::proto::{Incoming, Method};

/// An open channel; it is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Channel {
    connection: Connection,
    key: Key,
}

impl Channel {
    /// Opens a channel whose lane takes what no call waits for.
    ///
    /// Cancel safe: a channel that comes too late is closed.
    pub(crate) async fn open(connection: &Connection, lane: Arc<dyn Lane>) -> Result<Self> {
        let serial = connection.0.serials.fetch_add(1, Ordering::Relaxed);
        let (opened, reply) = oneshot::channel();
        connection.push(Command::Open {
            serial,
            lane,
            opened,
        })?;
        let mut opening = Opening {
            connection,
            serial,
            reply,
        };
        let id = answer(connection, &mut opening.reply, "open a channel").await?;
        Ok(Self {
            connection: connection.clone(),
            key: Key { id, serial },
        })
    }

    /// Sends a method and waits for its reply, at most as long as a call may take.
    ///
    /// Cancel safe: a reply that nobody waits for any more is taken off all the same.
    pub(crate) async fn call(&self, method: impl Into<Method>) -> Result<Incoming> {
        let method = Box::new(method.into());
        let name = method.name();
        let (reply, answered) = oneshot::channel();
        let key = self.key;
        self.connection.push(Command::Call { key, method, reply })?;
        answer(&self.connection, answered, name).await
    }

    /// Closes the channel, and waits until the server has: what its lane had decided has been read there by then.
    pub(crate) async fn close(self) {
        let (closed, done) = oneshot::channel();
        let close = Command::Close {
            key: self.key,
            closed: Some(closed),
        };
        if self.connection.push(close).is_ok() {
            // An end of the connection ends it too.
            let _ = tokio::time::timeout(self.connection.options().call_timeout, done).await;
        }
    }

    pub(crate) const fn key(&self) -> Key {
        self.key
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // With the connection it is gone anyway.
        let _ = self.connection.push(Command::Close {
            key: self.key,
            closed: None,
        });
    }
}

/// A channel that is being opened: one that was, while nobody looked any more, is closed.
struct Opening<'a> {
    connection: &'a Connection,
    serial: u64,
    reply: oneshot::Receiver<Result<u16>>,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        // From here on the driver finds nobody, and closes it itself; what it has told before is here.
        self.reply.close();
        if let Ok(Ok(id)) = self.reply.try_recv() {
            let serial = self.serial;
            let key = Key { id, serial };
            let _ = self.connection.push(Command::Close { key, closed: None });
        }
    }
}

impl Connection {
    /// A call of the connection itself.
    pub(crate) async fn call(&self, method: impl Into<Method>) -> Result<Incoming> {
        let method = Box::new(method.into());
        let name = method.name();
        let (reply, answered) = oneshot::channel();
        self.push(Command::Update { method, reply })?;
        answer(self, answered, name).await
    }
}

async fn answer<T>(
    connection: &Connection,
    reply: impl Future<Output = Result<Result<T>, RecvError>>,
    what: &'static str,
) -> Result<T> {
    let most = connection.options().call_timeout;
    match tokio::time::timeout(most, reply).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(connection
            .why_gone()
            .into_builder()
            .outcome(Outcome::Unknown)
            .build()),
        Err(_) => {
            let error = Error::builder(
                ErrorKind::Timeout,
                format!("no answer to {what} within {most:?}"),
            );
            let error = error
                .outcome(Outcome::Unknown)
                .endpoint(connection.endpoint());
            let error = if connection.is_blocked() {
                error.hint(
                    "the server has blocked the connection, since it is short of memory or disk",
                )
            } else {
                error
            };
            Err(error.build())
        }
    }
}
