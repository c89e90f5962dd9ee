//! Opens a channel in transactional mode.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use mq_core::{ErrorKind, Outcome};

use super::core::{Core, Limits};
use crate::client::Client;
use crate::conn::{Channel, Lane};
use crate::error::{Error, ReplyCode, Result};
use crate::proto::{BasicConsume, BasicQos, Table, TxSelect};
use crate::publisher::Ids;

/// What all channels of a [`TxChannel`](super::TxChannel) have in common.
pub(super) struct Settings {
    pub(super) client: Client,
    pub(super) queue: Option<ByteString>,
    pub(super) limits: Limits,
    pub(super) timeout: Duration,
    pub(super) ids: Ids,
}

impl Settings {
    /// Remembered for queues that go with their last consumer.
    pub(super) fn begun(&self) {
        if let Some(queue) = &self.queue {
            self.client.registry().consumer_begun(queue);
        }
    }

    pub(super) fn ended(&self) {
        if let Some(queue) = &self.queue {
            self.client.registry().consumer_ended(queue);
        }
    }
}

/// A channel that is there, or was. Dropped, it is closed.
pub(super) struct Open {
    pub(super) core: Arc<Core>,
    /// How long the server may take for an answer.
    pub(super) patience: Duration,
    _channel: Channel,
}

pub(super) async fn open(settings: &Settings) -> Result<Open> {
    let connection = settings.client.publishing().await?.soon().await?;
    let core = Arc::new(Core::new(settings.limits));
    let lane: Arc<dyn Lane> = Arc::<Core>::clone(&core);
    let channel = Channel::open(&connection, lane).await?;
    core.opened(&connection, channel.key());
    channel.call(TxSelect {}).await.map_err(without)?;
    if let Some(queue) = &settings.queue {
        let qos = BasicQos {
            prefetch_size: 0,
            prefetch_count: settings.limits.prefetch,
            global: false,
        };
        channel.call(qos).await?;
        let consume = consume(settings.client.registry().present(queue));
        let begun = channel.call(consume).await;
        begun.map_err(|error| error.into_builder().operation("consume").build())?;
    }
    Ok(Open {
        core,
        patience: connection.options().call_timeout,
        _channel: channel,
    })
}

fn consume(queue: ByteString) -> BasicConsume {
    BasicConsume {
        reserved_1: 0,
        queue,
        consumer_tag: ByteString::new(),
        no_local: false,
        no_ack: false,
        exclusive: false,
        nowait: false,
        arguments: Table::new(),
    }
}

/// Servers that have no transactions say so by one of two codes.
fn without(error: Error) -> Error {
    match error.code() {
        Some(&code @ (ReplyCode::NOT_IMPLEMENTED | ReplyCode::COMMAND_INVALID)) => {
            Error::builder(ErrorKind::Unsupported, "the server has no transactions")
                .operation("begin")
                .code(code)
                .outcome(Outcome::Rejected)
                .source(error)
                .build()
        }
        _ => error,
    }
}
