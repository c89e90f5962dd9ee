//! Seed files: what a server has from the start.

use serde::{Deserialize, Serialize};

use super::{QueueSpec, SubscriptionSpec, TopicSpec};

/// Queues, topics and subscriptions, made in this order: what others refer to comes first.
///
/// ```toml
/// [[queue]]
/// name = "dead"
///
/// [[queue]]
/// name = "orders"
/// visibility_seconds = 10
/// dead_letter = { queue = "dead", max_receives = 3 }
///
/// [[queue]]
/// name = "payments"
/// transaction = { first_query_seconds = 5, max_queries = 15 }
///
/// [[topic]]
/// name = "news"
/// filter = "tags"            # or "routing"
///
/// [[subscription]]
/// topic = "news"
/// name = "sport"
/// queue = "orders"           # or url = "http://…"
/// tags = ["sport"]
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Seed {
    /// Queues.
    #[serde(default, rename = "queue")]
    pub queues: Vec<QueueSpec>,
    /// Topics.
    #[serde(default, rename = "topic")]
    pub topics: Vec<TopicSpec>,
    /// Subscriptions.
    #[serde(default, rename = "subscription")]
    pub subscriptions: Vec<SubscriptionSpec>,
}
