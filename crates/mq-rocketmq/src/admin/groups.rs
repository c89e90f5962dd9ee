//! Listing, creating and deleting consumer groups, which live at the brokers; nameservers don't know them.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use mq_core::{ErrorKind, Retry};

use super::change::{ChangeError, Changed, Progress};
use super::cluster::{self, Place};
use super::{Admin, DEAD, inside, shown, topics};
use crate::client::Shared;
use crate::error::{Error, Result, invalid};
use crate::name::{check_group, retry_topic};
use crate::proto::ResponseCode;
use crate::proto::command::{CreateGroup, DeleteGroup, GetGroups, GroupConfig};

impl Admin {
    /// The consumer groups of all brokers, sorted, without the client's namespace: of a client with a namespace only those inside it.
    /// Groups that brokers and their tools keep for themselves are left out.
    ///
    /// A group is there from the first time that one of its members has connected, on brokers that create groups by themselves, and
    /// stays when they have gone.
    ///
    /// # Errors
    ///
    /// Kind `Connect`: no nameserver answered, or a broker could not be reached. Kind `Auth`: refused. Kind `Unsupported`: the service does not
    /// let its groups be listed. Others as brokers have them; they name the broker. `Connect`, `Timeout` and `Busy` are retryable.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn groups(&self) -> Result<Vec<String>> {
        let shared = &self.handle.shared;
        shared.check_open(LIST)?;
        let places = cluster::all(&cluster::info(shared, LIST).await?);
        let listed = places.iter().map(|place| groups_at(shared, place, LIST));
        let all: BTreeSet<String> = try_join_all(listed).await?.into_iter().flatten().collect();
        let mut groups: Vec<_> = all
            .iter()
            .filter(|group| !is_system(group))
            .filter_map(|group| inside(&shared.namespace, group))
            .collect();
        groups.sort_unstable();
        Ok(groups)
    }

    /// Creates a consumer group at the master of every broker, with the settings that a broker gives to a group that it creates by itself.
    ///
    /// A broker that has the group already keeps its settings. Calling it again therefore changes nothing, and after a failure
    /// completes what is missing.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the name is not acceptable. Kind `Auth`: refused. Kind `Connect`: no nameserver answered, or one of the brokers can't be
    /// reached or has no master. Others as brokers have them; `Connect` and `Timeout` are retryable. [`ChangeError::done`] says
    /// which brokers have it all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, some brokers may have the group; calling it again completes it.
    // apache/rocketmq: MQClientAPIImpl.createSubscriptionGroup
    pub async fn create_group(&self, group: &str) -> Result<Changed, ChangeError> {
        let shared = &self.handle.shared;
        let name = own_name(shared, group, CREATE)?;
        let places = cluster::all(&cluster::info(shared, CREATE).await?);
        let request = CreateGroup {
            config: GroupConfig {
                group_name: name.clone(),
                ..GroupConfig::default()
            },
        };
        let (connections, wait) = (&shared.connections, shared.request_timeout);
        let asked = places.iter().map(|place| async {
            if groups_at(shared, place, CREATE).await?.contains(&name) {
                return Ok(());
            }
            let to = place.master(CREATE)?;
            let made = connections.call(to, &request, wait, CREATE).await;
            made.map(drop)
        });
        let mut progress = Progress::default();
        for (place, result) in places.iter().zip(join_all(asked).await) {
            progress.note(&place.name, result);
        }
        Ok(Changed {
            brokers: progress.end()?,
            name: shown(shared, &name),
        })
    }

    /// Deletes a consumer group with its offsets, at the master of every broker that has it, and with it the group's retry topic and its
    /// dead letters.
    ///
    /// A member that is still connected makes the group anew, on brokers that create groups by themselves.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the name is not acceptable. Kind `NotFound`: no broker has such a group. Kind `Auth`: refused. Kind `Connect`: no
    /// nameserver answered, or one of the brokers can't be reached or has no master. Others as brokers have them; `Connect` and `Timeout` are
    /// retryable. [`ChangeError::done`] says who has deleted it, or, as long as these fail, its topics.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, some brokers may have deleted it; calling it again completes it.
    // apache/rocketmq: DeleteSubscriptionGroupCommand
    pub async fn delete_group(&self, group: &str) -> Result<Changed, ChangeError> {
        let shared = &self.handle.shared;
        let name = own_name(shared, group, DELETE)?;
        let places = cluster::all(&cluster::info(shared, DELETE).await?);
        let listed = places.iter().map(|place| groups_at(shared, place, DELETE));
        let listed = try_join_all(listed).await?;
        let having: Vec<_> = places
            .iter()
            .zip(listed)
            .filter(|(_, groups)| groups.contains(&name))
            .map(|(place, _)| place)
            .collect();
        if having.is_empty() {
            return Err(absent(group).into());
        }
        // The topics first: as long as a broker has the group, calling again comes back to them.
        let mut progress = Progress::default();
        for topic in [retry_topic(&name), format!("{DEAD}{name}")] {
            match topics::route_everywhere(shared, &topic, DELETE).await {
                (Some(route), _) => {
                    topics::delete(shared, &topic, &route, DELETE, &mut progress).await;
                }
                (None, Some(error)) => progress.note::<()>("a nameserver", Err(error)),
                (None, None) => {}
            }
        }
        progress.end()?;
        let mut progress = Progress::default();
        delete_at(shared, &name, &having, &mut progress).await;
        progress.end()?;
        Ok(Changed {
            brokers: having.into_iter().map(|place| place.name.clone()).collect(),
            name: shown(shared, &name),
        })
    }
}

