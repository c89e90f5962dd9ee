//! What all clones of a producer and its sends have in common.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::lanes::{Lanes, Left, Slot};
use super::operation::Operation;
use super::window::Window;
use super::{Compression, KeyHash, Unheard};
use crate::client::{Flush, Shared};
use crate::error::{Error, Result};

pub(crate) struct ProducerShared {
    pub(crate) client: Arc<Shared>,
    /// Full name.
    pub(crate) group: Arc<str>,
    pub(crate) default_topic: Arc<str>,
    pub(crate) new_topic_queues: i32,
    pub(crate) window: Arc<Window<Operation>>,
    pub(super) lanes: Lanes<Box<Operation>>,
    /// Held while a send joins both its lane and the line: they stand in the same order in both.
    pub(super) joining: Mutex<()>,
    pub(super) key_hash: KeyHash,
    pub(crate) retries: mpsc::Sender<super::retry::Again>,
    pub(crate) compression: Option<Compression>,
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) max_attempts: u32,
    pub(crate) max_body: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) require_durable: bool,
    turn: AtomicUsize,
}

impl std::fmt::Debug for ProducerShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl ProducerShared {
    pub(super) fn new(
        client: Arc<Shared>,
        group: Arc<str>,
        options: &super::ProducerBuilder,
        retries: mpsc::Sender<super::retry::Again>,
    ) -> Self {
        Self {
            default_topic: crate::conn::DEFAULT_TOPIC.into(),
            new_topic_queues: client.routes.new_topic_queues(),
            window: Arc::new(Window::new(
                options.max_in_flight,
                options.max_in_flight_bytes,
            )),
            lanes: Lanes::new(),
            joining: Mutex::default(),
            key_hash: options.key_hash,
            retries,
            compression: options.compression,
            timeout: options.timeout,
            attempt_timeout: options.attempt_timeout,
            max_attempts: options.max_attempts.max(1),
            max_body: options.max_body,
            max_in_flight: options.max_in_flight.max(1),
            require_durable: options.require_durable,
            turn: AtomicUsize::new(fastrand::usize(..1 << 16)),
            client,
            group,
        }
    }

    /// Whose turn it is among queues.
    pub(super) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// A send has left its lane: the next one goes, or none of those that had joined.
    pub(super) fn left(&self, slot: &Slot, entered: bool, how: Left) {
        let freed = self.lanes.leave(slot, entered, how);
        for (operation, cause) in freed.overtaken {
            operation.is_overtaken(cause);
        }
        if let Some(next) = freed.next {
            next.go();
        }
    }

    /// Ends what has waited in its lane until its time was over; says when the next one's is.
    pub(super) fn sweep_lanes(&self, now: Instant) -> Option<Instant> {
        let swept = self.lanes.sweep(now);
        for operation in swept.expired {
            operation.turn_missed();
        }
        swept.next
    }

    pub(super) async fn flushed(&self) -> Result<(), Unheard> {
        self.window.drained().await;
        let (count, last) = self.window.take_unheard();
        if count == 0 {
            Ok(())
        } else {
            Err(Unheard { count, last })
        }
    }
}

impl Flush for ProducerShared {
    fn flush(self: Arc<Self>) -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>> {
        Box::pin(async move { self.flushed().await.map_err(Error::from) })
    }
}
