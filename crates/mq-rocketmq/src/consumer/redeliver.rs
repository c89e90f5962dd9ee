//! What failed, in a broadcasting or an ordered consumer: it goes to no broker, but waits here and is delivered again.
//!
//! ```text
//!   nack, drop, time-out ──► wait 10 s, 30 s, 1 min …; ordered: for the suspend time ──► buffer, with the next attempt
//!        └─ dead letter, or delivered again often enough
//!              ├─ broadcasting ──► skipped: settled, and told
//!              └─ ordered ──► to the broker (returns.rs): settled once it has confirmed, and told
//! ```
//!
//! While it waits it keeps its place in the ledger: the offset stays behind it, and so does the room that it takes.
// apache/rocketmq: ConsumeMessageConcurrentlyService.processConsumeResult drops what fails in broadcasting, after one attempt

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::core::{Core, Phase, Return};
use super::model::Model;
use super::queue::Queue;
use super::received::Received;
use super::returns;
use super::settle::{DelayLevel, Settle};
use crate::client::Event;

/// Delivers again what comes, until the consumer is closed.
pub(super) async fn redeliver_all(core: Arc<Core>) {
    let mut waiting = FuturesUnordered::new();
    let mut parking = FuturesUnordered::new();
    loop {
        while let Some(item) = core.next_return() {
            if is_over(&core, &item) {
                match core.model {
                    Model::Broadcasting(_) => skip(&core, item),
                    Model::Clustering => parking.push(park(&core, item)),
                }
            } else if item.queue.ledger().defer(item.offset, detached).is_ok() {
                let delay = delay(&core, &item);
                waiting.push(wait(item, delay));
            }
        }
        tokio::select! {
            () = core.reached(Phase::Closed) => return,
            () = core.returning.notified() => {}
            Some((queue, offset, counts)) = waiting.next(), if !waiting.is_empty() => {
                core.deliver_again(&queue, offset, counts);
            }
            Some(()) = parking.next(), if !parking.is_empty() => {}
        }
    }
}

/// For as long as a broker would let it wait; an ordered queue waits as it is set to.
fn delay(core: &Core, item: &Return) -> Duration {
    match core.config.order {
        Some(order) => order.pause(item.decision),
        None => item.level.delay(item.message.reconsumed),
    }
}

/// Waits, and tells whether that is to count as an attempt. Keeps nothing of the message, which is forgotten if its queue is given up.
async fn wait(item: Return, delay: Duration) -> (Arc<Queue>, i64, bool) {
    let counts = item.decision != Settle::Rollback;
    let Return {
        queue,
        offset,
        message,
        done,
        ..
    } = item;
    drop(message);
    if let Some(done) = done {
        // That it is here is all that there is to confirm. Nobody need wait for it.
        let _ = done.send(());
    }
    tokio::select! {
        () = queue.stop().cancelled() => {}
        () = tokio::time::sleep(delay) => {}
    }
    (queue, offset, counts)
}

/// Sends it to the dead-letter queue, until the broker has confirmed; its lane waits for that.
async fn park(core: &Core, mut item: Return) {
    item.level = DelayLevel::DEAD;
    let mut again = Some(item);
    while let Some(item) = again {
        again = match returns::attempt(core, item).await {
            Some(failed) => Some(returns::pause(failed).await),
            None => None,
        };
    }
}

/// It may wait for long, and is not to keep alive the whole answer that it came in.
fn detached(message: &Arc<Received>) -> Arc<Received> {
    Arc::new(message.detached())
}

fn is_over(core: &Core, item: &Return) -> bool {
    if item.decision == Settle::Rollback {
        return false;
    }
    item.level == DelayLevel::DEAD || item.message.reconsumed >= core.config.max_redeliveries
}

fn skip(core: &Core, item: Return) {
    let (id, offset) = (item.queue.id().clone(), item.offset);
    let attempts = item.message.attempt();
    if !core.sent_back(item) {
        return;
    }
    tracing::warn!(
        group = %core.group, topic = %id.topic, broker = %id.broker, queue = id.id, offset, attempts,
        "a message is skipped: it has failed, and broadcasting has no dead-letter queue"
    );
    core.shared.board.tell(|| Event::MessageSkipped {
        group: core.group.to_string(),
        topic: id.topic.to_string(),
        broker: id.broker.to_string(),
        queue: id.id,
        offset,
        attempts,
    });
}

impl Core {
    /// What has waited comes next, unless the queue is lost or the consumer closes: then it stays behind the offset.
    fn deliver_again(&self, queue: &Arc<Queue>, offset: i64, counts: bool) {
        if self.phase() != Phase::Open {
            return;
        }
        let renew = |before: &Arc<Received>| {
            let mut received = Received::clone(before);
            received.reconsumed = received.reconsumed.saturating_add(i32::from(counts));
            Arc::new(received)
        };
        let renewed = queue.ledger().again(offset, renew);
        if renewed.is_ok() {
            self.hand_out_again(queue, offset);
        }
    }
}
