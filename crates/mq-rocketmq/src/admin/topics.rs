//! Creating and deleting topics.
//!
//! ```text
//!  create   nameserver: which brokers (106) ─► each master: settings (17) ─► nameserver: until the route shows them (105)
//!  delete   nameserver: who has it (105) ─► each master: delete (215) ─► each nameserver: forget (216)
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mq_core::{ErrorKind, Outcome};

use super::change::{ChangeError, Changed, Progress};
use super::cluster::{self, Place};
use super::{Admin, is_system, shown};
use crate::client::Shared;
use crate::conn::DEFAULT_TOPIC;
use crate::error::{Error, Result, invalid};
use crate::name::check_topic;
use crate::proto::ResponseCode;
use crate::proto::command::{
    CreateTopic, DeleteTopicAtBroker, DeleteTopicAtNameserver, GetRoute, TopicRoute,
};

/// How a topic is to be; for [`Admin::create_topic`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct TopicOptions {
    queues: Option<u32>,
    cluster: Option<String>,
    broker: Option<String>,
    message_type: Option<TopicType>,
}

/// Which messages a topic is for. Brokers 5.x keep it, and their proxy refuses other messages; 4.x brokers know no types and ignore it.
// apache/rocketmq: TopicMessageType
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicType {
    /// Messages without order, delay or transaction.
    Normal,
    /// Messages with an ordering key.
    Fifo,
    /// Messages for a later time.
    Delay,
    /// Messages under a transaction.
    Transaction,
    /// All of them; brokers refuse it unless they are set to allow it.
    Mixed,
}

impl TopicOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many queues each broker has, for reading and for writing, from 1 to 10 000. Default: a broker that has the topic keeps its
    /// number, another one makes 8, as the official tool does. With fewer than before, what lies in the queues beyond can't be read.
    pub const fn queues(mut self, count: u32) -> Self {
        self.queues = Some(count);
        self
    }

    /// Only at the brokers of this cluster. Default: of the only one there is.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// Only at this broker. Default: at every broker of the cluster.
    pub fn broker(mut self, name: impl Into<String>) -> Self {
        self.broker = Some(name.into());
        self
    }

    /// Which messages the topic is for. Default: nothing is said, which a 5.x broker takes for [`TopicType::Normal`] and an older one
    /// for any.
    pub const fn message_type(mut self, message_type: TopicType) -> Self {
        self.message_type = Some(message_type);
        self
    }
}

impl Admin {
    /// Creates a topic at the master of every broker, to be read and written, and waits until the nameservers show it: a send right
    /// after it works.
    ///
    /// A topic that exists is changed to these options: it can be read and written afterwards, and keeps its number of queues if no
    /// other is asked for. Calling it again therefore changes nothing, and after a failure completes what is missing. A topic that was declared
    /// ordered (`order=true`) is so no longer.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the name or the number of queues is not acceptable, the topic is one of the brokers' own, or there are several
    /// clusters and none is chosen. Kind `NotFound`: the chosen cluster or broker does not exist. Kind `Auth`: refused. Kind `Connect`: no
    /// nameserver answered, or one of the brokers has no master. Kind `Timeout`: a broker did not answer within the request time-out, or the
    /// nameservers did not show the topic within the same time after it was created (one that has just been started hears within 30 s of
    /// what brokers had before). Others as brokers have them; `Connect` and `Timeout`
    /// are retryable. [`ChangeError::done`] says which brokers have it all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, some brokers may have the topic; calling it again completes it.
    // apache/rocketmq: MQClientAPIImpl.createTopic, UpdateTopicSubCommand
    pub async fn create_topic(
        &self,
        topic: &str,
        options: TopicOptions,
    ) -> Result<Changed, ChangeError> {
        let shared = &self.handle.shared;
        shared.check_open(CREATE)?;
        let name = own_name(shared, topic, CREATE)?;
        if let Some(count) = options.queues
            && !(1..=MOST_QUEUES).contains(&count)
        {
            let message = format!("{count} queues: from 1 to {MOST_QUEUES} are possible");
            return Err(invalid(CREATE, message).into());
        }
        let info = cluster::info(shared, CREATE).await?;
        let (cluster, broker) = (options.cluster.as_deref(), options.broker.as_deref());
        let places = cluster::choose(&info, cluster, broker, CREATE)?;
        // A broker that has it is known to one nameserver at least; by the default its queues could become fewer.
        let (known, _) = route_everywhere(shared, &name, CREATE).await;
        let known = known.unwrap_or_default();
        let requests: Vec<_> = places
            .iter()
            .map(|place| creation(&name, &options, &place.name, &known))
            .collect();
        let asked = places.iter().zip(&requests).map(|(place, request)| async {
            let to = place.master(CREATE)?;
            let (connections, wait) = (&shared.connections, shared.request_timeout);
            connections.call(to, request, wait, CREATE).await
        });
        let mut progress = Progress::default();
        for (place, result) in places.iter().zip(join_all(asked).await) {
            progress.note(&place.name, result);
        }
        let brokers = progress.end()?;
        let wanted: Vec<_> = places.iter().zip(&requests).collect();
        if let Err(error) = until_shown(shared, &name, &wanted).await {
            return Err(ChangeError {
                error,
                done: brokers,
                failed: Vec::new(),
            });
        }
        Ok(Changed {
            name: shown(shared, &name),
            brokers,
        })
    }

