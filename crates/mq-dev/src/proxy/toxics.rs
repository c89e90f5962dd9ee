//! The toxics of a running proxy.

use std::{fmt, sync::Arc};

use super::{
    shared::Shared,
    toxic::{Toxic, ToxicId},
};

/// Adds and removes [toxics](Toxic) while the proxy runs; from [`Proxy::toxics`](super::Proxy::toxics). Clones are cheap
/// and mean the same proxy; they may be used on any thread, and do not keep the proxy alive.
///
/// A change counts when the method returns: for connections that exist, for what waits in them, and for those to come.
/// What was given to a kernel before that still arrives.
#[derive(Clone)]
pub struct Toxics {
    shared: Arc<Shared>,
}

impl Toxics {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// From now on this goes wrong as well.
    pub fn add(&self, toxic: Toxic) -> ToxicId {
        let id = self.shared.next_toxic();
        self.shared.change_toxics(|active| active.push((id, toxic)));
        id
    }

    /// From now on this no longer goes wrong; false if it was removed before.
    pub fn remove(&self, id: ToxicId) -> bool {
        let mut found = false;
        self.shared.change_toxics(|active| {
            active.retain(|(it, _)| {
                found |= *it == id;
                *it != id
            });
        });
        found
    }

    /// Removes them all.
    pub fn clear(&self) {
        self.shared.change_toxics(Vec::clear);
    }
}

impl fmt::Debug for Toxics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(&*self.shared.toxics().borrow())
            .finish()
    }
}
