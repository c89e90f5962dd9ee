//! Scheduled messages: a queue's, which wait in the broker.

use mq_amqp::{ScheduledHandle, Scheduler};

use super::super::{Cancel, Outgoing, Result, Sent, When};
use super::{Amqp, Place, Stopped, invalid, outgoing, unsupported};

impl Amqp {
    async fn scheduler(&self) -> Result<&Scheduler> {
        let made = self.scheduler.get_or_try_init(|| async {
            let mut builder = self.client.scheduler();
            if let Some(timeout) = self.options.send_timeout {
                builder = builder.timeout(timeout);
            }
            builder.build().await
        });
        Ok(made.await?)
    }

    pub(super) async fn schedule(&self, message: &Outgoing, when: When) -> Result<Sent, Stopped> {
        let Place::Queue(queue) = Place::parse(&message.destination)? else {
            let told = "only a queue can be sent to later: name one that is bound to the exchange";
            return Err(invalid(told).into());
        };
        let scheduler = self.scheduler().await?;
        let ready = outgoing(message, &queue);
        let deliver = match when {
            When::At(time) => scheduler.deliver_at(ready, time),
            When::After(delay) => scheduler.deliver_after(ready, delay),
            When::Level(_) => return Err(unsupported("AMQP has no delay levels").into()),
        };
        let deliver = if message.cancellable {
            deliver.cancellable()
        } else {
            deliver
        };
        let receipt = deliver.await?;
        let handle = receipt.scheduled();
        Ok(Sent {
            id: receipt.unique_id().to_owned(),
            topic: message.destination.clone(),
            queue,
            offset: None,
            durable: true,
            at_once: handle.is_some_and(ScheduledHandle::is_past),
            // Others have one too, which cancels nothing.
            handle: handle
                .filter(|_| message.cancellable)
                .map(ToString::to_string),
        })
    }

    pub(in crate::adapter) async fn cancel(&self, handle: &str) -> Result<Cancel> {
        let handle: ScheduledHandle = handle.parse()?;
        let cancelled = self.scheduler().await?.cancel(&handle).await?;
        Ok(match cancelled {
            mq_amqp::Cancel::Cancelled => Cancel::Cancelled,
            mq_amqp::Cancel::TooLate => Cancel::TooLate,
            // Whatever else there may be, it is not certain.
            _ => Cancel::Requested,
        })
    }
}
