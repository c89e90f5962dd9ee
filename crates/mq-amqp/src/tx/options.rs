//! A transactional channel's options.

use std::fmt;
use std::time::Duration;

use bytestring::ByteString;

use super::TxChannel;
use super::core::Limits;
use super::open::{Settings, open};
use crate::client::Client;
use crate::error::{Result, invalid};
use crate::publisher::Ids;

/// Options of a [`TxChannel`]. Made by [`Client::tx_channel`].
#[must_use = "a channel is opened by build"]
pub struct TxChannelBuilder {
    client: Client,
    queue: Option<ByteString>,
    prefetch: u16,
    messages: usize,
    bytes: usize,
    timeout: Duration,
}

impl TxChannelBuilder {
    pub(crate) const fn new(client: Client) -> Self {
        Self {
            client,
            queue: None,
            prefetch: 10,
            messages: 10_000,
            bytes: 64 * 1024 * 1024,
            timeout: Duration::from_secs(30),
        }
    }

    /// Receives from a queue, which [`Tx::recv`](super::Tx::recv) does then. Default: it publishes only.
    pub fn consume(mut self, queue: impl Into<ByteString>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// How many messages one transaction may receive, and how many the broker sends ahead. Default 10; at least 1. After a rollback they come again, so more of
    /// them are marked as redelivered than were received.
    pub const fn prefetch(mut self, messages: u16) -> Self {
        self.prefetch = messages;
        self
    }

    /// How many messages one transaction may publish; the broker holds them in memory until it is committed. Default 10 000.
    pub const fn limit(mut self, messages: usize) -> Self {
        self.messages = messages;
        self
    }

    /// How many bytes one transaction may publish, bodies and headers; held here and by the broker until it is committed. Default 64 MiB.
    pub const fn limit_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// How long a commit may take; default 30 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens the channel, and the publishing connection, if it is the first to need it.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for a prefetch or a limit of 0 or a name of more than 255 bytes; `Unsupported` if the server has no transactions; `NotFound` if there
    /// is no such queue, `Auth` if it may not be read, `Rejected` if somebody has it for himself; what connecting answers.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a channel that is half opened is closed.
    pub async fn build(self) -> Result<TxChannel> {
        if self.prefetch == 0 || self.messages == 0 || self.bytes == 0 {
            return Err(invalid(
                "tx",
                "a prefetch or a limit of 0 lets nothing pass",
            ));
        }
        if self.queue.as_ref().is_some_and(|queue| queue.len() > 255) {
            return Err(invalid("tx", "the queue's name has at most 255 bytes"));
        }
        let limits = Limits {
            messages: self.messages,
            bytes: self.bytes,
            prefetch: if self.queue.is_some() {
                self.prefetch
            } else {
                0
            },
        };
        let settings = Settings {
            client: self.client,
            queue: self.queue,
            limits,
            timeout: self.timeout,
            ids: Ids::new(),
        };
        let open = open(&settings).await?;
        settings.begun();
        Ok(TxChannel {
            settings,
            open: Some(open),
        })
    }
}

impl fmt::Debug for TxChannelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxChannelBuilder")
            .field("queue", &self.queue)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}
