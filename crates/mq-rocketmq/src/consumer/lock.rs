//! The broker's locks on queues of an ordered consumer in clustering: taken before a queue is pulled, renewed, given back.
//!
//! ```text
//!   rebalance ── lock (41) ──► refused: another member has it still; again after 500 ms
//!                  │ locked: a lease of 30 s from when it was asked
//!   keeper ── lock (41) every 20 s, and every second while no answer comes
//!                  ├─ refused, or no answer for 30 s ──► the queue is given up, what is held is stale
//!   given up, closed ── what is held is settled ── offset ── unlock (42)
//! ```
//!
//! A broker keeps a lock for 60 s after it was renewed, so that whoever could not renew it for 30 s stops before another member begins. A broker
//! that restarts has forgotten all locks: the keeper asks again as soon as a pull has failed.
// apache/rocketmq: ProcessQueue.REBALANCE_LOCK_INTERVAL and REBALANCE_LOCK_MAX_LIVE_TIME (the client's), RebalanceLockManager (the
// broker's); RebalanceImpl.lock, lockAll, unlock

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mq_core::Retry;
use tokio::time::{sleep, sleep_until};

use super::core::{Core, Phase};
use super::model::Model;
use super::offsets;
use super::queue::Queue;
use crate::conn::QueueId;
use crate::error::{Error, Result};
use crate::proto::command::{LockQueues, QueueKey, UnlockQueues};

/// How long locks hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Between two renewals.
    pub(crate) period: Duration,
    /// From a renewal on, here; at the broker it is twice as long.
    pub(crate) lease: Duration,
    /// Between two attempts while the broker does not answer.
    pub(crate) soon: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(20),
            lease: Duration::from_secs(30),
            soon: Duration::from_secs(1),
        }
    }
}

/// Whether the consumer may only have queues that are locked for it. Who broadcasts has all queues, as everybody else.
// apache/rocketmq: ConsumeMessageOrderlyService.start locks in clustering only
pub(super) const fn is_needed(core: &Core) -> bool {
    core.config.order.is_some() && matches!(core.model, Model::Clustering)
}

/// Locks queues. The answer is those that are locked for us, with the end of the lease, and the first failure.
pub(super) async fn lock(
    core: &Core,
    queues: &[QueueId],
) -> (BTreeMap<QueueId, Instant>, Option<Error>) {
    let _turn = core.locking.lock().await;
    core.locked().extend(queues.iter().cloned());
    let asked = ask(core, queues).await;
    (asked.locked, asked.error)
}

/// Gives locks back; who does not hear of it finds them lapsed after a while.
pub(super) async fn unlock(core: &Core, queues: &[QueueId]) {
    let _turn = core.locking.lock().await;
    give_back(core, queues).await;
}

/// Whoever has the turn calls it.
async fn give_back(core: &Core, queues: &[QueueId]) {
    let calls = by_broker(queues).into_iter().map(|(broker, of)| async move {
        let body = UnlockQueues(body(core, &of));
        let Ok(endpoint) = master(core, &broker, &of).await else { return };
        let connections = &core.shared.connections;
        let told = connections.call(&endpoint, &body, UNLOCK_WAIT, "unlock queues").await;
        if let Err(error) = told {
            tracing::warn!(group = %core.group, %broker, %error, "queues are not unlocked: another member gets them when the broker's lock lapses");
        }
    });
    join_all(calls).await;
    core.locked().retain(|id| !queues.contains(id));
}

/// Locks that were asked for and are of no use any more.
pub(super) async fn unlock_strays(core: &Core, topic: &str, wanted: &BTreeSet<QueueId>) {
    let assigned = core.queues();
    let is_stray = |id: &QueueId| {
        *id.topic == *topic
            && !wanted.contains(id)
            && !assigned.iter().any(|queue| queue.id() == id)
    };
    let strays: Vec<_> = core
        .locked()
        .iter()
        .filter(|id| is_stray(id))
        .cloned()
        .collect();
    if !strays.is_empty() {
        unlock(core, &strays).await;
    }
}

/// Gives back every lock that was ever asked for and not given back yet.
pub(super) async fn unlock_all(core: &Core) {
    let locked: Vec<_> = core.locked().iter().cloned().collect();
    unlock(core, &locked).await;
}

/// Gives up a queue that another member is to have: when what is held of it is settled, but not later than Java's client would.
pub(super) async fn hand_over(core: Arc<Core>, queue: Arc<Queue>) {
    queue.stop().cancel();
    let settled = async {
        while queue.ledger().is_busy() {
            sleep(LOOK_AGAIN).await;
        }
    };
    if tokio::time::timeout(HAND_OVER, settled).await.is_err() {
        let id = queue.id();
        tracing::warn!(group = %core.group, topic = %id.topic, queue = id.id, "deliveries of a queue that moves are still held: they come again elsewhere");
    }
    {
        // Until it is unlocked nobody here may lock it again, or that lock would be given back.
        let _turn = core.locking.lock().await;
        offsets::hand_over(&core, &[Arc::clone(&queue)]).await;
        give_back(&core, std::slice::from_ref(queue.id())).await;
    }
    // It may have become ours again in the meantime.
    core.rebalance.notify_one();
}

