//! Queues. Source: Tencent Cloud, product 1110: `CreateCmqQueue`, `ModifyCmqQueueAttribute` and their relatives; the list of sources is of
//! its SDK for Go, v1.0.900, and not of later ones.

use serde::{Deserialize, Serialize};

use super::{
    Action, Done, Filter, QueueCreated, QueueDetail, Queues, Sources, Tag, page, resource_tags,
};
use crate::proto::limits::{
    MAX_BODY, MAX_RETENTION_SECONDS, MAX_VISIBILITY_SECONDS, MAX_WAIT_SECONDS,
};
use crate::proto::tc3::limits::{Refusal, name, within};

/// Makes a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateCmqQueue {
    /// Its name, whatever the case of the letters.
    pub queue_name: String,
    /// What it is told.
    #[serde(flatten)]
    pub settings: QueueSettings,
    /// Tags of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Tag>>,
}

/// Changes what a queue was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyCmqQueueAttribute {
    /// Its name.
    pub queue_name: String,
    /// What is to be changed.
    #[serde(flatten)]
    pub settings: QueueSettings,
}

request! {
    /// What a queue can be told. What is not given is not sent.
    QueueSettings {
        ;
        /// How many messages it holds at most; 1 million to 1 billion.
        max_msg_heap_num ? u64,
        /// How long a receive waits that does not say; up to 30 s.
        polling_wait_seconds ? u64,
        /// How long a received message is invisible; 1 s to 12 h.
        visibility_timeout ? u64,
        /// The largest body, in bytes; 1 KiB to 1 MiB.
        max_msg_size ? u64,
        /// How long a message may stay undeleted; 30 s to 12 h.
        msg_retention_seconds ? u64,
        /// For how long deleted messages can be had again; up to 15 days, 0 for not at all.
        rewind_seconds ? u64,
        /// 1 for a queue of transactions, 0 for another.
        transaction ? u64,
        /// After how many seconds the service first asks about a transaction that nobody ended.
        first_query_interval ? u64,
        /// How often it asks at most.
        max_query_count ? u64,
        /// Where messages go that can't be consumed; the queue has to exist.
        dead_letter_queue_name ? String,
        /// When they go: 0 after so many receives, 1 after such a time.
        policy ? u64,
        /// After how many receives; 1 to 1000.
        max_receive_count ? u64,
        /// After how many seconds; 300 to 43200, and less than messages may stay.
        max_time_to_live ? u64,
        /// Whether messages are traced.
        trace ? bool,
        /// Room for messages that can be had again, in MB; 10240 to 512000, 0 for none.
        #[serde(rename = "RetentionSizeInMB")]
        retention_size_in_mb ? u64,
    }
}

impl QueueSettings {
    fn check(&self) -> Result<(), Refusal> {
        let seconds = "s";
        within(
            "MaxMsgHeapNum",
            self.max_msg_heap_num,
            1_000_000..=1_000_000_000,
            "messages",
        )?;
        within(
            "PollingWaitSeconds",
            self.polling_wait_seconds,
            0..=MAX_WAIT_SECONDS.into(),
            seconds,
        )?;
        let longest = u64::from(MAX_VISIBILITY_SECONDS);
        within(
            "VisibilityTimeout",
            self.visibility_timeout,
            1..=longest,
            seconds,
        )?;
        within(
            "MaxMsgSize",
            self.max_msg_size,
            1024..=MAX_BODY as u64,
            "bytes",
        )?;
        within(
            "MsgRetentionSeconds",
            self.msg_retention_seconds,
            30..=longest,
            seconds,
        )?;
        within(
            "RewindSeconds",
            self.rewind_seconds,
            0..=MAX_RETENTION_SECONDS.into(),
            seconds,
        )?;
        within("Transaction", self.transaction, 0..=1, "")?;
        let most = u64::from(u32::MAX);
        within(
            "FirstQueryInterval",
            self.first_query_interval,
            1..=most,
            seconds,
        )?;
        within("MaxQueryCount", self.max_query_count, 1..=most, "queries")?;
        if self.retention_size_in_mb != Some(0) {
            within(
                "RetentionSizeInMB",
                self.retention_size_in_mb,
                10_240..=512_000,
                "MB",
            )?;
        }
        self.check_dead_letter()
    }

    fn check_dead_letter(&self) -> Result<(), Refusal> {
        if let Some(queue) = &self.dead_letter_queue_name {
            name("DeadLetterQueueName", queue)?;
            if self.policy.is_none() {
                return Err(Refusal::missing("Policy", "a DeadLetterQueueName needs it"));
            }
        }
        within("Policy", self.policy, 0..=1, "")?;
        within(
            "MaxReceiveCount",
            self.max_receive_count,
            1..=1000,
            "receives",
        )?;
        let longest = u64::from(MAX_VISIBILITY_SECONDS);
        within("MaxTimeToLive", self.max_time_to_live, 300..=longest, "s")?;
        match (self.policy, self.max_receive_count, self.max_time_to_live) {
            (Some(0), None, _) => {
                return Err(Refusal::missing("MaxReceiveCount", "Policy 0 needs it"));
            }
            (Some(1), _, None) => {
                return Err(Refusal::missing("MaxTimeToLive", "Policy 1 needs it"));
            }
            _ => {}
        }
        match (self.max_time_to_live, self.msg_retention_seconds) {
            (Some(live), Some(kept)) if live >= kept => {
                let why = format!("is {live} s, expected less than MsgRetentionSeconds, {kept} s");
                Err(Refusal::value("MaxTimeToLive", why))
            }
            _ => Ok(()),
        }
    }
}

