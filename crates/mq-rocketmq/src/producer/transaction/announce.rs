//! Making the group known to brokers: they ask only producers whose heartbeat they have had.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use mq_core::{Endpoint, ErrorKind};

use super::Shared;
use crate::conn::{DEFAULT_TOPIC, TopicRoute};
use crate::error::Result;
use crate::proto::command::GetClusterInfo;

/// Announces the group to the brokers of `topics` (full names), or to all there are: one that was restarted after a crash is to be asked
/// at once, not after its first message.
///
/// # Errors
///
/// A topic has no route; the keys are refused. A broker that can't be reached is none: it is told when it is back.
pub(super) async fn announce(shared: &Shared, topics: &[String]) -> Result<()> {
    let routes = &shared.producer.client.routes;
    for topic in topics {
        routes.for_publishing(topic).await?;
    }
    if topics.is_empty() {
        all_brokers(shared).await;
    }
    tell(shared).await
}

/// Before the first half message to a broker, if that has not been told yet.
pub(super) async fn announce_to(shared: &Shared, route: &TopicRoute) {
    let masters: BTreeSet<Endpoint> = masters(route.brokers());
    let all_told = {
        let told = shared.told.lock().unwrap_or_else(PoisonError::into_inner);
        masters.is_subset(&told)
    };
    if !all_told && let Err(error) = tell(shared).await {
        // The send will find out by itself.
        tracing::warn!(group = %shared.producer.group, %error, "the group could not be announced");
    }
}

/// Takes the routes to all brokers into the cache, from where they are kept fresh and sent heartbeats.
// apache/rocketmq: TopicConfigManager.init, each broker has a topic of its cluster's name
async fn all_brokers(shared: &Shared) {
    let routes = &shared.producer.client.routes;
    let found = routes
        .nameservers()
        .ask(&GetClusterInfo, "find brokers")
        .await;
    let clusters = found.map(|info| info.clusters).unwrap_or_default();
    let mut found = false;
    for cluster in clusters.keys() {
        found |= routes.topic(cluster).await.is_ok();
    }
    // A gateway need not tell of clusters.
    if !found && routes.topic(DEFAULT_TOPIC).await.is_err() {
        tracing::warn!(group = %shared.producer.group, "no broker is known before the first message; name a topic for transactions of a former life to be asked about at once");
    }
}

async fn tell(shared: &Shared) -> Result<()> {
    let client = &shared.producer.client;
    match client.heartbeat_now().await {
        Ok(heard) => {
            let mut told = shared.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.extend(heard);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Auth => Err(error),
        Err(error) => {
            tracing::warn!(group = %shared.producer.group, %error, "the group could not be announced yet");
            Ok(())
        }
    }
}

fn masters<'a>(
    brokers: impl Iterator<
        Item = (
            &'a std::sync::Arc<str>,
            &'a std::collections::BTreeMap<i64, Endpoint>,
        ),
    >,
) -> BTreeSet<Endpoint> {
    brokers
        .filter_map(|(_, all)| all.get(&0).cloned())
        .collect()
}