/// Renews the locks until the consumer is closed.
pub(super) async fn keep(core: Arc<Core>) {
    let Some(times) = core.config.order.map(|order| order.locks) else {
        return;
    };
    loop {
        let complete = tokio::select! {
            () = core.reached(Phase::Closed) => return,
            complete = renew(&core) => complete,
        };
        let soon = sleep(if complete { times.period } else { times.soon });
        let lapses = core
            .queues()
            .into_iter()
            .filter_map(|queue| queue.ledger().lease());
        let lapses = lapses
            .min()
            .unwrap_or_else(|| core.shared.clock.now() + times.period);
        tokio::select! {
            () = core.reached(Phase::Closed) => return,
            () = soon => {}
            () = sleep_until(lapses.into()) => {}
            () = core.relock.notified() => sleep(BREATH).await,
        }
    }
}

/// The answer is whether every lock was answered for.
async fn renew(core: &Arc<Core>) -> bool {
    give_up_lapsed(core);
    let turn = core.locking.lock().await;
    // Only now: what was given back while this waited for its turn must not be locked again, for nobody would give that back.
    let queues = core.queues();
    if queues.is_empty() {
        return true;
    }
    let ids: Vec<_> = queues.iter().map(|queue| queue.id().clone()).collect();
    let Asked {
        locked,
        answered,
        error,
    } = ask(core, &ids).await;
    drop(turn);
    let now = core.shared.clock.now();
    for queue in &queues {
        match locked.get(queue.id()) {
            Some(until) => queue.ledger().renew(now, *until),
            // Only the broker's own word counts: others answer for other queues.
            None if answered.contains(&queue.id().broker) => {
                give_up(core, queue, "the broker says that another member has it");
            }
            None => {}
        }
    }
    give_up_lapsed(core);
    let Some(error) = error else { return true };
    tracing::warn!(group = %core.group, %error, "the locks of ordered queues are not renewed yet");
    false
}

fn give_up_lapsed(core: &Core) {
    let now = core.shared.clock.now();
    for queue in core.queues() {
        let lapsed = queue.ledger().lease().is_some_and(|until| now >= until);
        if lapsed {
            give_up(
                core,
                &queue,
                "the broker's lock could not be renewed in time",
            );
        }
    }
}

/// Its offset is not stored: another member may have gone on from the last that was.
fn give_up(core: &Core, queue: &Arc<Queue>, why: &str) {
    let id = queue.id();
    tracing::warn!(group = %core.group, topic = %id.topic, broker = %id.broker, queue = id.id, why, "an ordered queue is given up");
    core.revoke(queue);
    core.rebalance.notify_one();
}

/// What brokers said when they were asked for locks.
#[derive(Debug, Default)]
struct Asked {
    /// What is locked, and until when.
    locked: BTreeMap<QueueId, Instant>,
    /// Who answered: what it did not lock is another member's.
    answered: BTreeSet<Arc<str>>,
    /// Why one of the others did not.
    error: Option<Error>,
}

/// Whoever has the turn calls it.
async fn ask(core: &Core, queues: &[QueueId]) -> Asked {
    let lease = core.config.order.unwrap_or_default().locks.lease;
    let calls = by_broker(queues)
        .into_iter()
        .map(|(broker, of)| async move {
            // From here on, since nobody knows when the broker's time begins to run.
            let until = core.shared.clock.now() + lease;
            let endpoint = master(core, &broker, &of).await?;
            let connections = &core.shared.connections;
            let wait = core.shared.request_timeout;
            let locked = connections
                .call(&endpoint, &body(core, &of), wait, "lock queues")
                .await?;
            let is_locked = |id: &QueueId| locked.queues.iter().any(|known| id.is(known));
            let ours = of.into_iter().filter(is_locked).map(|id| (id, until));
            Result::Ok((broker, ours.collect::<Vec<_>>()))
        });
    let mut asked = Asked::default();
    for answer in join_all(calls).await {
        match answer {
            Ok((broker, locked)) => {
                asked.answered.insert(broker);
                asked.locked.extend(locked);
            }
            Err(error) => asked.error = asked.error.or(Some(error)),
        }
    }
    asked
}

fn by_broker(queues: &[QueueId]) -> BTreeMap<Arc<str>, Vec<QueueId>> {
    let mut brokers: BTreeMap<Arc<str>, Vec<QueueId>> = BTreeMap::new();
    for id in queues {
        brokers
            .entry(Arc::clone(&id.broker))
            .or_default()
            .push(id.clone());
    }
    brokers
}

fn body(core: &Core, queues: &[QueueId]) -> LockQueues {
    LockQueues {
        client_id: core.shared.client_id().to_owned(),
        consumer_group: core.group.to_string(),
        queues: queues.iter().map(key).collect(),
        only_this_broker: false,
    }
}

fn key(id: &QueueId) -> QueueKey {
    QueueKey {
        broker_name: id.broker.to_string(),
        queue_id: id.id,
        topic: id.topic.to_string(),
    }
}

async fn master(core: &Core, broker: &str, queues: &[QueueId]) -> Result<mq_core::Endpoint> {
    let topic = queues.first().map_or("", |id| &id.topic);
    let route = core.shared.routes.topic(topic).await?;
    route.master(broker).cloned().ok_or_else(|| {
        let message = format!("broker \"{broker}\" has no master in the route");
        Error::builder(mq_core::ErrorKind::NotFound, message)
            .operation("lock queues")
            .retry(Retry::Later)
            .build()
    })
}

/// Pulls of several queues fail at a time.
const BREATH: Duration = Duration::from_millis(200);
/// How long what is held of a queue that moves may still be settled.
// apache/rocketmq: RebalancePushImpl.UNLOCK_DELAY_TIME_MILLS
const HAND_OVER: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const UNLOCK_WAIT: Duration = Duration::from_secs(1);
