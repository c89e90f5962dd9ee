//! Options of a consumer, and starting it.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::{Consumer, run};
use crate::error::{Result, invalid, refused};
use crate::proto::limits;
use crate::queue::Queue;

#[derive(Debug, Clone, Copy)]
pub(super) struct Config {
    pub(super) concurrency: usize,
    pub(super) wait: Duration,
    pub(super) visibility: Option<Duration>,
}

/// Options of a [`Consumer`]. Setters don't fail; what can't be is found by [`ConsumerBuilder::build`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until build() is called"]
pub struct ConsumerBuilder {
    queue: Queue,
    config: Config,
}

impl ConsumerBuilder {
    pub(crate) const fn new(queue: Queue) -> Self {
        Self {
            queue,
            config: Config {
                concurrency: 1,
                wait: Duration::from_secs(3),
                visibility: None,
            },
        }
    }

    /// How many messages may be held at a time: buffered, handled, or being deleted; default 1, at most 10 000. The service is never asked
    /// for more than there is room for, since a message that waits here uses up its visibility timeout.
    pub const fn concurrency(mut self, most: usize) -> Self {
        self.config.concurrency = most;
        self
    }

    /// How long a receive waits at the service for a message, in whole seconds rounded up; default 3 s, at most 30 s. Never longer than a
    /// third of the visibility timeout: a message counts as ours from the beginning of the request, however late it came.
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.config.wait = wait;
        self
    }

    /// The queue's visibility timeout, in whole seconds; it is *told* here, not changed. Default: what
    /// [`Queue::attributes`](crate::Queue::attributes) read or the first receives of messages showed, whichever was later, else the service's
    /// default of 30 s. Too long, and deadlines come too late; too short, and deletes are refused that would have succeeded.
    pub const fn visibility(mut self, timeout: Duration) -> Self {
        self.config.visibility = Some(timeout);
        self
    }

    /// Starts it. It runs in the runtime in which it is built, as tasks of the client.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: a concurrency of 0 or over 10 000, a wait over 30 s, a visibility timeout outside of 1 s to 12 h.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn build(self) -> Result<Consumer> {
        let refuse = |refusal| refused(BUILD, refusal);
        if !(1..=MOST).contains(&self.config.concurrency) {
            let message = format!("a concurrency is 1 to {MOST}");
            return Err(invalid(BUILD, message));
        }
        limits::wait_seconds(self.config.wait).map_err(refuse)?;
        if let Some(visibility) = self.config.visibility {
            limits::visibility_seconds(visibility).map_err(refuse)?;
        }
        let core = Arc::new(Core::new(self.queue, self.config));
        run::start(&core);
        Ok(Consumer::new(core))
    }
}

const MOST: usize = 10_000;
const BUILD: &str = "build consumer";
