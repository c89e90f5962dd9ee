//! Half messages of CMQ, over TCP.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use mq_cmq::{Error as CmqError, Prepared, TcpClient, TransactionalProducer, Verdict};

use super::super::{Failed, Outgoing, Result};
use super::{Cmq, Place, check, failed, invalid, scheduled, unsupported, without_ordering_key};

/// A producer for each queue that had a transaction. Cheap to clone.
#[derive(Clone)]
pub(super) struct Transactions {
    client: TcpClient,
    by_queue: Arc<Mutex<BTreeMap<String, TransactionalProducer>>>,
}

impl Transactions {
    pub(super) fn new(client: TcpClient) -> Self {
        Self {
            client,
            by_queue: Arc::default(),
        }
    }

    fn producer(&self, queue: &str) -> Result<TransactionalProducer> {
        let mut known = self.by_queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = known.get(queue) {
            return Ok(producer.clone());
        }
        // What this process does not end, it knows nothing of later; it may be another one's, which is at work.
        let checker = |_| async { Verdict::Unknown };
        let producer = self.client.transactional(queue, checker)?;
        known.insert(queue.to_owned(), producer.clone());
        drop(known);
        Ok(producer)
    }
}

impl Cmq {
    pub(in crate::adapter) async fn begin(&self, message: Outgoing) -> Result<Prepared, Failed> {
        self.try_begin(&message)
            .await
            .map_err(|error| failed(message, error))
    }

    async fn try_begin(&self, message: &Outgoing) -> Result<Prepared> {
        let none = || unsupported("CMQ has no transactions over HTTP: they need cmq+tcp://…");
        let transactions = self.transactions.as_ref().ok_or_else(none)?;
        let text = check(message)?;
        let Place::Queue(name) = Place::parse(&message.destination)? else {
            return Err(invalid("a transaction is one of a queue"));
        };
        without_ordering_key(message)?;
        let producer = transactions.producer(&name)?;
        let begun = producer.begin(scheduled(message, text)).await;
        Ok(begun.map_err(CmqError::from)?)
    }
}

impl fmt::Debug for Transactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}
