//! Begins transactions, and the form that does all of one.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::{Checkers, Pending, Prepared, Verdict};
use crate::client::{Call, Shared};
use crate::consumer::begin;
use crate::error::{Error, Result, SendError, invalid, refused};
use crate::message::Message;
use crate::proto::action::SendHalf;
use crate::proto::limits;
use crate::queue::Queue;

/// Begins transactions on one queue, and answers the server's questions about them. Cheap to clone. Made by
/// [`TcpClient::transactional`](super::TcpClient::transactional).
///
/// The server asks about every half message that was neither committed nor rolled back in time: for the first time after the queue's first interval, then
/// again at intervals, up to the queue's maximum; then the transaction is over, and on our dev server rolled back (what the service does then is not
/// documented). It tells the checker the id and nothing else, so that the local work has to keep the id.
///
/// The client stays connected to the queue's gateways, so that it can be asked.
///
/// ```no_run
/// # async fn run(client: mq_cmq::TcpClient) -> Result<(), Box<dyn std::error::Error>> {
/// use mq_cmq::Verdict;
///
/// # async fn is_paid(id: &str) -> Option<bool> { None }
/// # async fn pay(id: &str) -> std::io::Result<()> { Ok(()) }
/// let orders = client.transactional("orders", |pending| async move {
///     match is_paid(pending.id()).await {
///         Some(true) => Verdict::Commit,
///         Some(false) => Verdict::Rollback,
///         None => Verdict::Unknown,
///     }
/// })?;
/// let prepared = orders.begin("order 7").await?;
/// // An early return leaves the transaction to the checker.
/// pay(prepared.id()).await?;
/// prepared.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TransactionalProducer {
    checkers: Arc<Checkers>,
    queue: Queue,
    first_query: Option<Duration>,
}

impl TransactionalProducer {
    pub(super) fn new<F, Fut>(checkers: &Arc<Checkers>, queue: Queue, checker: F) -> Self
    where
        F: Fn(Pending) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Verdict> + Send + 'static,
    {
        checkers.add(queue.name(), checker);
        if checkers.keeps(queue.name()) {
            let shared = Arc::downgrade(queue.shared());
            begin(queue.shared(), stay(shared, queue.name().to_owned()));
        }
        Self {
            checkers: Arc::clone(checkers),
            queue,
            first_query: None,
        }
    }

    /// How long after it was stored a half message is asked about for the first time; default as the queue was told. Sent in milliseconds,
    /// as the SDK's own default is; at least 1 s, at most some 24 days.
    // tencentyun/cmq-java-tcp-sdk: TransactionProducer.firstCheckInterval, 5000
    #[must_use]
    pub const fn first_query_after(mut self, time: Duration) -> Self {
        self.first_query = Some(time);
        self
    }

