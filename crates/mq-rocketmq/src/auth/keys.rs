//! The keys of a client: those of now, and how they become others while it runs.
//!
//! ```text
//!  request ─ signed with (generation) ─► refused ─► is there a later one? ── yes ─► signed anew, sent again once
//!                                                     └ no: the provider is asked, once for all who wait
//!                                                         ├ other keys: a new generation, all go on
//!                                                         └ the same, or none: the refusal stands
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Credentials, CredentialsProvider, Signer};
use crate::error::Result;

/// See the module.
pub(crate) struct Keys {
    provider: Option<Arc<dyn CredentialsProvider>>,
    state: Mutex<State>,
    /// The provider is to be asked.
    pub(crate) wanted: Notify,
    /// It was.
    pub(crate) asked: Notify,
}

#[derive(Default)]
struct State {
    signer: Option<Arc<Signer>>,
    known: Option<Credentials>,
    generation: u64,
    /// Somebody waits for the provider.
    requested: bool,
    /// How often the provider has answered, whatever it was.
    rounds: u64,
    /// Until then it is not asked again: it had nothing new.
    quiet: Option<Instant>,
}

/// What can be hoped for after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hope {
    /// There are later keys than those that were refused.
    Renewed,
    /// The provider is being asked.
    Asking(Round),
    /// It stays as it is.
    None,
}

/// The answer of the provider that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round(u64);

impl Keys {
    /// Keys that stay, or none.
    pub(crate) fn fixed(credentials: Option<&Credentials>) -> Result<Self> {
        let keys = Self::of(None);
        keys.lock().signer = credentials.map(Signer::new).transpose()?.map(Arc::new);
        Ok(keys)
    }

    /// Keys that the provider gives; it has not been asked yet.
    pub(crate) fn provided(provider: Arc<dyn CredentialsProvider>) -> Self {
        Self::of(Some(provider))
    }

    fn of(provider: Option<Arc<dyn CredentialsProvider>>) -> Self {
        Self {
            provider,
            state: Mutex::default(),
            wanted: Notify::new(),
            asked: Notify::new(),
        }
    }

    pub(crate) fn provider(&self) -> Option<Arc<dyn CredentialsProvider>> {
        self.provider.as_ref().map(Arc::clone)
    }

    /// Who signs now, and a number that is another one when the keys are others.
    pub(crate) fn signer(&self) -> (Option<Arc<Signer>>, u64) {
        let state = self.lock();
        (state.signer.as_ref().map(Arc::clone), state.generation)
    }

    /// What was signed in that generation is refused.
    pub(crate) fn refused(&self, generation: u64, now: Instant) -> Hope {
        if self.provider.is_none() {
            return Hope::None;
        }
        let mut state = self.lock();
        if state.generation != generation {
            return Hope::Renewed;
        }
        if state.quiet.is_some_and(|until| now < until) {
            return Hope::None;
        }
        let round = Round(state.rounds);
        let first = !std::mem::replace(&mut state.requested, true);
        drop(state);
        if first {
            self.wanted.notify_one();
        }
        Hope::Asking(round)
    }

    /// What has become of that hope.
    pub(crate) fn look(&self, generation: u64, round: Round) -> Hope {
        let state = self.lock();
        if state.generation != generation {
            Hope::Renewed
        } else if state.rounds == round.0 {
            Hope::Asking(round)
        } else {
            Hope::None
        }
    }

    /// The provider has answered, or failed to (`None`). Wakes all who wait.
    ///
    /// # Errors
    ///
    /// The keys can't be used; the former ones stay.
    pub(crate) fn answered(&self, fresh: Option<Credentials>, now: Instant) -> Result<()> {
        let taken = self.take(fresh, now);
        self.asked.notify_waiters();
        taken
    }

    fn take(&self, fresh: Option<Credentials>, now: Instant) -> Result<()> {
        let mut state = self.lock();
        state.rounds += 1;
        state.requested = false;
        state.quiet = Some(now + QUIET);
        let same = |known: &Credentials, fresh: &Credentials| known.is_same(fresh);
        let known = state.known.as_ref();
        let Some(fresh) = fresh.filter(|fresh| known.is_none_or(|known| !same(known, fresh)))
        else {
            return Ok(());
        };
        state.signer = Some(Arc::new(Signer::new(&fresh)?));
        state.known = Some(fresh);
        state.generation += 1;
        state.quiet = None;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (signer, generation) = self.signer();
        f.debug_struct("Keys")
            .field("signer", &signer)
            .field("generation", &generation)
            .finish_non_exhaustive()
    }
}

const QUIET: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use mq_core::{Clock as _, ManualClock};

    use super::*;

    fn keys() -> (Keys, ManualClock) {
        let provider = || async { Credentials::from_env() };
        let clock = ManualClock::new(std::time::SystemTime::UNIX_EPOCH);
        (Keys::provided(Arc::new(provider)), clock)
    }

    #[test]
    fn who_was_refused_with_old_keys_need_not_ask() {
        let (keys, clock) = keys();
        let give = |secret: &str| keys.answered(Some(Credentials::new("a", secret)), clock.now());
        give("1").unwrap();
        let (_, first) = keys.signer();
        let Hope::Asking(round) = keys.refused(first, clock.now()) else {
            panic!("it is asked");
        };
        // A second one waits for the same answer.
        assert_eq!(keys.refused(first, clock.now()), Hope::Asking(round));
        give("2").unwrap();
        assert_eq!(keys.look(first, round), Hope::Renewed);
        assert_eq!(keys.refused(first, clock.now()), Hope::Renewed);
    }

    #[test]
    fn the_same_keys_again_are_no_hope_and_nobody_is_asked_for_a_while() {
        let (keys, clock) = keys();
        let give = || keys.answered(Some(Credentials::new("a", "1")), clock.now());
        give().unwrap();
        let (_, first) = keys.signer();
        let Hope::Asking(round) = keys.refused(first, clock.now()) else {
            panic!("it is asked");
        };
        give().unwrap();
        assert_eq!(keys.look(first, round), Hope::None);
        assert_eq!(keys.refused(first, clock.now()), Hope::None);
        clock.advance(QUIET);
        assert!(matches!(keys.refused(first, clock.now()), Hope::Asking(_)));
        // A provider that fails, or gives nonsense, changes nothing.
        keys.answered(None, clock.now()).unwrap();
        assert!(
            keys.answered(Some(Credentials::new("", "")), clock.now())
                .is_err()
        );
        assert_eq!(keys.signer().1, first);
    }

    #[test]
    fn keys_that_stay_are_no_hope() {
        let keys = Keys::fixed(Some(&Credentials::new("a", "canary"))).unwrap();
        let (_, clock) = self::keys();
        assert_eq!(keys.refused(keys.signer().1, clock.now()), Hope::None);
        assert!(!format!("{keys:?}").contains("canary"));
    }
}
