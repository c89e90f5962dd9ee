//! One direction of one connection, as its toxics see it: no socket, no clock, dice with a seed.
//!
//! ```text
//!   push ─► waiting ─► blackhole? ─► timeout? reset_peer? ─► latency ─► limit_data ─► slicer, bandwidth ─► a piece to write
//! ```
//!
//! The order is always this one, whatever the order in which the toxics were added.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};

use super::{
    Direction, Ending,
    toxic::{self, Active, Kind, ToxicId},
};

/// Calling order: [`set`](Self::set) when the toxics changed, then [`step`](Self::step), and do what it says.
pub(super) struct Link {
    effects: Vec<Effect>,
    waiting: VecDeque<Chunk>,
    waiting_bytes: usize,
    /// What of the first chunk is being written, or waits for the bandwidth.
    piece: Option<Piece>,
    /// When the last piece left the bandwidth; `None` if nothing waited since.
    free: Option<Instant>,
    /// The slicer's pause.
    pause: Option<Instant>,
    /// The source has ended: so does the link, behind what waits.
    ended: Option<Ending>,
    /// Bytes are missing: nothing may follow them.
    torn: bool,
    dice: fastrand::Rng,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write some of this, and say [`wrote`](Link::wrote).
    Write(Bytes),
    /// Wait for a change of toxics, for that time, and for more from the source if `take`.
    Wait { until: Option<Instant>, take: bool },
    /// End the connection.
    End(Ending),
}

/// A toxic and what it remembers of this link.
struct Effect {
    id: ToxicId,
    kind: Kind,
    since: Instant,
    passed: u64,
    armed: Option<Instant>,
}

struct Chunk {
    bytes: Bytes,
    read: Instant,
    /// Its share of any jitter, from -1 to 1.
    lot: f64,
}

#[derive(Clone, Copy)]
struct Piece {
    size: usize,
    left: usize,
    begun: Instant,
}

