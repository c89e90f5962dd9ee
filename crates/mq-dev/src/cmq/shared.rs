//! What all connections share: the state behind one short lock, who waits, and the one timer.
//!
//! ```text
//!  request ─► lock ─► engine ─► effects ─► oneshots of those who wait, channel of pushes ─► unlock
//!                        └─ due earlier than the timer sleeps? wake it
//! ```
//!
//! The lock is never held over an await.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::Refusal;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::auth::Auth;
use super::clock::Time;
use super::counts::Counts;
use super::engine::{Delivered, Effect, Engine, PushJob, Received, Result, Sender, Waiter, Want};
use super::faults::Faults;
use super::gateway::{Clients, Out};

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) time: Time,
    pub(super) auth: Auth,
    pub(super) faults: Faults,
    pub(super) counts: Counts,
    timer: Notify,
    /// What the timer sleeps for.
    armed: AtomicU64,
    /// Changes when all connections are to die.
    pub(super) life: watch::Sender<u64>,
    /// Counts how often all logins were forgotten.
    pub(super) logins: AtomicU64,
    /// What clients are told to connect to, over TCP.
    route: Mutex<Option<String>>,
    pushes: mpsc::Sender<PushJob>,
}

#[derive(Debug)]
struct State {
    engine: Engine,
    waiting: HashMap<Waiter, oneshot::Sender<Ended>>,
    clients: Clients,
}

/// How a wait ends.
type Ended = Result<Vec<Delivered>, ErrorCode>;

impl Shared {
    pub(super) fn new(
        engine: Engine,
        time: Time,
        auth: Auth,
        faults: Faults,
        pushes: mpsc::Sender<PushJob>,
    ) -> Self {
        let state = State {
            engine,
            waiting: HashMap::new(),
            clients: Clients::default(),
        };
        Self {
            state: Mutex::new(state),
            time,
            auth,
            faults,
            counts: Counts::new(),
            timer: Notify::new(),
            armed: AtomicU64::new(u64::MAX),
            life: watch::Sender::new(0),
            logins: AtomicU64::new(0),
            route: Mutex::default(),
            pushes,
        }
    }

