//! Exchanges, queues, bindings: declared by typed builders, and declared again after a connection was lost.
//!
//! ```text
//!  declare_queue ─► a channel of its own ─► broker     a refusal closes that channel and no other
//!        └─ done ─► Registry ─► replay, in order, on each new connection
//! ```

mod binding;
mod exchange;
mod lay;
mod queue;
mod registry;
mod replay;

use std::sync::Arc;

use bytestring::ByteString;
use mq_core::{ErrorKind, Retry};

pub use self::binding::Binding;
pub use self::exchange::Exchange;
pub(crate) use self::lay::Piece;
pub use self::queue::{DeadLetterStrategy, Overflow, Queue};
pub(crate) use self::registry::Registry;
pub(crate) use self::replay::{Replayed, replay};
use crate::client::Client;
use crate::conn::{Channel, Connection, Idle};
use crate::error::{Error, ReplyCode, Result, invalid};
use crate::proto::{
    ExchangeDelete, Incoming, Method, QueueDeclareOk, QueueDelete, QueuePurge, Table,
};

/// A queue as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// Its name; the broker's choice if none was given.
    pub name: String,
    /// How many messages are ready to be delivered.
    pub messages: u32,
    /// How many consumers it has.
    pub consumers: u32,
}

impl QueueInfo {
    fn new(told: &QueueDeclareOk) -> Self {
        Self {
            name: told.queue.to_string(),
            messages: told.message_count,
            consumers: told.consumer_count,
        }
    }
}

impl Client {
    /// The name that a queue has now which the broker named, and named anew after a connection was lost.
    fn present(&self, name: &str) -> ByteString {
        self.registry().present(&name.into())
    }

    fn presently(&self, mut binding: Binding) -> Result<Binding> {
        binding.check()?;
        if binding.is_queue {
            binding.destination = self.registry().present(&binding.destination);
        }
        Ok(binding)
    }

    /// Makes an exchange where it is missing, and again on each new connection: after one was lost, and with the first publisher.
    ///
    /// # Errors
    ///
    /// Kind `Rejected` if it is there with another type or other arguments: the message names the argument and both values. `Unsupported` if
    /// the broker has no such type.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have been made; it is not declared again then.
    pub async fn declare_exchange(&self, exchange: Exchange) -> Result<()> {
        exchange.check()?;
        let channel = self.topology_channel().await?;
        call(&channel, exchange.declare(), "declare exchange").await?;
        self.registry().exchange(exchange);
        Ok(())
    }

    /// Makes a queue where it is missing, and again on each new connection: after one was lost, and with the first publisher.
    ///
    /// # Errors
    ///
    /// Kind `Rejected` if it is there with other arguments: the message names the argument and both values; see [`Queue::or_adopt`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have been made; it is not declared again then.
    pub async fn declare_queue(&self, queue: Queue) -> Result<QueueInfo> {
        queue.check()?;
        let channel = self.topology_channel().await?;
        let told = match call(&channel, queue.declare(), "declare queue").await {
            Err(error)
                if queue.adopts() && error.code() == Some(&ReplyCode::PRECONDITION_FAILED) =>
            {
                return self.queue(queue.name()).await;
            }
            told => told?,
        };
        let Incoming::Method(Method::QueueDeclareOk(told)) = told else {
            return Err(other_answer("declare queue"));
        };
        self.registry().queue(queue, told.queue.clone());
        Ok(QueueInfo::new(&told))
    }

    /// What the broker says of a queue that is there.
    ///
    /// # Errors
    ///
    /// Kind `NotFound` if it is not.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is changed.
    pub async fn queue(&self, name: &str) -> Result<QueueInfo> {
        short("queue", name)?;
        let channel = self.topology_channel().await?;
        let look = queue::look(&self.present(name));
        match call(&channel, look, "look at queue").await? {
            Incoming::Method(Method::QueueDeclareOk(told)) => Ok(QueueInfo::new(&told)),
            _ => Err(other_answer("look at queue")),
        }
    }

    /// Binds a queue or an exchange to an exchange, and again on each new connection: after one was lost, and with the first publisher.
    ///
    /// # Errors
    ///
    /// Kind `NotFound` if one of them is missing.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have been bound; it is not bound again then.
    pub async fn bind(&self, binding: Binding) -> Result<()> {
        let binding = self.presently(binding)?;
        let channel = self.topology_channel().await?;
        call(&channel, binding.bind(), "bind").await?;
        self.registry().binding(binding);
        Ok(())
    }

