//! One queue: a task that pulls whenever there is room, and the ledger of what it pulled.
//!
//! ```text
//!   wait for room ──► long poll (11) ──► decode, filter ──► ledger + ready ──► again
//!        ▲                 │ error: pause 100 ms … 3 s
//!        └─────────────────┘ offset moved back: a new epoch of the queue
//! ```
//!
//! A `Queue` is one epoch: lost and won again, it is another one, and what belongs to the old one is stale.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::BackoffBuilder as _;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::core::{Core, Topic};
use super::decode::Reading;
use super::lane::Lane;
use super::offset::Ledger;
use super::pull::{self, Answer};
use super::received::Received;
use super::{offsets, run};
use crate::client::Event;
use crate::conn::QueueId;
use crate::error::{Error, ResponseCode};
use crate::proto::command::QueueKey;

/// One epoch of an assigned queue.
#[derive(Debug)]
pub(crate) struct Queue {
    id: QueueId,
    topic: Arc<Topic>,
    ledger: Mutex<Ledger<Arc<Received>>>,
    room: Notify,
    arrived: Notify,
    stop: CancellationToken,
    /// Where somebody wants to go on; the epoch ends with it.
    sought: watch::Sender<Option<i64>>,
}

impl Queue {
    /// A queue to be read from `next` on, in order if it has a lane; `persisted` is what the broker has stored for the group.
    pub(crate) fn new(
        id: QueueId,
        topic: Arc<Topic>,
        next: i64,
        persisted: Option<i64>,
        lane: Option<Lane>,
    ) -> Self {
        Self {
            id,
            topic,
            ledger: Mutex::new(Ledger::new(next, persisted).ordered(lane)),
            room: Notify::new(),
            arrived: Notify::new(),
            stop: CancellationToken::new(),
            sought: watch::Sender::new(None),
        }
    }

    pub(crate) const fn id(&self) -> &QueueId {
        &self.id
    }

    pub(crate) const fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    pub(crate) const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Wakes the actor when a message is settled.
    pub(crate) const fn room(&self) -> &Notify {
        &self.room
    }

    /// Wakes who gathers a batch of an ordered queue.
    pub(crate) const fn arrived(&self) -> &Notify {
        &self.arrived
    }

    /// The actor is to go on from here, in a new epoch.
    pub(crate) fn seek(&self, next: i64) {
        self.sought.send_replace(Some(next));
    }

    pub(crate) fn sought(&self) -> Option<i64> {
        *self.sought.borrow()
    }

