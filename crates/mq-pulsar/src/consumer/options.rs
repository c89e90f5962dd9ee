//! A consumer's options.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;

use super::attend::beside;
use super::backoff::Backoff;
use super::core::{Core, Settings, Start};
use super::follow::{Subscribing, Wanted, follow};
use super::key_shared::KeyShared;
use super::letters::{self, Asked, Letters};
use super::{Consumer, Shared};
use crate::client::Client;
use crate::conn::now;
use crate::error::{Result, invalid};
use crate::proto::api::{self, command_subscribe};

/// How the consumers of a subscription share its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SubscriptionType {
    /// One consumer has all. The default.
    #[default]
    Exclusive,
    /// Each message goes to any of them.
    Shared,
    /// One has all of a partition; another one follows when it leaves.
    Failover,
    /// Messages of the same key go to the same one.
    KeyShared,
}

impl SubscriptionType {
    /// Whether single messages can be asked for again, and in any order.
    pub(super) const fn is_individual(self) -> bool {
        matches!(self, Self::Shared | Self::KeyShared)
    }

    const fn wire(self) -> command_subscribe::SubType {
        use command_subscribe::SubType;
        match self {
            Self::Exclusive => SubType::Exclusive,
            Self::Shared => SubType::Shared,
            Self::Failover => SubType::Failover,
            Self::KeyShared => SubType::KeyShared,
        }
    }
}

/// Options of a [`Consumer`]. Made by [`Client::consumer`].
#[must_use = "a consumer is made by build"]
#[derive(Debug, Clone)]
pub struct ConsumerBuilder {
    pub(super) client: Client,
    subscription: String,
    pub(super) topics: Vec<String>,
    pub(super) pattern: Option<String>,
    pub(super) refresh: Duration,
    kind: SubscriptionType,
    earliest: bool,
    messages: u32,
    bytes: usize,
    name: Option<String>,
    sets: bool,
    receipts: bool,
    ack_timeout: Option<Duration>,
    nack: Backoff,
    concurrency: usize,
    priority: Option<i32>,
    key_shared: KeyShared,
    pub(super) letters: Asked,
    /// Of a reader.
    start: Option<Start>,
}

impl ConsumerBuilder {
    pub(super) const fn new(client: Client, subscription: String) -> Self {
        Self {
            client,
            subscription,
            topics: Vec::new(),
            pattern: None,
            refresh: Duration::from_secs(60),
            kind: SubscriptionType::Exclusive,
            earliest: false,
            messages: 1000,
            bytes: 32 * 1024 * 1024,
            name: None,
            sets: true,
            receipts: false,
            ack_timeout: None,
            nack: Backoff::constant(Duration::from_secs(60)),
            concurrency: 16,
            priority: None,
            key_shared: KeyShared {
                ranges: Vec::new(),
                out_of_order: false,
            },
            letters: Asked::new(),
            start: None,
        }
    }

