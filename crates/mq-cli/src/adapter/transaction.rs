//! One message under a transaction.

use mq_rocketmq::Verdict;

use super::rocketmq::{RocketMq, given_back, outgoing};
use super::{Broker, Failed, Outgoing, Result, control, pulsar};

/// A transaction under way, with its message at the broker, which shows it to nobody yet. Dropped, the message is not delivered.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "a transaction that is dropped is not committed"]
pub enum Transaction {
    /// Over RocketMQ's remoting protocol: a half message.
    RocketMq(Box<mq_rocketmq::Transaction>),
    /// Over CMQ's TCP protocol: a half message, which the server forgets when it has asked about it in vain.
    Cmq(Box<mq_cmq::Prepared>),
    /// Over AMQP: a half message in a queue of this process, which is put aside after some time if it is dropped: nobody's checker knows it.
    Amqp(Box<mq_amqp::Transaction>),
}

impl Broker {
    /// Sends a message under a transaction of its own.
    ///
    /// # Errors
    ///
    /// [`Failed`], with the message.
    pub async fn begin(&self, message: Outgoing) -> Result<Transaction, Failed> {
        match self {
            Self::RocketMq(broker) => {
                let begun = broker.begin(message).await?;
                Ok(Transaction::RocketMq(Box::new(begun)))
            }
            Self::Cmq(broker) => Ok(Transaction::Cmq(Box::new(broker.begin(message).await?))),
            Self::CmqControl(_) => Err(control::not_sent(message)),
            Self::Amqp(broker) => Ok(Transaction::Amqp(Box::new(broker.begin(message).await?))),
            Self::Pulsar(_) => Err(pulsar::no_transaction(message)),
        }
    }
}

impl Transaction {
    /// Has the message delivered.
    ///
    /// # Errors
    ///
    /// The outcome says whether the broker may have carried it out.
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::RocketMq(transaction) => Ok(transaction.commit().await?),
            Self::Cmq(prepared) => Ok(prepared.commit().await?),
            Self::Amqp(transaction) => Ok(transaction.commit().await?),
        }
    }

    /// Has the message forgotten.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub async fn rollback(self) -> Result<()> {
        match self {
            Self::RocketMq(transaction) => Ok(transaction.rollback().await?),
            Self::Cmq(prepared) => Ok(prepared.rollback().await?),
            Self::Amqp(transaction) => Ok(transaction.rollback().await?),
        }
    }
}

impl RocketMq {
    async fn begin(&self, message: Outgoing) -> Result<mq_rocketmq::Transaction, Failed> {
        let producer = self.transactional.get_or_try_init(|| async {
            // What this process does not end, it knows nothing of later.
            let building = self.builder().checker(|_| async { Verdict::Unknown });
            building.build().await
        });
        match producer.await {
            Ok(producer) => producer.begin(outgoing(message)).await.map_err(given_back),
            Err(error) => Err(Failed {
                error: error.into(),
                message: Box::new(message),
                id: None,
            }),
        }
    }
}
