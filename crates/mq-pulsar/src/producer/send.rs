//! The calls of a producer, as futures.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::gate::Gate;
use super::{Producer, Receipt, SendError};
use crate::Message;
use crate::conn::now;
use crate::error::closed;
use crate::trace;

macro_rules! call {
    ($(#[$doc:meta])* $name:ident, $output:ty, $run:ident) => {
        $(#[$doc])*
        #[must_use = "nothing is sent until it is awaited"]
        pub struct $name {
            producer: Producer,
            message: Message,
        }

        impl $name {
            pub(super) const fn new(producer: Producer, message: Message) -> Self {
                Self { producer, message }
            }

            /// How long this message may take, from the first poll until it is confirmed; default the producer's.
            pub const fn timeout(mut self, timeout: Duration) -> Self {
                self.producer.timeout = timeout;
                self
            }
        }

        impl IntoFuture for $name {
            type Output = $output;
            type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + std::marker::Send>>;

            fn into_future(self) -> Self::IntoFuture {
                let span = trace::sending(self.producer.topic(), &self.message);
                Box::pin($run(self.producer, self.message).instrument(span))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("message", &self.message).finish_non_exhaustive()
            }
        }
    };
}

call! {
    /// A message to send: await it for the receipt. Made by [`Producer::send`].
    Send, Result<Receipt, SendError>, send
}
call! {
    /// A message whose receipt is awaited later: await it for room in the window. Made by [`Producer::enqueue`].
    Enqueue, Result<Confirm, SendError>, enqueue
}

/// A message under way. Makes progress without being polled; await it for the receipt.
///
/// Dropped before the end, a failure is told by the next [`Producer::flush`].
#[must_use = "await it for the receipt, or flush the producer later"]
pub struct Confirm(oneshot::Receiver<Result<Receipt, SendError>>);

impl Future for Confirm {
    type Output = Result<Receipt, SendError>;

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let answered = Pin::new(&mut self.0).poll(cx);
        answered.map(|answer| answer.unwrap_or_else(|_| Err(lost())))
    }
}

impl fmt::Debug for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirm").finish_non_exhaustive()
    }
}

async fn send(producer: Producer, message: Message) -> Result<Receipt, SendError> {
    admit(&producer, message).await?.await
}

async fn enqueue(producer: Producer, message: Message) -> Result<Confirm, SendError> {
    admit(&producer, message).await
}

/// Takes the message into the line at the first poll, and waits for room.
async fn admit(producer: &Producer, mut message: Message) -> Result<Confirm, SendError> {
    let handle = &producer.handle;
    if let Some(propagator) = &handle.client.shared.options.propagator {
        trace::inject(&**propagator, &mut message);
    }
    let part = match handle.part_of(&message) {
        Ok(part) => part,
        Err(error) => return Err(SendError::new(error, message)),
    };
    let (answered, answer) = oneshot::channel();
    let deadline = now().checked_add(producer.timeout).unwrap_or_else(far);
    let taken = handle.gate.take(&part, message, deadline, answered)?;
    match taken.admitted {
        Some(room) => admitted(&handle.gate, taken.number, room, answer).await,
        None => Ok(Confirm(answer)),
    }
}

/// Waits for room in the window. Dropped before there is some, the message is withdrawn.
async fn admitted(
    gate: &Gate,
    number: u64,
    room: oneshot::Receiver<()>,
    answer: oneshot::Receiver<Result<Receipt, SendError>>,
) -> Result<Confirm, SendError> {
    let mut withdrawn = Withdraw(Some((gate, number)));
    let admitted = room.await;
    withdrawn.0 = None;
    drop(withdrawn);
    if admitted.is_ok() {
        return Ok(Confirm(answer));
    }
    // Ended before there was room: the answer says how.
    match answer.await {
        Ok(Err(failed)) => Err(failed),
        _ => Err(lost()),
    }
}

struct Withdraw<'a>(Option<(&'a Gate, u64)>);

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        if let Some((gate, number)) = self.0 {
            gate.withdraw(number);
        }
    }
}

/// The client's tasks are gone, and with them what was under way.
fn lost() -> SendError {
    SendError::new(closed("send", "client"), Message::null())
}

/// Further away than anybody waits.
fn far() -> Instant {
    now() + Duration::from_secs(365 * 24 * 3600)
}