    /// One more topic, by `topic`, `tenant/namespace/topic` or its whole name. Of a partitioned one, all partitions, also those that
    /// are added.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// More topics.
    pub fn topics(mut self, topics: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Nobody else consumes from the subscription: a second consumer is refused. The default, as in Java.
    pub const fn exclusive(mut self) -> Self {
        self.kind = SubscriptionType::Exclusive;
        self
    }

    /// Each message goes to any one of the subscription's consumers.
    pub const fn shared(mut self) -> Self {
        self.kind = SubscriptionType::Shared;
        self
    }

    /// One consumer has all messages of a partition, in their order; another one follows when it is gone.
    pub const fn failover(mut self) -> Self {
        self.kind = SubscriptionType::Failover;
        self
    }

    /// Messages of the same key go to the same consumer, in their order. The broker shares entries out, not messages: a batch of several keys goes to one
    /// consumer whole, so that their producers send [without batches](crate::ProducerBuilder::batch_messages).
    pub const fn key_shared(mut self) -> Self {
        self.kind = SubscriptionType::KeyShared;
        self
    }

    /// As [`key_shared`](Self::key_shared), and this consumer has the keys whose hashes are in these ranges, of 0 to 65535, and no others. Nobody has
    /// keys that are in nobody's ranges; overlapping with another consumer's is refused.
    pub fn sticky(mut self, ranges: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        self.key_shared.ranges = ranges.into_iter().collect();
        self.key_shared()
    }

    /// As [`key_shared`](Self::key_shared), but when consumers come and go the messages of a key that are not acknowledged yet hold up none of those
    /// behind them: these may go to another consumer meanwhile.
    pub const fn out_of_order(mut self) -> Self {
        self.key_shared.out_of_order = true;
        self.key_shared()
    }

    /// A subscription that is new begins with the oldest message that is there. One that exists goes on where it was.
    pub const fn from_earliest(mut self) -> Self {
        self.earliest = true;
        self
    }

    /// A subscription that is new begins with what is sent from now on: what was sent before is not seen. The default, as in Java.
    pub const fn from_latest(mut self) -> Self {
        self.earliest = false;
        self
    }

    /// How many messages may be under way or wait here to be handed out, over all partitions and at least one each. Default 1000; at least 1.
    /// Batches come whole, so that it may be more by a batch.
    pub const fn receiver_queue(mut self, messages: u32) -> Self {
        self.messages = messages;
        self
    }

    /// While so many bytes wait here to be handed out, no more are asked for. Default 32 MiB; at least 1. What was asked for before comes still: at
    /// most the receiver queue.
    pub const fn receiver_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// What the broker's tools call the consumer, and what a failover subscription is sorted by. Default: five letters and digits by chance.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether the broker is told of a batch which of its messages are acknowledged, before all are: only the others come again after a restart.
    /// Default: it is. A broker that does not keep that (`acknowledgmentAtBatchIndexLevelEnabled`) takes no notice, and delivers the whole batch again.
    /// Without, as in Java's default, the broker is told when all messages of a batch are acknowledged.
    pub const fn batch_index_acks(mut self, on: bool) -> Self {
        self.sets = on;
        self
    }

    /// How long after [`nack`](super::Delivery::nack), [`Settle::Retry`](super::Settle::Retry) or being dropped a message comes again. Default 60 s, as in
    /// Java. On an exclusive or failover subscription all messages that are not handled come again with it, as the broker can do no less; those that are
    /// still handed out are held back here.
    pub const fn nack_delay(mut self, delay: Duration) -> Self {
        self.nack = Backoff::constant(delay);
        self
    }

    /// In place of [`nack_delay`](Self::nack_delay): `least` after the first delivery, `multiplier` times that after each further one, up to `most`. In
    /// Java 10 s, 10 min and 2. The broker counts deliveries for shared and key-shared subscriptions; for others each is the first.
    pub const fn nack_backoff(mut self, least: Duration, most: Duration, multiplier: f64) -> Self {
        self.nack = Backoff {
            least,
            most,
            multiplier,
        };
        self
    }

    /// A message that is not settled so long after it was handed out comes again, and whoever has it can't settle it any more. At least 1 s; in vain
    /// for a handler that takes longer each time. Default: never, as in Java.
    pub const fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = Some(timeout);
        self
    }

    /// Whether an acknowledgement waits for the broker's word that it has it. They are sent at once then, not after 100 ms, and those of others that
    /// are sent meanwhile go together: await many at a time. Where the broker is not told of a batch before all of it is acknowledged
    /// ([`batch_index_acks`](Self::batch_index_acks)), the last of a batch alone waits. Default: it does not wait, as in Java.
    pub const fn ack_receipts(mut self, on: bool) -> Self {
        self.receipts = on;
        self
    }

    /// How many handlers of [`Consumer::run`] may run at a time. Default 16; 1 keeps the order, as long as nothing is retried.
    pub const fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// Consumers with a lower number get messages first, and others when those have no room. Default 0.
    pub const fn priority(mut self, level: i32) -> Self {
        self.priority = Some(level);
        self
    }

    /// Without a subscription that stays, from here on.
    pub(super) const fn read_from(mut self, start: Start) -> Self {
        self.start = Some(start);
        self
    }

