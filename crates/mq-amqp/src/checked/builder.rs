//! Options of a transactional publisher.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use tokio::sync::{Mutex, Semaphore, watch};

use super::halves::Halves;
use super::{
    CheckedMessage, Checker, Handle, Own, Shared, TransactionalPublisher, Verdict, attend, checks,
};
use crate::error::{Result, invalid};
use crate::publisher::PublisherBuilder;

/// Options of a [`TransactionalPublisher`]. Made by [`PublisherBuilder::checker`], whose own options hold for it too: time-out, and the window, which is here how many
/// transactions may be under way, those that wait for the checker included.
#[must_use = "a publisher is made by build"]
pub struct TransactionalPublisherBuilder {
    publisher: PublisherBuilder,
    group: ByteString,
    checker: Box<Checker>,
    first_check: Duration,
    check_interval: Duration,
    check_timeout: Duration,
    check_concurrency: usize,
    max_checks: u32,
    takeover_after: Duration,
    renew_after: Duration,
    slots: u32,
}

impl TransactionalPublisherBuilder {
    pub(crate) fn new<F, Fut>(publisher: PublisherBuilder, group: ByteString, checker: F) -> Self
    where
        F: Fn(CheckedMessage) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Verdict> + Send + 'static,
    {
        Self {
            publisher,
            group,
            checker: Box::new(move |message| Box::pin(checker(message))),
            first_check: Duration::from_secs(60),
            check_interval: Duration::from_secs(60),
            check_timeout: Duration::from_secs(10),
            check_concurrency: 8,
            max_checks: 15,
            takeover_after: Duration::from_secs(10),
            renew_after: checks::RENEW_AFTER,
            slots: 64,
        }
    }

    /// How long after it began a transaction is asked about for the first time, if nobody decides it; default 60 s. By the clock of who began it.
    pub const fn first_check_after(mut self, time: Duration) -> Self {
        self.first_check = time;
        self
    }

    /// How long after a check that did not decide the next one comes; default 60 s.
    pub const fn check_interval(mut self, time: Duration) -> Self {
        self.check_interval = time;
        self
    }

    /// How long the checker may take for one message; default 10 s. Later, its answer counts as [`Verdict::Unknown`].
    pub const fn check_timeout(mut self, time: Duration) -> Self {
        self.check_timeout = time;
        self
    }

    /// How many messages the checker is asked about at a time; default 8, at least 1.
    pub const fn check_concurrency(mut self, count: usize) -> Self {
        self.check_concurrency = count;
        self
    }

    /// How often it is asked about one message; default 15, at least 1. What no question has ended by then goes to the queue `mq.tx.<group>.discard`, with
    /// `x-mq-reason`: also what the checker commits and cannot be sent, since no queue takes it or its exchange is gone. A question whose channel is lost
    /// meanwhile may be asked once more.
    pub const fn max_checks(mut self, count: u32) -> Self {
        self.max_checks = count;
        self
    }

    /// How long a publisher of the group has to be gone before this one takes over what it has begun; default 10 s.
    pub const fn takeover_after(mut self, time: Duration) -> Self {
        self.takeover_after = time;
        self
    }

    /// After how long a half message that is still undecided is written again; default 5 min. It has to be well below the broker's time-out of
    /// acknowledgements, `consumer_timeout`, 30 min by default: what is not acknowledged by then costs the channel.
    pub const fn renew_after(mut self, time: Duration) -> Self {
        self.renew_after = time;
        self
    }

    /// How many publishers the group may have at a time; default 64. All should say the same.
    pub const fn slots(mut self, count: u32) -> Self {
        self.slots = count;
        self
    }

    /// Takes a slot, and asks the checker from then on about what a former publisher has left in it.
    ///
    /// # Errors
    ///
    /// As [`PublisherBuilder::build`]. Kind `Invalid`: a group's name that is empty or has more than 200 bytes. Kind `Busy`, retryable: all slots of the group
    /// are taken. Kind `Rejected`: the slot's queue is there with other arguments.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a slot that was taken is given back. Its queue stays.
    pub async fn build(self) -> Result<TransactionalPublisher> {
        self.check()?;
        let (client, timeout, window) = self.publisher.parts();
        let plain = self.publisher.build().await?;
        let discard: ByteString = format!("mq.tx.{}.discard", self.group).into();
        let halves = Halves::new(self.first_check, self.check_interval, discard.clone());
        // As many again for copies, and for what others have left.
        let prefetch = u16::try_from(window.saturating_mul(2)).unwrap_or(u16::MAX);
        let shared = Arc::new(Shared {
            client,
            group: self.group,
            halves: Arc::new(halves),
            checker: self.checker,
            own: watch::Sender::new(Own::Away(None)),
            closing: watch::Sender::new(false),
            ending: watch::Sender::new(false),
            room: Arc::new(Semaphore::new(window.min(Semaphore::MAX_PERMITS))),
            window,
            turn: Mutex::new(()),
            asking: Arc::new(Semaphore::new(
                self.check_concurrency.clamp(1, Semaphore::MAX_PERMITS),
            )),
            timeout,
            discard,
            prefetch,
            slots: self.slots,
            max_checks: self.max_checks.max(1),
            check_interval: self.check_interval,
            check_timeout: self.check_timeout,
            takeover_after: self.takeover_after.max(SHORTEST),
            renew_after: self.renew_after.max(SHORTEST),
        });
        let link = shared.client.publishing().await?;
        attend::start(&shared, link).await?;
        let handle = Arc::new(Handle { shared });
        Ok(TransactionalPublisher { handle, plain })
    }

    fn check(&self) -> Result<()> {
        const OPERATION: &str = "transactional publisher";
        if self.group.is_empty() || self.group.len() > 200 {
            let what = "a group's name has 1 to 200 bytes";
            return Err(invalid(OPERATION, what));
        }
        if self.slots == 0 {
            let what = "a group without slots has no publishers";
            return Err(invalid(OPERATION, what));
        }
        Ok(())
    }
}

impl fmt::Debug for TransactionalPublisherBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalPublisherBuilder")
            .field("publisher", &self.publisher)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// More often nothing is looked for.
const SHORTEST: Duration = Duration::from_millis(100);
