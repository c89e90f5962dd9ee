//! A queue: send, receive, delete, and their batches.

mod batch;
mod known;
mod received;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use self::known::Known;
pub(crate) use self::known::Visibility;
pub use self::received::{DeadLetterOrigin, ReceiptHandle, Received};
use crate::client::{Call, Shared};
use crate::consumer::ConsumerBuilder;
use crate::error::{Result, SendError, refused};
use crate::message::{Message, Receipt};
use crate::proto::action::{BatchReceiveMessage, ReceiveMessage, SendMessage};
use crate::proto::limits;

/// A queue of CMQ. Cheap to clone; made by [`Client::queue`](crate::Client::queue).
///
/// CMQ delivers at least once and keeps no strict order. A message that is received becomes invisible; unless it is deleted within the
/// queue's visibility timeout, which can't be extended, it is delivered again.
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
    name: Arc<str>,
    known: Arc<Known>,
    /// For how long messages are asked for, if not as the queue was told; over TCP only.
    lease: Option<u32>,
}

impl Queue {
    pub(crate) fn new(shared: Arc<Shared>, name: &str) -> Result<Self> {
        limits::queue_name(name).map_err(|refusal| refused("queue", refusal))?;
        Ok(Self {
            shared,
            name: name.into(),
            known: Arc::default(),
            lease: None,
        })
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends one message; resolves when the service has it.
    pub fn send(&self, message: impl Into<Message>) -> Send {
        Send {
            queue: self.clone(),
            message: message.into(),
            call: Call::new(SEND),
        }
    }

    /// Sends many messages, up to 16 in a request, and up to [`ClientBuilder::batch_bytes`](crate::ClientBuilder::batch_bytes) of body;
    /// messages with different delays go in different requests. One result a message, in their order; after a request that failed the
    /// others are still sent. A request is stored whole or not at all.
    ///
    /// # Errors
    ///
    /// Of each message, as for [`Queue::send`]. The messages of a request share its outcome.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the requests that were answered are done, of one under way nothing is known, and the others were not sent.
    pub async fn send_batch(
        &self,
        messages: impl IntoIterator<Item: Into<Message>, IntoIter: std::marker::Send>
        + std::marker::Send,
    ) -> Vec<Result<Receipt, SendError>> {
        let messages = messages.into_iter().map(Into::into).collect();
        batch::send(self, messages).await
    }

    /// Takes one message, or waits for one up to `wait`: whole seconds (rounded up), at most 30. `None` when there is none.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: a wait over 30 s. Kind `NotFound`: there is no such queue. Kinds `Connect`, `Busy`: retryable. Kinds `Timeout`,
    /// `Disconnected`, `Protocol` with outcome `Unknown`: a message may have been taken; it is delivered again when its visibility timeout
    /// ends.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: a message that is under way when the future is dropped stays invisible until its visibility timeout ends. Nothing is
    /// lost.
    pub async fn receive(&self, wait: Duration) -> Result<Option<Received>> {
        let (_, mut messages) = self.take_one(wait).await?;
        Ok(messages.pop())
    }

    /// Takes up to `most` messages (1 to 16), or waits for the first up to `wait`, as [`Queue::receive`] does; it does not wait for more.
    /// Empty when there is none.
    ///
    /// # Errors
    ///
    /// As for [`Queue::receive`], and kind `Invalid` for another number than 1 to 16.
    ///
    /// # Cancel safety
    ///
    /// As for [`Queue::receive`].
    pub async fn receive_batch(&self, most: usize, wait: Duration) -> Result<Vec<Received>> {
        let (_, messages) = self.take(most, wait).await?;
        Ok(messages)
    }

    /// Deletes a message that was received: it is done.
    ///
    /// # Errors
    ///
    /// Kind `Stale`, [`ErrorCode::HANDLE_EXPIRED`](crate::ErrorCode::HANDLE_EXPIRED): the message is visible again, was received anew, or
    /// was deleted. Kinds `Connect`, `Busy`: retryable. With outcome `Unknown` it may be deleted: doing it again is harmless, and then a
    /// `Stale` may mean that it was.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the message may or may not be deleted.
    pub async fn delete(&self, handle: &ReceiptHandle) -> Result<()> {
        batch::delete_one(self, handle, Call::new(DELETE)).await
    }

    /// Deletes many messages, 16 in a request. One result a handle, in their order; after a request that failed the others are still sent.
    ///
    /// # Errors
    ///
    /// Of each handle, as for [`Queue::delete`]. Where the service says that some were not deleted and not which, all of that request have
    /// outcome `Unknown` and [`ErrorCode::PARTLY_DELETED`](crate::ErrorCode::PARTLY_DELETED).
    ///
    /// # Cancel safety
    ///
    /// As for [`Queue::send_batch`].
    pub async fn delete_batch(&self, handles: &[ReceiptHandle]) -> Vec<Result<()>> {
        batch::delete(self, handles, Call::new(DELETE)).await
    }

    /// As the two above, up to 16 of them in one request; in so much time, and not longer than the client has.
    pub(crate) async fn delete_within(
        &self,
        handles: &[ReceiptHandle],
        time: Duration,
    ) -> Vec<Result<()>> {
        let call = Call {
            timeout: Some(time.min(self.shared.timeout())),
            ..Call::new(DELETE)
        };
        match handles {
            [one] => vec![batch::delete_one(self, one, call).await],
            many => batch::delete(self, many, call).await,
        }
    }

    /// Receives and handles messages, with deadlines: see [`Consumer`](crate::Consumer).
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(self.clone())
    }

