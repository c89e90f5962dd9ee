//! The local buffer: what was pulled and waits for somebody to receive it.
//!
//! ```text
//!   queue actors ── push ──► front ◄── release
//!                            │
//!                            └──► (gate) ──► poll_take: any number of receivers
//! ```
//!
//! A push wakes every receiver, not one: a receiver that was polled once and then left alone would keep a single wake-up to itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::gate::Gate;
use crate::error::{Error, Result};

/// Items in the order in which they are received, and who waits for them.
#[derive(Debug)]
pub(crate) struct Ready<T> {
    state: Mutex<State<T>>,
    gate: Option<Gate>,
}

#[derive(Debug)]
struct Item<T> {
    what: T,
    /// Since when it is asked for and the gate is closed.
    asked: Option<Instant>,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<Item<T>>,
    /// Who waits, and how many they could take.
    waiting: BTreeMap<Ticket, (Waker, usize)>,
    /// When the gate opens, if somebody waits for that.
    opens: Option<Instant>,
    /// Items stay where they are.
    paused: bool,
    next_ticket: u64,
    ended: bool,
    error: Option<Error>,
}

/// Who waits. One that does not wait any more is [left](Ready::leave), so that those of receivers that were dropped don't pile up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl<T> Ready<T> {
    pub(crate) fn new(gate: Option<Gate>) -> Self {
        Self {
            gate,
            state: Mutex::new(State {
                items: VecDeque::new(),
                waiting: BTreeMap::new(),
                opens: None,
                paused: false,
                next_ticket: 0,
                ended: false,
                error: None,
            }),
        }
    }

    /// Adds items behind the others.
    pub(crate) fn push(&self, items: impl IntoIterator<Item = T>) {
        self.change(|state| state.items.extend(items.into_iter().map(Item::new)));
    }

    /// Puts an item in front of the others.
    pub(crate) fn push_front(&self, item: T) {
        self.change(|state| state.items.push_front(Item::new(item)));
    }

    /// Drops the items that are not to be received any more.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&T) -> bool) {
        self.lock().items.retain(|item| keep(&item.what));
    }

    /// While paused, receivers wait; the end is heard all the same.
    pub(crate) fn pause(&self, paused: bool) {
        self.change(|state| state.paused = paused);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.lock().paused
    }

    /// Receivers get the error, if there is one and nobody had it yet, and from then on nothing. Only the first end counts.
    pub(crate) fn end(&self, error: Option<Error>) {
        self.change(|state| {
            state.items.clear();
            if !state.ended {
                state.error = error;
            }
            state.ended = true;
        });
    }

    /// A place for one receiver.
    pub(crate) fn ticket(&self) -> Ticket {
        let mut state = self.lock();
        state.next_ticket += 1;
        Ticket(state.next_ticket)
    }

    /// The receiver does not wait any more.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let gone = {
            let mut state = self.lock();
            let gone = state.waiting.remove(&ticket);
            if gone.is_some() && state.waiting.is_empty() {
                state.items.iter_mut().for_each(|item| item.asked = None);
            }
            gone
        };
        // Outside the lock: a waker's end may run anything.
        drop(gone);
    }

    /// The next item; `None` after the end. The latest waker of a ticket is woken. Who waits says how many it could take.
    pub(crate) fn poll_take(
        &self,
        ticket: Ticket,
        wanted: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<T>>> {
        let mut state = self.lock();
        if state.ended {
            return Poll::Ready(state.error.take().map_or(Ok(None), Err));
        }
        let (mut opens, is_empty) = (None, state.items.is_empty());
        if !state.paused && !is_empty {
            opens = self.gate.as_ref().and_then(|gate| gate.admit().err());
            if opens.is_none() {
                let item = state.items.pop_front();
                return Poll::Ready(Ok(item.map(|item| item.what)));
            }
        }
        let waiter = (cx.waker().clone(), wanted);
        let last = state.waiting.insert(ticket, waiter);
        if let (Some(gate), Some(_)) = (&self.gate, opens) {
            state.opens = opens;
            state.ask(gate.now());
            gate.refused();
        }
        drop(state);
        drop(last);
        Poll::Pending
    }

    pub(super) const fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// When there is something to be done [at the gate](Self::at_gate).
    pub(super) fn next_at_gate(&self) -> Option<Instant> {
        let state = self.lock();
        let wait = self.gate.as_ref()?.wait;
        let asked = state.items.iter().find_map(|item| item.asked);
        let too_long = asked.and_then(|asked| asked.checked_add(wait?));
        [state.opens, too_long].into_iter().flatten().min()
    }

    /// Wakes who waits for the gate, if it is open by now. The answer is what was asked for too long.
    pub(super) fn at_gate(&self, now: Instant) -> Vec<T> {
        let wait = self.gate.as_ref().and_then(|gate| gate.wait);
        let is_late = |item: &Item<T>| {
            let asked = item.asked.zip(wait);
            asked.is_some_and(|(asked, wait)| now.saturating_duration_since(asked) >= wait)
        };
        let mut late = Vec::new();
        let waiting = {
            let mut state = self.lock();
            while state.items.front().is_some_and(is_late) {
                late.extend(state.items.pop_front().map(|item| item.what));
            }
            if state.opens.take_if(|opens| *opens <= now).is_none() {
                BTreeMap::new()
            } else {
                std::mem::take(&mut state.waiting)
            }
        };
        for (waker, _) in waiting.into_values() {
            waker.wake();
        }
        late
    }

    fn change(&self, change: impl FnOnce(&mut State<T>)) {
        let waiting = {
            let mut state = self.lock();
            change(&mut state);
            std::mem::take(&mut state.waiting)
        };
        for (waker, _) in waiting.into_values() {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// As many items as could be taken are asked for.
    fn ask(&mut self, now: Instant) {
        let wanted: usize = self.waiting.values().map(|(_, wanted)| wanted).sum();
        for item in self.items.iter_mut().take(wanted) {
            item.asked.get_or_insert(now);
        }
    }
}

impl<T> Item<T> {
    const fn new(what: T) -> Self {
        Self { what, asked: None }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;
    use crate::error::closed;

    fn take(ready: &Ready<u8>) -> impl Future<Output = Result<Option<u8>>> {
        let ticket = ready.ticket();
        poll_fn(move |cx| ready.poll_take(ticket, 1, cx))
    }

    #[test]
    fn a_receiver_left_alone_keeps_nothing_from_the_others() {
        let ready = Ready::new(None);
        let mut alone = task::spawn(take(&ready));
        let mut other = task::spawn(take(&ready));
        assert_pending!(alone.poll());
        assert_pending!(other.poll());
        ready.push([7]);
        assert!(other.is_woken());
        assert_eq!(assert_ready!(other.poll()).unwrap(), Some(7));
    }

    #[test]
    fn a_release_comes_first() {
        let ready = Ready::new(None);
        ready.push([1, 2]);
        ready.push_front(0);
        let got: Vec<u8> = (0..3)
            .map(|_| {
                assert_ready!(task::spawn(take(&ready)).poll())
                    .unwrap()
                    .unwrap()
            })
            .collect();
        assert_eq!(got, [0, 1, 2]);
    }

    #[test]
    fn the_end_is_heard_by_all_and_an_error_once() {
        let ready = Ready::new(None);
        let mut first = task::spawn(take(&ready));
        let mut second = task::spawn(take(&ready));
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        ready.end(Some(closed("recv", "test")));
        ready.end(Some(closed("recv", "late")));
        assert!(first.is_woken() && second.is_woken());
        assert!(assert_ready!(first.poll()).is_err());
        assert_eq!(assert_ready!(second.poll()).unwrap(), None);
        ready.push([1]);
        assert_eq!(
            assert_ready!(task::spawn(take(&ready)).poll()).unwrap(),
            None
        );
    }

    #[test]
    fn receivers_that_poll_often_or_are_gone_don_t_pile_up() {
        let ready: Ready<u8> = Ready::new(None);
        let mut cx = Context::from_waker(Waker::noop());
        let stays = ready.ticket();
        for _ in 0..1000 {
            assert!(ready.poll_take(stays, 1, &mut cx).is_pending());
            let goes = ready.ticket();
            assert!(ready.poll_take(goes, 1, &mut cx).is_pending());
            ready.leave(goes);
        }
        assert_eq!(ready.lock().waiting.len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_receivers_get_everything_once() {
        let ready = Arc::new(Ready::new(None));
        let receivers: Vec<_> = (0..8)
            .map(|_| {
                let ready = Arc::clone(&ready);
                tokio::spawn(async move {
                    let mut got = Vec::new();
                    let ticket = ready.ticket();
                    let take = || poll_fn(|cx| ready.poll_take(ticket, 1, cx));
                    while let Some(item) = take().await.unwrap() {
                        got.push(item);
                    }
                    got
                })
            })
            .collect();
        for n in 0..1000_u32 {
            ready.push([n]);
        }
        while !ready.lock().items.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ready.end(None);
        let mut all = Vec::new();
        for receiver in receivers {
            all.extend(receiver.await.unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }
}
