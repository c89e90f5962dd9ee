//! Which transactions are under way here, and where their half messages are.
//!
//! Before a broker asks, it stores the half message anew, at another place: what ends the transaction must name the last place, or that
//! copy stays, is asked about, and is delivered a second time. So the places of what is under way are kept up to date by the questions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mq_core::Endpoint;

/// Where a half message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// With its namespace.
    pub(super) topic: Arc<str>,
    pub(super) broker: Arc<str>,
    pub(super) half_offset: i64,
    pub(super) physical_offset: i64,
    /// Who asked, if this place was told by a question.
    pub(super) asked_by: Option<Endpoint>,
}

/// What to do about a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Its guard lives: the answer is that nothing is decided yet.
    Undecided,
    /// The checker works on it already.
    Running,
    /// The checker is to be asked.
    Check,
}

/// What is under way, by unique id.
#[derive(Debug, Default)]
pub(super) struct Open(Mutex<HashMap<String, (Stage, Place)>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Guarded,
    Checked,
}

impl Open {
    /// A guard is made.
    pub(super) fn guard(&self, id: &str, place: Place) {
        self.lock().insert(id.to_owned(), (Stage::Guarded, place));
    }

    /// A broker asks.
    pub(super) fn asked(&self, id: &str, place: Place) -> Next {
        let mut all = self.lock();
        let Some((stage, known)) = all.get_mut(id) else {
            all.insert(id.to_owned(), (Stage::Checked, place));
            return Next::Check;
        };
        *known = place;
        match stage {
            Stage::Guarded => Next::Undecided,
            Stage::Checked => Next::Running,
        }
    }

    /// Where the half message is by now.
    pub(super) fn place(&self, id: &str) -> Option<Place> {
        self.lock().get(id).map(|(_, place)| place.clone())
    }

    /// It is not under way here any more.
    pub(super) fn end(&self, id: &str) -> Option<Place> {
        self.lock().remove(id).map(|(_, place)| place)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Stage, Place)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(half_offset: i64) -> Place {
        Place {
            topic: "t".into(),
            broker: "b".into(),
            half_offset,
            physical_offset: 100 + half_offset,
            asked_by: None,
        }
    }

    #[test]
    fn a_question_moves_the_place_of_what_is_under_way() {
        let open = Open::default();
        open.guard("guarded", place(1));
        assert_eq!(open.asked("guarded", place(2)), Next::Undecided);
        assert_eq!(open.asked("unknown", place(3)), Next::Check);
        assert_eq!(open.asked("unknown", place(4)), Next::Running);
        assert_eq!(open.place("guarded"), Some(place(2)));
        assert_eq!(open.end("unknown"), Some(place(4)));
        assert_eq!(open.asked("unknown", place(5)), Next::Check);
        assert_eq!(open.end("guarded"), Some(place(2)));
        assert_eq!(open.asked("guarded", place(6)), Next::Check);
    }
}