    async fn is_sought(&self) -> i64 {
        let mut sought = self.sought.subscribe();
        // It does not fail: the sender is in `self`.
        let found = sought.wait_for(Option::is_some).await;
        found.ok().and_then(|next| *next).unwrap_or_default()
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger<Arc<Received>>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueId {
    /// Whether a broker means this queue.
    pub(crate) fn is(&self, key: &QueueKey) -> bool {
        key.queue_id == self.id && key.topic == *self.topic && key.broker_name == *self.broker
    }
}

/// Pulls until the queue is given up.
pub(crate) async fn serve(core: Arc<Core>, queue: Arc<Queue>) {
    let pulling = async {
        tokio::select! {
            biased;
            next = queue.is_sought() => go_to(&core, &queue, next).await,
            () = pull_all(&core, &queue) => {}
        }
    };
    tokio::select! {
        biased;
        () = queue.stop.cancelled() => unfinished(&core, &queue).await,
        () = pulling => {}
    }
    tracing::debug!(group = %core.group, topic = %queue.id.topic, broker = %queue.id.broker, queue = queue.id.id, "pulling ended");
}

async fn pull_all(core: &Arc<Core>, queue: &Arc<Queue>) {
    let mut replica = pull::MASTER;
    let (mut errors, mut idle) = (pauses(), pauses());
    loop {
        wait_for_room(core, queue).await;
        let asked_at = core.shared.clock.now();
        let from = queue.ledger().next();
        let answer = match pull::pull(core, queue, replica).await {
            Ok(answer) => answer,
            Err(error) if is_final(&error) => return core.fail(error),
            Err(error) => {
                replica = pull::MASTER;
                trouble(core, queue, &error);
                tokio::time::sleep(errors.next().unwrap_or(LONGEST_PAUSE)).await;
                continue;
            }
        };
        errors = pauses();
        replica = answer.next_replica();
        match answer {
            Answer::Found {
                body, next, delta, ..
            } => {
                let reading = Reading {
                    queue: &queue.id,
                    subscription: &queue.topic.subscription,
                    namespace: &core.shared.namespace,
                    from,
                    delta,
                };
                core.pulled(queue, reading.messages(body), next);
            }
            Answer::Nothing { next, .. } => core.pulled(queue, Vec::new(), next),
            Answer::Moved { next, .. } if next < from => return go_to(core, queue, next).await,
            Answer::Moved { next, .. } => {
                // What lies between has been deleted at the broker: nothing that is still unsettled here is lost by going on.
                moved(core, queue, from, next);
                core.pulled(queue, Vec::new(), next);
            }
        }
        if queue.ledger().next() > from {
            idle = pauses();
        } else if core.shared.clock.now().saturating_duration_since(asked_at) < QUICK {
            // A broker that answers at once, over and over, is not to be asked over and over.
            tokio::time::sleep(idle.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }
}

async fn wait_for_room(core: &Core, queue: &Queue) {
    loop {
        let (freed, budget) = (queue.room.notified(), core.room.notified());
        tokio::pin!(freed, budget);
        freed.as_mut().enable();
        budget.as_mut().enable();
        let (has_room, is_empty) = {
            let ledger = queue.ledger();
            let most = core.config.prefetch_count;
            let has_room = ledger.count() < most
                && ledger.bytes() < core.config.prefetch_queue_bytes
                && ledger.span() < i64::try_from(most).unwrap_or(i64::MAX).saturating_mul(SPAN);
            (has_room, ledger.count() == 0)
        };
        // A queue that is held up by one message is not to take the others' room.
        let may_overshoot = is_empty && core.config.order.is_some();
        if has_room && (may_overshoot || core.has_room(&queue.topic)) && !core.is_paused() {
            return;
        }
        tokio::select! {
            () = freed => {}
            () = budget => {}
        }
    }
}

/// Somebody seeks, or the broker's queue ends before our offset: it lost what it had, or an operator set the group back. The old epoch is
/// frozen first, so that nothing of it can move the offset again.
// apache/rocketmq: DefaultMQPushConsumerImpl.pullMessage, OFFSET_ILLEGAL drops the process queue and corrects the offset
async fn go_to(core: &Arc<Core>, queue: &Arc<Queue>, next: i64) {
    let from = queue.ledger().next();
    moved(core, queue, from, next);
    // Not through `stop`: this runs in the task that it would end.
    core.freeze(queue);
    let stored = offsets::store(core, &queue.id, next).await;
    if let Err(error) = &stored {
        tracing::warn!(topic = %queue.id.topic, queue = queue.id.id, %error, "the corrected offset is not persisted yet");
    }
    let topic = Arc::clone(&queue.topic);
    let lane = queue.ledger().lane().map(Lane::fresh);
    let fresh = Arc::new(Queue::new(
        queue.id.clone(),
        topic,
        next,
        stored.is_ok().then_some(next),
        lane,
    ));
    core.revoke(queue);
    run::take_on(core, &fresh);
    // Somebody has changed their mind in the meantime.
    if let Some(later) = queue.sought().filter(|later| *later != next) {
        core.seek(&fresh, later);
    }
}

fn moved(core: &Core, queue: &Queue, from: i64, to: i64) {
    let id = &queue.id;
    tracing::warn!(group = %core.group, topic = %id.topic, broker = %id.broker, queue = id.id, from, to, "goes on elsewhere in the queue");
    core.shared.board.tell(|| Event::OffsetMoved {
        group: core.group.to_string(),
        topic: id.topic.to_string(),
        broker: id.broker.to_string(),
        queue: id.id,
        from,
        to,
    });
}

/// The queue goes to another member before it was set to where somebody wanted it: that one is to begin there.
async fn unfinished(core: &Core, queue: &Queue) {
    if let Some(next) = queue.sought() {
        offsets::store_last(core, vec![(queue.id.clone(), next)]).await;
    }
}

/// Whether no later pull can succeed either.
pub(crate) fn is_final(error: &Error) -> bool {
    error.kind() == mq_core::ErrorKind::Auth
        || matches!(
            error.code(),
            Some(&(ResponseCode::NO_PERMISSION | ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST))
        )
}

fn trouble(core: &Core, queue: &Queue, error: &Error) {
    tracing::warn!(group = %core.group, topic = %queue.id.topic, broker = %queue.id.broker, queue = queue.id.id, %error, "a pull failed");
    // A broker that was restarted has forgotten the locks.
    core.relock.notify_one();
    // The queue may have moved to another address, or be gone.
    core.shared.routes.refresh_soon(&queue.id.topic);
}

pub(crate) fn pauses() -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(3);
const QUICK: Duration = Duration::from_millis(100);
/// How far a queue may run ahead of its lowest unsettled message, in multiples of the prefetch count: what a crash brings again.
const SPAN: i64 = 16;
