//! Beginning a transaction, and the form that does all of one.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use super::end::{Decision, settle};
use super::open::Place;
use super::{Transaction, TransactionalProducer, Verdict, announce};
use crate::Message;
use crate::error::{Error, Result, SendError};
use crate::producer::half::{Half, not_durable, send_half};
use crate::producer::{Durability, send};

/// The beginning of a transaction: await it. Made by [`TransactionalProducer::begin`](super::TransactionalProducer::begin).
#[must_use = "nothing is sent until it is awaited"]
pub struct Begin {
    producer: TransactionalProducer,
    message: Message,
    timeout: Option<Duration>,
    first_check: Option<Duration>,
}

impl Begin {
    pub(super) const fn new(producer: TransactionalProducer, message: Message) -> Self {
        Self {
            producer,
            message,
            timeout: None,
            first_check: None,
        }
    }

    /// How long storing the half message may take, from the first poll; default the producer's time-out.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// As [`first_check_after`](super::TransactionalProducerBuilder::first_check_after), for this transaction; default the producer's.
    pub const fn first_check_after(mut self, time: Duration) -> Self {
        self.first_check = Some(time);
        self
    }
}

impl IntoFuture for Begin {
    type Output = Result<Transaction, SendError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(begin(self))
    }
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begin")
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

async fn begin(begin: Begin) -> Result<Transaction, SendError> {
    let Begin {
        producer: transactional,
        message,
        timeout,
        first_check,
    } = begin;
    let shared = &transactional.shared;
    let producer = &shared.producer;
    let deadline = send::deadline(producer, timeout);
    let topic = producer.client.namespace.wrap(message.topic());
    // The broker must know the group before it has a reason to ask. What is wrong with the route is the send's to tell.
    if producer.client.check_open("begin").is_ok()
        && let Ok(route) = send::find_route(producer, &topic, deadline).await
    {
        // What it takes is the send's time too, which tells when that is over.
        let announcing = announce::announce_to(shared, &route);
        let _ = tokio::time::timeout_at(deadline.into(), announcing).await;
    }
    let first_check = first_check.or(shared.first_check);
    let half = send_half(producer, message, first_check, deadline).await?;
    let queue = half.receipt.queue();
    let place = place(&half);
    if half.receipt.durability() == Durability::AsConfigured {
        return Ok(Transaction::new(transactional, half.message, place, queue));
    }
    let id = half.receipt.unique_id();
    let rolled_back = settle(shared, id, &place, Decision::Rollback).await;
    let error = not_durable(half.receipt.durability(), rolled_back);
    Err(SendError::new(error, half.message))
}

fn place(half: &Half) -> Place {
    Place {
        topic: half.receipt.topic().into(),
        broker: half.receipt.broker().into(),
        half_offset: half.receipt.offset(),
        physical_offset: half.physical_offset,
        asked_by: None,
    }
}

pub(super) async fn transact<F, Fut, E>(
    producer: &TransactionalProducer,
    message: Message,
    local: F,
) -> Result<Verdict, TransactError<E>>
where
    F: FnOnce(Message) -> Fut + Send,
    Fut: Future<Output = Result<Verdict, E>> + Send,
{
    let transaction = producer.begin(message).await?;
    // The guard is dropped by an error, a panic, and whoever drops this future.
    let verdict = local(transaction.message().clone())
        .await
        .map_err(TransactError::Local)?;
    let ended = match verdict {
        Verdict::Commit => transaction.commit().await,
        Verdict::Rollback => transaction.rollback().await,
        Verdict::Unknown => Ok(()),
    };
    ended.map(|()| verdict).map_err(TransactError::End)
}

/// Which step of [`transact`](super::TransactionalProducer::transact) failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransactError<E> {
    /// The half message was not stored, for sure or perhaps; the local work was not begun.
    Begin(SendError),
    /// The local work's own error. The broker will ask the checker.
    Local(E),
    /// The local work is done, and ending the transaction failed: see [`Transaction::commit`].
    End(Error),
}

impl<E> From<SendError> for TransactError<E> {
    fn from(failed: SendError) -> Self {
        Self::Begin(failed)
    }
}

impl<E: fmt::Display> fmt::Display for TransactError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(failed) => failed.fmt(f),
            Self::Local(error) => write!(f, "local work: {error}"),
            Self::End(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for TransactError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Begin(failed) => failed.source(),
            Self::Local(error) => error.source(),
            Self::End(error) => std::error::Error::source(error),
        }
    }
}
