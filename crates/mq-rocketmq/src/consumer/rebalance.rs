//! Which queues are ours, and taking them on and giving them up.
//!
//! Every 20 s, when a broker says that the group has changed (40), and when a route has changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mq_core::{Endpoint, ErrorKind};
use tokio::sync::watch;

use super::core::{Core, Phase, Topic};
use super::model::Model;
use super::queue::{Queue, is_final};
use super::{assign, lock, offsets, run};
use crate::client::Event;
use crate::conn::{QueueId, TopicRoute};
use crate::error::{Error, Result};
use crate::proto::command::GetConsumerList;

/// What a round of rebalancing came to.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// A topic that does not exist (yet).
    pub(super) missing: bool,
    /// The brokers don't know us yet, so that the queues stand as they were.
    pub(super) unlisted: bool,
    /// Another member has the lock of a queue still.
    pub(super) unlocked: bool,
    /// The first failure; the rest was done.
    pub(super) error: Option<Error>,
}

impl Round {
    fn add(&mut self, other: Self) {
        self.missing |= other.missing;
        self.unlisted |= other.unlisted;
        self.unlocked |= other.unlocked;
        // A refusal counts more than a failure.
        match (&self.error, other.error) {
            (Some(known), Some(new)) if is_final(&new) && !is_final(known) => {
                self.error = Some(new);
            }
            (None, new) => self.error = new,
            _ => {}
        }
    }
}

/// Rebalances until the consumer closes.
pub(super) async fn keep_balanced(core: Arc<Core>) {
    let mut routes = core.shared.routes.changes();
    let mut soon = SOON;
    loop {
        let round = tokio::select! {
            () = core.reached(Phase::Closing) => return,
            round = balance(&core) => round,
        };
        let unlocked = round.unlocked;
        let complete = round.error.is_none() && !round.missing && !round.unlisted && !unlocked;
        let unheard_of = round.unlisted || round.error.is_some();
        if let Some(error) = round.error {
            if is_final(&error) {
                core.fail(error);
                return;
            }
            tracing::warn!(group = %core.group, %error, "rebalancing is incomplete");
        }
        // A topic may be newer than our last heartbeat, and its brokers don't know us: they don't list us, or don't know the group.
        if unheard_of && let Err(error) = core.shared.heartbeat_now().await {
            if is_final(&error) {
                core.fail(error);
                return;
            }
            tracing::warn!(group = %core.group, %error, "a heartbeat failed");
        }
        if unlocked {
            soon = LOCK_AGAIN;
        }
        if complete || pause(&core, &mut routes, soon).await {
            soon = SOON;
        } else {
            soon = (soon * 2).min(PERIOD);
        }
        if complete {
            pause(&core, &mut routes, PERIOD).await;
        }
    }
}

/// The answer is whether something happened before the time was over.
async fn pause(core: &Core, routes: &mut watch::Receiver<u64>, period: Duration) -> bool {
    tokio::select! {
        () = core.reached(Phase::Closing) => true,
        () = core.rebalance.notified() => true,
        // It does not fail: the sender lives in `core`.
        _ = routes.changed() => true,
        () = tokio::time::sleep(period) => false,
    }
}

/// One round over all topics.
pub(super) async fn balance(core: &Arc<Core>) -> Round {
    let mut all = Round::default();
    for round in join_all(core.topics.iter().map(|topic| balance_topic(core, topic))).await {
        all.add(round.unwrap_or_else(|error| Round {
            error: Some(error),
            ..Round::default()
        }));
    }
    all
}

async fn balance_topic(core: &Arc<Core>, topic: &Arc<Topic>) -> Result<Round> {
    let route = match core.shared.routes.topic(&topic.name).await {
        Ok(route) => route,
        // Queues that we have stay ours: their brokers say themselves when they are gone.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            tracing::debug!(group = %core.group, topic = %topic.name, "the topic does not exist yet");
            return Ok(Round {
                missing: true,
                ..Round::default()
            });
        }
        Err(error) => return Err(error),
    };
    let Some(wanted) = share(core, topic, &route).await? else {
        tracing::debug!(group = %core.group, topic = %topic.name, "the brokers don't list this consumer yet");
        return Ok(Round {
            unlisted: true,
            ..Round::default()
        });
    };
    let wanted: BTreeSet<QueueId> = wanted.into_iter().collect();
    let held: Vec<_> = core
        .queues()
        .into_iter()
        .filter(|queue| queue.topic().name == topic.name)
        .collect();
    let (kept, mut lost): (Vec<_>, Vec<_>) = held
        .into_iter()
        .partition(|queue| wanted.contains(queue.id()));
    let new = wanted
        .iter()
        .filter(|id| !kept.iter().any(|queue| queue.id() == *id));
    let new = new.cloned().collect();
    let leased = if lock::is_needed(core) {
        lost.retain(|queue| run::hand_over(core, queue));
        lock::unlock_strays(core, &topic.name, &wanted).await;
        leased(core, new).await
    } else {
        offsets::hand_over(core, &lost).await;
        Leased::all(new)
    };
    let new = leased.queues.iter();
    let started = join_all(new.map(|(id, until)| take_on(core, topic, id, *until))).await;
    let won = started.iter().filter(|result| result.is_ok()).count();
    let error = started.into_iter().find_map(Result::err);
    if won > 0 {
        offsets::taken_on(core).await;
    }
    if won > 0 || !lost.is_empty() {
        tracing::info!(group = %core.group, topic = %topic.name, queues = wanted.len(), won, lost = lost.len(), "rebalanced");
        tell(core, topic, kept.len() + won);
    }
    Ok(Round {
        error: error.or(leased.error),
        unlocked: leased.unlocked,
        ..Round::default()
    })
}

