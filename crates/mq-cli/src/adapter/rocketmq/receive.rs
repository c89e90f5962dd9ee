//! Receiving from RocketMQ.

use mq_core::{Clock as _, SystemClock};
use mq_rocketmq::Consumer;

use super::super::{Acker, Delivery, Incoming, Result, Settle};
use super::queue_name;

pub(in crate::adapter) async fn recv(consumer: &Consumer) -> Result<Option<Delivery>> {
    let Some(delivery) = consumer.recv().await? else {
        return Ok(None);
    };
    let (received, acker) = delivery.into_parts();
    let keys = received.keys().join(" ");
    let message = Incoming {
        id: received
            .unique_id()
            .map(str::to_owned)
            .or_else(|| received.message_id())
            .unwrap_or_default(),
        topic: received.topic().to_owned(),
        queue: queue_name(received.broker(), received.queue()),
        offset: Some(received.offset()),
        key: Some(keys).filter(|keys| !keys.is_empty()),
        tag: received.tag_text().map(str::to_owned),
        properties: received.properties().clone(),
        body: received.body().clone(),
        born_at: Some(received.born_at()),
        received_at: SystemClock.wall(),
        redelivery_count: received.attempt().saturating_sub(1),
        undecoded: received.undecoded().map(ToString::to_string),
    };
    Ok(Some(Delivery {
        message,
        acker: Acker::RocketMq(acker),
    }))
}

pub(in crate::adapter) fn settle(
    acker: mq_rocketmq::Acker,
    decision: Settle,
) -> impl Future<Output = Result<()>> + Send {
    // The decision is recorded here, not when the future is polled.
    let settling = match decision {
        Settle::Ack => acker.ack(),
        Settle::Retry => acker.nack(),
        Settle::RetryAfter(delay) => acker.nack_after(delay),
        Settle::DeadLetter => acker.dead_letter(),
        Settle::Release => acker.release(),
    };
    async move { Ok(settling.await?) }
}
