//! The client's background tasks: one set, which ends with the client.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Owns the tasks of connections, publishers and consumers. Dropping it aborts them.
#[derive(Debug)]
pub struct Tasks {
    set: Mutex<Option<JoinSet<()>>>,
    /// A delivery may be settled by a thread that is none of the runtime's.
    runtime: Handle,
}

impl Tasks {
    /// Of the runtime that this is called in.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn of_this_runtime() -> Self {
        Self {
            set: Mutex::new(Some(JoinSet::new())),
            runtime: Handle::current(),
        }
    }

    /// Starts a task; after [`Tasks::abort`] nothing starts any more.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(set) = set.as_mut() else { return };
        // Finished tasks leave the set here, so that it doesn't grow.
        while set.try_join_next().is_some() {}
        set.spawn_on(task, &self.runtime);
    }

    /// Ends all tasks.
    pub fn abort(&self) {
        let set = self
            .set
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(set);
    }
}
