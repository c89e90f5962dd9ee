//! Consumer groups as brokers keep them: listing them (201), creating and changing one (200).

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Done, Reply, Request, ext_request, ext_struct, to_json};
use crate::proto::{ExtFields, Field, FieldSink, Fields, Malformed, RequestCode, json};

ext_struct! {
    /// Asks a broker for its groups. A 5.x broker answers by pages when any field is there, a 4.x one always with all.
    // apache/rocketmq: GetAllSubscriptionGroupRequestHeader
    struct GetGroups {
        /// How many groups are known already: where the page begins, if the version is still the same.
        group_seq: Option<i32> = "groupSeq",
        /// At most so many.
        max_group_num: Option<i32> = "maxGroupNum",
        /// The version of the pages before, as the broker wrote it; empty for the first page.
        data_version: Option<Arc<str>> = "dataVersion",
    }
}

ext_request!(GetGroups, GET_ALL_SUBSCRIPTIONGROUP_CONFIG -> Groups);

/// A broker's groups, or a page of them.
// apache/rocketmq: SubscriptionGroupWrapper, GetAllSubscriptionGroupResponseHeader
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Groups {
    /// How many groups there are on all pages; a 4.x broker, which has no pages, leaves it out.
    #[serde(skip)]
    pub total: Option<i32>,
    /// Groups by name, in the order of the names.
    #[serde(
        rename = "subscriptionGroupTable",
        deserialize_with = "json::null_as_default"
    )]
    pub configs: BTreeMap<String, GroupConfig>,
    /// Which topics a group may not read, as JSON.
    #[serde(skip_serializing_if = "Option::is_none", with = "json::raw")]
    pub forbidden_table: Option<String>,
    /// The version of all the broker's groups, as JSON.
    #[serde(skip_serializing_if = "Option::is_none", with = "json::raw")]
    pub data_version: Option<String>,
}

impl Fields for Groups {
    fn fields(&self, sink: &mut dyn FieldSink) {
        self.total.write("totalGroupNum", sink);
    }
}

impl Reply for Groups {
    fn body(&self) -> Bytes {
        to_json(self)
    }

    fn parse(ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        let groups: Self = json::read("groups", body)?;
        Ok(Self {
            total: ext.int("totalGroupNum")?,
            ..groups
        })
    }
}

/// Gives a group these settings at one broker, which makes it if there is none of this name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateGroup {
    /// The settings.
    pub config: GroupConfig,
}

impl Fields for CreateGroup {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Request for CreateGroup {
    const CODE: RequestCode = RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
    type Reply = Done;

    fn body(&self) -> Bytes {
        to_json(&self.config)
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        let config = json::read("group config", body)?;
        Ok(Self { config })
    }
}

/// A group's settings; the default is what a broker gives to a group that it creates by itself.
// apache/rocketmq: SubscriptionGroupConfig
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "as Java has it")]
pub struct GroupConfig {
    /// The group, with its namespace.
    #[serde(deserialize_with = "json::null_as_default")]
    pub group_name: String,
    /// Whether it may read.
    pub consume_enable: bool,
    /// Whether it may begin with the oldest message.
    pub consume_from_min_enable: bool,
    /// Whether each of its members may read everything.
    pub consume_broadcast_enable: bool,
    /// Whether it reads in order (5.x).
    pub consume_message_orderly: bool,
    /// Queues of its retry topic.
    pub retry_queue_nums: i32,
    /// How often a message is delivered again before it goes to the dead letters.
    pub retry_max_times: i32,
    /// How long a message waits before it is delivered again, as JSON (5.x).
    #[serde(skip_serializing_if = "Option::is_none", with = "json::raw")]
    pub group_retry_policy: Option<String>,
    /// The replica to read from.
    pub broker_id: i64,
    /// The replica to read from when it is far behind.
    pub which_broker_when_consume_slowly: i64,
    /// Whether members hear of changes among them.
    pub notify_consumer_ids_changed_enable: bool,
    /// Flags (5.x).
    pub group_sys_flag: i32,
    /// How long a member may take for a message, in minutes (5.x).
    pub consume_timeout_minute: i32,
    /// What it subscribes to, as JSON (5.x).
    #[serde(skip_serializing_if = "Option::is_none", with = "json::raw")]
    pub subscription_data_set: Option<String>,
    /// Attributes, as JSON; in a request changes of them (5.x).
    #[serde(skip_serializing_if = "Option::is_none", with = "json::raw")]
    pub attributes: Option<String>,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            group_name: String::new(),
            consume_enable: true,
            consume_from_min_enable: true,
            consume_broadcast_enable: true,
            consume_message_orderly: false,
            retry_queue_nums: 1,
            retry_max_times: 16,
            group_retry_policy: None,
            broker_id: 0,
            which_broker_when_consume_slowly: 1,
            notify_consumer_ids_changed_enable: true,
            group_sys_flag: 0,
            consume_timeout_minute: 15,
            subscription_data_set: None,
            attributes: None,
        }
    }
}
