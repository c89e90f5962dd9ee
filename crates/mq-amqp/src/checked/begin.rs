//! Beginning a transaction, and the form that does all of one.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use mq_core::{Clock as _, ErrorKind, Outcome, SystemClock};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::end::now_and;
use super::half::{Half, since_epoch};
use super::outgoing::{Failed, Outgoing};
use super::{Handle, Transaction, TransactionalPublisher, Verdict};
use crate::error::{Error, Result, closed, invalid};
use crate::proto::Value;
use crate::publisher::{SendError, encode};
use crate::{Message, trace};

/// The beginning of a transaction: await it. Made by [`TransactionalPublisher::begin`].
#[must_use = "nothing is sent until it is awaited"]
pub struct Begin {
    publisher: TransactionalPublisher,
    message: Message,
    timeout: Option<Duration>,
}

impl Begin {
    pub(super) const fn new(publisher: TransactionalPublisher, message: Message) -> Self {
        Self {
            publisher,
            message,
            timeout: None,
        }
    }

    /// How long storing the half message may take, from the first poll; default the publisher's time-out.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl IntoFuture for Begin {
    type Output = Result<Transaction, SendError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let span = trace::sending(self.publisher.plain().exchange(), &self.message);
        Box::pin(begin(self).instrument(span))
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
        publisher,
        mut message,
        timeout,
    } = begin;
    let handle = Arc::clone(&publisher.handle);
    let shared = &handle.shared;
    let deadline = now_and(timeout.unwrap_or(shared.timeout));
    if let Err(error) = check(&publisher, &message) {
        return Err(SendError::new(error, message));
    }
    let id = publisher.plain().new_id();
    if let Some(propagator) = shared.client.propagator() {
        trace::inject(propagator, &mut message);
    }
    let properties = message.properties_mut();
    properties.message_id.get_or_insert_with(|| id.clone());
    let room = timeout_at(deadline, Arc::clone(&shared.room).acquire_owned()).await;
    if let Ok(Err(_)) = room {
        return Err(SendError::new(ended(), message));
    }
    let Ok(Ok(room)) = room else {
        let what = format!(
            "{} transactions are under way, as many as may be",
            shared.window
        );
        return Err(SendError::new(late(&what, Outcome::NotSent), message));
    };
    let half = Half {
        id,
        message,
        exchange: ByteString::from(publisher.plain().exchange()),
        mandatory: publisher.plain().is_mandatory(),
        born_ms: since_epoch(SystemClock.wall()),
        checks: 0,
        checked_ms: 0,
    };
    shared.halves.begin(half.clone(), room);
    // From here on it is ended, or left to the checker.
    let transaction = Transaction::new(Arc::clone(&handle), half);
    if *shared.closing.borrow() {
        return Err(SendError::new(ended(), transaction.message().clone()));
    }
    match store(&handle, &transaction, deadline).await {
        Ok(()) => Ok(transaction),
        Err(error) => Err(SendError::new(error, transaction.message().clone())),
    }
}

fn ended() -> Error {
    closed(BEGIN, "transactional publisher")
}

/// What the commit could not send is refused before the local work is done.
fn check(publisher: &TransactionalPublisher, message: &Message) -> Result<()> {
    if *publisher.handle.shared.closing.borrow() {
        return Err(ended());
    }
    let plain = publisher.plain();
    encode::head(message, plain.exchange(), plain.is_mandatory())?;
    let properties = message.properties();
    let good = |millis: &ByteString| millis.parse().is_ok_and(|it: u64| it <= LONGEST_EXPIRATION);
    if !properties.expiration.as_ref().is_none_or(good) {
        let what = "an expiration is a number of milliseconds, of 10 years at most";
        return Err(invalid(BEGIN, what));
    }
    let copies = |name| {
        let headers = properties.headers.as_ref();
        headers.and_then(|headers| headers.get(name))
    };
    let is_list = |keys: &Value| matches!(keys, Value::Array(_));
    if ["CC", "BCC"]
        .into_iter()
        .filter_map(copies)
        .any(|keys| !is_list(keys))
    {
        return Err(invalid(BEGIN, "CC and BCC are lists of routing keys"));
    }
    if message.properties().user_id.is_some() {
        let what = "a half message can't say who sends it: another user's publisher may have to";
        return Err(invalid(BEGIN, what));
    }
    Ok(())
}

