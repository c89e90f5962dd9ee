//! Somebody who waits for deliveries.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::core::Core;
use super::delivery::Delivery;
use super::ready::Ticket;
use crate::error::Result;

/// Its place is left when it is dropped.
pub(crate) struct Receiver {
    core: Arc<Core>,
    ticket: Ticket,
    /// How many messages it could take at a time.
    wanted: usize,
}

impl Receiver {
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Delivery>>> {
        self.core.poll_recv((self.ticket, self.wanted), cx)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.core.ready.leave(self.ticket);
    }
}

impl Core {
    /// A receiver's place; it is left when the receiver is dropped.
    pub(crate) fn receiver(self: &Arc<Self>, wanted: usize) -> Receiver {
        Receiver {
            wanted,
            ticket: self.ready.ticket(),
            core: Arc::clone(self),
        }
    }

    fn poll_recv(
        self: &Arc<Self>,
        (ticket, wanted): (Ticket, usize),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Delivery>>> {
        loop {
            let (queue, offset) = match self.ready.poll_take(ticket, wanted, cx) {
                Poll::Ready(Ok(Some(item))) => item,
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            };
            let handed_out = queue.ledger().hand_out(offset, self.shared.clock.now());
            // Stale: the queue was lost while the message waited.
            if let Ok((message, loan)) = handed_out {
                return Poll::Ready(Ok(Some(Delivery::new(
                    Arc::clone(self),
                    queue,
                    loan,
                    message,
                ))));
            }
        }
    }
}
