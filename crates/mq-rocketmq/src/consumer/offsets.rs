//! How far this consumer is: where to begin, and keeping it, at the brokers or in a file.
//!
//! Whichever it is, an epoch's offset is kept before the next one's: `broker` and `local` let one at a time store.

mod broker;
mod file;
mod local;

use std::path::Path;
use std::sync::Arc;

pub(super) use self::broker::find;
pub(crate) use self::local::Local;
use super::core::{Core, Topic};
use super::model::Model;
use super::queue::Queue;
use crate::conn::QueueId;
use crate::error::Result;

/// Takes the offsets of a broadcasting consumer in hand.
pub(super) async fn open(dir: &Path, group: &Arc<str>) -> Result<Model> {
    Local::open(dir, group).await.map(Model::Broadcasting)
}

/// Where to begin with a queue, and what is kept of it already.
pub(super) async fn start(
    core: &Core,
    queue: &QueueId,
    topic: &Topic,
) -> Result<(i64, Option<i64>)> {
    match &core.model {
        Model::Clustering => broker::start(core, queue, topic).await,
        Model::Broadcasting(local) => local.start(core, queue, topic).await,
    }
}

/// The first queues are this consumer's: what is sent from now on is not to be missed, whatever happens.
pub(super) async fn joined(core: &Core) -> Result<()> {
    match &core.model {
        // Brokers are told within seconds; until then they would say the same again.
        Model::Clustering => Ok(()),
        Model::Broadcasting(local) => local.joined(&core.queues()).await,
    }
}

/// More queues are this consumer's: where they begin must be the same after a crash.
pub(super) async fn taken_on(core: &Core) {
    match &core.model {
        // Brokers say it again.
        Model::Clustering => {}
        Model::Broadcasting(local) => local.persist(core, &core.queues()).await,
    }
}

/// Keeps the offset of a queue whose last epoch has ended.
pub(super) async fn store(core: &Core, queue: &QueueId, offset: i64) -> Result<()> {
    match &core.model {
        Model::Clustering => broker::store(core, queue, offset).await,
        Model::Broadcasting(local) => local.store(core, queue, offset).await,
    }
}

/// Keeps the offsets that are not kept yet. What fails is tried again next time.
pub(super) async fn persist(core: &Core, queues: &[Arc<Queue>]) {
    match &core.model {
        Model::Clustering => broker::persist(core, queues).await,
        Model::Broadcasting(local) => local.persist(core, queues).await,
    }
}

/// Gives queues up and keeps their last offsets.
pub(super) async fn hand_over(core: &Core, queues: &[Arc<Queue>]) {
    let last = queues.iter().filter_map(|queue| core.leave(queue));
    store_last(core, last.collect()).await;
}

/// Keeps the offsets of queues that were given up.
pub(super) async fn store_last(core: &Core, last: Vec<(QueueId, i64)>) {
    match &core.model {
        Model::Clustering => broker::store_last(core, last).await,
        Model::Broadcasting(local) => local.store_last(core, last).await,
    }
}

/// At the end of a consumer that closes: the last try, and whether everything is kept.
pub(super) async fn finish(core: &Core) -> Result<()> {
    match &core.model {
        // It was told to the log, queue by queue, and the group goes on a little before.
        Model::Clustering => Ok(()),
        Model::Broadcasting(local) => local.finish().await,
    }
}

/// Nothing is kept any more; another consumer may use the file.
pub(super) fn release(core: &Core) {
    if let Model::Broadcasting(local) = &core.model {
        local.release();
    }
}
