//! A send whose keys were refused, and others may come.

use super::Operation;
use crate::auth::Hope;

impl Operation {
    /// The broker has refused the keys: whether it is worth waiting for others.
    pub(super) fn hopes_for_keys(&mut self) -> bool {
        let client = &self.producer.client;
        let keys = &client.connections.identity().keys;
        self.hope = keys.refused(self.generation, client.clock.now());
        self.hope != Hope::None
    }

    /// What has become of the keys that were refused; [`Hope::None`] if none were.
    pub(in crate::producer) fn keys(&self) -> Hope {
        let keys = &self.producer.client.connections.identity().keys;
        match self.hope {
            Hope::Asking(round) => keys.look(self.generation, round),
            hope => hope,
        }
    }
}
