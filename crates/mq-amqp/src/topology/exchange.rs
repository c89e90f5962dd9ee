//! Where messages are published to.

use bytestring::ByteString;

use super::{names, short};
use crate::error::Result;
use crate::proto::{ExchangeDeclare, Method, Table, Value};

/// An exchange to declare. Durable, unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it is declared by Client::declare_exchange"]
pub struct Exchange {
    pub(super) name: ByteString,
    kind: ByteString,
    durable: bool,
    pub(super) auto_delete: bool,
    internal: bool,
    arguments: Table,
}

impl Exchange {
    /// Leads a message to the queues that are bound by its routing key.
    pub fn direct(name: impl Into<ByteString>) -> Self {
        Self::of_kind(name, "direct")
    }

    /// Leads a message to all queues that are bound.
    pub fn fanout(name: impl Into<ByteString>) -> Self {
        Self::of_kind(name, "fanout")
    }

    /// Leads a message to the queues whose pattern its routing key has.
    pub fn topic(name: impl Into<ByteString>) -> Self {
        Self::of_kind(name, "topic")
    }

    /// Leads a message to the queues whose headers it has.
    pub fn headers(name: impl Into<ByteString>) -> Self {
        Self::of_kind(name, "headers")
    }

    /// Leads messages of the same routing key to the same one of the queues that are bound. Needs a plugin of the broker's,
    /// `rabbitmq_consistent_hash_exchange`.
    pub fn consistent_hash(name: impl Into<ByteString>) -> Self {
        Self::of_kind(name, "x-consistent-hash")
    }

    /// An exchange of a type that a plugin has.
    pub fn of_kind(name: impl Into<ByteString>, kind: impl Into<ByteString>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Table::new(),
        }
    }

    /// It is gone when the broker stops.
    pub const fn transient(mut self) -> Self {
        self.durable = false;
        self
    }

    /// It is deleted when its last binding is.
    pub const fn auto_delete(mut self) -> Self {
        self.auto_delete = true;
        self
    }

    /// Only other exchanges lead to it; nobody can publish to it.
    pub const fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Where messages go that it can't lead anywhere.
    pub fn alternate(self, exchange: impl Into<ByteString>) -> Self {
        self.argument("alternate-exchange", exchange.into())
    }

    /// An argument of the broker's own.
    pub fn argument(mut self, name: impl Into<ByteString>, value: impl Into<Value>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn check(&self) -> Result<()> {
        short("exchange", &self.name)?;
        short("type", &self.kind)?;
        names(&self.arguments)
    }

    pub(super) fn declare(&self) -> Method {
        ExchangeDeclare {
            reserved_1: 0,
            exchange: self.name.clone(),
            kind: self.kind.clone(),
            passive: false,
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            nowait: false,
            arguments: self.arguments.clone(),
        }
        .into()
    }
}