    /// Subscribes, to all partitions.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for no topic, an empty subscription, a size of 0 or a time that can't be. `Rejected` with [`CONSUMER_BUSY`](crate::ErrorCode::CONSUMER_BUSY) if another
    /// consumer has the subscription, told at once; `NotFound` if the broker makes no topics; `Auth` if it may not be consumed. What may pass is tried
    /// again within the client's operation time-out.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, nothing is consumed; a subscription that was made stays.
    pub async fn build(self) -> Result<Consumer> {
        self.check()?;
        let deadline = now() + self.client.shared.options.operation_timeout;
        let letters = self
            .letters
            .policy(self.kind, &self.subscription, &self.topics)?;
        let (wanted, names) = Wanted::look(&self, letters.as_ref(), deadline).await?;
        let topics = names.iter().map(|name| ByteString::from(name.as_str()));
        let mut core = Core::new(
            topics.collect(),
            Settings {
                subscription: self.subscription.clone(),
                kind: self.kind,
                sets: self.sets,
                receipts: self.receipts,
                ack_timeout: self.ack_timeout,
                messages: self.messages,
                most_bytes: self.bytes,
                within: self.client.shared.options.operation_timeout,
                start: self.start,
            },
        );
        core.letters = letters.map(|policy| Letters::new(policy, self.bytes));
        let core = Arc::new(core);
        let shared = &self.client.shared;
        let subscribing = Subscribing {
            core: Arc::clone(&core),
            shared: Arc::downgrade(shared),
            template: self.template(),
            within: shared.options.operation_timeout,
            by_pattern: self.pattern.is_some(),
        };
        for (attend, open) in subscribing.first(names, deadline).await? {
            attend.start(shared, open);
        }
        if core.letters.is_some() {
            beside(
                shared,
                letters::post(Arc::clone(&core), self.client.clone()),
            );
        }
        follow(subscribing, wanted, self.refresh, &self.client);
        Ok(Consumer {
            shared: Arc::new(Shared {
                core,
                client: self.client,
                nack: self.nack,
            }),
            concurrency: self.concurrency,
            next: std::sync::Mutex::default(),
        })
    }

    fn check(&self) -> Result<()> {
        let wrong = if self.topics.is_empty() && self.pattern.is_none() {
            "no topic is given"
        } else if !self.topics.is_empty() && self.pattern.is_some() {
            "topics are given by name or by a pattern"
        } else if self.subscription.is_empty() {
            "a subscription has a name"
        } else if self.messages == 0 || self.bytes == 0 || self.concurrency == 0 {
            "a receiver queue or concurrency of 0 lets nothing come"
        } else if self.ack_timeout.is_some_and(|timeout| timeout < SHORTEST) {
            "an acknowledgement time-out is at least a second"
        } else if !self.nack.is_valid() {
            "pauses after negative acknowledgements grow, from the least to the most"
        } else {
            return self.key_shared.check();
        };
        Err(invalid("consumer", wrong))
    }

    fn template(&self) -> api::CommandSubscribe {
        use command_subscribe::InitialPosition;
        let position = if self.earliest {
            InitialPosition::Earliest
        } else {
            InitialPosition::Latest
        };
        // apache/pulsar: ConsumerBase, RandomStringUtils of five
        let by_chance = || (0..5).map(|_| fastrand::alphanumeric()).collect();
        api::CommandSubscribe {
            subscription: self.subscription.clone(),
            sub_type: self.kind.wire().into(),
            consumer_name: Some(self.name.clone().unwrap_or_else(by_chance)),
            priority_level: self.priority,
            durable: Some(self.start.is_none()),
            initial_position: Some(position.into()),
            key_shared_meta: (self.kind == SubscriptionType::KeyShared)
                .then(|| self.key_shared.wire()),
            ..api::CommandSubscribe::default()
        }
    }
}

// apache/pulsar: ConsumerBuilderImpl.MIN_ACK_TIMEOUT_MILLIS
const SHORTEST: Duration = Duration::from_secs(1);
