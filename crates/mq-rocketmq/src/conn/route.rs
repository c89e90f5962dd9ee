//! Where topics live: a cache of routes, filled by tasks of its own.
//!
//! Callers never fetch in their own futures: a future that is polled once and then left alone must not keep others from a route.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mq_core::{Clock, Endpoint, ErrorKind, Retry};
use tokio::sync::{oneshot, watch};

use super::{Nameservers, Tasks};
use crate::client::{Board, Event};
use crate::error::{Error, Result, closed};
use crate::proto::ResponseCode;
use crate::proto::command::{self, GetRoute};

/// One queue of a topic. The order is Java's: topic, broker, number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueueId {
    pub(crate) topic: Arc<str>,
    pub(crate) broker: Arc<str>,
    pub(crate) id: i32,
}

/// A topic's route, ready for choosing queues.
#[derive(Debug)]
pub(crate) struct TopicRoute {
    /// Queues that can be written, sorted; of an ordered topic those that an operator has laid down, in that order.
    pub(crate) publish: Vec<QueueId>,
    /// Queues that can be read, sorted.
    pub(crate) subscribe: Vec<QueueId>,
    brokers: BTreeMap<Arc<str>, BTreeMap<i64, Endpoint>>,
    data: command::TopicRoute,
}

impl TopicRoute {
    fn new(topic: &str, data: command::TopicRoute, most_publish_queues: i32) -> Self {
        let topic: Arc<str> = topic.into();
        let mut brokers: BTreeMap<Arc<str>, BTreeMap<i64, Endpoint>> = BTreeMap::new();
        for broker in &data.brokers {
            brokers
                .entry(broker.broker_name.as_str().into())
                .or_default()
                .extend(broker.endpoints());
        }
        let (mut publish, mut subscribe) = (Vec::new(), Vec::new());
        for share in &data.queues {
            let Some((broker, addresses)) = brokers.get_key_value(share.broker_name.as_str())
            else {
                continue;
            };
            let queue = |id| QueueId {
                topic: Arc::clone(&topic),
                broker: Arc::clone(broker),
                id,
            };
            // apache/rocketmq: topicRouteData2TopicPublishInfo leaves out brokers without a master.
            if share.is_writable() && addresses.contains_key(&MASTER) {
                let count = share
                    .write_queue_nums
                    .min(most_publish_queues)
                    .min(MOST_QUEUES);
                publish.extend((0..count).map(queue));
            }
            if share.is_readable() {
                subscribe.extend((0..share.read_queue_nums.min(MOST_QUEUES)).map(queue));
            }
        }
        publish.sort();
        subscribe.sort();
        if let Some(order) = data
            .order_topic_conf
            .as_deref()
            .filter(|conf| !conf.is_empty())
        {
            publish = ordered(&topic, order);
        }
        Self {
            publish,
            subscribe,
            brokers,
            data,
        }
    }

    /// The same route with some of the queues that can be written.
    pub(crate) fn with_publish(&self, keep: impl Fn(&QueueId) -> bool) -> Self {
        let kept = self.publish.iter().filter(|queue| keep(queue));
        Self {
            publish: kept.cloned().collect(),
            subscribe: self.subscribe.clone(),
            brokers: self.brokers.clone(),
            data: self.data.clone(),
        }
    }

    /// The broker's master.
    pub(crate) fn master(&self, broker: &str) -> Option<&Endpoint> {
        self.by_id(broker, MASTER)
    }

    /// The broker's master, or else its replica with the smallest number.
    pub(crate) fn any(&self, broker: &str) -> Option<&Endpoint> {
        self.brokers.get(broker)?.values().next()
    }

    /// The replica with this number.
    pub(crate) fn by_id(&self, broker: &str, id: i64) -> Option<&Endpoint> {
        self.brokers.get(broker)?.get(&id)
    }

    /// Names of all brokers with their endpoints by number; 0 is the master.
    pub(crate) fn brokers(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<i64, Endpoint>)> {
        self.brokers.iter()
    }
}

/// The queues of `broker-a:4;broker-b:4`. They stay the same while a broker is away, and so does the queue of each ordering key.
// apache/rocketmq: MQClientInstance.topicRouteData2TopicPublishInfo
fn ordered(topic: &Arc<str>, conf: &str) -> Vec<QueueId> {
    let shares = conf.split(';').filter_map(|share| {
        let (broker, count) = share.split_once(':')?;
        Some((broker, count.trim().parse::<i32>().ok()?))
    });
    let queues = shares.flat_map(|(broker, count)| {
        let broker: Arc<str> = broker.trim().into();
        (0..count.min(MOST_QUEUES)).map(move |id| QueueId {
            topic: Arc::clone(topic),
            broker: Arc::clone(&broker),
            id,
        })
    });
    queues.collect()
}

