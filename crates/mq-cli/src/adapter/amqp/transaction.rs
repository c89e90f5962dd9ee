//! Messages under transactions, by check-back.

use mq_amqp::{Transaction, TransactionalPublisher, Verdict};

use super::{Amqp, Place, Stopped, check, invalid, outgoing};
use crate::adapter::{Failed, Outgoing, Result};

impl Amqp {
    pub(in crate::adapter) async fn begin(&self, message: Outgoing) -> Result<Transaction, Failed> {
        let begun = self.try_begin(&message).await;
        begun.map_err(|Stopped { error, id }| Failed {
            error,
            message: Box::new(message),
            id,
        })
    }

    async fn try_begin(&self, message: &Outgoing) -> Result<Transaction, Stopped> {
        check(message)?;
        if message.ordering_key.is_some() || message.when.is_some() {
            let told = "a message under a transaction has no ordering key and no time";
            return Err(invalid(told).into());
        }
        let place = Place::parse(&message.destination)?;
        let publisher = self.transactional(place.exchange()).await?;
        Ok(publisher
            .begin(outgoing(message, place.routing_key()))
            .await?)
    }

    async fn transactional(&self, exchange: &str) -> Result<TransactionalPublisher> {
        let made = self.transactions.get(exchange, || async {
            // What this process does not end, it knows nothing of later; it may be another one's, which is at work.
            let checker = |_| async { Verdict::Unknown };
            let mut builder = self.client.publisher(exchange.to_owned());
            builder = builder.window(self.options.max_in_flight);
            if let Some(timeout) = self.options.send_timeout {
                builder = builder.timeout(timeout);
            }
            builder.checker(GROUP, checker).build().await
        });
        Ok(made.await?)
    }
}

const GROUP: &str = "mq-cli";
