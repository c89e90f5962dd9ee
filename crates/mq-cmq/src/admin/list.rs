//! Lists, read a page at a time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::Target;
use crate::client::{Call, Client};
use crate::error::{Error, Result};
use crate::proto::action::{
    ListDeadLetterSourceQueues, ListQueue, ListSubscriptionByTopic, ListTopic, Page, QueueName,
    SubscriptionName, TopicName,
};
use crate::queue::Queue;
use crate::topic::Topic;

/// Name and id of a queue or topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Named {
    /// The name.
    pub name: String,
    /// The id that the service gave it.
    pub id: String,
}

/// Name, id and target of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedSubscription {
    /// The name.
    pub name: String,
    /// The id that the service gave it.
    pub id: String,
    /// Where its messages go.
    pub target: Target,
}

/// A list that is read while it is asked for, 50 entries in a request: a [`Stream`] of results, which ends after an error. What is made or
/// deleted meanwhile may be left out, or come twice.
#[must_use = "nothing is asked before it is polled"]
pub struct Listing<T, E = Error> {
    fetch: Arc<Fetch<T, E>>,
    search: Option<String>,
    entries: Option<Pin<Box<Entries<T, E>>>>,
}

type Entries<T, E> = dyn Stream<Item = Result<T, E>> + Send;
type Fetched<T, E> = Pin<Box<dyn Future<Output = Result<(u64, Vec<T>), E>> + Send>>;
/// The total, and the entries from an offset on.
type Fetch<T, E> = dyn Fn(Option<String>, u64) -> Fetched<T, E> + Send + Sync;

impl<T: Send + 'static, E: Send + 'static> Listing<T, E> {
    pub(crate) fn new<F, Fut>(fetch: F) -> Self
    where
        F: Fn(Option<String>, u64) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(u64, Vec<T>), E>> + Send + 'static,
    {
        Self {
            fetch: Arc::new(move |search, offset| Box::pin(fetch(search, offset))),
            search: None,
            entries: None,
        }
    }

    /// Only entries whose name contains `word`; from the beginning, if it was polled before.
    pub fn containing(mut self, word: impl Into<String>) -> Self {
        self.search = Some(word.into());
        self.entries = None;
        self
    }

    /// Reads it whole.
    ///
    /// # Errors
    ///
    /// Of the request that failed: kinds `Connect`, `Busy`: retryable. Kind `Unsupported`: the endpoint has no management. Kind `NotFound`: there
    /// is no such topic or queue.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn all(self) -> Result<Vec<T>, E> {
        futures_util::TryStreamExt::try_collect(self).await
    }

    fn entries(&mut self) -> Pin<&mut Entries<T, E>> {
        let (fetch, search) = (&self.fetch, &self.search);
        self.entries
            .get_or_insert_with(|| Box::pin(entries(Arc::clone(fetch), search.clone())))
            .as_mut()
    }
}

fn entries<T: Send + 'static, E: Send + 'static>(
    fetch: Arc<Fetch<T, E>>,
    search: Option<String>,
) -> impl Stream<Item = Result<T, E>> + Send {
    let state = (fetch, search, Vec::new().into_iter(), 0_u64, None);
    try_unfold(
        state,
        |(fetch, search, mut page, offset, total): State<T, E>| async move {
            if let Some(entry) = page.next() {
                return Ok(Some((entry, (fetch, search, page, offset, total))));
            }
            if total.is_some_and(|total| offset >= total) {
                return Ok(None);
            }
            let (total, entries) = fetch(search.clone(), offset).await?;
            let offset = offset.saturating_add(entries.len() as u64);
            let mut page = entries.into_iter();
            let next = page.next();
            Ok(next.map(|entry| (entry, (fetch, search, page, offset, Some(total)))))
        },
    )
}

type State<T, E> = (
    Arc<Fetch<T, E>>,
    Option<String>,
    std::vec::IntoIter<T>,
    u64,
    Option<u64>,
);

impl<T: Send + 'static, E: Send + 'static> Stream for Listing<T, E> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.entries().poll_next(cx)
    }
}

impl<T, E> fmt::Debug for Listing<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("search", &self.search)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// The queues that there are.
    pub fn queues(&self) -> Listing<Named> {
        let shared = Arc::clone(self.shared());
        Listing::new(move |search, offset| {
            let shared = Arc::clone(&shared);
            async move {
                let page = page(search.as_deref(), offset);
                let list = shared.call(&ListQueue { page }, CALL).await?;
                Ok((
                    list.total,
                    list.queues.into_iter().map(Into::into).collect(),
                ))
            }
        })
    }

    /// The topics that there are.
    pub fn topics(&self) -> Listing<Named> {
        let shared = Arc::clone(self.shared());
        Listing::new(move |search, offset| {
            let shared = Arc::clone(&shared);
            async move {
                let page = page(search.as_deref(), offset);
                let list = shared.call(&ListTopic { page }, CALL).await?;
                Ok((
                    list.total,
                    list.topics.into_iter().map(Into::into).collect(),
                ))
            }
        })
    }
}

impl Queue {
    /// The queues whose dead letters come to this one.
    pub fn dead_letter_sources(&self) -> Listing<Named> {
        let queue = self.clone();
        Listing::new(move |search, offset| {
            let queue = queue.clone();
            async move {
                let action = ListDeadLetterSourceQueues {
                    dead_letter: queue.name(),
                    page: page(search.as_deref(), offset),
                };
                let list = queue.shared().call(&action, CALL).await?;
                Ok((
                    list.total,
                    list.queues.into_iter().map(Into::into).collect(),
                ))
            }
        })
    }
}

impl Topic {
    /// The topic's subscriptions.
    pub fn subscriptions(&self) -> Listing<NamedSubscription> {
        let topic = self.clone();
        Listing::new(move |search, offset| {
            let topic = topic.clone();
            async move {
                let action = ListSubscriptionByTopic {
                    topic: topic.name(),
                    page: page(search.as_deref(), offset),
                };
                let list = topic.shared().call(&action, CALL).await?;
                let entries = list.subscriptions.into_iter();
                Ok((list.total, entries.map(Into::into).collect()))
            }
        })
    }
}

const fn page(search: Option<&str>, offset: u64) -> Page<'_> {
    Page {
        search,
        offset: Some(offset),
        limit: Some(MOST),
    }
}

impl From<QueueName> for Named {
    fn from(QueueName { id, name }: QueueName) -> Self {
        Self { name, id }
    }
}

impl From<TopicName> for Named {
    fn from(TopicName { id, name }: TopicName) -> Self {
        Self { name, id }
    }
}

impl From<SubscriptionName> for NamedSubscription {
    fn from(of: SubscriptionName) -> Self {
        Self {
            name: of.name,
            id: of.id,
            target: Target::read(&of.protocol, of.endpoint),
        }
    }
}

const CALL: Call = Call::new("list");
/// The largest page that the service gives.
const MOST: u32 = 50;
