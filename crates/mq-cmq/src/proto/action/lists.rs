//! Lists, a page at a time: `ListQueue`, `ListTopic`, `ListSubscriptionByTopic`, `ListDeadLetterSourceQueues`.
//!
//! Source: Tencent Cloud's documents of the CMQ API (product 406). The reply of `ListDeadLetterSourceQueues` is that of the control plane's
//! `DescribeCmqDeadLetterSourceQueues`, written as this plane writes the others.

use serde::{Deserialize, Serialize};

use super::{Action, QueueName, SubscriptionName, TopicName};
use crate::proto::Params;
use crate::proto::answer::number;

/// Which part of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Page<'a> {
    /// Only names that contain this.
    pub search: Option<&'a str>,
    /// How many to leave out; 0 if not given.
    pub offset: Option<u64>,
    /// How many at most, up to 50; 20 if not given.
    pub limit: Option<u32>,
}

impl Page<'_> {
    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text_if("searchWord", self.search);
        to.number_if("offset", self.offset);
        to.number_if("limit", self.limit);
    }
}

/// Lists queues.
#[derive(Debug, Clone, Copy)]
pub struct ListQueue<'a> {
    /// Which part.
    pub page: Page<'a>,
}

impl Action for ListQueue<'_> {
    const NAME: &'static str = "ListQueue";
    type Reply = QueueList;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        self.page.params(to);
    }
}

/// The answer to [`ListQueue`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueList {
    /// How many there are, of all pages.
    #[serde(rename = "totalCount", deserialize_with = "number")]
    pub total: u64,
    /// Those of this page.
    #[serde(rename = "queueList")]
    pub queues: Vec<QueueName>,
}

/// Lists topics.
#[derive(Debug, Clone, Copy)]
pub struct ListTopic<'a> {
    /// Which part.
    pub page: Page<'a>,
}

impl Action for ListTopic<'_> {
    const NAME: &'static str = "ListTopic";
    type Reply = TopicList;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        self.page.params(to);
    }
}

/// The answer to [`ListTopic`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicList {
    /// How many there are, of all pages.
    #[serde(rename = "totalCount", deserialize_with = "number")]
    pub total: u64,
    /// Those of this page.
    #[serde(rename = "topicList")]
    pub topics: Vec<TopicName>,
}

/// Lists the subscriptions of a topic.
#[derive(Debug, Clone, Copy)]
pub struct ListSubscriptionByTopic<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// Which part.
    pub page: Page<'a>,
}

impl Action for ListSubscriptionByTopic<'_> {
    const NAME: &'static str = "ListSubscriptionByTopic";
    type Reply = SubscriptionList;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
        self.page.params(to);
    }
}

/// The answer to [`ListSubscriptionByTopic`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscriptionList {
    /// How many there are, of all pages.
    #[serde(rename = "totalCount", deserialize_with = "number")]
    pub total: u64,
    /// Those of this page; the service leaves it out when there is none.
    #[serde(rename = "subscriptionList")]
    pub subscriptions: Vec<SubscriptionName>,
}

/// Lists the queues whose dead letters go to a queue.
#[derive(Debug, Clone, Copy)]
pub struct ListDeadLetterSourceQueues<'a> {
    /// The name of the queue that the letters go to.
    pub dead_letter: &'a str,
    /// Which part; its search word travels as `sourceQueueName`.
    pub page: Page<'a>,
}

impl Action for ListDeadLetterSourceQueues<'_> {
    const NAME: &'static str = "ListDeadLetterSourceQueues";
    type Reply = SourceList;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("deadLetterQueueName", self.dead_letter);
        to.text_if("sourceQueueName", self.page.search);
        to.number_if("offset", self.page.offset);
        to.number_if("limit", self.page.limit);
    }
}

/// The answer to [`ListDeadLetterSourceQueues`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceList {
    /// How many there are, of all pages.
    #[serde(rename = "totalCount", deserialize_with = "number")]
    pub total: u64,
    /// Those of this page.
    #[serde(rename = "queueSet")]
    pub queues: Vec<QueueName>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::answer;

    #[test]
    fn pages_come_back() {
        let list = QueueList {
            total: 51,
            queues: vec![QueueName {
                id: "queue-1".into(),
                name: "q".into(),
            }],
        };
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(
            text,
            r#"{"totalCount":51,"queueList":[{"queueId":"queue-1","queueName":"q"}]}"#
        );
        assert_eq!(answer::parse::<QueueList>(text.as_bytes()).unwrap(), list);
        let none = answer::parse::<SubscriptionList>(br#"{"code":0,"totalCount":0}"#);
        assert_eq!(none.unwrap(), SubscriptionList::default());
    }
}