    /// Takes a binding away; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// What the broker answers.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have been taken away; the next connection binds it again then.
    pub async fn unbind(&self, binding: Binding) -> Result<()> {
        let binding = self.presently(binding)?;
        let channel = self.topology_channel().await?;
        call(&channel, binding.unbind(), "unbind").await?;
        self.registry().forget_binding(&binding);
        Ok(())
    }

    /// Deletes a queue with what is in it; one that is not there is no error. Gives how many messages were in it.
    ///
    /// # Errors
    ///
    /// What the broker answers.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have been deleted; the next connection declares it again then, if it was declared here.
    pub async fn delete_queue(&self, name: &str) -> Result<u32> {
        short("queue", name)?;
        let channel = self.topology_channel().await?;
        let delete = QueueDelete {
            reserved_1: 0,
            queue: self.present(name),
            if_unused: false,
            if_empty: false,
            nowait: false,
        };
        let gone = delete.queue.clone();
        let told = call(&channel, delete, "delete queue").await?;
        self.registry().forget_queue(&gone);
        match told {
            Incoming::Method(Method::QueueDeleteOk(told)) => Ok(told.message_count),
            _ => Err(other_answer("delete queue")),
        }
    }

    /// Deletes an exchange; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// What the broker answers.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have been deleted; the next connection declares it again then, if it was declared here.
    pub async fn delete_exchange(&self, name: &str) -> Result<()> {
        short("exchange", name)?;
        let channel = self.topology_channel().await?;
        let delete = ExchangeDelete {
            reserved_1: 0,
            exchange: name.into(),
            if_unused: false,
            nowait: false,
        };
        call(&channel, delete, "delete exchange").await?;
        self.registry().forget_exchange(name);
        Ok(())
    }

    /// Empties a queue, but for what consumers hold. Gives how many messages were thrown away.
    ///
    /// # Errors
    ///
    /// Kind `NotFound` if there is no such queue.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have been emptied.
    pub async fn purge_queue(&self, name: &str) -> Result<u32> {
        short("queue", name)?;
        let channel = self.topology_channel().await?;
        let purge = QueuePurge {
            reserved_1: 0,
            queue: self.present(name),
            nowait: false,
        };
        match call(&channel, purge, "purge queue").await? {
            Incoming::Method(Method::QueuePurgeOk(told)) => Ok(told.message_count),
            _ => Err(other_answer("purge queue")),
        }
    }

    /// Makes a queue where it is missing; what only lives for a while is not declared again.
    pub(crate) async fn ensure_queue(&self, queue: &Queue) -> Result<()> {
        let channel = self.topology_channel().await?;
        call(&channel, queue.declare(), "declare queue").await?;
        Ok(())
    }

    /// A channel that may be closed by a refusal.
    async fn topology_channel(&self) -> Result<Channel> {
        let connection = self.consuming().soon().await?;
        open(&connection).await
    }
}

async fn open(connection: &Connection) -> Result<Channel> {
    Channel::open(connection, Arc::new(Idle)).await
}

async fn call(
    channel: &Channel,
    method: impl Into<Method>,
    what: &'static str,
) -> Result<Incoming> {
    channel
        .call(method)
        .await
        .map_err(|error| explain(error, what))
}

fn explain(error: Error, what: &'static str) -> Error {
    let differs = error.code() == Some(&ReplyCode::PRECONDITION_FAILED)
        && error.message().contains("inequivalent");
    let error = error.into_builder().operation(what);
    if differs {
        let hint =
            "it is there already and differs: declare it as it is, delete it first, or adopt it";
        return error.retry(Retry::Never).hint(hint).build();
    }
    error.build()
}

fn other_answer(what: &'static str) -> Error {
    Error::builder(ErrorKind::Protocol, "the broker answered something else")
        .operation(what)
        .build()
}

/// Names of arguments are no longer than other ones.
pub(crate) fn names(arguments: &Table) -> Result<()> {
    short("argument", arguments.too_long_name().unwrap_or_default())
}

fn short(what: &str, name: &str) -> Result<()> {
    if name.len() > 255 {
        return Err(invalid(
            "declare",
            format!(
                "the name of the {what} has {} bytes, where 255 may be",
                name.len()
            ),
        ));
    }
    Ok(())
}