fn tell(core: &Core, topic: &Topic, queues: usize) {
    core.shared.board.tell(|| Event::Rebalanced {
        group: core.group.to_string(),
        topic: topic.name.to_string(),
        queues,
    });
}

/// Queues that may be taken on, with the end of the broker's lock if there is one.
#[derive(Debug, Default)]
struct Leased {
    queues: Vec<(QueueId, Option<Instant>)>,
    /// Others are another member's still.
    unlocked: bool,
    /// A broker did not answer.
    error: Option<Error>,
}

impl Leased {
    fn all(queues: Vec<QueueId>) -> Self {
        Self {
            queues: queues.into_iter().map(|id| (id, None)).collect(),
            ..Self::default()
        }
    }
}

/// Those of the queues that the brokers lock for us.
async fn leased(core: &Core, new: Vec<QueueId>) -> Leased {
    if new.is_empty() {
        return Leased::default();
    }
    let (locked, error) = lock::lock(core, &new).await;
    Leased {
        unlocked: error.is_none() && locked.len() < new.len(),
        queues: locked
            .into_iter()
            .map(|(id, until)| (id, Some(until)))
            .collect(),
        error,
    }
}

/// The queues of a topic that are this consumer's; `None` when the brokers don't list it as a member (yet).
async fn share(core: &Core, topic: &Topic, route: &TopicRoute) -> Result<Option<Vec<QueueId>>> {
    if let Model::Broadcasting(_) = core.model {
        // apache/rocketmq: RebalanceImpl.rebalanceByTopic does not ask who else is in the group either
        return Ok(Some(route.subscribe.clone()));
    }
    let ids = members(core, route).await?;
    tracing::debug!(group = %core.group, topic = %topic.name, members = ids.len(), "shares out");
    let group = assign::Group {
        namespace: &core.shared.namespace,
        name: &core.group,
        topic: &topic.name,
        own: core.shared.client_id(),
    };
    let allocation = &core.config.allocation;
    allocation.allocate(&group, &ids, &route.subscribe)
}

async fn take_on(
    core: &Arc<Core>,
    topic: &Arc<Topic>,
    id: &QueueId,
    lease: Option<Instant>,
) -> Result<()> {
    let (next, persisted) = offsets::start(core, id, topic).await?;
    let lane = core.config.order.map(|order| order.lane(lease));
    let queue = Queue::new(id.clone(), Arc::clone(topic), next, persisted, lane);
    run::take_on(core, &Arc::new(queue));
    Ok(())
}

/// The ids of the group's members, from the first of the topic's brokers that tells.
async fn members(core: &Core, route: &TopicRoute) -> Result<Vec<String>> {
    let mut brokers: Vec<&Endpoint> = route
        .brokers()
        .filter_map(|(name, _)| route.any(name))
        .collect();
    let count = brokers.len();
    if count > 1 {
        brokers.rotate_left(fastrand::usize(..count));
    }
    let request = GetConsumerList {
        consumer_group: Arc::clone(&core.group),
        ..GetConsumerList::default()
    };
    let mut failed = None;
    for broker in brokers {
        let wait = core.shared.request_timeout;
        match core
            .shared
            .connections
            .call(broker, &request, wait, "list consumers")
            .await
        {
            Ok(list) => return Ok(list.client_ids),
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => failed = Some(error),
        }
    }
    // No broker: there is nothing to share out either.
    failed.map_or_else(|| Ok(vec![core.shared.client_id().to_owned()]), Err)
}

// apache/rocketmq: RebalanceService.waitInterval
const PERIOD: Duration = Duration::from_secs(20);
/// When another member has the lock of a queue still.
// apache/rocketmq: RebalanceImpl.updateProcessQueueTableInRebalance, rebalanceLater
const LOCK_AGAIN: Duration = Duration::from_millis(500);
/// When something was missing: again after this, then after twice as long, up to the period.
const SOON: Duration = Duration::from_secs(1);