/// The cache. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Routes(Arc<Inner>);

/// Routes that may be gone: connections know them, and they know the connections.
#[derive(Debug, Clone)]
pub(crate) struct WeakRoutes(std::sync::Weak<Inner>);

impl WeakRoutes {
    pub(crate) fn upgrade(&self) -> Option<Routes> {
        self.0.upgrade().map(Routes)
    }
}

#[derive(Debug)]
struct Inner {
    nameservers: Nameservers,
    tasks: std::sync::Weak<Tasks>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    board: Arc<Board>,
    new_topic_queues: i32,
}

type Waiting = Vec<oneshot::Sender<Result<Arc<TopicRoute>>>>;

#[derive(Debug, Default)]
struct State {
    known: HashMap<String, Arc<TopicRoute>>,
    fetching: HashMap<String, Waiting>,
    /// Routes by which a topic that does not exist yet is created, and until when they hold.
    to_create: HashMap<String, (Arc<TopicRoute>, Instant)>,
}

impl Routes {
    pub(crate) fn new(
        nameservers: Nameservers,
        tasks: &Arc<Tasks>,
        clock: Arc<dyn Clock>,
        board: Arc<Board>,
        new_topic_queues: i32,
    ) -> Self {
        Self(Arc::new(Inner {
            nameservers,
            tasks: Arc::downgrade(tasks),
            clock,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            board,
            new_topic_queues,
        }))
    }

    pub(crate) fn downgrade(&self) -> WeakRoutes {
        WeakRoutes(Arc::downgrade(&self.0))
    }

    pub(crate) fn nameservers(&self) -> &Nameservers {
        &self.0.nameservers
    }

    pub(crate) fn new_topic_queues(&self) -> i32 {
        self.0.new_topic_queues
    }

    /// Counts changes of any known route.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// The topics whose routes are known.
    pub(crate) fn topics(&self) -> Vec<String> {
        self.0.lock().known.keys().cloned().collect()
    }

    /// Every broker's endpoints (number 0 is the master) in the known routes.
    pub(crate) fn known_brokers(&self) -> BTreeMap<Arc<str>, BTreeMap<i64, Endpoint>> {
        let state = self.0.lock();
        let mut all: BTreeMap<Arc<str>, BTreeMap<i64, Endpoint>> = BTreeMap::new();
        for route in state
            .known
            .values()
            .chain(state.to_create.values().map(|(route, _)| route))
        {
            for (name, addresses) in route.brokers() {
                all.entry(Arc::clone(name))
                    .or_default()
                    .extend(addresses.clone());
            }
        }
        all
    }

    /// The topic's route, from the cache or else from the nameservers.
    ///
    /// Cancel-safe, and safe to leave unpolled.
    pub(crate) async fn topic(&self, topic: &str) -> Result<Arc<TopicRoute>> {
        if let Some(known) = self.cached(topic) {
            return Ok(known);
        }
        self.refresh(topic).await
    }

    /// The topic's route, if it is in the cache.
    pub(crate) fn cached(&self, topic: &str) -> Option<Arc<TopicRoute>> {
        self.0.lock().known.get(topic).cloned()
    }

    /// Asks the nameservers anew; several callers share one request.
    pub(crate) async fn refresh(&self, topic: &str) -> Result<Arc<TopicRoute>> {
        let (sender, receiver) = oneshot::channel();
        self.fetch(topic, Some(sender));
        receiver
            .await
            .unwrap_or_else(|_| Err(closed("find route", "client")))
    }

    /// Asks the nameservers anew, without waiting.
    pub(crate) fn refresh_soon(&self, topic: &str) {
        self.fetch(topic, None);
    }

    /// The route to publish by if it is known and still holds: what a first poll can use.
    pub(crate) fn cached_for_publishing(&self, topic: &str) -> Option<Arc<TopicRoute>> {
        let mut state = self.0.lock();
        if let Some(known) = state.known.get(topic) {
            return Some(Arc::clone(known)).filter(|route| !route.publish.is_empty());
        }
        let (route, until) = state.to_create.get(topic)?;
        if *until > self.0.clock.now() {
            return Some(Arc::clone(route));
        }
        state.to_create.remove(topic);
        None
    }

