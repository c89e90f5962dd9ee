//! The calls of a publisher, as futures.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::core::Core;
use super::words::timed_out;
use super::{Publisher, Receipt, SendError, encode};
use crate::Message;
use crate::conn::now;
use crate::error::closed;
use crate::trace;

macro_rules! call {
    ($(#[$doc:meta])* $name:ident, $output:ty, $run:ident) => {
        $(#[$doc])*
        #[must_use = "nothing is sent until it is awaited"]
        pub struct $name {
            publisher: Publisher,
            message: Message,
        }

        impl $name {
            pub(super) const fn new(publisher: Publisher, message: Message) -> Self {
                Self { publisher, message }
            }

            /// How long this message may take, from the first poll until it is confirmed; default the publisher's.
            pub const fn timeout(mut self, timeout: Duration) -> Self {
                self.publisher.timeout = timeout;
                self
            }

            /// Whether it is an error if no queue takes this message; default the publisher's.
            pub const fn mandatory(mut self, mandatory: bool) -> Self {
                self.publisher.mandatory = mandatory;
                self
            }
        }

        impl IntoFuture for $name {
            type Output = $output;
            type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + std::marker::Send>>;

            fn into_future(self) -> Self::IntoFuture {
                let span = trace::sending(self.publisher.exchange(), &self.message);
                Box::pin($run(self.publisher, self.message).instrument(span))
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
    /// A message to publish: await it for the receipt. Made by [`Publisher::send`].
    Send, Result<Receipt, SendError>, send
}
call! {
    /// A message whose receipt is awaited later: await it for room in the window. Made by [`Publisher::enqueue`].
    Enqueue, Result<Confirm, SendError>, enqueue
}

/// A message under way. Makes progress without being polled; await it for the receipt.
///
/// Dropped before the end, a failure is told by the next [`Publisher::flush`].
#[must_use = "await it for the receipt, or flush the publisher later"]
pub struct Confirm(Pin<Box<dyn Future<Output = Result<Receipt, SendError>> + std::marker::Send>>);

impl Future for Confirm {
    type Output = Result<Receipt, SendError>;

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirm").finish_non_exhaustive()
    }
}

async fn send(publisher: Publisher, message: Message) -> Result<Receipt, SendError> {
    let under_way = admit(&publisher, message).await?;
    under_way.confirmed().await
}

async fn enqueue(publisher: Publisher, message: Message) -> Result<Confirm, SendError> {
    let under_way = admit(&publisher, message).await?;
    Ok(Confirm(Box::pin(under_way.confirmed())))
}

/// A message in the window.
struct UnderWay {
    core: Arc<Core>,
    number: u64,
    deadline: Instant,
    timeout: Duration,
    answer: oneshot::Receiver<Result<Receipt, SendError>>,
}

/// Takes the message into the line at the first poll, and waits for room.
async fn admit(publisher: &Publisher, mut message: Message) -> Result<UnderWay, SendError> {
    let core = &publisher.handle.core;
    publisher.handle.ids.mark(&mut message);
    if let Some(propagator) = publisher.handle.client.propagator() {
        trace::inject(propagator, &mut message);
    }
    let head = match encode::head(&message, publisher.exchange(), publisher.mandatory) {
        Ok(head) => head,
        Err(error) => return Err(SendError::new(error, message)),
    };
    let (answered, answer) = oneshot::channel();
    let deadline = now().checked_add(publisher.timeout).unwrap_or_else(far);
    let taken = core.take(message, head, deadline, answered)?;
    let under_way = UnderWay {
        core: Arc::clone(core),
        number: taken.number,
        deadline,
        timeout: publisher.timeout,
        answer,
    };
    match taken.admitted {
        Some(room) => under_way.admitted(room).await,
        None => Ok(under_way),
    }
}

/// Withdraws a send whose future is dropped while it waits for room.
struct Withdraw<'a>(Option<&'a UnderWay>);

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        if let Some(under_way) = self.0 {
            under_way.core.withdraw(under_way.number);
        }
    }
}

impl UnderWay {
    /// Waits for room in the window.
    async fn admitted(
        self,
        room: impl Future<Output = Result<(), RecvError>>,
    ) -> Result<Self, SendError> {
        // Who waits is there until it is known what became of the message.
        tokio::pin!(room);
        let mut withdrawn = Withdraw(Some(&self));
        let admitted = timeout_at(self.deadline, room.as_mut()).await;
        withdrawn.0 = None;
        drop(withdrawn);
        match admitted {
            Ok(Ok(())) => Ok(self),
            // Ended meanwhile: the answer says why.
            Ok(Err(_)) => match self.answer.await {
                Ok(Err(failed)) => Err(failed),
                _ => Err(lost()),
            },
            Err(_) => match self.given_up() {
                Some(failed) => Err(failed),
                // It has had room and come to its end between the timer and now: the answer says how.
                None => Ok(self),
            },
        }
    }

    async fn confirmed(mut self) -> Result<Receipt, SendError> {
        match timeout_at(self.deadline, &mut self.answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(lost()),
            Err(_) => self.too_late(),
        }
    }

    /// What became of a message whose time is over.
    fn too_late(mut self) -> Result<Receipt, SendError> {
        if let Some(failed) = self.given_up() {
            return Err(failed);
        }
        // It has come to its end between the timer and now, and may have been confirmed.
        self.answer.try_recv().unwrap_or_else(|_| Err(lost()))
    }

    /// Takes the message back, unless it has come to its end.
    fn given_up(&self) -> Option<SendError> {
        let (outcome, message) = self.core.abandon(self.number)?;
        let error = timed_out(Some(self.timeout), outcome, self.core.is_blocked());
        Some(SendError::new(error, message))
    }
}

/// Every message under way is answered; if one ever were not, this would be told instead of a panic.
fn lost() -> SendError {
    SendError::new(closed("send", "publisher"), Message::new("", ""))
}

/// Further away than anybody waits.
fn far() -> Instant {
    now() + Duration::from_secs(365 * 24 * 3600)
}
