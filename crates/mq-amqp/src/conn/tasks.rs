//! The client's background tasks: one set, which ends with the client.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

/// Owns the tasks of connections, publishers and consumers. Dropping it aborts them.
#[derive(Debug)]
pub(crate) struct Tasks(Mutex<Option<JoinSet<()>>>);

impl Tasks {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(JoinSet::new())))
    }

    /// Starts a task; after [`Tasks::abort`] nothing starts any more.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(set) = set.as_mut() else { return };
        // Finished tasks leave the set here, so that it doesn't grow.
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }

    /// Ends all tasks.
    pub(crate) fn abort(&self) {
        let set = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(set);
    }
}
