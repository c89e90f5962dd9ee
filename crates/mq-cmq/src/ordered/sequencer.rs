//! Puts the messages of one shard in order: numbers in, the next ones out. No clock, no tasks.
//!
//! ```text
//!  offer(stream, seq) ─► below the next: twice, to be deleted │ in a gap that was passed: late, handed out
//!                     └► else held ─► take: the next of its stream ─► done: the one after it is the next
//!                                  └► for long, and the next does not come: an earlier consumer's? ─ yes ─► resumed
//!                                                                                └ no: gap ─► skip │ wait
//! ```

mod patience;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use self::state::State;
use super::gap::SequenceGap;

/// What one producer sends with one key in one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Stream {
    pub(super) producer: String,
    pub(super) epoch: u64,
    pub(super) key: String,
}

/// How a message follows the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Continuity {
    /// It is the next, or the first.
    InOrder,
    /// It is the first that this consumer has of a stream that began before, or of what is left of it: the numbers that are missing before it
    /// were handled by an earlier consumer, or turn up [`Late`](Self::Late).
    Resumed,
    /// It is from a part of the stream that was passed over, by [`Resumed`](Self::Resumed) or by a gap that was skipped; it may have been
    /// handled before.
    Late,
    /// It has no key: it was not sent by an [`OrderedProducer`](super::OrderedProducer).
    Foreign,
}

/// What became of a message that was offered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer<M> {
    /// It waits for its turn.
    Held,
    /// It was handled before; or it waited, and what was offered has taken its place.
    Twice(M),
}

/// A message whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn<M> {
    pub(super) stream: Stream,
    pub(super) seq: u64,
    pub(super) continuity: Continuity,
    pub(super) message: M,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sequencer<M> {
    streams: HashMap<Stream, State>,
    /// Streams by when they were last used.
    ages: BTreeMap<u64, Stream>,
    held: BTreeMap<(Stream, u64), Held<M>>,
    uses: u64,
    rules: Rules,
    /// When an empty answer said that nothing else is there.
    empty: Option<Instant>,
    /// When messages may have been taken without our hearing of it.
    disturbed: Option<Instant>,
    /// When messages came that nobody had before, by the second when they were sent; the later ones of a second, and none that one which was
    /// sent before it followed.
    first_met: BTreeMap<u64, Instant>,
    /// Whether a stream was forgotten: an unknown one may be old.
    forgot: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Streams that began later, by their epoch, can't have been handled by anybody else.
    pub(super) started_ms: u64,
    /// How long a missing number is waited for.
    pub(super) gap_after: Duration,
    /// How many streams are remembered.
    pub(super) most_streams: usize,
}

/// A message that is offered, or held.
#[derive(Debug)]
pub(super) struct Held<M> {
    /// It may be held so long.
    pub(super) keep_until: Instant,
    /// No earlier consumer had it, and so none has handled what comes behind it.
    pub(super) fresh: bool,
    /// When it was sent, in milliseconds.
    pub(super) sent_ms: u64,
    pub(super) message: M,
}

