//! What was received and waits for somebody: never more than the consumer's concurrency.
//!
//! Whoever waits leaves a waker and nothing else: a future that was polled once and left alone holds no message and keeps nobody back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};

/// See the module.
#[derive(Debug)]
pub(crate) struct Ready<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    /// There is nothing more to come.
    ended: bool,
    /// Why, for one receiver.
    error: Option<Error>,
    waiting: BTreeMap<u64, Waker>,
    tickets: u64,
}

impl<T> Ready<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            items: VecDeque::new(),
            ended: false,
            error: None,
            waiting: BTreeMap::new(),
            tickets: 0,
        }))
    }

    /// A place to wait at.
    pub(crate) fn ticket(&self) -> u64 {
        let mut state = self.lock();
        state.tickets += 1;
        state.tickets
    }

    /// The one who had it waits no more.
    pub(crate) fn leave(&self, ticket: u64) {
        self.lock().waiting.remove(&ticket);
    }

    /// The next item, an error once, or `None` at the end.
    pub(crate) fn poll_take(&self, ticket: u64, cx: &Context<'_>) -> Poll<Result<Option<T>>> {
        let mut state = self.lock();
        if state.ended {
            return Poll::Ready(state.error.take().map_or(Ok(None), Err));
        }
        if let Some(item) = state.items.pop_front() {
            state.waiting.remove(&ticket);
            return Poll::Ready(Ok(Some(item)));
        }
        state.waiting.insert(ticket, cx.waker().clone());
        Poll::Pending
    }

    /// Adds items; gives them back when there are to be no more.
    pub(crate) fn push(&self, items: Vec<T>) -> Vec<T> {
        let mut state = self.lock();
        if state.ended {
            return items;
        }
        state.items.extend(items);
        // All of them: the one that is woken alone may be gone before it looks.
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        wake(waiting);
        Vec::new()
    }

    /// Takes out items that nobody is to get any more.
    pub(crate) fn take_if(&self, is_over: impl Fn(&T) -> bool) -> Vec<T> {
        let mut state = self.lock();
        let (over, items) = std::mem::take(&mut state.items)
            .into_iter()
            .partition::<VecDeque<T>, _>(is_over);
        state.items = items;
        over.into()
    }

    /// Nothing more comes. The answer is what nobody has taken.
    pub(crate) fn end(&self, error: Option<Error>) -> Vec<T> {
        let mut state = self.lock();
        if !state.ended {
            state.ended = true;
            state.error = error;
        }
        let left = std::mem::take(&mut state.items);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        wake(waiting);
        left.into()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waiting: BTreeMap<u64, Waker>) {
    for waker in waiting.into_values() {
        waker.wake();
    }
}