async fn delete_at(shared: &Shared, name: &str, places: &[&Place], progress: &mut Progress) {
    let request = DeleteGroup {
        group_name: name.into(),
        clean_offset: Some(true),
        remove_offset: Some(true),
        broker_name: None,
    };
    let (connections, wait) = (&shared.connections, shared.request_timeout);
    let asked = places.iter().map(|place| async {
        let to = place.master(DELETE)?;
        connections.call(to, &request, wait, DELETE).await
    });
    for (place, result) in places.iter().zip(join_all(asked).await) {
        progress.note(&place.name, result);
    }
}

/// A broker's groups, page by page if it has pages; full names.
// apache/rocketmq: MQClientAPIImpl.getAllSubscriptionGroup; it ends one group early (`totalGroupNum - 1`), which loses the last of 2001
async fn groups_at(
    shared: &Shared,
    place: &Place,
    operation: &'static str,
) -> Result<BTreeSet<String>> {
    let to = place.any(operation)?;
    let mut pages = Pages::default();
    for _ in 0..MOST_PAGES {
        let request = pages.next();
        let (connections, wait) = (&shared.connections, shared.request_timeout);
        let page = connections.call(to, &request, wait, operation).await;
        let page = page.map_err(|error| {
            let message = format!("{}: {}", place.name, error.message());
            error.into_builder().message(message).build()
        })?;
        if pages.take(page) {
            return Ok(pages.names);
        }
    }
    let message = format!(
        "broker {}: its groups change faster than they can be read",
        place.name
    );
    Err(Error::builder(ErrorKind::Busy, message)
        .operation(operation)
        .retry(Retry::Later)
        .build())
}

/// What is read of a broker's groups.
#[derive(Debug, Default)]
struct Pages {
    names: BTreeSet<String>,
    seen: i32,
    version: Option<String>,
}

impl Pages {
    fn next(&self) -> GetGroups {
        let version = self.version.as_deref().unwrap_or_default();
        GetGroups {
            group_seq: Some(self.seen),
            max_group_num: Some(PAGE),
            data_version: Some(Arc::from(version)),
        }
    }

