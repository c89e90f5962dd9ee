//! What is made when it is first needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

/// One a name. Clones share them.
#[derive(Debug)]
pub(in crate::adapter) struct Made<T>(Arc<Mutex<ByName<T>>>);

type ByName<T> = BTreeMap<String, Arc<OnceCell<T>>>;

impl<T: Clone + Send + Sync> Made<T> {
    /// The one of this name. All who wait for it go on together, and so in their order.
    pub(in crate::adapter) async fn get<E, F: Future<Output = Result<T, E>> + Send>(
        &self,
        name: &str,
        make: impl FnOnce() -> F + Send,
    ) -> Result<T, E> {
        let cell = Arc::clone(self.known().entry(name.to_owned()).or_default());
        Ok(cell.get_or_try_init(make).await?.clone())
    }

    pub(in crate::adapter) fn all(&self) -> Vec<T> {
        let known = self.known();
        let made = known.values().filter_map(|cell| cell.get());
        made.cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, ByName<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Made<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Made<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}
