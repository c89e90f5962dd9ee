//! The task of a partition: keeps it subscribed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mq_core::{ErrorKind, Retry};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::core::{Core, PartLane, Phase};
use crate::client::{Shared, pauses};
use crate::conn::{Connection, Key, Lane, now};
use crate::error::{Error, ErrorCode, Result, closed};
use crate::proto::api;
use crate::topic::TopicName;

pub(super) struct Attend {
    pub(super) core: Arc<Core>,
    pub(super) part: usize,
    pub(super) shared: Weak<Shared>,
    pub(super) subscribe: api::CommandSubscribe,
    pub(super) within: Duration,
    pub(super) topic: TopicName,
    /// Without the topic, the consumer goes on with others.
    pub(super) optional: bool,
}

/// A subscription that stands; left when it is dropped.
pub(super) struct Open {
    connection: Connection,
    key: Key,
    epoch: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.leave(self.key);
    }
}

impl Attend {
    /// Subscribes for the first time; tries again what may pass, but not for somebody else to leave.
    ///
    /// # Errors
    ///
    /// What the broker refuses, or the last failure.
    pub(super) async fn first(&self, deadline: Instant) -> Result<Open> {
        for pause in pauses() {
            let next = now() + pause;
            match self.open().await {
                Ok(open) => return Ok(open),
                Err(error)
                    if error.retry() == Retry::Never
                        || error.code() == Some(&ErrorCode::CONSUMER_BUSY)
                        || next >= deadline =>
                {
                    return Err(error);
                }
                Err(_) => sleep_until(next).await,
            }
        }
        Err(closed("consumer", "client"))
    }

    /// Leaves the rest to a task of the client.
    pub(super) fn start(self, shared: &Shared, open: Open) {
        shared.tasks.spawn(self.run(open));
    }

    /// The same without a subscription: it is made when it can be.
    pub(super) fn start_anew(self, shared: &Shared) {
        shared.tasks.spawn(async move {
            match self.again().await {
                Ok(open) => self.run(open).await,
                Err(why) => self.give_up(why),
            }
        });
    }

    async fn open(&self) -> Result<Open> {
        let shared = self.shared.upgrade();
        let shared = shared.ok_or_else(|| closed("consumer", "client"))?;
        let connection = shared.connection_of(&self.topic).await?;
        // Another number each time: nothing that was meant for the last one is taken for this one's.
        let consumer_id = shared.next_id();
        drop(shared);
        let prepared = self.core.prepare(self.part);
        let prepared = prepared.ok_or_else(|| closed("consumer", "partition"))?;
        let epoch = prepared.epoch;
        let lane: Arc<dyn Lane> = Arc::new(PartLane {
            core: Arc::clone(&self.core),
            part: self.part,
            topic: self.topic.as_str().into(),
            epoch,
            consumer_id,
        });
        let ask = api::CommandSubscribe {
            topic: self.topic.as_str().to_owned(),
            consumer_id,
            consumer_epoch: Some(prepared.consumer_epoch),
            start_message_id: prepared.start,
            start_message_rollback_duration_sec: prepared.rollback,
            ..self.subscribe.clone()
        };
        let key = Key::Consumer(consumer_id);
        let opened = connection.open(key, lane, ask, Some(self.within)).await;
        opened.map_err(|error| error.into_builder().operation("subscribe").build())?;
        self.core.begin(self.part, epoch, &connection, key);
        Ok(Open {
            connection,
            key,
            epoch,
        })
    }

    async fn run(self, first: Open) {
        let mut open = first;
        loop {
            self.serve(&open).await;
            if self.core.phase() != Phase::Running {
                return self.finish(open).await;
            }
            drop(open);
            match self.again().await {
                Ok(opened) => open = opened,
                Err(why) => return self.give_up(why),
            }
        }
    }

    fn give_up(&self, why: Option<Error>) {
        match why {
            Some(why) if self.optional => {
                tracing::warn!(topic = %self.topic, error = %why, "the topic is consumed no longer");
                self.core.part_ended(self.part);
            }
            Some(why) => self.core.fail(self.part, why),
            None => {
                self.core.close();
                self.core.part_ended(self.part);
            }
        }
    }

    /// Until the subscription is gone, or the consumer is to close.
    async fn serve(&self, open: &Open) {
        while self.core.phase() == Phase::Running && self.core.is_live(self.part, open.epoch) {
            let next = self.core.tend(self.part, now());
            let pause = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.core.changed(self.part) => {}
                () = pause => {}
            }
        }
    }

    /// Subscribes again; gives up where that can't help.
    async fn again(&self) -> Result<Open, Option<Error>> {
        let mut told = false;
        for pause in pauses() {
            let opening = tokio::select! {
                opening = self.open() => opening,
                () = self.closing() => return Err(None),
            };
            match opening {
                Ok(open) => return Ok(open),
                Err(error) if error.kind() == ErrorKind::Closed => return Err(None),
                Err(error) if error.retry() == Retry::Never && error.code().is_some() => {
                    return Err(Some(error));
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(topic = %self.topic, %error, "could not subscribe again yet");
                    }
                }
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.closing() => return Err(None),
            }
        }
        Err(None)
    }

    async fn closing(&self) {
        while self.core.phase() == Phase::Running {
            self.core.changed(self.part).await;
        }
    }

    /// What is held may still be settled for a while; what was settled is written before the subscription is left.
    async fn finish(&self, open: Open) {
        let _ = timeout(PATIENCE, self.core.all_settled()).await;
        let _ = timeout(ANSWER, open.connection.close(open.key)).await;
        self.core.part_ended(self.part);
    }
}

/// Has a task of the client do what a consumer needs beside.
pub(super) fn beside(shared: &Shared, work: impl Future<Output = ()> + Send + 'static) {
    shared.tasks.spawn(work);
}

/// How long a consumer that closes waits for what it has handed out.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits for the broker to say that it has let go.
const ANSWER: Duration = Duration::from_secs(1);