    /// Finds the queue's gateways now, to be told what is wrong; the client's tasks do it by themselves, too.
    ///
    /// # Errors
    ///
    /// Kind `NotFound`: there is no such queue. Kind `Auth`: the keys are refused. Kind `Connect`: the name server can't be reached. A gateway that
    /// can't is no error: it is tried again.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn connect(&self) -> Result<()> {
        self.queue.shared().stay(self.queue.name(), "connect").await
    }

    /// Stores a half message, and gives the transaction that decides about it: await it.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message. Kind `Invalid`: the body is not acceptable, or the message has a delay, which half messages can't have. Outcome
    /// `Rejected` with [`ErrorCode::NOT_TRANSACTIONAL`](crate::ErrorCode::NOT_TRANSACTIONAL): the queue is another kind. Outcome `Unknown`: a half
    /// message may be stored, and the server will ask the checker about an id that nobody knows: it should answer [`Verdict::Rollback`]
    /// for what it does not find, once no local work can be under way.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, a half message may be stored; nobody receives it unless the checker says so.
    pub fn begin(&self, message: impl Into<Message>) -> Begin {
        Begin {
            producer: self.clone(),
            message: message.into(),
            call: Call::new(BEGIN),
        }
    }

    /// Stores a half message, does `local`, and ends the transaction as that says; the answer is what it said.
    ///
    /// `local` is given the id. [`Verdict::Unknown`], an `Err` and a panic, which is passed on, leave the transaction to the checker.
    ///
    /// # Errors
    ///
    /// [`TransactError`]: which of the three steps failed, and its error.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, the transaction is left to the checker.
    pub async fn transact<F, Fut, E>(
        &self,
        message: impl Into<Message> + Send,
        local: F,
    ) -> Result<Verdict, TransactError<E>>
    where
        F: FnOnce(String) -> Fut + Send,
        Fut: Future<Output = Result<Verdict, E>> + Send,
    {
        let prepared = self.begin(message).await.map_err(TransactError::Begin)?;
        // The guard is dropped by an error, a panic, and whoever drops this future.
        let verdict = local(prepared.id().to_owned())
            .await
            .map_err(TransactError::Local)?;
        let ended = match verdict {
            Verdict::Commit => prepared.commit().await,
            Verdict::Rollback => prepared.rollback().await,
            Verdict::Unknown => Ok(()),
        };
        ended.map(|()| verdict).map_err(TransactError::End)
    }

    fn first_query(&self) -> Result<Option<i32>> {
        let Some(time) = self.first_query else {
            return Ok(None);
        };
        let millis = i32::try_from(time.as_millis()).ok();
        let millis = millis.filter(|millis| *millis >= 1000);
        let outside = || {
            let message =
                format!("the first query is asked after {time:?}, where 1 s to 24 days may be");
            invalid(BEGIN, message)
        };
        millis.map(Some).ok_or_else(outside)
    }
}

/// The beginning of a transaction: await it. Made by [`TransactionalProducer::begin`].
#[must_use = "nothing is sent until it is awaited"]
pub struct Begin {
    producer: TransactionalProducer,
    message: Message,
    call: Call,
}

impl Begin {
    /// How long storing the half message may take, its attempts included; default the client's.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout = Some(timeout);
        self
    }
}

impl IntoFuture for Begin {
    type Output = Result<Prepared, SendError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self {
                producer,
                message,
                call,
            } = self;
            let begun = store(&producer, &message, call).await;
            begun.map_err(|error| SendError::new(error, message))
        })
    }
}

async fn store(
    producer: &TransactionalProducer,
    message: &Message,
    call: Call,
) -> Result<Prepared> {
    limits::body(message.body(), limits::MAX_BODY).map_err(|refusal| refused(BEGIN, refusal))?;
    if message.is_scheduled() {
        return Err(invalid(BEGIN, "a half message can't have a delay"));
    }
    let queue = &producer.queue;
    let action = SendHalf {
        queue: queue.name(),
        body: message.body(),
        first_query_interval: producer.first_query()?,
    };
    let shared = queue.shared();
    let stored = shared.call(&action, call).await?;
    let number = stored.id.parse().map_err(|_| {
        let strange = shared.not_the_protocol(BEGIN, "the id of the half message is no number");
        strange.build()
    })?;
    let (checkers, shared) = (Arc::clone(&producer.checkers), Arc::clone(shared));
    Ok(Prepared::new(checkers, shared, queue.name().into(), number))
}

/// Keeps the gateways of a queue connected, also when they move, as long as the client is there.
async fn stay(shared: Weak<Shared>, queue: String) {
    loop {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if let Err(error) = shared.stay(&queue, "stay connected").await {
            tracing::warn!(queue, %error, "no gateway can ask about transactions; tried again");
        }
        drop(shared);
        sleep(LOOK_AGAIN).await;
    }
}

impl fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalProducer")
            .field("queue", &self.queue.name())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begin")
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// Which step of [`transact`](TransactionalProducer::transact) failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransactError<E> {
    /// The half message was not stored, for sure or perhaps; the local work was not begun.
    Begin(SendError),
    /// The local work's own error. The server will ask the checker.
    Local(E),
    /// The local work is done, and ending the transaction failed: see [`Prepared::commit`].
    End(Error),
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
/// How soon a gateway that has moved is found.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