impl Link {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            effects: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            piece: None,
            free: None,
            pause: None,
            ended: None,
            torn: false,
            dice: fastrand::Rng::with_seed(seed),
        }
    }

    /// The toxics are these now. Those that were there already keep their memory.
    pub(super) fn set(
        &mut self,
        active: &Active,
        upstream: &str,
        direction: Direction,
        now: Instant,
    ) {
        let mut old = std::mem::take(&mut self.effects);
        let mut changed = false;
        for (id, kind) in toxic::on_bytes(active, upstream, direction) {
            let known = old.iter().position(|it| it.id == id);
            changed |= known.is_none();
            self.effects
                .push(known.map_or_else(|| Effect::new(id, kind, now), |at| old.remove(at)));
        }
        changed |= !old.is_empty();
        self.torn |= old
            .iter()
            .any(|gone| matches!(gone.kind, Kind::Timeout { .. }));
        if changed {
            // Cut and paced by rules that no longer hold.
            self.piece = None;
            self.free = None;
            self.pause = None;
        }
    }

    /// More from the source.
    pub(super) fn push(&mut self, bytes: Bytes, now: Instant) {
        if bytes.is_empty() {
            return;
        }
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(Chunk {
            bytes,
            read: now,
            lot: self.dice.f64().mul_add(2.0, -1.0),
        });
    }

    /// Nothing more from the source.
    pub(super) fn end(&mut self, ending: Ending) {
        self.ended.get_or_insert(ending);
    }

    pub(super) fn step(&mut self, now: Instant) -> Step {
        if self.effects.iter().any(|it| it.kind == Kind::Blackhole) {
            return Step::Wait {
                until: None,
                take: false,
            };
        }
        if self.torn || self.limit_is_reached() {
            return Step::End(Ending::Close);
        }
        self.timed_out(now)
            .or_else(|| self.reset(now))
            .unwrap_or_else(|| self.pass(now))
    }

    /// The first `count` bytes of the piece are written.
    pub(super) fn wrote(&mut self, count: usize, now: Instant) {
        let Some(chunk) = self.waiting.front_mut() else {
            return;
        };
        let count = count.min(chunk.bytes.len());
        chunk.bytes.advance(count);
        self.waiting_bytes -= count;
        if chunk.bytes.is_empty() {
            self.waiting.pop_front();
        }
        for effect in &mut self.effects {
            effect.passed += count as u64;
        }
        let Some(piece) = &mut self.piece else {
            return;
        };
        piece.left = piece.left.saturating_sub(count);
        if piece.left == 0 {
            let Piece { size, begun, .. } = *piece;
            self.piece = None;
            self.free = Some(later(begun, self.time_for(size)));
            self.pause = self.slicer().map(|(.., delay)| later(now, delay));
        }
    }

    fn limit_is_reached(&self) -> bool {
        self.effects.iter().any(
            |it| matches!(it.kind, Kind::LimitData { bytes } if it.passed > 0 && it.passed >= bytes),
        )
    }

    /// Everything is lost, until the time is up.
    fn timed_out(&mut self, now: Instant) -> Option<Step> {
        let mut ends = Vec::new();
        for it in &self.effects {
            if let Kind::Timeout { after } = it.kind {
                ends.push((!after.is_zero()).then(|| later(it.since, after)));
            }
        }
        if ends.is_empty() {
            return None;
        }
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.piece = None;
        let until = ends.into_iter().flatten().min();
        if until.is_some_and(|until| until <= now) {
            return Some(Step::End(Ending::Close));
        }
        let wait = Step::Wait { until, take: true };
        Some(self.ended.map_or(wait, Step::End))
    }

    /// Armed by the first bytes, or the end; what armed it stays here.
    fn reset(&mut self, now: Instant) -> Option<Step> {
        if self.waiting.is_empty() && self.ended.is_none() {
            return None;
        }
        let resets = self.effects.iter_mut().filter_map(|it| match it.kind {
            Kind::ResetPeer { after } => Some(later(*it.armed.get_or_insert(now), after)),
            _ => None,
        });
        let until = resets.min()?;
        if until <= now {
            return Some(Step::End(Ending::Reset));
        }
        Some(Step::Wait {
            until: Some(until),
            take: false,
        })
    }

    fn pass(&mut self, now: Instant) -> Step {
        let Some(chunk) = self.waiting.front() else {
            self.free = None;
            let wait = Step::Wait {
                until: None,
                take: true,
            };
            return self.ended.map_or(wait, Step::End);
        };
        let due = later(chunk.read, self.latency(chunk.lot));
        let due = self.pause.map_or(due, |pause| due.max(pause));
        if due > now {
            return self.wait(due);
        }
        let mut bytes = chunk.bytes.clone();
        let piece = if let Some(begun) = self.piece {
            begun
        } else {
            let Some(size) = self.size(bytes.len()) else {
                return Step::End(Ending::Close);
            };
            *self.piece.insert(self.begin(size, due, now))
        };
        let ready = later(piece.begun, self.time_for(piece.size));
        if ready > now {
            return self.wait(ready);
        }
        bytes.truncate(piece.left);
        Step::Write(bytes)
    }

    /// A timer that rings late must not slow the stream down, nor may a receiver that read late speed it up.
    fn begin(&self, size: usize, due: Instant, now: Instant) -> Piece {
        let begun = self.free.map_or(now, |free| free.max(due));
        Piece {
            size,
            left: size,
            begun: begun.max(now.checked_sub(TENTH).unwrap_or(now)),
        }
    }

    /// Only what is under way for long lets others begin meanwhile: a narrow or blocked link holds up its sender.
    fn wait(&self, until: Instant) -> Step {
        let delays = self
            .effects
            .iter()
            .any(|it| matches!(it.kind, Kind::Latency { .. }));
        let room = self.waiting.len() < MAX_WAITING && self.waiting_bytes < MAX_WAITING_BYTES;
        Step::Wait {
            until: Some(until),
            take: delays && room && self.ended.is_none(),
        }
    }

    fn latency(&self, lot: f64) -> Duration {
        self.effects
            .iter()
            .fold(Duration::ZERO, |sum, it| match it.kind {
                Kind::Latency { delay, jitter } => {
                    let part = jitter.min(FAR).mul_f64(lot.abs());
                    sum.saturating_add(if lot < 0.0 {
                        delay.saturating_sub(part)
                    } else {
                        delay.saturating_add(part)
                    })
                }
                _ => sum,
            })
    }

    /// How much of a chunk to write at once; `None` if no byte may pass any more.
    fn size(&mut self, chunk: usize) -> Option<usize> {
        let mut size = chunk;
        if let Some((average, variation, _)) = self.slicer() {
            let average = average.max(1);
            let variation = variation.min(average - 1);
            size = size.min(
                self.dice
                    .usize(average - variation..=average.saturating_add(variation)),
            );
        }
        if let Some(rate) = self.rate() {
            size = size.min(to_usize(rate / 10).max(1));
        }
        for it in &self.effects {
            if let Kind::LimitData { bytes } = it.kind {
                size = size.min(to_usize(bytes.saturating_sub(it.passed)));
            }
        }
        (size > 0).then_some(size)
    }

    fn slicer(&self) -> Option<(usize, usize, Duration)> {
        self.effects.iter().find_map(|it| match it.kind {
            Kind::Slicer {
                average,
                variation,
                delay,
            } => Some((average, variation, delay)),
            _ => None,
        })
    }

    fn rate(&self) -> Option<u64> {
        let rates = self.effects.iter().filter_map(|it| match it.kind {
            Kind::Bandwidth { bytes_per_second } if bytes_per_second > 0 => Some(bytes_per_second),
            _ => None,
        });
        rates.min()
    }

    fn time_for(&self, bytes: usize) -> Duration {
        self.rate().map_or(Duration::ZERO, |rate| {
            let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate);
            u64::try_from(nanos).map_or(FAR, Duration::from_nanos)
        })
    }
}

impl Effect {
    const fn new(id: ToxicId, kind: Kind, now: Instant) -> Self {
        Self {
            id,
            kind,
            since: now,
            passed: 0,
            armed: None,
        }
    }
}

/// Times that users choose can be longer than clocks go.
fn later(at: Instant, by: Duration) -> Instant {
    at.checked_add(by.min(FAR)).unwrap_or(at)
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

const TENTH: Duration = Duration::from_millis(100);
/// Ten years.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// As many as Toxiproxy's latency lets wait. Shopify/toxiproxy: `GetBufferSize` in toxics/latency.go
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests;
