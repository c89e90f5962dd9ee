//! A publish of a transaction, as a call.

use std::fmt;
use std::future::{IntoFuture, Ready, ready};

use bytestring::ByteString;

use super::core::Core;
use super::open::Settings;
use crate::error::invalid;
use crate::publisher::{SendError, encode};
use crate::{Message, trace};

/// A message for a transaction: await it to put it in. Made by [`Tx::publish`](super::Tx::publish).
#[must_use = "nothing is published until it is awaited"]
pub struct Publish<'t> {
    settings: &'t Settings,
    core: &'t Core,
    exchange: ByteString,
    message: Message,
    mandatory: bool,
}

impl<'t> Publish<'t> {
    pub(super) const fn new(
        settings: &'t Settings,
        core: &'t Core,
        exchange: ByteString,
        message: Message,
    ) -> Self {
        Self {
            settings,
            core,
            exchange,
            message,
            mandatory: true,
        }
    }

    /// Whether the commit fails if no queue takes this message; default yes. If not, the broker drops it in silence.
    pub const fn mandatory(mut self, mandatory: bool) -> Self {
        self.mandatory = mandatory;
        self
    }

    fn put_in(mut self) -> Result<(), SendError> {
        self.settings.ids.mark(&mut self.message);
        if let Some(propagator) = self.settings.client.propagator() {
            trace::inject(propagator, &mut self.message);
        }
        if self.exchange.len() > 255 {
            let error = invalid("send", "an exchange's name has at most 255 bytes");
            return Err(SendError::new(error, self.message));
        }
        match encode::head(&self.message, &self.exchange, self.mandatory) {
            Ok(head) => self.core.publish(self.exchange, self.message, head),
            Err(error) => Err(SendError::new(error, self.message)),
        }
    }
}

impl IntoFuture for Publish<'_> {
    type Output = Result<(), SendError>;
    /// There is nothing to wait for.
    type IntoFuture = Ready<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let span = trace::sending(&self.exchange, &self.message);
        ready(span.in_scope(|| self.put_in()))
    }
}

impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("exchange", &self.exchange)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
