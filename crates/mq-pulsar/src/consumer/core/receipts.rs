//! Who waits for the broker to say that it has an acknowledgement.

use std::collections::BTreeMap;

use mq_core::{ErrorKind, Outcome};
use tokio::sync::oneshot;

use crate::consumer::tracker::{Place, Told};
use crate::error::{Error, Result};

/// What the broker says of an acknowledgement.
pub(in crate::consumer) type Heard = oneshot::Receiver<Result<()>>;
type Waiter = oneshot::Sender<Result<()>>;

/// Those who wait, in a partition.
#[derive(Default)]
pub(super) struct Receipts {
    /// For what is not written yet, by entry.
    entries: BTreeMap<Place, Vec<Waiter>>,
    /// And for everything up to a message.
    upto: Vec<Waiter>,
    /// For the answer of this number.
    asked: BTreeMap<u64, Asked>,
    last: u64,
}

struct Asked {
    cumulative: bool,
    waiters: Vec<Waiter>,
}

impl Receipts {
    /// Waits for what is told next of an entry.
    pub(super) fn of(&mut self, place: Place) -> Heard {
        let (waiter, heard) = oneshot::channel();
        self.entries.entry(place).or_default().push(waiter);
        heard
    }

    /// Waits for the next acknowledgement of everything up to a message.
    pub(super) fn upto(&mut self) -> Heard {
        let (waiter, heard) = oneshot::channel();
        self.upto.push(waiter);
        heard
    }

    /// The same for what was acknowledged with others; `None` if that was confirmed.
    pub(super) fn with_others(&mut self) -> Option<Heard> {
        if !self.upto.is_empty() {
            return Some(self.upto());
        }
        let (waiter, heard) = oneshot::channel();
        let mut asked = self.asked.values_mut().rev();
        let last = asked.find(|asked| asked.cumulative)?;
        last.waiters.push(waiter);
        Some(heard)
    }

    /// These are about to be told: gives the number to ask for an answer with, if somebody waits for one.
    pub(super) fn ask(&mut self, told: &[Told]) -> Option<u64> {
        let cumulative = told.iter().any(|told| told.cumulative);
        let mut waiters = Vec::new();
        if cumulative {
            waiters.append(&mut self.upto);
        } else if !self.entries.is_empty() {
            let told = told.iter();
            waiters.extend(
                told.filter_map(|told| self.entries.remove(&told.place))
                    .flatten(),
            );
        }
        if waiters.is_empty() {
            return None;
        }
        self.last += 1;
        let asked = Asked {
            cumulative,
            waiters,
        };
        self.asked.insert(self.last, asked);
        Some(self.last)
    }

    pub(super) fn answered(&mut self, number: u64, result: &Result<()>) {
        let asked = self.asked.remove(&number);
        for waiter in asked.into_iter().flat_map(|asked| asked.waiters) {
            let _ = waiter.send(result.clone());
        }
    }

    /// Nobody will answer any more.
    pub(super) fn lost(&mut self, why: &str) {
        let unsent = std::mem::take(&mut self.entries).into_values().flatten();
        for waiter in unsent.chain(self.upto.drain(..)) {
            let _ = waiter.send(Err(unconfirmed(why, Outcome::NotSent)));
        }
        for asked in std::mem::take(&mut self.asked).into_values() {
            for waiter in asked.waiters {
                let _ = waiter.send(Err(unconfirmed(why, Outcome::Unknown)));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.upto.is_empty() && self.asked.is_empty()
    }
}

fn unconfirmed(why: &str, outcome: Outcome) -> Error {
    let message = format!("{why} before the broker confirmed the acknowledgement");
    Error::builder(ErrorKind::Stale, message)
        .operation("settle")
        .outcome(outcome)
        .hint("if it does not have it, the message is delivered again")
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::refused;

    fn told(entry: u64, cumulative: bool) -> Told {
        let place = (1, entry);
        Told {
            place,
            left: None,
            cumulative,
        }
    }

    #[test]
    fn each_hears_what_is_said_of_the_acknowledgement_that_had_its_message() {
        let mut receipts = Receipts::default();
        let (mut first, mut second) = (receipts.of((1, 1)), receipts.of((1, 2)));
        assert_eq!(receipts.ask(&[told(3, false)]), None, "nobody waits");
        let number = receipts.ask(&[told(1, false), told(3, false)]).unwrap();
        assert!(first.try_recv().is_err(), "nothing was said yet");
        let later = receipts.ask(&[told(2, false)]).unwrap();
        assert_ne!(number, later);
        receipts.answered(number, &Ok(()));
        assert!(first.try_recv().unwrap().is_ok());
        assert!(second.try_recv().is_err(), "that was another one");
        receipts.answered(later, &Err(refused(1, "no")));
        let refused = second.try_recv().unwrap().unwrap_err();
        assert_eq!(refused.outcome(), Outcome::Rejected);
        assert!(receipts.is_empty());
    }

    #[test]
    fn what_is_acknowledged_with_others_waits_for_them() {
        let mut receipts = Receipts::default();
        let mut last = receipts.upto();
        let mut with = receipts.with_others().unwrap();
        let number = receipts.ask(&[told(9, true)]).unwrap();
        let mut after = receipts.with_others().unwrap();
        receipts.answered(number, &Ok(()));
        for heard in [&mut last, &mut with, &mut after] {
            assert!(heard.try_recv().unwrap().is_ok());
        }
        assert!(receipts.with_others().is_none(), "that is confirmed");
    }

    #[test]
    fn a_lost_subscription_says_what_was_not_sent_and_what_is_not_known() {
        let mut receipts = Receipts::default();
        let mut sent = receipts.of((1, 1));
        receipts.ask(&[told(1, false)]).unwrap();
        let mut unsent = receipts.of((1, 2));
        receipts.lost("the subscription was lost");
        let sent = sent.try_recv().unwrap().unwrap_err();
        let unsent = unsent.try_recv().unwrap().unwrap_err();
        assert_eq!(
            (sent.kind(), sent.outcome()),
            (ErrorKind::Stale, Outcome::Unknown)
        );
        assert_eq!(
            (unsent.kind(), unsent.outcome()),
            (ErrorKind::Stale, Outcome::NotSent)
        );
    }
}