/// Stores the half message in the publisher's slot.
async fn store(handle: &Handle, transaction: &Transaction, deadline: Instant) -> Result<()> {
    let shared = &handle.shared;
    let mut outcome = Outcome::NotSent;
    loop {
        let Ok(turn) = timeout_at(deadline, shared.turn()).await else {
            let what = "another message is suspected of having made the broker close the channel";
            return Err(late(what, outcome));
        };
        let Ok(lane) = timeout_at(deadline, shared.slot_of_its_own()).await else {
            let error = late("no slot could be taken in time", outcome).into_builder();
            return Err(match shared.why_away() {
                Some(why) => error.source(why).build(),
                None => error.build(),
            });
        };
        let lane = lane.map_err(|why| renamed(why, outcome))?;
        let answer = lane.publish(Outgoing {
            message: transaction.half().wrapped(lane.queue.clone()),
            exchange: ByteString::new(),
            mandatory: true,
        });
        let told = timeout_at(deadline, answer).await;
        drop(turn);
        // What was lost is suspected still.
        if !matches!(told, Ok(Ok(Err(Failed::Lost(_))))) {
            shared.halves.passed();
        }
        match told {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(Failed::Refused(error)))) => {
                let outcome = match outcome {
                    Outcome::Unknown => outcome,
                    _ => error.outcome(),
                };
                return Err(renamed(error, outcome));
            }
            // It is the same half message on another channel: of two copies one is acknowledged.
            Ok(Ok(Err(Failed::Lost(error)))) => {
                if error.outcome() == Outcome::Unknown {
                    outcome = Outcome::Unknown;
                }
            }
            Ok(Err(_)) => outcome = Outcome::Unknown,
            Err(_) => {
                let what = "the broker did not confirm the half message in time";
                return Err(late(what, Outcome::Unknown));
            }
        }
    }
}

fn late(what: &str, outcome: Outcome) -> Error {
    let error = Error::builder(ErrorKind::Timeout, what).operation(BEGIN);
    error.outcome(outcome).build()
}

fn renamed(error: Error, outcome: Outcome) -> Error {
    let error = error.into_builder().operation(BEGIN);
    error.outcome(outcome).build()
}

pub(super) async fn transact<F, Fut, E>(
    publisher: &TransactionalPublisher,
    message: Message,
    local: F,
) -> Result<Verdict, TransactError<E>>
where
    F: FnOnce(String) -> Fut + Send,
    Fut: Future<Output = Result<Verdict, E>> + Send,
{
    let transaction = publisher.begin(message).await?;
    // The guard is dropped by an error, a panic, and whoever drops this future.
    let verdict = local(transaction.id().to_owned())
        .await
        .map_err(TransactError::Local)?;
    let ended = match verdict {
        Verdict::Commit => transaction.commit().await,
        Verdict::Rollback => transaction.rollback().await,
        Verdict::Unknown => Ok(()),
    };
    ended.map(|()| verdict).map_err(TransactError::End)
}

/// Which step of [`transact`](super::TransactionalPublisher::transact) failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransactError<E> {
    /// The half message was not stored, for sure or perhaps; the local work was not begun.
    Begin(SendError),
    /// The local work's own error. The checker is asked.
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

const BEGIN: &str = "begin";
/// In milliseconds; the broker closes the channel for more.
// rabbitmq-server: rabbit_misc.erl, check_expiry
const LONGEST_EXPIRATION: u64 = 315_360_000_000;
