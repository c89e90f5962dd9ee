//! Who waits for messages, or for the end.
//!
//! What is ready wakes everybody, not one: a receiver that was polled once and then left alone would keep a single wake-up to itself.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Arrival, Core, Phase};
use crate::error::Error;

/// The wakers of those who wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Wakers>);

#[derive(Debug, Default)]
struct Wakers {
    of: BTreeMap<u64, Waker>,
    tickets: u64,
}

/// Where somebody waits; nowhere, until he has to.
#[derive(Debug, Default)]
pub(in crate::consumer) struct Ticket(Option<u64>);

impl Waiting {
    /// The latest waker of a ticket is woken. Who comes here has to look once more afterwards.
    fn enter(&self, ticket: &mut Ticket, cx: &Context<'_>) {
        let mut wakers = self.lock();
        let number = *ticket.0.get_or_insert_with(|| {
            wakers.tickets += 1;
            wakers.tickets
        });
        let last = wakers.of.insert(number, cx.waker().clone());
        drop(wakers);
        // Outside the lock: a waker's end may run anything.
        drop(last);
    }

    /// The one who had it waits no more.
    fn leave(&self, ticket: &Ticket) {
        if let Some(number) = ticket.0 {
            let gone = self.lock().of.remove(&number);
            drop(gone);
        }
    }

    pub(super) fn wake(&self) {
        let wakers = std::mem::take(&mut self.lock().of);
        for waker in wakers.into_values() {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Left when it is dropped, so that receivers that are gone don't pile up.
struct Place<'a> {
    waiting: &'a Waiting,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.leave(&self.ticket);
    }
}

impl Core {
    /// The next message; `None` when the consumer has come to its end.
    ///
    /// # Errors
    ///
    /// Once, what ended it.
    pub(in crate::consumer) async fn next(&self) -> Result<Option<Arrival>, Error> {
        let mut place = self.place();
        poll_fn(|cx| self.poll_next(&mut place.ticket, cx)).await
    }

    /// As [`next`](Self::next).
    pub(in crate::consumer) fn poll_next(
        &self,
        ticket: &mut Ticket,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<Arrival>, Error>> {
        let next = self.take();
        if next.is_ready() {
            return next;
        }
        self.waiting.enter(ticket, cx);
        // Something may have come in between.
        self.take()
    }

    fn take(&self) -> Poll<Result<Option<Arrival>, Error>> {
        let mut state = self.state();
        if state.phase != Phase::Running {
            return Poll::Ready(state.failure.take().map_or(Ok(None), Err));
        }
        if state.paused {
            return Poll::Pending;
        }
        let again = state.again.pop_first().map(|(_, received)| received);
        match again.or_else(|| state.ready.pop_front()) {
            Some(received) => Poll::Ready(Ok(Some(received))),
            None => Poll::Pending,
        }
    }

    /// Waits until the consumer has come to its end.
    pub(in crate::consumer) async fn ended(&self) {
        let mut place = self.place();
        poll_fn(|cx| {
            if self.phase() != Phase::Ended {
                self.waiting.enter(&mut place.ticket, cx);
            }
            if self.phase() == Phase::Ended {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn place(&self) -> Place<'_> {
        Place {
            waiting: &self.waiting,
            ticket: Ticket::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;
    use crate::conn::now;
    use crate::proto::{BasicDeliver, Content};

    fn core() -> Core {
        Core::new("q".into(), 1, false, false)
    }

    #[test]
    fn receivers_that_poll_often_or_are_gone_don_t_pile_up() {
        let core = core();
        let mut stays = task::spawn(core.next());
        for _ in 0..1000 {
            assert_pending!(stays.poll());
            let mut goes = task::spawn(core.next());
            assert_pending!(goes.poll());
        }
        assert_eq!(core.waiting.lock().of.len(), 1);
    }

    #[test]
    fn the_end_is_heard_by_all_and_an_error_once() {
        let core = core();
        let mut first = task::spawn(core.next());
        let mut second = task::spawn(core.next());
        let mut closing = task::spawn(core.ended());
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        assert_pending!(closing.poll());
        core.end(Some(crate::error::closed("recv", "test")));
        assert!(first.is_woken() && second.is_woken() && closing.is_woken());
        assert!(assert_ready!(first.poll()).is_err());
        assert!(assert_ready!(second.poll()).unwrap().is_none());
        assert_ready!(closing.poll());
    }
    fn arrival(tag: u64) -> Arrival {
        let deliver = BasicDeliver {
            consumer_tag: "c".into(),
            delivery_tag: tag,
            redelivered: false,
            exchange: "".into(),
            routing_key: "q".into(),
        };
        Arrival {
            epoch: 0,
            deliver,
            content: Content {
                properties: Bytes::new(),
                body: Bytes::new(),
                too_large: None,
            },
            handed: 0,
        }
    }

    /// The order of the queue, whichever pause ends first, also where nobody receives meanwhile.
    #[test]
    fn what_comes_again_comes_in_the_order_of_the_queue_and_first() {
        let core = core();
        let begun = now();
        let at = |millis| begun + Duration::from_millis(millis);
        core.state().ready.push_back(arrival(6));
        for (tag, millis) in [(1, 20), (2, 20), (3, 30), (4, 20), (5, 10)] {
            let _ = core.state().later.insert((at(millis), tag), arrival(tag));
        }
        assert_eq!(core.due(at(9)), Some(at(10)));
        assert_eq!(core.due(at(10)), Some(at(20)));
        assert_eq!(core.due(at(20)), Some(at(30)));
        assert_eq!(core.due(at(30)), None);
        for tag in 1..=6 {
            let next = assert_ready!(task::spawn(core.next()).poll()).unwrap();
            assert_eq!(next.unwrap().deliver.delivery_tag, tag);
        }
    }
}
