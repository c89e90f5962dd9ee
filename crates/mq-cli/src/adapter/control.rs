//! CMQ's control plane behind the common face: what it makes, describes and deletes; messages go over the data plane.

use futures_util::future::join_all;
use mq_cmq::{ControlClient, ControlClientBuilder};

use super::cmq::{Place, TOPIC, part, unchanged, unsupported};
use super::{Error, Failed, Options, Outgoing, QueueCount, Result, Topic, Unchanged};

/// A client of CMQ's control plane. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CmqControl {
    client: ControlClient,
}

impl CmqControl {
    pub(super) fn new(builder: ControlClientBuilder, options: &Options) -> Result<Self> {
        let builder = match options.send_timeout {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        };
        Ok(Self {
            client: builder.build()?,
        })
    }

    /// The protocol's own client, for what goes beyond the common face.
    pub const fn client(&self) -> &ControlClient {
        &self.client
    }

    pub(super) async fn topics(&self) -> Result<Vec<Topic>> {
        let queues = self.client.queues().all().await?.into_iter();
        let mut all: Vec<String> = queues.map(|queue| queue.name).collect();
        let topics = self.client.topics().all().await?.into_iter();
        all.extend(topics.map(|topic| format!("{TOPIC}{}", topic.name)));
        all.sort();
        let known = |name| Topic {
            name,
            derived: false,
        };
        Ok(all.into_iter().map(known).collect())
    }

    pub(super) async fn describe(&self, name: &str) -> Result<Vec<QueueCount>> {
        match Place::parse(name)? {
            Place::Topic { name, .. } => {
                let topic = self.client.describe_topic(&name).await?;
                Ok(vec![QueueCount {
                    queue: format!("{TOPIC}{name}"),
                    visible: topic.attributes.messages,
                    held: 0,
                    delayed: 0,
                }])
            }
            place => {
                let asked = place.queues().into_iter().map(async |queue| {
                    let attributes = self.client.describe_queue(&queue).await?.attributes;
                    Ok(QueueCount {
                        queue,
                        visible: attributes.active,
                        held: attributes.inactive,
                        delayed: attributes.delayed,
                    })
                });
                join_all(asked).await.into_iter().collect()
            }
        }
    }

    pub(super) async fn create_topic(&self, name: &str) -> Result<Vec<String>, Unchanged> {
        let mut made = Vec::new();
        match Place::parse(name).map_err(unchanged)? {
            Place::Topic { name, routing_key } => {
                let filter = match routing_key {
                    Some(_) => mq_cmq::Filter::Routing,
                    None => mq_cmq::Filter::Tags,
                };
                self.client.create_topic(&name).filter(filter).await?;
                made.push(name);
            }
            place => {
                for queue in place.queues() {
                    let created = self.client.create_queue(&queue).await;
                    created.map_err(|error| part(error, &made))?;
                    made.push(queue);
                }
            }
        }
        Ok(made)
    }

    pub(super) async fn delete_topic(&self, name: &str) -> Result<Vec<String>, Unchanged> {
        let mut gone = Vec::new();
        match Place::parse(name).map_err(unchanged)? {
            Place::Topic { name, .. } => {
                self.client.delete_topic(&name).await?;
                gone.push(name);
            }
            place => {
                for queue in place.queues() {
                    let deleted = self.client.delete_queue(&queue).await;
                    deleted.map_err(|error| part(error, &gone))?;
                    gone.push(queue);
                }
            }
        }
        Ok(gone)
    }

    pub(super) fn close(&self) {
        self.client.close();
    }
}

pub(super) fn no_messages() -> Error {
    unsupported(NO_MESSAGES)
}

pub(super) fn not_sent(message: Outgoing) -> Failed {
    Failed {
        error: no_messages(),
        message: Box::new(message),
        id: None,
    }
}

pub(crate) const NO_MESSAGES: &str = "the control plane creates, deletes, describes and lists: send and receive where cmq+http://… or cmq+tcp://… leads";
