//! Which messages of an exchange go where.

use bytestring::ByteString;

use super::{names, short};
use crate::error::Result;
use crate::proto::{ExchangeBind, ExchangeUnbind, Method, QueueBind, QueueUnbind, Table, Value};

/// A binding of a queue, or of an exchange, to an exchange.
///
/// ```
/// use mq_amqp::Binding;
///
/// let binding = Binding::queue("invoices").to("orders").key("order.*.paid");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it is bound by Client::bind"]
pub struct Binding {
    pub(super) destination: ByteString,
    pub(super) is_queue: bool,
    pub(super) source: ByteString,
    key: ByteString,
    arguments: Table,
}

impl Binding {
    /// A queue is to get messages.
    pub fn queue(name: impl Into<ByteString>) -> Self {
        Self::new(name.into(), true)
    }

    /// An exchange is to get messages.
    pub fn exchange(name: impl Into<ByteString>) -> Self {
        Self::new(name.into(), false)
    }

    const fn new(destination: ByteString, is_queue: bool) -> Self {
        Self {
            destination,
            is_queue,
            source: ByteString::new(),
            key: ByteString::new(),
            arguments: Table::new(),
        }
    }

    /// The exchange that they come from.
    pub fn to(mut self, exchange: impl Into<ByteString>) -> Self {
        self.source = exchange.into();
        self
    }

    /// Which routing keys: the same one for a direct exchange, a pattern with `*` (a word) and `#` (words) for a topic one; a fanout exchange
    /// looks at none; for a consistent hash it is the destination's share, a number.
    pub fn key(mut self, key: impl Into<ByteString>) -> Self {
        self.key = key.into();
        self
    }

    /// A header's value that a headers exchange looks for.
    pub fn header(mut self, name: impl Into<ByteString>, value: impl Into<Value>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// A headers exchange takes what has all the headers; its default.
    pub fn match_all(self) -> Self {
        self.header("x-match", "all")
    }

    /// A headers exchange takes what has any of the headers.
    pub fn match_any(self) -> Self {
        self.header("x-match", "any")
    }

    pub(super) fn check(&self) -> Result<()> {
        short("destination", &self.destination)?;
        short("exchange", &self.source)?;
        short("routing key", &self.key)?;
        names(&self.arguments)
    }

    pub(super) fn bind(&self) -> Method {
        let (destination, routing_key) = (self.destination.clone(), self.key.clone());
        let (source, arguments) = (self.source.clone(), self.arguments.clone());
        if self.is_queue {
            return QueueBind {
                reserved_1: 0,
                queue: destination,
                exchange: source,
                routing_key,
                nowait: false,
                arguments,
            }
            .into();
        }
        ExchangeBind {
            reserved_1: 0,
            destination,
            source,
            routing_key,
            nowait: false,
            arguments,
        }
        .into()
    }

    pub(super) fn unbind(&self) -> Method {
        let (destination, routing_key) = (self.destination.clone(), self.key.clone());
        let (source, arguments) = (self.source.clone(), self.arguments.clone());
        if self.is_queue {
            return QueueUnbind {
                reserved_1: 0,
                queue: destination,
                exchange: source,
                routing_key,
                arguments,
            }
            .into();
        }
        ExchangeUnbind {
            reserved_1: 0,
            destination,
            source,
            routing_key,
            nowait: false,
            arguments,
        }
        .into()
    }
}