impl<M> Sequencer<M> {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            streams: HashMap::new(),
            ages: BTreeMap::new(),
            held: BTreeMap::new(),
            uses: 0,
            rules,
            empty: None,
            disturbed: None,
            first_met: BTreeMap::new(),
            forgot: false,
        }
    }

    /// Whether this consumer began before that time, however far the clocks differ.
    pub(super) const fn began_before(&self, epoch_ms: u64) -> bool {
        epoch_ms > self.rules.started_ms.saturating_add(SKEW_MS)
    }

    /// How many messages are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Takes a message. One with the same number takes the place of an earlier one: its handle is newer.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        stream: Stream,
        seq: u64,
        offered: Held<M>,
    ) -> Offer<M> {
        if offered.fresh {
            self.met_first(offered.sent_ms / 1000, now);
        }
        let state = self.state(&stream);
        if offered.fresh {
            state.ours_from = state.ours_from.min(seq);
        }
        if state.next == 0 && seq == 1 {
            state.next = 1;
        }
        let late = state
            .passed
            .is_some_and(|(first, last)| (first..=last).contains(&seq));
        if seq < state.next && !late {
            return Offer::Twice(offered.message);
        }
        if seq != state.next && !late && state.blocked.is_none() {
            state.blocked = Some(now);
        }
        state.let_go.remove(&seq);
        let replaced = self.held.insert((stream, seq), offered);
        replaced.map_or(Offer::Held, |old| Offer::Twice(old.message))
    }

    /// A message whose turn it is.
    pub(super) fn take(&mut self, now: Instant) -> Option<Turn<M>> {
        self.resume(now);
        let turn = self.held.keys().find_map(|(stream, seq)| {
            let state = self.streams.get(stream)?;
            let continuity = if *seq < state.next {
                Continuity::Late
            } else if *seq > state.next {
                return None;
            } else if state.resumed {
                Continuity::Resumed
            } else {
                Continuity::InOrder
            };
            Some(((stream.clone(), *seq), continuity))
        });
        let (at, continuity) = turn?;
        let held = self.held.remove(&at)?;
        let (stream, seq) = at;
        Some(Turn {
            stream,
            seq,
            continuity,
            message: held.message,
        })
    }

    /// It was handled.
    pub(super) fn done(&mut self, stream: &Stream, seq: u64) {
        let state = self.state(stream);
        if seq == state.next {
            state.next = seq.saturating_add(1);
            state.let_go = state.let_go.split_off(&state.next);
            state.blocked = None;
            state.resumed = false;
        }
        self.forget();
    }

    /// It was not handled, and comes again.
    pub(super) fn undone(&mut self, now: Instant, stream: &Stream, seq: u64) {
        let state = self.state(stream);
        // A late one keeps nobody waiting.
        if seq == state.next {
            state.blocked = Some(now);
        }
    }

    /// An answer said that nothing else is there.
    pub(super) const fn found_empty(&mut self, now: Instant) {
        self.empty = Some(now);
    }

    /// Messages may have been taken without our hearing of it: they are not there for a while.
    pub(super) const fn disturbed(&mut self, now: Instant) {
        self.disturbed = Some(now);
    }

    /// How long a missing number is waited for, from now on.
    pub(super) const fn gap_after(&mut self, time: Duration) {
        self.rules.gap_after = time;
    }

    /// A number that was waited for long enough, and that no earlier consumer can have handled.
    pub(super) fn gap(&self, now: Instant) -> Option<SequenceGap> {
        self.held.iter().find_map(|((stream, found), held)| {
            let state = self.streams.get(stream)?;
            let is_gap = state.next > state.ours_from && *found > state.next;
            let since = state.blocked.filter(|_| is_gap)?;
            self.waited(state, since, *found, held.sent_ms, now)
                .then(|| SequenceGap::new(stream, state.next, *found))
        })
    }

    /// The missing numbers are passed over.
    pub(super) fn skip(&mut self, gap: &SequenceGap) {
        let state = self.state(&gap.stream());
        state.pass(gap.found);
        state.blocked = None;
    }

    /// The missing numbers are waited for anew.
    pub(super) fn wait(&mut self, now: Instant, gap: &SequenceGap) {
        self.state(&gap.stream()).blocked = Some(now);
    }

    /// Lets go of messages that can't be held any longer: they come again.
    pub(super) fn release_overdue(&mut self, now: Instant) {
        let streams = &mut self.streams;
        let remembered = self.rules.gap_after.saturating_mul(100);
        self.held.retain(|(stream, seq), held| {
            let keep = held.keep_until > now;
            if !keep && let Some(state) = streams.get_mut(stream) {
                state.lose(*seq, now, remembered);
            }
            keep
        });
    }

    /// Makes room for one: lets go of the message that is farthest from its turn.
    pub(super) fn release_farthest(&mut self, now: Instant) {
        let distance = |(stream, seq): &(Stream, u64)| {
            let next = self.streams.get(stream).map_or(0, |state| state.next);
            seq.saturating_sub(next)
        };
        let farthest = self.held.keys().max_by_key(|at| distance(at)).cloned();
        if let Some(at) = farthest {
            self.held.remove(&at);
            let remembered = self.rules.gap_after.saturating_mul(100);
            if let Some(state) = self.streams.get_mut(&at.0) {
                state.lose(at.1, now, remembered);
            }
        }
    }

    /// Streams that were met in the middle begin at what there is of them, after a while; and where an earlier consumer may have handled
    /// what is missing, they go on behind it.
    fn resume(&mut self, now: Instant) {
        let mut stuck: Vec<(Stream, Option<u64>)> = Vec::new();
        let mut seen = None;
        // In order: the first of each stream that is not late is the lowest.
        for ((stream, seq), held) in &self.held {
            let Some(state) = self.streams.get(stream) else {
                continue;
            };
            if seen == Some(stream) || *seq < state.next {
                continue;
            }
            seen = Some(stream);
            let Some(since) = state.blocked else {
                // The one before it was done meanwhile.
                if *seq > state.next {
                    stuck.push((stream.clone(), None));
                }
                continue;
            };
            let sent_ms = held.sent_ms;
            let met = state.next == 0
                && (now >= self.ripe(state.quiet(since, *seq))
                    || now >= self.at_last(state, since, sent_ms));
            let left = (1..=state.ours_from).contains(&state.next)
                && self.waited(state, since, *seq, sent_ms, now);
            if *seq > state.next && (met || left) {
                stuck.push((stream.clone(), Some(*seq)));
            }
        }
        for (stream, goes_on_at) in stuck {
            let state = self.state(&stream);
            state.blocked = goes_on_at.is_none().then_some(now);
            if let Some(seq) = goes_on_at {
                state.next = state.next.max(1);
                state.pass(seq);
                state.resumed = true;
            }
        }
    }

    fn state(&mut self, stream: &Stream) -> &mut State {
        self.uses += 1;
        let used = self.uses;
        // Its beginning is this consumer's to see: what is missing of it is a gap.
        let whole = !self.forgot && self.began_before(stream.epoch);
        let state = self.streams.entry(stream.clone()).or_insert_with(|| State {
            next: u64::from(whole),
            ours_from: if whole { 0 } else { u64::MAX },
            blocked: None,
            passed: None,
            let_go: BTreeMap::new(),
            resumed: false,
            used,
        });
        self.ages.remove(&state.used);
        self.ages.insert(used, stream.clone());
        state.used = used;
        state
    }

    /// Forgets the streams that were not used for longest, but for those of which something is held.
    fn forget(&mut self) {
        while self.streams.len() > self.rules.most_streams {
            let idle = self.ages.iter().find(|(_, stream)| {
                let first = ((*stream).clone(), 0);
                let next = self.held.range(first..).next();
                next.is_none_or(|((of, _), _)| of != *stream)
            });
            let Some(age) = idle.map(|(age, _)| *age) else {
                return;
            };
            if let Some(stream) = self.ages.remove(&age) {
                self.streams.remove(&stream);
                self.forgot = true;
            }
        }
    }
}

/// How far the clocks of producers and consumers may differ.
const SKEW_MS: u64 = 10 * 60 * 1000;

#[cfg(test)]
mod tests;
