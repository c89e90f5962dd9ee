//! Receiving from AMQP.

use std::future::Future;
use std::time::{Duration, SystemTime};

use mq_amqp::{Consumer, Error as AmqpError, Received, ReplyCode, RetryPolicy, Value};
use mq_core::{Clock as _, SystemClock};

use super::super::{Acker, Consume, Delivery, From, Incoming, Result, Settle, Subscription};
use super::properties::{OFFSET, properties};
use super::{Amqp, Place, unsupported};

impl Amqp {
    pub(in crate::adapter) async fn consume(&self, consume: &Consume) -> Result<Subscription> {
        if consume.filter != "*" {
            let told = "AMQP filters where a queue is bound to an exchange";
            return Err(unsupported(told));
        }
        if consume.ordered {
            let consumer = self.consume_in_order(consume).await?;
            return Ok(Subscription::AmqpOrdered(Box::new(consumer)));
        }
        let consumer = self.consume_queue(consume).await?;
        Ok(Subscription::Amqp(consumer))
    }

    async fn consume_queue(&self, consume: &Consume) -> Result<Consumer> {
        let queue = Place::queue(&consume.topic)?;
        if consume.from == From::Earliest {
            // Only a stream is begun somewhere. AMQP does not tell what a queue is, and others refuse the argument.
            match self.begin_at(&queue, consume, Some("first")).await {
                Err(error) if error.code() == Some(&ReplyCode::PRECONDITION_FAILED) => {}
                begun => return Ok(begun?),
            }
        }
        Ok(self.begin_at(&queue, consume, None).await?)
    }

    async fn begin_at(
        &self,
        queue: &str,
        consume: &Consume,
        offset: Option<&'static str>,
    ) -> Result<Consumer, AmqpError> {
        let mut retry = RetryPolicy::default();
        if let Some(most) = consume.max_redeliveries {
            retry = retry.attempts(u32::from(most) + 1);
        }
        let mut builder = self.client.consumer(queue.to_owned()).retry(retry);
        if let Some(count) = consume.prefetch {
            builder = builder.prefetch(u16::try_from(count).unwrap_or(u16::MAX));
        }
        if let Some(offset) = offset {
            builder = builder.stream_offset(offset);
        }
        builder.build().await
    }
}

pub(in crate::adapter) async fn recv(consumer: &Consumer) -> Result<Option<Delivery>> {
    let Some(delivery) = consumer.recv().await? else {
        return Ok(None);
    };
    let (received, acker) = delivery.into_parts();
    Ok(Some(Delivery {
        message: incoming(&received, consumer.queue()),
        acker: Acker::Amqp(acker),
    }))
}

pub(super) fn incoming(received: &Received, queue: &str) -> Incoming {
    let told = received.message().properties();
    let born_at = told.timestamp.map(Duration::from_secs);
    Incoming {
        id: received.unique_id().unwrap_or_default().to_owned(),
        topic: Place::write(received.exchange(), received.routing_key()),
        queue: queue.to_owned(),
        offset: received.header(OFFSET).and_then(Value::as_i64),
        key: None,
        tag: None,
        properties: told.headers.as_ref().map(properties).unwrap_or_default(),
        body: received.body().clone(),
        born_at: born_at.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
        received_at: SystemClock.wall(),
        redelivery_count: received.attempt().saturating_sub(1),
        undecoded: received.undecoded().map(str::to_owned),
    }
}

pub(in crate::adapter) fn settle(
    acker: mq_amqp::Acker,
    decision: Settle,
) -> impl Future<Output = Result<()>> + Send {
    // The decision is recorded here, not when the future is polled.
    let settling = acker.settle(translated(decision));
    async move { Ok(settling.await?) }
}

pub(super) const fn translated(decision: Settle) -> mq_amqp::Settle {
    match decision {
        Settle::Ack => mq_amqp::Settle::Ack,
        Settle::Retry => mq_amqp::Settle::Retry,
        Settle::RetryAfter(delay) => mq_amqp::Settle::RetryAfter(delay),
        Settle::DeadLetter => mq_amqp::Settle::DeadLetter,
        Settle::Release => mq_amqp::Settle::Release,
    }
}
