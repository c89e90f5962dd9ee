//! Topics. Source: Tencent Cloud, product 1110: `CreateCmqTopic` and its relatives.

use super::{Action, Done, Filter, Tag, page, resource_tags};
use crate::proto::tc3::limits::{Refusal, name, within};

request! {
    /// Makes a topic.
    CreateCmqTopic {
        /// Its name, whatever the case of the letters.
        topic_name: String,
        ;
        /// The largest body, in bytes; 1 KiB to 64 KiB.
        max_msg_size ? u64,
        /// By what subscriptions choose: 1 tags, 2 routing keys.
        filter_type ? u64,
        /// For how long it tries to deliver; 60 s to a day.
        msg_retention_seconds ? u64,
        /// Whether messages are traced.
        trace ? bool,
        /// Tags of the resource.
        tags ? Vec<Tag>,
    }
}

impl Action for CreateCmqTopic {
    const NAME: &'static str = "CreateCmqTopic";
    type Reply = TopicCreated;

    fn check(&self) -> Result<(), Refusal> {
        name("TopicName", &self.topic_name)?;
        settings(self.max_msg_size, self.msg_retention_seconds)?;
        within("FilterType", self.filter_type, 1..=2, "")?;
        resource_tags(self.tags.as_deref())
    }
}

request! {
    /// Changes what a topic was told.
    ModifyCmqTopicAttribute {
        /// Its name.
        topic_name: String,
        ;
        /// The largest body, in bytes; 1 KiB to 64 KiB.
        max_msg_size ? u64,
        /// For how long it tries to deliver; 60 s to a day.
        msg_retention_seconds ? u64,
        /// Whether messages are traced.
        trace ? bool,
    }
}

impl Action for ModifyCmqTopicAttribute {
    const NAME: &'static str = "ModifyCmqTopicAttribute";
    type Reply = Done;

    fn check(&self) -> Result<(), Refusal> {
        name("TopicName", &self.topic_name)?;
        settings(self.max_msg_size, self.msg_retention_seconds)
    }
}

fn settings(max_body: Option<u64>, retention: Option<u64>) -> Result<(), Refusal> {
    within("MaxMsgSize", max_body, 1024..=65_536, "bytes")?;
    within("MsgRetentionSeconds", retention, 60..=86_400, "s")
}

macro_rules! by_name {
    ($(#[$doc:meta])* $name:ident $reads:literal $reply:ty) => {
        request! {
            $(#[$doc])*
            $name {
                /// The topic's name.
                topic_name: String,
                ;
            }
        }

        impl Action for $name {
            const NAME: &'static str = stringify!($name);
            const READS: bool = $reads;
            type Reply = $reply;

            fn check(&self) -> Result<(), Refusal> {
                name("TopicName", &self.topic_name)
            }
        }
    };
}

by_name!(
    /// Deletes a topic.
    DeleteCmqTopic false Done
);
by_name!(
    /// Describes a topic.
    DescribeCmqTopicDetail true TopicDetail
);

request! {
    /// Describes topics, a page at a time.
    DescribeCmqTopics {
        ;
        /// Where the page begins.
        offset ? u64,
        /// How many at most; up to 50, 20 by default.
        limit ? u64,
        /// A filter by name.
        topic_name ? String,
        /// Only these.
        topic_name_list ? Vec<String>,
        /// Whether `filters` hold tags.
        is_tag_filter ? bool,
        /// Only those with these tags.
        filters ? Vec<Filter>,
    }
}

impl Action for DescribeCmqTopics {
    const NAME: &'static str = "DescribeCmqTopics";
    const READS: bool = true;
    type Reply = Topics;

    fn check(&self) -> Result<(), Refusal> {
        let mut names = self.topic_name_list.iter().flatten();
        names.try_for_each(|it| name("TopicNameList", it))?;
        page(self.offset, self.limit)
    }
}

reply! {
    /// A topic was made.
    TopicCreated {
        /// Its id.
        topic_id: String,
        ;
    }
}

reply! {
    /// The description of one topic.
    TopicDetail {
        ;
        /// It.
        topic_describe: TopicState,
    }
}

reply! {
    /// A page of topics.
    Topics {
        /// The page.
        topic_list: Vec<TopicState>,
        ;
        /// How many there are on all pages.
        total_count: u64,
    }
}

reply! {
    /// A topic as it is described.
    TopicState {
        /// Its id.
        topic_id: String,
        /// For how long it tries to deliver, in seconds.
        msg_retention_seconds: u64,
        /// The largest body, in bytes.
        max_msg_size: u64,
        /// How many messages a second it takes.
        qps: u64,
        /// By what subscriptions choose: 1 tags, 2 routing keys.
        filter_type: u64,
        /// When it was made, in milliseconds since 1970.
        create_time: u64,
        /// When it was changed, in milliseconds since 1970.
        last_modify_time: u64,
        /// Messages that are still to be delivered.
        msg_count: u64,
        /// Who made it.
        create_uin: u64,
        /// Its tags.
        tags: Vec<Tag>,
        /// Whether its messages are traced.
        trace: bool,
        /// The tenant.
        tenant_id: String,
        /// The namespace.
        namespace_name: String,
        /// As a queue's.
        status: u64,
        /// What keeps its messages: 0 Pulsar, 1 `RocketMQ`.
        broker_type: u64,
        /// How many subscriptions it has.
        subscription_count: u64,
        ;
        /// Its name.
        topic_name: String,
    }
}
