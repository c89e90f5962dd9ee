//! Lists, read a page at a time.

use std::sync::Arc;

use super::queue_detail::named;
use super::{ControlClient, ControlError, QueueDetail, SubscriptionDetail, TopicDetail};
use crate::admin::{Listing, Named};
use crate::proto::tc3::action::{
    DescribeCmqDeadLetterSourceQueues, DescribeCmqQueues, DescribeCmqSubscriptionDetail,
    DescribeCmqTopics, Filter, MAX_PAGE, Tag,
};

/// Which queues or topics a list has: all, unless it is told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    names: Vec<String>,
    filters: Vec<Filter>,
}

impl Only {
    /// All.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those of these names.
    #[must_use]
    pub fn named(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.names.extend(names.into_iter().map(Into::into));
        self
    }

    /// Only those whose tag `key` has one of these values. Tags are those of the resource.
    #[must_use]
    pub fn tagged(
        mut self,
        key: &str,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.filters.push(Filter {
            name: format!("tag:{key}"),
            values: values.into_iter().map(Into::into).collect(),
        });
        self
    }

    fn names(&self) -> Option<Vec<String>> {
        Some(self.names.clone()).filter(|names| !names.is_empty())
    }

    fn filters(&self) -> (Option<bool>, Option<Vec<Filter>>) {
        let filters = Some(self.filters.clone()).filter(|filters| !filters.is_empty());
        (filters.as_ref().map(|_| true), filters)
    }
}

impl ControlClient {
    /// The queues that there are in the region.
    pub fn queues(&self) -> Listing<QueueDetail, ControlError> {
        self.queues_only(Only::new())
    }

    /// Some of the queues that there are in the region.
    pub fn queues_only(&self, only: Only) -> Listing<QueueDetail, ControlError> {
        let (client, only) = (self.clone(), Arc::new(only));
        Listing::new(move |search, offset| {
            let (client, only) = (client.clone(), Arc::clone(&only));
            async move {
                let (is_tag_filter, filters) = only.filters();
                let action = DescribeCmqQueues {
                    offset: Some(offset),
                    limit: Some(MAX_PAGE),
                    queue_name: search,
                    queue_name_list: only.names(),
                    is_tag_filter,
                    filters,
                };
                let page = client.shared.call(&action, LIST).await?;
                let entries = page.queue_list.into_iter();
                Ok((page.total_count, entries.map(Into::into).collect()))
            }
        })
    }

    /// The queues whose dead letters come to the queue `name`. The service has had this action and has it no longer in its later SDKs; a queue's
    /// description has the same list.
    pub fn dead_letter_sources(&self, name: impl Into<String>) -> Listing<Named, ControlError> {
        let (client, name) = (self.clone(), name.into());
        Listing::new(move |search, offset| {
            let (client, name) = (client.clone(), name.clone());
            async move {
                let action = DescribeCmqDeadLetterSourceQueues {
                    dead_letter_queue_name: name,
                    offset: Some(offset),
                    limit: Some(MAX_PAGE),
                    source_queue_name: search,
                };
                let page = client.shared.call(&action, LIST).await?;
                let entries = page.queue_set.into_iter();
                Ok((page.total_count, entries.map(named).collect()))
            }
        })
    }

    /// The topics that there are in the region.
    pub fn topics(&self) -> Listing<TopicDetail, ControlError> {
        self.topics_only(Only::new())
    }

    /// Some of the topics that there are in the region.
    pub fn topics_only(&self, only: Only) -> Listing<TopicDetail, ControlError> {
        let (client, only) = (self.clone(), Arc::new(only));
        Listing::new(move |search, offset| {
            let (client, only) = (client.clone(), Arc::clone(&only));
            async move {
                let (is_tag_filter, filters) = only.filters();
                let action = DescribeCmqTopics {
                    offset: Some(offset),
                    limit: Some(MAX_PAGE),
                    topic_name: search,
                    topic_name_list: only.names(),
                    is_tag_filter,
                    filters,
                };
                let page = client.shared.call(&action, LIST).await?;
                let entries = page.topic_list.into_iter();
                Ok((page.total_count, entries.map(Into::into).collect()))
            }
        })
    }

    /// The subscriptions of the topic `topic`.
    pub fn subscriptions(
        &self,
        topic: impl Into<String>,
    ) -> Listing<SubscriptionDetail, ControlError> {
        self.subscription_list(DescribeCmqSubscriptionDetail {
            topic_name: Some(topic.into()),
            ..DescribeCmqSubscriptionDetail::default()
        })
    }

    /// The subscriptions that deliver to the queue `queue`, of whatever topic.
    pub fn subscriptions_to(
        &self,
        queue: impl Into<String>,
    ) -> Listing<SubscriptionDetail, ControlError> {
        self.subscription_list(DescribeCmqSubscriptionDetail {
            queue_name: Some(queue.into()),
            query_type: Some("queue".to_owned()),
            ..DescribeCmqSubscriptionDetail::default()
        })
    }

    fn subscription_list(
        &self,
        of: DescribeCmqSubscriptionDetail,
    ) -> Listing<SubscriptionDetail, ControlError> {
        let client = self.clone();
        Listing::new(move |search, offset| {
            let (client, of) = (client.clone(), of.clone());
            async move {
                let action = DescribeCmqSubscriptionDetail {
                    offset: Some(offset),
                    limit: Some(MAX_PAGE),
                    subscription_name: search,
                    ..of
                };
                let page = client.shared.call(&action, LIST).await?;
                let entries = page.subscription_set.into_iter();
                Ok((page.total_count, entries.map(Into::into).collect()))
            }
        })
    }
}

pub(super) fn tag_pairs(tags: Vec<Tag>) -> Vec<(String, String)> {
    let pair = |tag: Tag| (tag.tag_key, tag.tag_value);
    tags.into_iter().map(pair).collect()
}

const LIST: &str = "list";