    /// Deletes a topic with its messages, at the master of every broker that has it, then at every nameserver.
    ///
    /// Whoever still sends to it makes it anew, on brokers that create topics by themselves. How far groups have read is deleted by 5.x
    /// brokers, and stays on 4.x ones.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the name is not acceptable, or the topic is one of the brokers' own. Kind `NotFound`: there is no such topic. Kind
    /// `Auth`: refused. Kind `Connect`: no nameserver answered, or one of the brokers has no master. Others as brokers have them; `Connect` and
    /// `Timeout` are retryable. As long as one broker has failed, the nameservers keep the route, so that calling it again reaches all
    /// of them; [`ChangeError::done`] says who has deleted it.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, some brokers may have deleted it; calling it again completes it.
    // apache/rocketmq: DeleteTopicSubCommand
    pub async fn delete_topic(&self, topic: &str) -> Result<Changed, ChangeError> {
        let shared = &self.handle.shared;
        shared.check_open(DELETE)?;
        let name = own_name(shared, topic, DELETE)?;
        let route = match route_everywhere(shared, &name, DELETE).await {
            (Some(route), _) => route,
            // The one that does not answer may have it still.
            (None, Some(error)) => return Err(error.into()),
            (None, None) => return Err(absent(topic).into()),
        };
        let mut progress = Progress::default();
        delete(shared, &name, &route, DELETE, &mut progress).await;
        progress.end()?;
        let brokers = route.brokers.into_iter().map(|broker| broker.broker_name);
        let mut brokers: Vec<_> = brokers.collect();
        brokers.sort_unstable();
        Ok(Changed {
            name: shown(shared, &name),
            brokers,
        })
    }
}

/// Deletes what the route names, and when all brokers have, the route.
pub(super) async fn delete(
    shared: &Shared,
    name: &str,
    route: &TopicRoute,
    operation: &'static str,
    progress: &mut Progress,
) {
    let (connections, wait) = (&shared.connections, shared.request_timeout);
    let request = DeleteTopicAtBroker {
        topic: name.into(),
        broker_name: None,
    };
    let places: Vec<_> = route.brokers.iter().map(Place::new).collect();
    let asked = places.iter().map(|place| async {
        let to = place.master(operation)?;
        connections.call(to, &request, wait, operation).await
    });
    for (place, result) in places.iter().zip(join_all(asked).await) {
        progress.note(&place.name, result);
    }
    if progress.has_failed() {
        return;
    }
    let request = DeleteTopicAtNameserver {
        topic: name.into(),
        ..DeleteTopicAtNameserver::default()
    };
    let nameservers = shared.routes.nameservers().endpoints();
    let asked = nameservers
        .iter()
        .map(|to| connections.call(to, &request, wait, operation));
    for (to, result) in nameservers.iter().zip(join_all(asked).await) {
        progress.note(&to.to_string(), result);
    }
}

