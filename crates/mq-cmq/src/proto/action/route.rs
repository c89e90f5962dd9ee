//! `QueryQueueRoute` and `QueryTopicRoute`: where the TCP protocol is spoken.

use serde::{Deserialize, Serialize};

use super::{Action, FromParams, Given};
use crate::proto::Params;
use crate::proto::limits::Refusal;

/// Asks for the gateways of a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueryQueueRoute<'a> {
    /// The queue's name.
    pub queue: &'a str,
}

impl Action for QueryQueueRoute<'_> {
    const NAME: &'static str = "QueryQueueRoute";
    type Reply = Route;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
    }
}

impl<'p> FromParams<'p> for QueryQueueRoute<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        let queue = given.text("queueName")?;
        Ok(Self { queue })
    }
}

/// Asks for the gateways of a topic.
#[derive(Debug, Clone, Copy)]
pub struct QueryTopicRoute<'a> {
    /// The topic's name.
    pub topic: &'a str,
}

impl Action for QueryTopicRoute<'_> {
    const NAME: &'static str = "QueryTopicRoute";
    type Reply = Route;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
    }
}

impl<'p> FromParams<'p> for QueryTopicRoute<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        let topic = given.text("topicName")?;
        Ok(Self { topic })
    }
}

/// The answer to both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `ip:port`, each as good as the others.
    #[serde(rename = "addr")]
    pub gateways: Vec<String>,
}
