//! Receiving from Pulsar.

use std::future::Future;
use std::time::Duration;

use mq_core::{Clock as _, SystemClock};
use mq_pulsar::{Consumer, Received};

use super::super::{
    Acker, Consume, Delivery, From, Incoming, Result, Settle, Sharing, Subscription,
};
use super::{Pulsar, queue, unsupported};

/// A consumer of a subscription, and what its topic was called.
#[derive(Debug)]
pub struct OfSubscription {
    consumer: Consumer,
    destination: String,
}

impl Pulsar {
    pub(in crate::adapter) async fn consume(&self, consume: &Consume) -> Result<Subscription> {
        if consume.filter != "*" {
            let told = "Pulsar filters by its brokers' plugins alone";
            return Err(unsupported(told));
        }
        if consume.ordered {
            let told = "receiving in order over Pulsar is not there yet";
            return Err(unsupported(told));
        }
        if consume.max_redeliveries.is_some() {
            return Err(unsupported("dead letters over Pulsar are not there yet"));
        }
        let mut builder = self
            .client
            .consumer(&consume.group)
            .topic(self.whole(&consume.topic))
            .nack_delay(AGAIN);
        builder = match consume.sharing {
            Sharing::Shared => builder.shared(),
            Sharing::Exclusive => builder.exclusive(),
            Sharing::Failover => builder.failover(),
            Sharing::KeyShared => builder.key_shared(),
        };
        if consume.from == From::Earliest {
            builder = builder.from_earliest();
        }
        if let Some(count) = consume.prefetch {
            builder = builder.receiver_queue(u32::try_from(count).unwrap_or(u32::MAX));
        }
        Ok(Subscription::Pulsar(Box::new(OfSubscription {
            consumer: builder.build().await?,
            destination: consume.topic.clone(),
        })))
    }
}

impl OfSubscription {
    pub(in crate::adapter) async fn recv(&self) -> Result<Option<Delivery>> {
        let Some(delivery) = self.consumer.recv().await? else {
            return Ok(None);
        };
        let (received, acker) = delivery.into_parts();
        Ok(Some(Delivery {
            message: incoming(&received, &self.destination),
            acker: Acker::Pulsar(acker),
        }))
    }

    pub(in crate::adapter) async fn close(&self) {
        self.consumer.close().await;
    }
}

fn incoming(received: &Received, destination: &str) -> Incoming {
    Incoming {
        id: received.id().to_string(),
        topic: destination.to_owned(),
        queue: queue(received.id()),
        offset: None,
        key: received.key_text().map(str::to_owned),
        tag: None,
        properties: received.properties().collect(),
        body: received.body().clone(),
        born_at: Some(received.publish_time()),
        received_at: SystemClock.wall(),
        redelivery_count: received.redelivery_count(),
        undecoded: None,
    }
}

pub(in crate::adapter) fn settle(
    acker: mq_pulsar::Acker,
    decision: Settle,
) -> impl Future<Output = Result<()>> + Send {
    // The decision is recorded here, not when the future is polled.
    let decided = match decision {
        Settle::Ack => Some(mq_pulsar::Settle::Ack),
        Settle::Retry => Some(mq_pulsar::Settle::Retry),
        Settle::RetryAfter(delay) => Some(mq_pulsar::Settle::RetryAfter(delay)),
        Settle::Release => Some(mq_pulsar::Settle::Release),
        // The message comes again, as one that is dropped does.
        Settle::DeadLetter => None,
    };
    let settling = decided.map(|decided| acker.settle(decided));
    async move {
        match settling {
            Some(settling) => Ok(settling.await?),
            None => Err(unsupported("dead letters over Pulsar are not there yet")),
        }
    }
}

/// The client's own default is a minute, which nobody waits for at a terminal.
const AGAIN: Duration = Duration::from_secs(1);
