//! The offsets of a broadcasting consumer: a table in memory, and a file that follows it.
//!
//! ```text
//!   start ◄── table ◄── persist, store, store_last        every change goes into the table first
//!               └─ differs from what was written? ──► blocking thread: temporary file, fsync, rename
//! ```
//!
//! Who changes the table holds `written` until the file is replaced, so that changes are written one after the other, and the thread that
//! writes has it: a caller that is dropped meanwhile lets nobody in between. What could not be written stays in the table and is written next
//! time. Queues that are in the table and not this consumer's (any more) stay in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::broker;
use super::file::{OffsetFile, Table};
use crate::client::Event;
use crate::conn::QueueId;
use crate::consumer::core::{Core, Topic};
use crate::consumer::options::ConsumeFrom;
use crate::consumer::queue::Queue;
use crate::consumer::run;
use crate::error::{Result, closed};

/// See the module.
#[derive(Debug)]
pub(crate) struct Local {
    table: Mutex<Table>,
    /// What the file says; held by the one whose turn it is.
    written: Arc<tokio::sync::Mutex<Table>>,
    /// `None` once it is released.
    file: Mutex<Option<Arc<OffsetFile>>>,
    /// Whether the first queues were taken on.
    joined: AtomicBool,
}

impl Local {
    /// # Errors
    ///
    /// Kind `Invalid`: see [`OffsetFile::open`].
    pub(super) async fn open(dir: &Path, group: &Arc<str>) -> Result<Self> {
        let (dir, group) = (PathBuf::from(dir), Arc::clone(group));
        let (file, table) = run::blocking(move || OffsetFile::open(&dir, &group)).await?;
        Ok(Self {
            table: Mutex::new(table.clone()),
            written: Arc::new(tokio::sync::Mutex::new(table)),
            file: Mutex::new(Some(Arc::new(file))),
            joined: AtomicBool::new(false),
        })
    }

    pub(super) async fn start(
        &self,
        core: &Core,
        queue: &QueueId,
        topic: &Topic,
    ) -> Result<(i64, Option<i64>)> {
        let (known, of_topic) = {
            let table = lock(&self.table);
            let of_topic = table.keys().any(|known| known.topic == queue.topic);
            (table.get(queue).copied(), of_topic)
        };
        if let Some(next) = known {
            return Ok((next, Some(next)));
        }
        // A queue that appears when this consumer has the others already: what is in it was sent meanwhile. (Brokers see to that for groups
        // whose offsets they have: they say 0 of a young queue. Java's broadcasting consumer misses what was sent before it sees the queue.)
        let appeared = of_topic || self.joined.load(Ordering::Acquire);
        let from = match core.config.from {
            ConsumeFrom::Last if appeared => ConsumeFrom::First,
            from => from,
        };
        let next = broker::find(core, queue, topic, from).await?;
        Ok((next, None))
    }

    pub(super) async fn joined(&self, queues: &[Arc<Queue>]) -> Result<()> {
        self.keep(queues).await?;
        self.joined.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) async fn store(&self, core: &Core, queue: &QueueId, offset: i64) -> Result<()> {
        let turn = self.turn().await;
        lock(&self.table).insert(queue.clone(), offset);
        let stored = self.write(turn).await;
        tell(core, &stored);
        stored
    }

    pub(super) async fn persist(&self, core: &Core, queues: &[Arc<Queue>]) {
        let kept = self.keep(queues).await;
        tell(core, &kept);
    }

    pub(super) async fn store_last(&self, core: &Core, last: Vec<(QueueId, i64)>) {
        let turn = self.turn().await;
        for (id, _) in &last {
            core.has_left(id);
        }
        lock(&self.table).extend(last);
        let stored = self.write(turn).await;
        tell(core, &stored);
    }

    pub(super) async fn finish(&self) -> Result<()> {
        self.write(self.turn().await).await
    }

    /// The lock is given back, by the thread that writes if one does.
    pub(super) fn release(&self) {
        let file = lock(&self.file).take();
        drop(file);
    }

    async fn keep(&self, queues: &[Arc<Queue>]) -> Result<()> {
        let turn = self.turn().await;
        let mut found = Vec::new();
        for queue in queues {
            // Read in this turn: an epoch that ends later stores its successor's offset in a later one.
            let offset = queue.ledger().unpersisted();
            found.extend(offset.map(|offset| (queue, offset)));
        }
        let offsets = found
            .iter()
            .map(|(queue, offset)| (queue.id().clone(), *offset));
        lock(&self.table).extend(offsets);
        self.write(turn).await?;
        for (queue, offset) in found {
            queue.ledger().persisted(offset);
        }
        Ok(())
    }

    async fn turn(&self) -> OwnedMutexGuard<Table> {
        Arc::clone(&self.written).lock_owned().await
    }

    /// Writes the table, if the file does not say it already.
    async fn write(&self, mut written: OwnedMutexGuard<Table>) -> Result<()> {
        let table = lock(&self.table).clone();
        if *written == table {
            return Ok(());
        }
        let file = lock(&self.file).clone();
        let file = file.ok_or_else(|| closed("store offsets", "consumer"))?;
        run::blocking(move || {
            file.write(&table)?;
            *written = table;
            Ok(())
        })
        .await
    }
}

fn tell(core: &Core, stored: &Result<()>) {
    let Err(error) = stored else { return };
    let group = &core.group;
    // With the cause, which says whether the disk is full.
    let reason = format!("{error:#}");
    tracing::warn!(%group, reason, "the offsets are not stored yet: a restart would bring messages again");
    core.shared.board.tell(|| Event::OffsetsNotStored {
        group: group.to_string(),
        reason,
    });
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
