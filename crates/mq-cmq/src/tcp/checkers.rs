//! Who answers what the server asks about half messages.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::prepared::{self, Decision};
use crate::client::Shared;
use crate::consumer::begin;
use crate::proto::tcp::TransactionQuery;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The local work is done: the message is to be delivered.
    Commit,
    /// The local work is not done and never will be: the message is to be forgotten.
    Rollback,
    /// Not known (yet): the server asks again later, up to its maximum.
    Unknown,
}

/// A half message that the server asks about: it tells the id and the queue, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pending {
    queue: String,
    id: String,
}

impl Pending {
    /// The queue's name.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// The id of the half message, which is that of the transaction: [`Prepared::id`](super::Prepared::id).
    pub fn id(&self) -> &str {
        &self.id
    }
}

type Checker = dyn Fn(Pending) -> Pin<Box<dyn Future<Output = Verdict> + Send>> + Send + Sync;

/// See the module.
pub(crate) struct Checkers {
    shared: Option<Arc<Shared>>,
    /// By the queue's name in lower case: names differ in more than that.
    by_queue: Mutex<HashMap<String, Arc<Checker>>>,
    /// Transactions that are under way here.
    open: Mutex<HashSet<u64>>,
    /// Questions that are being answered or wait for their turn.
    asked: Mutex<HashSet<u64>>,
    room: Arc<Semaphore>,
    /// Queues whose gateways a task keeps connected.
    kept: Mutex<HashSet<String>>,
}

impl Checkers {
    pub(super) fn new(shared: Option<Arc<Shared>>) -> Self {
        Self {
            shared,
            by_queue: Mutex::default(),
            open: Mutex::default(),
            asked: Mutex::default(),
            room: Arc::new(Semaphore::new(AT_A_TIME)),
            kept: Mutex::default(),
        }
    }

    pub(super) const fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref()
    }

    pub(super) fn add<F, Fut>(&self, queue: &str, checker: F)
    where
        F: Fn(Pending) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Verdict> + Send + 'static,
    {
        let checker: Arc<Checker> = Arc::new(move |pending| Box::pin(checker(pending)));
        self.by_queue().insert(queue.to_ascii_lowercase(), checker);
    }

    /// Whether this is the first producer of the queue: one task keeps its gateways connected.
    pub(super) fn keeps(&self, queue: &str) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(queue.to_owned())
    }

    pub(super) fn opened(&self, id: u64) {
        self.open().insert(id);
    }

    pub(super) fn ended(&self, id: u64) {
        self.open().remove(&id);
    }

    /// A gateway asks. What is not answered is asked again.
    pub(super) fn asked(this: &Arc<Self>, query: TransactionQuery) {
        let Some(shared) = &this.shared else { return };
        if this.open().contains(&query.message_id) {
            tracing::debug!(
                queue = query.queue,
                "asked about a transaction that is under way"
            );
            return;
        }
        let found = this
            .by_queue()
            .get(&query.queue.to_ascii_lowercase())
            .map(Arc::clone);
        let Some(checker) = found else {
            tracing::debug!(queue = query.queue, "asked about a queue without a checker");
            return;
        };
        let Some(line) = Line::join(this, query.message_id) else {
            return;
        };
        let (client, room) = (Arc::clone(shared), Arc::clone(&this.room));
        begin(shared, async move {
            // A server that comes back asks about everything at once: what has no place waits for one.
            let place = room.acquire_owned().await;
            answer(&client, &*checker, &query).await;
            drop((place, line));
        });
    }

    fn asked_about(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_queue(&self) -> MutexGuard<'_, HashMap<String, Arc<Checker>>> {
        self.by_queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question's place in the line, once however often it is asked meanwhile.
struct Line {
    checkers: Arc<Checkers>,
    id: u64,
}

impl Line {
    fn join(checkers: &Arc<Checkers>, id: u64) -> Option<Self> {
        let mut asked = checkers.asked_about();
        if asked.len() >= MOST_WAITING {
            tracing::warn!("too many questions wait: asked again later");
            return None;
        }
        asked.insert(id).then(|| Self {
            checkers: Arc::clone(checkers),
            id,
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.checkers.asked_about().remove(&self.id);
    }
}

async fn answer(client: &Shared, checker: &Checker, query: &TransactionQuery) {
    let pending = Pending {
        queue: query.queue.clone(),
        id: query.message_id.to_string(),
    };
    let verdict = timeout(PATIENCE, checker(pending)).await;
    let verdict = verdict.unwrap_or_else(|_| {
        tracing::warn!(
            queue = query.queue,
            id = query.message_id,
            "a checker did not answer within {PATIENCE:?}"
        );
        Verdict::Unknown
    });
    let decision = match verdict {
        Verdict::Commit => Decision::Commit,
        Verdict::Rollback => Decision::Rollback,
        Verdict::Unknown => return,
    };
    let settled = prepared::settle(client, &query.queue, query.message_id, decision);
    if let Err(error) = settled.await {
        tracing::warn!(queue = query.queue, %error, "an answer was not taken: asked again later");
    }
}

impl fmt::Debug for Checkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkers").finish_non_exhaustive()
    }
}

/// How many checkers may run at a time.
const AT_A_TIME: usize = 64;
/// How many questions may wait for one.
const MOST_WAITING: usize = 65_536;
/// How long a checker may take.
const PATIENCE: Duration = Duration::from_secs(10);
