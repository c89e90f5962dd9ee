//! Futures that are dropped half way.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Polls a future so often at most, and drops it: `None`, unless it was ready by then.
pub async fn cancel_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Dropped at once, not at the next wake-up: there may be none.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Makes a future again and again, and drops it after no poll, one, two … until one is ready; `check` is awaited after each. Tells how many
/// polls it took.
pub async fn at_every_await<F: Future>(
    mut make: impl FnMut() -> F,
    mut check: impl AsyncFnMut(Option<F::Output>),
) -> usize {
    for polls in 0..MOST {
        let output = cancel_after(polls, make()).await;
        let is_done = output.is_some();
        check(output).await;
        if is_done {
            return polls;
        }
    }
    panic!("not ready after {MOST} polls");
}

const MOST: usize = 200;