    /// The route to publish `topic` by. A topic that does not exist is created as Java does: by sending along the route of
    /// `TBW102`, with at most as many queues as new topics get.
    pub(crate) async fn for_publishing(&self, topic: &str) -> Result<Arc<TopicRoute>> {
        if let Some(route) = self.cached_for_publishing(topic) {
            return Ok(route);
        }
        match self.refresh(topic).await {
            Ok(route) if route.publish.is_empty() => Err(unusable(
                topic,
                "no broker accepts messages for it at the moment",
                Retry::Later,
            )),
            Ok(route) => Ok(route),
            Err(error) if error.code() == Some(&ResponseCode::TOPIC_NOT_EXIST) => {
                self.creating(topic, error).await
            }
            Err(error) => Err(error),
        }
    }

    async fn creating(&self, topic: &str, absent: Error) -> Result<Arc<TopicRoute>> {
        let Ok(default) = self.topic(DEFAULT_TOPIC).await else {
            return Err(absent);
        };
        let route = TopicRoute::new(topic, default.data.clone(), self.0.new_topic_queues);
        if route.publish.is_empty() {
            return Err(absent);
        }
        let route = Arc::new(route);
        let until = self.0.clock.now() + CREATING;
        self.0
            .lock()
            .to_create
            .insert(topic.to_owned(), (Arc::clone(&route), until));
        Ok(route)
    }

    fn fetch(&self, topic: &str, waiter: Option<oneshot::Sender<Result<Arc<TopicRoute>>>>) {
        let mut state = self.0.lock();
        if let Some(waiting) = state.fetching.get_mut(topic) {
            waiting.extend(waiter);
            return;
        }
        let Some(tasks) = self.0.tasks.upgrade() else {
            return;
        };
        state
            .fetching
            .insert(topic.to_owned(), waiter.into_iter().collect());
        drop(state);
        let (inner, topic) = (Arc::clone(&self.0), topic.to_owned());
        tasks.spawn(async move {
            let request = GetRoute::new(topic.as_str());
            let found = inner.nameservers.ask(&request, "find route").await;
            inner.store(&topic, found);
        });
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, topic: &str, found: Result<command::TopicRoute>) {
        let mut state = self.lock();
        let (mut changed, mut new) = (false, false);
        let result = found.map(|data| {
            state.to_create.remove(topic);
            match state.known.get(topic) {
                Some(known) if known.data == data => Arc::clone(known),
                known => {
                    (changed, new) = (true, known.is_none());
                    let route = Arc::new(TopicRoute::new(topic, data, MOST_QUEUES));
                    state.known.insert(topic.to_owned(), Arc::clone(&route));
                    route
                }
            }
        });
        let result = result.map_err(|error| name_topic(error, topic));
        let waiting = state.fetching.remove(topic).unwrap_or_default();
        drop(state);
        for waiter in waiting {
            // Who asked may have gone.
            let _ = waiter.send(result.clone());
        }
        if changed {
            if !new {
                self.board.tell(|| Event::RouteChanged {
                    topic: topic.to_owned(),
                });
            }
            self.changes.send_modify(|count| *count += 1);
        }
    }
}

fn name_topic(error: Error, topic: &str) -> Error {
    if error.code() != Some(&ResponseCode::TOPIC_NOT_EXIST) {
        return error;
    }
    unusable(topic, "it does not exist", Retry::Never)
        .into_builder()
        .code(ResponseCode::TOPIC_NOT_EXIST)
        .hint("create it, or check its name and namespace")
        .build()
}

fn unusable(topic: &str, why: &str, retry: Retry) -> Error {
    Error::builder(ErrorKind::NotFound, format!("topic \"{topic}\": {why}"))
        .operation("find route")
        .retry(retry)
        .build()
}

/// The topic whose route and settings new topics take over.
pub(crate) const DEFAULT_TOPIC: &str = "TBW102";
const MASTER: i64 = 0;
/// How long a topic is taken to be still in the making.
const CREATING: Duration = Duration::from_millis(500);
/// More queues than this a broker are a mistake or an attack.
const MOST_QUEUES: i32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_of_an_ordered_topic_are_as_they_were_laid_down() {
        let mut data = command::TopicRoute {
            order_topic_conf: Some("b:2;a:1;bad;c:x".to_owned()),
            ..command::TopicRoute::default()
        };
        let publish = |data: &command::TopicRoute| {
            let route = TopicRoute::new("t", data.clone(), 16);
            let queues = route.publish.iter();
            let name = |queue: &QueueId| format!("{}{}", queue.broker, queue.id);
            queues.map(name).collect::<Vec<_>>()
        };
        // Brokers that are away keep their places.
        assert_eq!(publish(&data), ["b0", "b1", "a0"]);
        data.order_topic_conf = Some(String::new());
        assert!(publish(&data).is_empty());
    }
}
