//! Where a send goes, and what its end says of the broker.

use std::time::{Duration, Instant};

use mq_core::{Endpoint, ErrorKind, Outcome, Retry};

use super::ending::no_queue;
use super::lanes::Lane;
use super::shared::ProducerShared;
use crate::client::Shared;
use crate::conn::{Done, Failure, QueueId, TopicRoute};
use crate::error::{Error, Result as MqResult};

/// A queue, and its broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) queue: QueueId,
    pub(super) endpoint: Endpoint,
}

impl Target {
    /// The next queue in turn: of a broker that is well and not the one to `avoid`, else of any other, else any.
    pub(super) fn choose(
        producer: &ProducerShared,
        route: &TopicRoute,
        avoid: Option<&str>,
    ) -> Option<Self> {
        let well = is_well(&producer.client, route);
        let queue = pick(&route.publish, producer.turn(), avoid, well)?;
        let endpoint = route.master(&queue.broker)?.clone();
        Some(Self {
            queue: queue.clone(),
            endpoint,
        })
    }

    /// Where the first attempt goes.
    pub(super) fn first(
        producer: &ProducerShared,
        route: &TopicRoute,
        topic: &str,
        lane: Option<&Lane>,
    ) -> MqResult<Self> {
        match lane {
            Some(lane) => Self::of_lane(producer, route, lane),
            None => Self::choose(producer, route, None).ok_or_else(|| no_queue(topic)),
        }
    }

    /// Where everything of a lane goes, however its broker is.
    // apache/rocketmq: DefaultMQProducerImpl.sendSelectImpl takes the whole publish list, and tries once
    pub(super) fn of_lane(
        producer: &ProducerShared,
        route: &TopicRoute,
        lane: &Lane,
    ) -> MqResult<Self> {
        let queue = match lane {
            Lane::Key { topic, key } => producer
                .key_hash
                .queue(key, &route.publish)
                .ok_or_else(|| no_queue(topic))?,
            Lane::Queue(queue) if route.publish.contains(queue) => queue,
            Lane::Queue(queue) => return Err(no_such_queue(queue)),
        };
        let endpoint = route.master(&queue.broker);
        Ok(Self {
            queue: queue.clone(),
            endpoint: endpoint.ok_or_else(|| no_such_queue(queue))?.clone(),
        })
    }

    /// Whether its broker is neither away nor slow.
    pub(super) fn is_well(&self, client: &Shared) -> bool {
        client.board.all_well() || client.board.is_well(&self.endpoint, client.clock.now())
    }

    /// Whether there is a queue of another broker that is well.
    pub(super) fn has_alternative(&self, producer: &ProducerShared, route: &TopicRoute) -> bool {
        let well = is_well(&producer.client, route);
        let mut others = route
            .publish
            .iter()
            .filter(|queue| queue.broker != self.queue.broker);
        others.any(well)
    }

    /// What the end of an attempt says of its broker.
    pub(super) fn learn(&self, client: &Shared, begun: Instant, result: &Result<Done, Failure>) {
        let (board, now) = (&client.board, client.clock.now());
        let time = now.saturating_duration_since(begun);
        match result {
            Ok(Done::Reply(_)) => board.took(&self.endpoint, time, now),
            // A send that had no time to be answered says nothing.
            Err(failure) if failure.kind == ErrorKind::Timeout => {
                if failure.outcome == Outcome::Unknown && time >= UNANSWERED {
                    board.unanswered(&self.endpoint);
                }
            }
            Ok(Done::Written) | Err(_) => {}
        }
    }
}

fn no_such_queue(queue: &QueueId) -> Error {
    let QueueId { topic, broker, id } = queue;
    let what = format!("queue {id} of \"{topic}\" at \"{broker}\" can't be written");
    Error::builder(ErrorKind::NotFound, what)
        .operation("send")
        .retry(Retry::Later)
        .hint("Producer::queues() lists those that can")
        .build()
}

/// The queue whose turn it is, or the next: of a broker that is `well` and not the one to `avoid`, else of any other, else any.
// apache/rocketmq: MQFaultStrategy.selectOneMessageQueue
fn pick<'a>(
    queues: &'a [QueueId],
    turn: usize,
    avoid: Option<&str>,
    well: impl Fn(&QueueId) -> bool,
) -> Option<&'a QueueId> {
    let in_turn = |step: usize| queues.get(turn.wrapping_add(step) % queues.len().max(1));
    let find = |fits: &dyn Fn(&QueueId) -> bool| {
        let mut all = (0..queues.len()).filter_map(in_turn);
        all.find(|queue| fits(queue))
    };
    let other = |queue: &QueueId| avoid.is_none_or(|broker| *queue.broker != *broker);
    find(&|queue| other(queue) && well(queue))
        .or_else(|| find(&other))
        .or_else(|| in_turn(0))
}

/// Says of a queue whether its broker is neither away nor slow.
fn is_well<'a>(client: &'a Shared, route: &'a TopicRoute) -> impl Fn(&QueueId) -> bool {
    let board = &client.board;
    let now = (!board.all_well()).then(|| client.clock.now());
    move |queue| {
        let Some(now) = now else { return true };
        let master = route.master(&queue.broker);
        master.is_none_or(|master| board.is_well(master, now))
    }
}

/// A broker that lets a send wait for so long, in vain, is asked whether it is there.
const UNANSWERED: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(brokers: &[&str]) -> Vec<QueueId> {
        let queue = |broker: &&str| QueueId {
            topic: "t".into(),
            broker: (*broker).into(),
            id: 0,
        };
        brokers.iter().map(queue).collect()
    }

    #[test]
    fn a_broker_that_is_well_and_not_the_last_goes_first() {
        let all = queues(&["a", "b", "c"]);
        let picked = |turn, avoid, ill: &[&str]| {
            let well = |queue: &QueueId| !ill.contains(&&*queue.broker);
            pick(&all, turn, avoid, well).map(|queue| &*queue.broker)
        };
        assert_eq!(picked(1, None, &[]), Some("b"));
        assert_eq!(picked(1, Some("b"), &[]), Some("c"));
        assert_eq!(picked(1, Some("b"), &["c"]), Some("a"));
        assert_eq!(picked(1, None, &["b", "c"]), Some("a"));
        // Another one in trouble rather than the one that has just failed, and that one rather than none.
        assert_eq!(picked(1, Some("b"), &["a", "b", "c"]), Some("c"));
        assert_eq!(picked(usize::MAX, None, &["a", "b", "c"]), Some("a"));
        let one = queues(&["a"]);
        assert!(pick(&one, 7, Some("a"), |_| false).is_some());
        assert!(pick(&[], 7, None, |_| true).is_none());
    }
}
