//! Declares on a new connection what was declared before, in order.

use mq_core::ErrorKind;

use super::registry::{Item, Registry};
use super::{call, open};
use crate::conn::{Channel, Connection};
use crate::error::{Error, Result};
use crate::proto::{Incoming, Method};

/// What happened besides.
#[derive(Debug)]
pub(crate) enum Replayed {
    /// A queue of the broker's naming has another name.
    Renamed { old: String, new: String },
    /// Something could not be declared again; the rest was.
    Refused { what: String, error: Error },
}

/// Declares what the registry has. What the broker refuses is told and passed over: one thing that can't be does not keep a connection away.
///
/// `own` says whether exclusive queues are this connection's: no other one may declare or bind them.
///
/// # Errors
///
/// What ends the connection.
pub(crate) async fn replay(
    registry: &Registry,
    connection: &Connection,
    own: bool,
    tell: impl Fn(Replayed) + Send + Sync,
) -> Result<()> {
    let mut channel: Option<Channel> = None;
    let mut at = 0;
    // Read anew each time: a new name of a queue changes its bindings.
    while let Some((number, item)) = registry.after(at) {
        at = number;
        if !own && registry.is_of_one_connection(&item) {
            continue;
        }
        let used = match channel.take() {
            Some(channel) => channel,
            None => open(connection).await?,
        };
        match again(registry, &used, &item, &tell).await {
            Ok(()) => channel = Some(used),
            // Whatever the broker has said of this one before.
            Err(_) if connection.is_gone() => return Err(connection.lost().await),
            Err(error) if error.kind() == ErrorKind::Timeout => return Err(error),
            // The broker has closed the channel with it.
            Err(error) => tell(Replayed::Refused {
                what: describe(&item),
                error,
            }),
        }
    }
    Ok(())
}

async fn again(
    registry: &Registry,
    channel: &Channel,
    item: &Item,
    tell: &(impl Fn(Replayed) + Send + Sync),
) -> Result<()> {
    match item {
        Item::Exchange(exchange) => {
            call(channel, exchange.declare(), "declare exchange").await?;
        }
        Item::Binding(binding) => {
            call(channel, binding.bind(), "bind").await?;
        }
        Item::Queue(queue, old) => {
            let told = call(channel, queue.declare(), "declare queue").await?;
            if let Incoming::Method(Method::QueueDeclareOk(told)) = told
                && told.queue != *old
            {
                registry.rename(old, &told.queue);
                tell(Replayed::Renamed {
                    old: old.to_string(),
                    new: told.queue.to_string(),
                });
            }
        }
    }
    Ok(())
}

fn describe(item: &Item) -> String {
    match item {
        Item::Exchange(exchange) => format!("exchange \"{}\"", exchange.name),
        Item::Queue(_, name) => format!("queue \"{name}\""),
        Item::Binding(binding) => format!(
            "binding of \"{}\" to \"{}\"",
            binding.destination, binding.source
        ),
    }
}