    /// Takes a page; true if it was the last.
    fn take(&mut self, page: crate::proto::command::Groups) -> bool {
        // apache/rocketmq: SubscriptionGroupManager.subGroupTable begins anew when the groups have changed.
        if self.version != page.data_version {
            self.names.clear();
            self.seen = 0;
            self.version = page.data_version;
        }
        let count = i32::try_from(page.configs.len()).unwrap_or(i32::MAX);
        self.seen = self.seen.saturating_add(count);
        self.names.extend(page.configs.into_keys());
        count == 0 || page.total.is_none_or(|total| self.seen >= total)
    }
}

fn own_name(shared: &Shared, group: &str, operation: &'static str) -> Result<String> {
    shared.check_open(operation)?;
    let name = shared.namespace.wrap(group);
    // By itself too: an empty name in a namespace is none.
    check_group(group)?;
    check_group(&name)?;
    if is_system(&name) {
        let message = format!("\"{name}\" belongs to the brokers");
        return Err(invalid(operation, message));
    }
    Ok(name)
}

fn is_system(group: &str) -> bool {
    SYSTEM.contains(&group) || group.starts_with("CID_RMQ_SYS_")
}

fn absent(group: &str) -> Error {
    Error::builder(
        ErrorKind::NotFound,
        format!("group \"{group}\": no broker has it"),
    )
    .operation(DELETE)
    .code(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST)
    .hint("check its name and namespace")
    .build()
}

const LIST: &str = "list groups";
const CREATE: &str = "create group";
const DELETE: &str = "delete group";
/// As many as 5.x brokers give at most, unless they are set otherwise.
const PAGE: i32 = 2000;
/// Two million groups, or a broker that never ends.
const MOST_PAGES: usize = 1000;

// apache/rocketmq: MixAll, the predefined groups
const SYSTEM: [&str; 13] = [
    "DEFAULT_CONSUMER",
    "DEFAULT_PRODUCER",
    "TOOLS_CONSUMER",
    "SCHEDULE_CONSUMER",
    "FILTERSRV_CONSUMER",
    "__MONITOR_CONSUMER",
    "CLIENT_INNER_PRODUCER",
    "SELF_TEST_P_GROUP",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_ONSAPI_PULL",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::command::Groups;

    fn page(names: &[&str], total: Option<i32>, version: &str) -> Groups {
        let named = |name: &&str| ((*name).to_owned(), GroupConfig::default());
        Groups {
            total,
            configs: names.iter().map(named).collect(),
            data_version: Some(version.to_owned()),
            ..Groups::default()
        }
    }

    #[test]
    fn pages_are_read_to_the_last_group() {
        let mut pages = Pages::default();
        assert_eq!(pages.next().data_version.as_deref(), Some(""));
        assert!(!pages.take(page(&["a", "b"], Some(3), "1")));
        let next = pages.next();
        assert_eq!(
            (next.group_seq, next.data_version.as_deref()),
            (Some(2), Some("1"))
        );
        assert!(pages.take(page(&["c"], Some(3), "1")));
        assert_eq!(pages.names.len(), 3);
    }

    #[test]
    fn pages_of_groups_that_change_begin_anew() {
        let mut pages = Pages::default();
        assert!(!pages.take(page(&["a", "b"], Some(4), "1")));
        assert!(!pages.take(page(&["b", "c"], Some(3), "2")));
        assert_eq!(pages.next().group_seq, Some(2));
        assert!(pages.take(page(&["d"], Some(3), "2")));
        assert_eq!(Vec::from_iter(&pages.names), ["b", "c", "d"]);
    }

    #[test]
    fn a_broker_without_pages_gives_all_at_once_and_an_empty_page_ends_it() {
        assert!(Pages::default().take(page(&["a"], None, "1")));
        assert!(Pages::default().take(page(&[], Some(5), "1")));
    }

    #[test]
    fn groups_that_brokers_keep_for_themselves() {
        assert!(is_system("TOOLS_CONSUMER") && is_system("CID_RMQ_SYS_TRANS"));
        assert!(!is_system("CID_orders") && !is_system("mq-cli"));
    }
}
