//! Requests with answers, over the broker's direct reply-to.
//!
//! ```text
//!  call ─► publisher, on a channel that also consumes amq.rabbitmq.reply-to ─► request queue ─► somebody's consumer
//!   ▲                                                                                             │ Received::reply
//!   └── Replies, by correlation id ◄── that channel ◄── default exchange, key amq.rabbitmq.reply-to.… ◄─┘
//! ```
// rabbitmq.com/docs/direct-reply-to

use std::collections::HashMap;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytestring::ByteString;
use mq_core::{ErrorKind, Outcome, Retry};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::Message;
use crate::client::Client;
use crate::conn::now;
use crate::consumer::Received;
use crate::error::{Error, Result};
use crate::proto::{BasicConsume, BasicDeliver, Content, Table};
use crate::publisher::{Publisher, PublisherBuilder};

/// Sends requests and awaits their answers. Cheap to clone; all clones share one channel. Made by [`Client::rpc`].
#[derive(Clone)]
pub struct RpcClient {
    publisher: Publisher,
    replies: Arc<Replies>,
    timeout: Duration,
}

impl RpcClient {
    pub(crate) async fn open(client: Client, exchange: ByteString) -> Result<Self> {
        let replies = Arc::new(Replies::default());
        let publisher = PublisherBuilder::new(client, exchange).answered_by(Arc::clone(&replies));
        Ok(Self {
            publisher: publisher.build().await?,
            replies,
            timeout: Duration::from_secs(30),
        })
    }

    /// Sends a request; what it resolves to is the answer. Reply-to and correlation id are set here.
    ///
    /// A request that was sent when the connection broke is not sent again: its outcome is [`Outcome::Unknown`].
    ///
    /// # Errors
    ///
    /// Kind `NotFound` if no queue takes the request, `Timeout` if nobody answers in time, `Disconnected` if the connection broke meanwhile,
    /// `Rejected` with [`Outcome::Unknown`] if the answer is larger than [`max_message_size`](crate::ClientBuilder::max_message_size).
    pub fn call(&self, request: Message) -> Call {
        Call {
            rpc: self.clone(),
            request,
        }
    }
}

impl fmt::Debug for RpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcClient")
            .field("exchange", &self.publisher.exchange())
            .finish_non_exhaustive()
    }
}

/// A request: await it for the answer. Made by [`RpcClient::call`].
#[must_use = "nothing is sent until it is awaited"]
#[derive(Debug)]
pub struct Call {
    rpc: RpcClient,
    request: Message,
}

impl Call {
    /// How long to wait for the answer, from the first poll; default 30 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.rpc.timeout = timeout;
        self
    }
}

impl IntoFuture for Call {
    type Output = Result<Received>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(call(self.rpc, self.request))
    }
}

async fn call(rpc: RpcClient, request: Message) -> Result<Received> {
    let deadline = now() + rpc.timeout.min(LONGEST);
    let id = rpc.publisher.new_id();
    let expected = Expected {
        answer: Some(rpc.replies.expect(id.clone())),
        replies: Arc::clone(&rpc.replies),
        id: id.clone(),
    };
    let request = request.correlation_id(id).reply_to(REPLY_TO);
    rpc.publisher
        .send(request)
        .timeout(rpc.timeout)
        .await
        .map_err(|failed| renamed(failed.error))?;
    expected.answer(deadline, rpc.timeout).await
}

/// An answer that is waited for; forgotten when it is dropped.
struct Expected {
    replies: Arc<Replies>,
    id: ByteString,
    answer: Option<oneshot::Receiver<Result<Received>>>,
}

impl Expected {
    async fn answer(
        mut self,
        deadline: tokio::time::Instant,
        timeout: Duration,
    ) -> Result<Received> {
        let Some(answer) = self.answer.take() else {
            return Err(lost());
        };
        match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(lost()),
            Err(_) => Err(Error::builder(
                ErrorKind::Timeout,
                format!("no answer within {timeout:?}"),
            )
            .operation(CALL)
            .outcome(Outcome::Unknown)
            .hint("the request was taken by a queue; it may still be handled")
            .build()),
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.replies.waiting().remove(&self.id);
    }
}

fn lost() -> Error {
    Error::builder(
        ErrorKind::Disconnected,
        "the connection broke before the answer came",
    )
    .operation(CALL)
    .outcome(Outcome::Unknown)
    .build()
}

/// It was handled: the outcome is not that of a request which was refused.
fn answer_too_large(size: u64) -> Error {
    Error::builder(
        ErrorKind::Rejected,
        format!("the answer has {size} bytes, which is more than max_message_size"),
    )
    .operation(CALL)
    .outcome(Outcome::Unknown)
    .retry(Retry::Never)
    .hint("the request was handled; allow larger messages, or let the answer say where its content is")
    .build()
}

fn renamed(error: Error) -> Error {
    error.into_builder().operation(CALL).build()
}

/// Who waits for which answer.
#[derive(Debug, Default)]
pub(crate) struct Replies(Mutex<Waiting>);

type Waiting = HashMap<ByteString, Waiter>;

#[derive(Debug)]
struct Waiter {
    answer: oneshot::Sender<Result<Received>>,
    /// The request was written, on the channel that there is: its answer comes there or nowhere.
    asked: bool,
}

impl Replies {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, id: ByteString) -> oneshot::Receiver<Result<Received>> {
        let (answer, answered) = oneshot::channel();
        let asked = false;
        self.waiting().insert(id, Waiter { answer, asked });
        answered
    }

    /// An answer has come. One that nobody waits for any more is passed over.
    pub(crate) fn came(&self, deliver: BasicDeliver, content: Content) {
        let too_large = content.too_large;
        let received = Received::reply_of(deliver, content);
        let id = received.message().properties().correlation_id.clone();
        let waiting = id.and_then(|id| self.waiting().remove(&id));
        if let Some(waiting) = waiting {
            // Who waited may have gone this moment.
            let _ = waiting.answer.send(match too_large {
                Some(size) => Err(answer_too_large(size)),
                None => Ok(received),
            });
        }
    }

    /// A request is written.
    pub(crate) fn asked(&self, request: &Message) {
        let id = request.properties().correlation_id.as_ref();
        let mut waiting = self.waiting();
        if let Some(waiter) = id.and_then(|id| waiting.get_mut(id)) {
            waiter.asked = true;
        }
    }

    /// The channel is gone, and the address of the answers with it. What was not written yet is sent on the next one, and answered there.
    pub(crate) fn lost(&self) {
        self.waiting().retain(|_, waiter| !waiter.asked);
    }

    /// What the channel has to consume.
    pub(crate) fn consume() -> BasicConsume {
        BasicConsume {
            reserved_1: 0,
            queue: ByteString::from_static(REPLY_TO),
            consumer_tag: ByteString::new(),
            no_local: false,
            no_ack: true,
            exclusive: false,
            nowait: false,
            arguments: Table::new(),
        }
    }
}

const REPLY_TO: &str = "amq.rabbitmq.reply-to";
const CALL: &str = "call";
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
