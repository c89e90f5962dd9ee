//! For how long messages are ours: what is due, without a clock of its own.
//!
//! ```text
//!   request begins          answer        80 %       deadline   certainly over           forgotten
//!        ├────────────────────┼────────────┼────────────┼────────────┼──────────────────────┤
//!        └──────────── visibility ─────────┼──────────► │            │ answer + visibility + 1 s
//!                                        warned     token cancelled  deletes are refused here
//! ```

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use mq_core::later;

use crate::queue::Visibility;

/// What has become due of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Four fifths of its time have passed.
    Warn(u64),
    /// It may be visible again.
    Expired(u64),
    /// Its time has passed twice, and it is still held.
    Forgotten(u64),
}

/// For how long a message is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    /// From here on it may be visible again.
    pub(crate) deadline: Instant,
    /// From here on it certainly is.
    pub(crate) over: Instant,
    warn: Instant,
    forget: Instant,
}

impl Term {
    /// Of a message that came with a request of this beginning, and its answer.
    pub(crate) fn new(begun: Instant, answered: Instant, visibility: Visibility) -> Self {
        let Visibility { time, is_guess } = visibility;
        // Where it is a guess, the service has to say that its time is over.
        let longest = if is_guess { LONGEST } else { time };
        Self {
            warn: later(begun, time / 5 * 4),
            deadline: later(begun, time),
            // Its end is told in whole seconds.
            over: later(answered, longest.saturating_add(SECOND)),
            forget: later(begun, longest.saturating_mul(2)),
        }
    }

    /// How long one delete may take: so that another can follow while the message is still ours.
    pub(crate) fn patience(&self, now: Instant) -> Duration {
        let left = self.deadline.saturating_duration_since(now);
        (left / 2).max(SECOND)
    }

    /// When a message that is still held is given up.
    pub(crate) const fn give_up(&self) -> Instant {
        self.forget
    }

    /// When something is to be said of one that is still held, and what.
    pub(crate) const fn steps(&self) -> [(Instant, &'static str); 3] {
        [
            (self.warn, "is held for 80 % of its visibility timeout"),
            (self.deadline, "is held past its deadline"),
            (self.forget, "is held for too long: it is given up"),
        ]
    }
}

/// The messages that are held, by number.
#[derive(Debug)]
pub(super) struct Leases<T> {
    held: HashMap<u64, (Term, T)>,
    /// The next step of each.
    agenda: BTreeMap<(Instant, u64), Step>,
    next: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Warn,
    Expire,
    Forget,
}

impl<T> Leases<T> {
    pub(super) fn new() -> Self {
        Self {
            held: HashMap::new(),
            agenda: BTreeMap::new(),
            next: 0,
        }
    }

    /// The first of all that is to come.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Whom it is about.
    pub(super) fn get(&mut self, id: u64) -> Option<&mut T> {
        self.held.get_mut(&id).map(|(_, what)| what)
    }

    /// Takes one on.
    pub(super) fn begin(&mut self, term: Term, what: T) -> u64 {
        let id = self.next;
        self.next += 1;
        self.held.insert(id, (term, what));
        self.agenda.insert((term.warn, id), Step::Warn);
        id
    }

    /// It is settled; `None` if it was given up.
    pub(super) fn end(&mut self, id: u64) -> Option<(Term, T)> {
        let (term, what) = self.held.remove(&id)?;
        for at in [term.warn, term.deadline, term.forget] {
            self.agenda.remove(&(at, id));
        }
        Some((term, what))
    }

    /// What has become due, one at a time.
    pub(super) fn poll_due(&mut self, now: Instant) -> Option<Due> {
        let first = self.agenda.first_entry()?;
        let (at, id) = *first.key();
        if at > now {
            return None;
        }
        let step = first.remove();
        let term = self.held.get(&id).map(|(term, _)| *term)?;
        match step {
            Step::Warn => {
                self.agenda.insert((term.deadline, id), Step::Expire);
                Some(Due::Warn(id))
            }
            Step::Expire => {
                self.agenda.insert((term.forget, id), Step::Forget);
                Some(Due::Expired(id))
            }
            Step::Forget => Some(Due::Forgotten(id)),
        }
    }

    /// Gives all up.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.agenda.clear();
        self.held.drain().map(|(_, (_, what))| what).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// What a queue can be told at most.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

#[cfg(test)]
mod tests {
    use mq_core::{Clock as _, SystemClock};

    use super::*;

    const fn known(time: Duration) -> Visibility {
        Visibility {
            time,
            is_guess: false,
        }
    }

    fn all(leases: &mut Leases<&'static str>, now: Instant) -> Vec<Due> {
        std::iter::from_fn(|| leases.poll_due(now)).collect()
    }

    #[test]
    fn each_step_comes_once_and_in_its_time() {
        let start = SystemClock.now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut leases = Leases::new();
        let term = Term::new(start, at(3_000), known(Duration::from_secs(10)));
        assert_eq!((term.deadline, term.over), (at(10_000), at(14_000)));
        let id = leases.begin(term, "a");
        assert_eq!(leases.next_due(), Some(at(8_000)));
        assert_eq!(all(&mut leases, at(7_999)), []);
        assert_eq!(all(&mut leases, at(8_000)), [Due::Warn(id)]);
        assert_eq!(all(&mut leases, at(9_999)), []);
        assert_eq!(all(&mut leases, at(10_000)), [Due::Expired(id)]);
        assert_eq!(leases.get(id), Some(&mut "a"));
        assert_eq!(all(&mut leases, at(20_000)), [Due::Forgotten(id)]);
        assert_eq!(leases.next_due(), None);
        assert_eq!(leases.end(id), Some((term, "a")));
    }

    #[test]
    fn by_a_guess_nothing_is_refused() {
        let start = SystemClock.now();
        let time = Duration::from_secs(30);
        let guess = Visibility {
            time,
            is_guess: true,
        };
        let term = Term::new(start, start, guess);
        assert_eq!(term.deadline, start + time);
        assert!(term.over > start + LONGEST && term.give_up() > start + LONGEST);
    }

    #[test]
    fn what_is_settled_is_not_due() {
        let start = SystemClock.now();
        let mut leases = Leases::new();
        let visibility = Duration::from_secs(1);
        let term = Term::new(start, start, known(visibility));
        let ids: Vec<_> = (0..3).map(|_| leases.begin(term, "x")).collect();
        assert_eq!(all(&mut leases, start + visibility).len(), 6);
        for id in &ids {
            assert_eq!(leases.end(*id), Some((term, "x")));
            assert_eq!(leases.end(*id), None);
        }
        assert_eq!(leases.next_due(), None);
        leases.begin(Term::new(start, start, known(Duration::MAX)), "forever");
        assert_eq!(all(&mut leases, start + visibility), []);
        assert_eq!(leases.clear(), ["forever"]);
    }
}