/// What all nameservers together know of a topic, `None` if that is nothing; and why one of them could not be asked.
pub(super) async fn route_everywhere(
    shared: &Shared,
    name: &str,
    operation: &'static str,
) -> (Option<TopicRoute>, Option<Error>) {
    let request = GetRoute::new(name);
    let (connections, wait) = (&shared.connections, shared.request_timeout);
    let nameservers = shared.routes.nameservers().endpoints();
    let asked = nameservers
        .iter()
        .map(|to| connections.call(to, &request, wait, operation));
    let (mut all, mut failed): (Option<TopicRoute>, _) = (None, None);
    for result in join_all(asked).await {
        match result {
            Ok(route) => add(all.get_or_insert_default(), route),
            Err(error) if error.code() == Some(&ResponseCode::TOPIC_NOT_EXIST) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    (all, failed)
}

/// Brokers that the route does not name yet.
fn add(route: &mut TopicRoute, more: TopicRoute) {
    let is_new = |name: &String| !route.brokers.iter().any(|known| known.broker_name == *name);
    let new: Vec<_> = more
        .brokers
        .into_iter()
        .filter(|broker| is_new(&broker.broker_name))
        .collect();
    let queues = more.queues.into_iter();
    let of_new = queues.filter(|share| {
        new.iter()
            .any(|broker| broker.broker_name == share.broker_name)
    });
    route.queues.extend(of_new);
    route.brokers.extend(new);
}

/// The route as the nameservers have it now; `None` if there is no such topic.
async fn route(shared: &Shared, name: &str, operation: &'static str) -> Result<Option<TopicRoute>> {
    let request = GetRoute::new(name);
    let found = shared.routes.nameservers().ask(&request, operation).await;
    match found {
        Ok(route) => Ok(Some(route)),
        Err(error) if error.code() == Some(&ResponseCode::TOPIC_NOT_EXIST) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The full name of a topic that may be changed.
fn own_name(shared: &Shared, topic: &str, operation: &'static str) -> Result<String> {
    let name = shared.namespace.wrap(topic);
    // By itself too: an empty name in a namespace is none.
    check_topic(topic)?;
    check_topic(&name)?;
    if is_system(&name) {
        let message = format!("\"{name}\" belongs to the brokers");
        return Err(invalid(operation, message));
    }
    Ok(name)
}

fn creation(name: &str, options: &TopicOptions, broker: &str, known: &TopicRoute) -> CreateTopic {
    let share = known
        .queues
        .iter()
        .find(|share| share.broker_name == broker);
    let asked = options.queues.and_then(|count| i32::try_from(count).ok());
    let count = |now: Option<i32>| asked.or(now).unwrap_or(QUEUES);
    CreateTopic {
        topic: name.into(),
        default_topic: DEFAULT_TOPIC.into(),
        read_queue_nums: count(share.map(|share| share.read_queue_nums)),
        write_queue_nums: count(share.map(|share| share.write_queue_nums)),
        perm: READ_WRITE,
        topic_filter_type: "SINGLE_TAG".into(),
        topic_sys_flag: Some(share.map_or(0, |share| share.topic_sys_flag)),
        attributes: options.message_type.map(TopicType::attribute),
        ..CreateTopic::default()
    }
}

impl TopicType {
    // apache/rocketmq: AttributeParser, TopicAttributes.TOPIC_MESSAGE_TYPE_ATTRIBUTE
    fn attribute(self) -> Arc<str> {
        let name = match self {
            Self::Normal => "NORMAL",
            Self::Fifo => "FIFO",
            Self::Delay => "DELAY",
            Self::Transaction => "TRANSACTION",
            Self::Mixed => "MIXED",
        };
        format!("+message.type={name}").into()
    }
}

/// Waits until the nameservers show the topic as it was created, and puts its route where senders look.
async fn until_shown(shared: &Shared, name: &str, wanted: &[(&Place, &CreateTopic)]) -> Result<()> {
    let deadline = shared.connections.after(shared.request_timeout);
    loop {
        let route = route(shared, name, CREATE).await?.unwrap_or_default();
        let is_shown = |place: &Place, request: &CreateTopic| {
            route.queues.iter().any(|share| {
                share.broker_name == place.name
                    && share.is_readable()
                    && share.is_writable()
                    && share.write_queue_nums == request.write_queue_nums
                    && share.read_queue_nums == request.read_queue_nums
            })
        };
        if wanted
            .iter()
            .all(|(place, request)| is_shown(place, request))
        {
            shared.routes.refresh(name).await?;
            return Ok(());
        }
        if shared.clock.now() >= deadline {
            return Err(not_shown(shared));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn not_shown(shared: &Shared) -> Error {
    let message = format!(
        "the brokers have it, but the nameservers don't show it after {} ms",
        shared.request_timeout.as_millis()
    );
    Error::builder(ErrorKind::Timeout, message)
        .operation(CREATE)
        .outcome(Outcome::Unknown)
        .hint("brokers tell the nameservers every 30 s at the latest")
        .build()
}

fn absent(topic: &str) -> Error {
    Error::builder(
        ErrorKind::NotFound,
        format!("topic \"{topic}\": it does not exist"),
    )
    .operation(DELETE)
    .code(ResponseCode::TOPIC_NOT_EXIST)
    .hint("check its name and namespace")
    .build()
}

const CREATE: &str = "create topic";
const DELETE: &str = "delete topic";
/// As `mqadmin updateTopic`.
const QUEUES: i32 = 8;
/// As many as this client takes from a route.
const MOST_QUEUES: u32 = 10_000;
// apache/rocketmq: PermName
const READ_WRITE: i32 = 6;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::command::QueueData;

    #[test]
    fn a_broker_keeps_its_queues_unless_others_are_asked_for() {
        let known = TopicRoute {
            queues: vec![QueueData {
                broker_name: "a".to_owned(),
                read_queue_nums: 4,
                write_queue_nums: 2,
                perm: 4,
                topic_sys_flag: 1,
            }],
            ..TopicRoute::default()
        };
        let made = |options: &TopicOptions, broker| {
            let request = creation("t", options, broker, &known);
            assert_eq!(request.perm, 6);
            (request.read_queue_nums, request.write_queue_nums)
        };
        let default = TopicOptions::new();
        assert_eq!(made(&default, "a"), (4, 2));
        assert_eq!(made(&default, "b"), (8, 8));
        assert_eq!(made(&default.queues(3), "a"), (3, 3));
        let request = creation("t", &TopicOptions::new(), "a", &known);
        assert_eq!(
            (request.topic_sys_flag, request.attributes),
            (Some(1), None)
        );
        let fifo = TopicOptions::new().message_type(TopicType::Fifo);
        let request = creation("t", &fifo, "a", &known);
        assert_eq!(request.attributes.as_deref(), Some("+message.type=FIFO"));
    }
}
