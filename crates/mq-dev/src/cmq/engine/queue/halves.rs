//! Half messages: sent, seen by nobody, and waiting for what their sender decides.
//!
//! ```text
//!  hold ─► open ── commit ──► a message of the queue ──┐
//!            │ └── roll back ──────────────────────────┴─► decided, remembered
//!            └─ at its interval: a question; behind the last one's interval: rolled back
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Queue, weight};
use crate::cmq::engine::Body;

/// Who sent a half message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sender {
    pub(crate) secret_id: Arc<str>,
    /// Of this run of the server.
    #[serde(skip)]
    pub(crate) connection: u64,
}

/// What became of a half message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Decision {
    Commit,
    RollBack,
}

/// What became of a decision.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cmq::engine) enum Decided {
    /// It is the first one.
    Now(Body),
    /// It is the one of before.
    Again,
    /// Another was made before.
    Otherwise,
    /// There is no such message, or it was decided too long ago.
    Unknown,
}

/// A sender is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) queue: String,
    pub(crate) id: u64,
    pub(crate) sender: Sender,
    /// How often it was asked, this time included.
    pub(crate) turn: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Half {
    body: Body,
    sender: Sender,
    /// When it is asked next, or rolled back if it was asked often enough.
    at: u64,
    asked: u32,
}

/// Those of a queue.
#[derive(Debug, Default)]
pub(super) struct Halves {
    open: BTreeMap<u64, Half>,
    timers: BTreeSet<(u64, u64)>,
    decided: BTreeMap<u64, Decision>,
    /// Those of `decided`, the earliest first.
    remembered: VecDeque<u64>,
    unanswered: u64,
    asking: Vec<Question>,
}

/// As it is written down.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::cmq::engine) struct SavedHalves {
    open: Vec<(u64, Half)>,
    decided: Vec<(u64, Decision)>,
    unanswered: u64,
}

impl Queue {
    /// How many are undecided.
    pub(in crate::cmq::engine) fn halves(&self) -> usize {
        self.halves.open.len()
    }

    /// How many were rolled back because nobody answered.
    pub(in crate::cmq::engine) const fn unanswered(&self) -> u64 {
        self.halves.unanswered
    }

    /// A half message, to be asked about at `at` first.
    pub(in crate::cmq::engine) fn hold(&mut self, id: u64, body: Body, sender: Sender, at: u64) {
        let half = Half {
            body,
            sender,
            at,
            asked: 0,
        };
        self.hold_again(id, half);
    }

    /// Commits a half message or rolls it back.
    pub(in crate::cmq::engine) fn decide(&mut self, id: u64, decision: Decision) -> Decided {
        if let Some(body) = self.let_go(id) {
            self.remember(id, decision);
            return Decided::Now(body);
        }
        match self.halves.decided.get(&id) {
            Some(before) if *before == decision => Decided::Again,
            Some(_) => Decided::Otherwise,
            None => Decided::Unknown,
        }
    }

    /// Who is to be asked, in order.
    pub(in crate::cmq::engine) fn take_questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.halves.asking)
    }

    pub(in crate::cmq::engine) fn saved_halves(&self) -> SavedHalves {
        let open = self.halves.open.iter();
        let decided = &self.halves.decided;
        let remembered = self.halves.remembered.iter();
        SavedHalves {
            open: open.map(|(id, half)| (*id, half.clone())).collect(),
            decided: remembered
                .filter_map(|id| Some((*id, *decided.get(id)?)))
                .collect(),
            unanswered: self.halves.unanswered,
        }
    }

    /// As they were. What should have been asked while nobody ran is asked an interval from now: until then its sender can come back.
    pub(in crate::cmq::engine) fn restore_halves(&mut self, saved: SavedHalves, now: u64) {
        for (id, mut half) in saved.open {
            if half.at <= now {
                half.at = now + self.interval().unwrap_or_default();
            }
            self.hold_again(id, half);
        }
        self.halves.remembered = saved.decided.iter().map(|(id, _)| *id).collect();
        self.halves.decided = saved.decided.into_iter().collect();
        self.halves.unanswered = saved.unanswered;
    }

    /// Asks what is due, and rolls back what was asked about in vain.
    pub(super) fn ask(&mut self, now: u64) {
        while let Some(&(at, id)) = self.halves.timers.first().filter(|timer| timer.0 <= now) {
            self.halves.timers.pop_first();
            let interval = self.interval().unwrap_or_default();
            let most = self.spec.transaction.map_or(0, |rule| rule.max_queries);
            let Some(half) = self.halves.open.get_mut(&id) else {
                continue;
            };
            if half.asked >= most {
                let asked = half.asked;
                tracing::warn!(queue = self.spec.name, id, asked, "no answer: rolled back");
                self.let_go(id);
                self.remember(id, Decision::RollBack);
                self.halves.unanswered += 1;
                continue;
            }
            half.asked += 1;
            half.at = at + interval;
            self.halves.timers.insert((half.at, id));
            self.halves.asking.push(Question {
                queue: self.spec.name.clone(),
                id,
                sender: half.sender.clone(),
                turn: half.asked,
            });
        }
    }

    /// A question found no room on its way: it does not count, and is asked again at `at`.
    pub(in crate::cmq::engine) fn ask_again(&mut self, id: u64, at: u64) {
        if let Some(half) = self.halves.open.get_mut(&id) {
            self.halves.timers.remove(&(half.at, id));
            half.asked = half.asked.saturating_sub(1);
            half.at = at;
            self.halves.timers.insert((at, id));
        }
    }

    /// When it is to be asked next.
    pub(super) fn next_question(&self) -> Option<u64> {
        self.halves.timers.first().map(|timer| timer.0)
    }

    /// Forgets them. What was decided stays decided.
    pub(super) fn clear_halves(&mut self) {
        self.halves.open.clear();
        self.halves.timers.clear();
        self.halves.asking.clear();
    }

    fn hold_again(&mut self, id: u64, half: Half) {
        self.bytes += weight(&half.body);
        self.halves.timers.insert((half.at, id));
        self.halves.open.insert(id, half);
    }

    fn let_go(&mut self, id: u64) -> Option<Body> {
        let half = self.halves.open.remove(&id)?;
        self.halves.timers.remove(&(half.at, id));
        self.bytes = self.bytes.saturating_sub(weight(&half.body));
        Some(half.body)
    }

    fn remember(&mut self, id: u64, decision: Decision) {
        self.halves.decided.insert(id, decision);
        self.halves.remembered.push_back(id);
        if self.halves.remembered.len() > REMEMBERED
            && let Some(earliest) = self.halves.remembered.pop_front()
        {
            self.halves.decided.remove(&earliest);
        }
    }

    /// Between two questions, in milliseconds.
    fn interval(&self) -> Option<u64> {
        let rule = self.spec.transaction?;
        Some(u64::from(rule.first_query_seconds) * 1000)
    }
}

/// How many decisions a queue remembers, the latest: a sender that repeats one of them hears that it was made.
const REMEMBERED: usize = 65_536;
