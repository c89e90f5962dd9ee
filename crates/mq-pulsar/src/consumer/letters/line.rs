//! What waits to be posted, and what is under way; bounded, since no more is handed out while it is full.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::{Policy, Received};
use crate::consumer::content::Arrival;
use crate::consumer::core::Heard;
use crate::error::{Result, closed};

/// Who is told what became of a letter, and then of the acknowledgement.
type Answer = oneshot::Sender<Result<Option<Heard>>>;

/// A message that leaves for a letter topic. Held as if it were handed out, until it is settled.
pub(super) struct Letter {
    pub(super) received: Received,
    pub(super) why: Why,
    pub(super) answer: Option<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It was delivered too often in vain.
    Dead,
    /// It is to be tried after this time.
    Later(Duration),
}

impl Letter {
    pub(super) fn new(arrival: Arc<Arrival>, why: Why, answer: Option<Answer>) -> Self {
        Self {
            received: Received(arrival),
            why,
            answer,
        }
    }

    /// Tells who waits, if anybody does.
    pub(super) fn answer(self, result: Result<Option<Heard>>) {
        if let Some(answer) = self.answer {
            let _ = answer.send(result);
        }
    }
}

pub(in crate::consumer) struct Letters {
    pub(in crate::consumer) policy: Policy,
    most_bytes: usize,
    line: Mutex<Line>,
    posted: Notify,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Letter>,
    /// With those under way.
    count: usize,
    bytes: usize,
    /// Nobody posts any more.
    over: bool,
}

impl Letters {
    pub(in crate::consumer) fn new(policy: Policy, most_bytes: usize) -> Self {
        Self {
            policy,
            most_bytes,
            line: Mutex::default(),
            posted: Notify::new(),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing more is to be handed out, as it might become a letter.
    pub(in crate::consumer) fn is_full(&self) -> bool {
        let line = self.line();
        line.count >= MOST || line.bytes >= self.most_bytes
    }

    /// Takes a letter. After the end it is not sent, and its message not acknowledged.
    pub(super) fn post(&self, letter: Letter) {
        let mut line = self.line();
        if line.over {
            drop(line);
            letter.answer(Err(closed("settle", "consumer")));
            return;
        }
        line.count += 1;
        line.bytes += letter.received.body().len();
        line.waiting.push_back(letter);
        drop(line);
        self.posted.notify_one();
    }

    /// The next letter. Cancel-safe: it is taken when this returns.
    pub(super) async fn next(&self) -> Letter {
        loop {
            if let Some(letter) = self.line().waiting.pop_front() {
                return letter;
            }
            self.posted.notified().await;
        }
    }

    /// A letter has come to its end.
    pub(super) fn done(&self, bytes: usize) {
        let mut line = self.line();
        line.count = line.count.saturating_sub(1);
        line.bytes = line.bytes.saturating_sub(bytes);
    }

    /// Nothing is posted any more: who waits hears so.
    pub(super) fn end(&self) {
        let mut line = self.line();
        line.over = true;
        let left = std::mem::take(&mut line.waiting);
        drop(line);
        for letter in left {
            letter.answer(Err(closed("settle", "consumer")));
        }
    }
}

/// So many letters may be under way.
const MOST: usize = 1000;
