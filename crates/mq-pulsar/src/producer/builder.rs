//! A producer's options.

use std::sync::Arc;
use std::time::Duration;

use super::gate::Gate;
use super::part::Batching;
use super::route::{Hashing, Router, Routing};
use super::{Life, Producer, Setup, attend};
use crate::client::Client;
use crate::error::{Result, invalid};
use crate::proto::{Compression, api};
use crate::topic::TopicName;

/// Options of a [`Producer`]. Made by [`Client::producer`].
#[must_use = "a producer is made by build"]
#[derive(Debug, Clone)]
pub struct ProducerBuilder {
    client: Client,
    topic: String,
    name: Option<String>,
    batching: Batching,
    compression: Compression,
    window: usize,
    window_bytes: usize,
    fails: bool,
    timeout: Duration,
    routing: Routing,
    hashing: Hashing,
    access: AccessMode,
    refresh: Duration,
    initial_subscription: Option<String>,
}

/// Who else may send to the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AccessMode {
    /// Everybody. The default.
    #[default]
    Shared,
    /// Nobody: if somebody does, [`build`](ProducerBuilder::build) fails at once.
    Exclusive,
    /// Nobody: those who do are fenced.
    ExclusiveWithFencing,
    /// Nobody: [`build`](ProducerBuilder::build) waits until nobody does.
    WaitForExclusive,
}

impl ProducerBuilder {
    pub(crate) fn new(client: Client, topic: String) -> Self {
        Self {
            client,
            topic,
            name: None,
            batching: Batching {
                messages: 1000,
                bytes: 128 * 1024,
                linger: Duration::from_millis(1),
            },
            compression: Compression::None,
            window: 1000,
            window_bytes: 64 * 1024 * 1024,
            fails: false,
            timeout: Duration::from_secs(30),
            routing: Routing::round_robin(),
            hashing: Hashing::default(),
            access: AccessMode::Shared,
            refresh: Duration::from_secs(60),
            initial_subscription: None,
        }
    }

    /// The producer's name, unique in the topic. With deduplication on, the broker knows by it what was sent before. Default: one of the broker's.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many messages a batch has at most. Default 1000; 1: no batches.
    pub const fn batch_messages(mut self, messages: usize) -> Self {
        self.batching.messages = messages;
        self
    }

    /// How many bytes a batch has at most, before it is compressed; a message that is larger goes alone. Default 128 KiB.
    pub const fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batching.bytes = bytes;
        self
    }

    /// How long a batch may wait for more messages. It waits only while others are under way: the first is sent at once. Default 1 ms.
    pub const fn linger(mut self, time: Duration) -> Self {
        self.batching.linger = time;
        self
    }

    /// How batches, and messages that go alone, are compressed. Default: not at all.
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// How many messages may be under way; others wait. Default 1000.
    pub const fn window(mut self, messages: usize) -> Self {
        self.window = messages;
        self
    }

    /// How many bytes of messages may be under way; a message that is larger goes alone. Default 64 MiB. See also
    /// [`ClientBuilder::memory_limit`](crate::ClientBuilder::memory_limit).
    pub const fn window_bytes(mut self, bytes: usize) -> Self {
        self.window_bytes = bytes;
        self
    }

    /// A message that has no room fails with kind `Busy`, instead of waiting.
    pub const fn fail_when_full(mut self) -> Self {
        self.fails = true;
        self
    }

    /// How long a send may take, from its first poll until the broker has stored it; default 30 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Which partition messages without a key go to. Default: round robin, by batches.
    pub fn routing(mut self, routing: Routing) -> Self {
        self.routing = routing;
        self
    }

    /// How a key becomes a partition. Default: as the other clients do by default.
    pub const fn hashing(mut self, hashing: Hashing) -> Self {
        self.hashing = hashing;
        self
    }

    /// Who else may send to the topic. Default: everybody.
    pub const fn access(mut self, access: AccessMode) -> Self {
        self.access = access;
        self
    }

    /// How often it is looked whether the topic has more partitions. Default 60 s.
    pub const fn partition_refresh(mut self, interval: Duration) -> Self {
        self.refresh = interval;
        self
    }

    /// A subscription that the topic is to have from the first message on, where it is made by this.
    pub(crate) fn initial_subscription(mut self, name: Option<String>) -> Self {
        self.initial_subscription = name;
        self
    }

    /// Opens the producer at the brokers of all partitions. A topic that is not there is made, if the broker makes topics.
    ///
    /// Cancel safe: what is half opened is closed again.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for a name that is none, or options that can't be; `Unsupported` for a compression that this build does not write; `Auth`
    /// without the permission; `NotFound` if there is no such topic; `Rejected` with [`PRODUCER_BUSY`](crate::ErrorCode::PRODUCER_BUSY) if the name
    /// is taken, or the topic is another one's; `Busy` if its backlog is full.
    pub async fn build(self) -> Result<Producer> {
        if self.window == 0 || self.batching.messages == 0 {
            return Err(invalid(
                BUILD,
                "a window or a batch of 0 messages lets nothing pass",
            ));
        }
        if !self.compression.is_written() {
            let message = format!("this build does not write {:?}", self.compression);
            let error = invalid(BUILD, message).into_builder();
            return Err(error.hint("switch the feature of mq-pulsar on").build());
        }
        let topic = TopicName::parse(&self.topic)?;
        let memory = Arc::clone(&self.client.shared.memory);
        let batching = self.batching.messages > 1;
        let setup = Setup {
            gate: Gate::new(self.window, self.window_bytes, self.fails, memory),
            router: Router::new(self.routing, self.hashing, batching),
            client: self.client,
            topic,
            name: self.name,
            batching: self.batching,
            compression: self.compression,
            access: match self.access {
                AccessMode::Shared => api::ProducerAccessMode::Shared,
                AccessMode::Exclusive => api::ProducerAccessMode::Exclusive,
                AccessMode::ExclusiveWithFencing => api::ProducerAccessMode::ExclusiveWithFencing,
                AccessMode::WaitForExclusive => api::ProducerAccessMode::WaitForExclusive,
            },
            refresh: self.refresh.max(Duration::from_millis(100)),
            initial_subscription: self.initial_subscription,
        };
        let started = Box::pin(attend::start(setup)).await;
        let (handle, done) = started.map_err(|error| {
            let error = error.into_builder().operation(BUILD);
            error.build()
        })?;
        let gate = Arc::clone(&handle.gate);
        Ok(Producer {
            handle,
            life: Arc::new(Life { gate, done }),
            timeout: self.timeout,
        })
    }
}

const BUILD: &str = "producer";