    /// Does something to the state at this moment, and tells everybody whom it concerns.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Engine, u64) -> T) -> T {
        let mut state = self.lock();
        let now = self.time.now();
        let done = act(&mut state.engine, now);
        self.tell(&mut state, now);
        done
    }

    /// Lets happen what has fallen due.
    pub(super) fn tick(&self) {
        self.with(Engine::advance);
    }

    /// Another state in the place of this one, made at this moment from it; if that fails, this one stays. Who waits hears that there is no
    /// message.
    pub(super) fn replace<E>(
        &self,
        make: impl FnOnce(&Engine, u64) -> Result<Engine, E>,
    ) -> Result<(), E> {
        let mut state = self.lock();
        state.engine = make(&state.engine, self.time.now())?;
        for (_, waiting) in state.waiting.drain() {
            let _ = waiting.send(Err(ErrorCode::NO_MESSAGE));
        }
        let now = self.time.now();
        self.tell(&mut state, now);
        Ok(())
    }

    /// Takes messages, or begins to wait for them.
    pub(super) fn receive(
        self: &Arc<Self>,
        queue: &str,
        want: Want,
        wait_seconds: Option<u32>,
    ) -> Result<Begun> {
        let mut state = self.lock();
        let now = self.time.now();
        if let Some(disorder) = self.faults.disorder() {
            state.engine.disorder(disorder);
        }
        let received = state.engine.receive(now, queue, want, wait_seconds);
        let begun = match received? {
            Received::Now(messages) => Ok(Begun::Now(messages)),
            Received::Empty => Err(no_message(ErrorCode::NO_MESSAGE)),
            Received::Later(waiter) => {
                let (told, tell) = oneshot::channel();
                state.waiting.insert(waiter, told);
                Ok(Begun::Later(Wait {
                    shared: Arc::clone(self),
                    waiter,
                    tell,
                }))
            }
        };
        self.tell(&mut state, now);
        begun
    }

    /// A client that can be asked from now on, until it leaves.
    pub(super) fn enroll(self: &Arc<Self>, sender: &Sender, out: mpsc::Sender<Out>) -> Enrolled {
        self.lock().clients.add(sender, out);
        Enrolled {
            shared: Arc::clone(self),
            connection: sender.connection,
        }
    }

    /// Sleeps until something falls due and lets it happen, for ever.
    pub(super) async fn keep_time(self: Arc<Self>) {
        loop {
            // Marked under the lock, as it is read: nobody can find an old mark.
            let due = {
                let state = self.lock();
                let due = state.engine.next_due();
                self.armed.store(due.unwrap_or(u64::MAX), Ordering::Release);
                due
            };
            match due.and_then(|at| self.time.until(at)) {
                Some(pause) => {
                    let woken = tokio::time::timeout(pause, self.timer.notified()).await;
                    if woken.is_err() {
                        self.tick();
                    }
                }
                None => self.timer.notified().await,
            }
        }
    }

    fn tell(&self, state: &mut State, now: u64) {
        loop {
            let effects = state.engine.take_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.tell_one(state, now, effect);
            }
        }
        let due = state.engine.next_due().unwrap_or(u64::MAX);
        if due < self.armed.load(Ordering::Acquire) {
            self.timer.notify_one();
        }
    }

    fn tell_one(&self, state: &mut State, now: u64, effect: Effect) {
        match effect {
            Effect::Deliver(waiter, messages) => {
                let undelivered = match state.waiting.remove(&waiter) {
                    Some(waiting) => waiting.send(Ok(messages)).err(),
                    None => Some(Ok(messages)),
                };
                if let Some(Ok(messages)) = undelivered {
                    state.engine.give_back(now, waiter.0, &messages);
                }
            }
            Effect::End(waiter, code) => {
                if let Some(waiting) = state.waiting.remove(&waiter) {
                    let _ = waiting.send(Err(code));
                }
            }
            Effect::Ask(question) => {
                if !state.clients.ask(&question, &self.faults) {
                    state.engine.ask_again(now, &question);
                }
            }
            // As much room as there may be pushes.
            Effect::Push(job) => {
                if let Err(error) = self.pushes.try_send(job) {
                    tracing::warn!(%error, "push: not tried");
                }
            }
        }
    }

    /// Where who asks for a route is led.
    pub(super) fn route(&self) -> Option<String> {
        let route = self.route.lock();
        route.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn lead_to(&self, gateway: Option<String>) {
        let route = self.route.lock();
        *route.unwrap_or_else(PoisonError::into_inner) = gateway;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A receive that has begun.
#[derive(Debug)]
pub(super) enum Begun {
    Now(Vec<Delivered>),
    Later(Wait),
}

impl Begun {
    /// The messages, at least one.
    ///
    /// # Cancel safety
    /// As [`Wait::end`].
    pub(super) async fn end(self) -> Result<Vec<Delivered>> {
        match self {
            Self::Now(messages) => Ok(messages),
            Self::Later(wait) => wait.end().await,
        }
    }
}

/// A place in the line of a queue.
#[derive(Debug)]
pub(super) struct Wait {
    shared: Arc<Shared>,
    waiter: Waiter,
    tell: oneshot::Receiver<Ended>,
}

impl Wait {
    /// What the wait comes to.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it is out of the line; what it was given in that moment is visible again.
    pub(super) async fn end(mut self) -> Result<Vec<Delivered>> {
        let ended = (&mut self.tell).await;
        ended
            .unwrap_or(Err(ErrorCode::NO_MESSAGE))
            .map_err(no_message)
    }
}

/// A client that can be asked, until this is dropped.
#[derive(Debug)]
pub(super) struct Enrolled {
    shared: Arc<Shared>,
    connection: u64,
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        self.shared.lock().clients.remove(self.connection);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.waiting.remove(&self.waiter).is_some() {
            state.engine.cancel(self.waiter);
        }
        // Empty where it was read.
        if let Ok(Ok(messages)) = self.tell.try_recv() {
            let now = self.shared.time.now();
            state.engine.give_back(now, self.waiter.0, &messages);
            self.shared.tell(&mut state, now);
        }
    }
}

fn no_message(code: ErrorCode) -> Refusal {
    let text = if code == ErrorCode::NO_MESSAGE {
        "no message"
    } else {
        "queue is not existed, or deleted"
    };
    Refusal::new(code, text)
}
