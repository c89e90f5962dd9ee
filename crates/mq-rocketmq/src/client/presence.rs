//! How brokers know which groups are here: heartbeats, and leaves.
//!
//! ```text
//!   heartbeat   ── turn at the broker (shared) ─► what is here *now* ─► answer
//!   leave       ── no longer in heartbeats ─► the turns begun before are over ─► unregister
//! ```
//!
//! A broker that reads a heartbeat behind the leave of a group that it still names takes the client for a member again, with nobody behind
//! it: for two minutes it gets queues that no other member may have (apache/rocketmq: ConsumerManager.scanNotActiveChannel). Brokers
//! read the two with different threads, so order on the wire is not enough: the heartbeat must have been answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use mq_core::{Endpoint, ErrorKind};
use tokio::sync::RwLock;

use super::Shared;
use crate::error::{Result, answer_error};
use crate::proto::ResponseCode;
use crate::proto::command::{Heartbeat, ProducerData, Unregister};

/// Whose turn it is at each broker: heartbeats share it, a leave waits for those that have it.
// apache/rocketmq: MQClientInstance.lockHeartbeat, one lock for all brokers
#[derive(Default)]
pub(crate) struct HeartbeatTurns(Mutex<BTreeMap<Endpoint, Arc<RwLock<()>>>>);

impl HeartbeatTurns {
    fn at(&self, broker: &Endpoint) -> Arc<RwLock<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(broker.clone()).or_default())
    }

    pub(super) fn keep_only(&self, known: &BTreeSet<Endpoint>) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|broker, turn| known.contains(broker) || Arc::strong_count(turn) > 1);
    }
}

impl Shared {
    /// Tells every broker of the known routes which groups are here: masters of all, replicas only when there are consumers. The answer is who has heard it.
    ///
    /// # Errors
    ///
    /// The first refusal of login or permission; else the first failure, when no broker could be told.
    pub(crate) async fn heartbeat_now(&self) -> Result<Vec<Endpoint>> {
        let heartbeat = self.heartbeat();
        if heartbeat.producers.is_empty() && heartbeat.consumers.is_empty() {
            return Ok(Vec::new());
        }
        let masters_only = heartbeat.consumers.is_empty();
        let targets = self.targets(masters_only);
        let told = join_all(targets.iter().map(|to| self.tell(to))).await;
        let hear = |(to, told): (_, &Result<()>)| told.is_ok().then_some(to);
        let heard = targets
            .iter()
            .zip(&told)
            .filter_map(hear)
            .cloned()
            .collect();
        let mut failures: Vec<_> = told.into_iter().filter_map(Result::err).collect();
        if let Some(at) = failures
            .iter()
            .position(|error| error.kind() == ErrorKind::Auth)
        {
            return Err(failures.swap_remove(at));
        }
        let none_told = failures.len() == targets.len();
        failures
            .into_iter()
            .next()
            .filter(|_| none_told)
            .map_or(Ok(heard), Err)
    }

    /// Takes a consumer out of the heartbeats and tells the brokers, who tell the rest of its group: it takes the queues over at once.
    pub(crate) async fn leave(&self, group: &Arc<str>) {
        self.groups.leave(group);
        let request = Unregister {
            client_id: Arc::clone(&self.client_id),
            consumer_group: Some(Arc::clone(group)),
            ..Unregister::default()
        };
        let (targets, request) = (self.targets(false), &request);
        let calls = targets.iter().map(async |broker| {
            // Those that begin now don't name the group.
            drop(self.turns.at(broker).write().await);
            self.connections
                .call_raw(broker, request, UNREGISTER_WAIT, "unregister")
                .await
        });
        // A broker that can't be told finds out by itself, only later.
        drop(join_all(calls).await);
    }

    pub(super) async fn unregister_producers(&self) {
        let (targets, groups) = (self.targets(true), self.groups.producer_groups());
        let requests: Vec<_> = groups
            .into_iter()
            .map(|group| Unregister {
                client_id: Arc::clone(&self.client_id),
                producer_group: Some(group.into()),
                ..Unregister::default()
            })
            .collect();
        let calls = targets.iter().flat_map(|to| {
            requests.iter().map(move |request| {
                self.connections
                    .call_raw(to, request, UNREGISTER_WAIT, "unregister")
            })
        });
        // The broker forgets a client that has gone by itself, only later.
        drop(join_all(calls).await);
    }

    fn heartbeat(&self) -> Heartbeat {
        let producers = self.groups.producer_groups().into_iter();
        Heartbeat {
            client_id: self.client_id.to_string(),
            producers: producers
                .map(|group_name| ProducerData { group_name })
                .collect(),
            consumers: self.groups.heartbeats(),
            ..Heartbeat::default()
        }
    }

    async fn tell(&self, to: &Endpoint) -> Result<()> {
        let turn = self.turns.at(to);
        let _turn = turn.read().await;
        let frame = self
            .connections
            .call_raw(to, &self.heartbeat(), self.request_timeout, "heartbeat")
            .await?;
        self.versions.learn(to, frame.header.version);
        if frame.header.code == ResponseCode::SUCCESS.0 {
            return Ok(());
        }
        Err(answer_error(&frame, "heartbeat", &to.to_string()))
    }

    fn targets(&self, masters_only: bool) -> Vec<Endpoint> {
        let brokers = self.routes.known_brokers();
        let addresses = brokers.into_values().flatten();
        addresses
            .filter(|(id, _)| !masters_only || *id == 0)
            .map(|(_, to)| to)
            .collect()
    }
}

const UNREGISTER_WAIT: Duration = Duration::from_secs(1);