impl Action for CreateCmqQueue {
    const NAME: &'static str = "CreateCmqQueue";
    type Reply = QueueCreated;

    fn check(&self) -> Result<(), Refusal> {
        name("QueueName", &self.queue_name)?;
        self.settings.check()?;
        let transactional = self.settings.transaction == Some(1);
        for (field, value) in [
            ("FirstQueryInterval", self.settings.first_query_interval),
            ("MaxQueryCount", self.settings.max_query_count),
        ] {
            if let Some(value) = value.filter(|_| !transactional) {
                let why = format!("is {value}, and Transaction is not 1");
                return Err(Refusal::value(field, why));
            }
        }
        resource_tags(self.tags.as_deref())
    }
}

impl Action for ModifyCmqQueueAttribute {
    const NAME: &'static str = "ModifyCmqQueueAttribute";
    type Reply = Done;

    fn check(&self) -> Result<(), Refusal> {
        name("QueueName", &self.queue_name)?;
        self.settings.check()
    }
}

macro_rules! by_name {
    ($(#[$doc:meta])* $name:ident $reads:literal $reply:ty) => {
        request! {
            $(#[$doc])*
            $name {
                /// The queue's name.
                queue_name: String,
                ;
            }
        }

        impl Action for $name {
            const NAME: &'static str = stringify!($name);
            const READS: bool = $reads;
            type Reply = $reply;

            fn check(&self) -> Result<(), Refusal> {
                name("QueueName", &self.queue_name)
            }
        }
    };
}

by_name!(
    /// Deletes a queue with its messages.
    DeleteCmqQueue false Done
);
by_name!(
    /// Deletes all messages of a queue.
    ClearCmqQueue false Done
);
by_name!(
    /// Describes a queue.
    DescribeCmqQueueDetail true QueueDetail
);

request! {
    /// Makes messages visible again that were sent at a time or later.
    RewindCmqQueue {
        /// The queue's name.
        queue_name: String,
        /// The time, in milliseconds since 1970, as in the documents' example.
        start_consume_time: u64,
        ;
    }
}

impl Action for RewindCmqQueue {
    const NAME: &'static str = "RewindCmqQueue";
    type Reply = Done;

    fn check(&self) -> Result<(), Refusal> {
        name("QueueName", &self.queue_name)
    }
}

request! {
    /// Takes the dead-letter rule from a queue.
    UnbindCmqDeadLetter {
        /// The queue that has the rule.
        source_queue_name: String,
        ;
    }
}

impl Action for UnbindCmqDeadLetter {
    const NAME: &'static str = "UnbindCmqDeadLetter";
    type Reply = Done;

    fn check(&self) -> Result<(), Refusal> {
        name("SourceQueueName", &self.source_queue_name)
    }
}

request! {
    /// Describes queues, a page at a time.
    DescribeCmqQueues {
        ;
        /// Where the page begins.
        offset ? u64,
        /// How many at most; up to 50, 20 by default.
        limit ? u64,
        /// A filter by name.
        queue_name ? String,
        /// Only these.
        queue_name_list ? Vec<String>,
        /// Whether `filters` hold tags.
        is_tag_filter ? bool,
        /// Only those with these tags.
        filters ? Vec<Filter>,
    }
}

impl Action for DescribeCmqQueues {
    const NAME: &'static str = "DescribeCmqQueues";
    const READS: bool = true;
    type Reply = Queues;

    fn check(&self) -> Result<(), Refusal> {
        let mut names = self.queue_name_list.iter().flatten();
        names.try_for_each(|it| name("QueueNameList", it))?;
        page(self.offset, self.limit)
    }
}

request! {
    /// Describes the queues whose dead letters come to one, a page at a time.
    DescribeCmqDeadLetterSourceQueues {
        /// The queue that they come to.
        dead_letter_queue_name: String,
        ;
        /// Where the page begins.
        offset ? u64,
        /// How many at most; up to 50, 20 by default.
        limit ? u64,
        /// A filter by name.
        source_queue_name ? String,
    }
}

impl Action for DescribeCmqDeadLetterSourceQueues {
    const NAME: &'static str = "DescribeCmqDeadLetterSourceQueues";
    const READS: bool = true;
    type Reply = Sources;

    fn check(&self) -> Result<(), Refusal> {
        name("DeadLetterQueueName", &self.dead_letter_queue_name)?;
        page(self.offset, self.limit)
    }
}
