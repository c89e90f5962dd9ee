//! Which versions the brokers have: learned from heartbeats, and asked for when it matters before the first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mq_core::Endpoint;
use tokio::sync::oneshot;

use crate::conn::{Connections, Done, Failure, Waiter};
use crate::error::{Error, Result};

/// What brokers have said of themselves. A broker that was lost keeps its version until it says another.
#[derive(Debug, Default)]
pub(crate) struct Versions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: HashMap<Endpoint, i32>,
    /// Who waits for which broker's answer: however many sends want it, it is asked once.
    asked: HashMap<Endpoint, Vec<oneshot::Sender<Result<i32>>>>,
}

impl Versions {
    /// Any answer of a broker carries its version.
    // apache/rocketmq: RemotingCommand.setCmdVersion
    pub(crate) fn learn(&self, broker: &Endpoint, version: i32) {
        let mut state = self.lock();
        if state.known.get(broker) != Some(&version) {
            state.known.insert(broker.clone(), version);
        }
    }

    pub(crate) fn of(&self, broker: &Endpoint) -> Option<i32> {
        self.lock().known.get(broker).copied()
    }

    /// Whether it is known to be of this version or a newer one.
    pub(crate) fn is_at_least(&self, broker: &Endpoint, version: i32) -> bool {
        self.of(broker).is_some_and(|known| known >= version)
    }

    /// Asks a broker, whatever was known. Nothing is lost when nobody waits for the answer any more.
    pub(crate) fn ask(
        self: &Arc<Self>,
        connections: &Connections,
        broker: &Endpoint,
    ) -> oneshot::Receiver<Result<i32>> {
        let (sender, receiver) = oneshot::channel();
        let waiting = {
            let mut state = self.lock();
            let waiting = state.asked.entry(broker.clone()).or_default();
            waiting.push(sender);
            waiting.len()
        };
        if waiting == 1 {
            let heard = Heard {
                versions: Arc::clone(self),
                broker: broker.clone(),
            };
            connections.ask_after(broker, Box::new(heard));
        }
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Heard {
    versions: Arc<Versions>,
    broker: Endpoint,
}

impl Waiter for Heard {
    fn done(self: Box<Self>, result: Result<Done, Failure>) {
        let answer: Result<i32, Error> = match result {
            Ok(Done::Reply(frame)) => Ok(frame.header.version),
            // Not asked one-way.
            Ok(Done::Written) => return,
            Err(failure) => Err(failure.into_error("ask version")),
        };
        if let Ok(version) = answer {
            self.versions.learn(&self.broker, version);
        }
        let waiting = self.versions.lock().asked.remove(&self.broker);
        for sender in waiting.unwrap_or_default() {
            // Who asked may have gone.
            let _ = sender.send(answer.clone());
        }
    }
}