    /// Receives ask for so long from now on.
    pub(crate) const fn leased(mut self, seconds: u32) -> Self {
        self.lease = Some(seconds);
        self
    }

    /// How long messages are invisible: as it is asked for, else as a consumer was told, else as far as it is known.
    pub(crate) fn visibility(&self, told: Option<Duration>) -> Visibility {
        let lease = self.lease.map(|it| Duration::from_secs(it.into()));
        self.known.visibility(lease.or(told))
    }

    /// Remembers what messages show that were received just now.
    pub(crate) fn seen(&self, messages: &[Received]) {
        // What was asked for says nothing of the queue.
        if self.lease.is_none() {
            self.known.seen(messages);
        }
    }

    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Takes one message; and when the request began that brought it: it was not taken before.
    async fn take_one(&self, wait: Duration) -> Result<(Instant, Vec<Received>)> {
        let seconds = limits::wait_seconds(wait).map_err(|refusal| refused(RECEIVE, refusal))?;
        let action = ReceiveMessage {
            queue: &self.name,
            wait_seconds: Some(seconds),
            visibility_seconds: self.lease,
        };
        let call = Call::new(RECEIVE).wait(Duration::from_secs(seconds.into()));
        let answered = self.shared.ask(&action, call).await?;
        if answered.envelope.code != 0 {
            return Ok((answered.begun, Vec::new()));
        }
        let message = self
            .shared
            .reply::<ReceiveMessage<'_>>(&answered, RECEIVE)?;
        Ok((answered.begun, vec![Received::new(message)]))
    }

    /// Takes up to `most` messages; and when the request began that brought them: they were not taken before.
    pub(crate) async fn take(
        &self,
        most: usize,
        wait: Duration,
    ) -> Result<(Instant, Vec<Received>)> {
        let refuse = |refusal| refused(RECEIVE, refusal);
        limits::batch_count(most).map_err(refuse)?;
        let seconds = limits::wait_seconds(wait).map_err(refuse)?;
        let action = BatchReceiveMessage {
            queue: &self.name,
            count: u32::try_from(most).unwrap_or(u32::MAX),
            wait_seconds: Some(seconds),
            visibility_seconds: self.lease,
        };
        let call = Call::new(RECEIVE).wait(Duration::from_secs(seconds.into()));
        let answered = self.shared.ask(&action, call).await?;
        if answered.envelope.code != 0 {
            return Ok((answered.begun, Vec::new()));
        }
        let batch = self
            .shared
            .reply::<BatchReceiveMessage<'_>>(&answered, RECEIVE)?;
        let messages = batch.messages.into_iter().map(Received::new);
        Ok((answered.begun, messages.collect()))
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name)
            .field("endpoint", &self.shared.endpoint())
            .finish_non_exhaustive()
    }
}

/// A send of one message: await it. Made by [`Queue::send`].
///
/// # Errors
///
/// A [`SendError`] with the message. Kind `Invalid`: body or delay are not acceptable; nothing was sent. Kind `Connect`: nothing was sent;
/// retryable. Outcome `Rejected`: the service said no, and its code says why. Outcome `Unknown` (kinds `Timeout`, `Disconnected`,
/// `Protocol`): it may have been stored; sending it again may store it twice.
///
/// # Cancel safety
///
/// Dropped, the message may or may not be stored.
#[must_use = "nothing is sent until it is awaited"]
pub struct Send {
    queue: Queue,
    message: Message,
    call: Call,
}

impl Send {
    /// How long this call may take, its attempts included; default the client's.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout = Some(timeout);
        self
    }

    /// Whether the message is sent again when it may have been stored; default the client's.
    pub const fn resend_unknown(mut self, yes: bool) -> Self {
        self.call.resend_unknown = Some(yes);
        self
    }
}

impl IntoFuture for Send {
    type Output = Result<Receipt, SendError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + std::marker::Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(send(self))
    }
}

impl fmt::Debug for Send {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

async fn send(send: Send) -> Result<Receipt, SendError> {
    let Send {
        queue,
        message,
        call,
    } = send;
    let now = queue.shared.clock.wall();
    let checked = limits::body(message.body(), limits::MAX_BODY)
        .and_then(|()| message.delay_seconds(now, queue.known.retention()))
        .map_err(|refusal| refused(SEND, refusal));
    let sent = match checked {
        Ok(delay_seconds) => {
            let action = SendMessage {
                queue: &queue.name,
                body: message.body(),
                delay_seconds,
            };
            let stored = queue.shared.call(&action, call).await;
            stored.map(|stored| Receipt::new(stored.id, due(now, delay_seconds)))
        }
        Err(error) => Err(error),
    };
    sent.map_err(|error| SendError::new(error, message))
}

fn due(now: SystemTime, delay_seconds: Option<u32>) -> Option<SystemTime> {
    let delay = Duration::from_secs(delay_seconds?.into());
    now.checked_add(delay)
}

const SEND: &str = "send";
const RECEIVE: &str = "receive";
const DELETE: &str = "delete";
