//! Moving a consumer to another place.

use std::time::SystemTime;

use futures_util::future::try_join_all;

use super::core::{Core, Start};
use super::{Consumer, ConsumerHandle};
use crate::error::{Result, invalid};
use crate::message_id::MessageId;
use crate::topic::TopicName;

impl Consumer {
    /// As [`ConsumerHandle::seek`].
    ///
    /// # Errors
    ///
    /// As [`ConsumerHandle::seek`].
    ///
    /// # Cancel safety
    ///
    /// As [`ConsumerHandle::seek`].
    pub async fn seek(&self, to: MessageId) -> Result<()> {
        self.handle().seek(to).await
    }

    /// As [`ConsumerHandle::seek_time`].
    ///
    /// # Errors
    ///
    /// As [`ConsumerHandle::seek`].
    ///
    /// # Cancel safety
    ///
    /// As [`ConsumerHandle::seek`].
    pub async fn seek_time(&self, to: SystemTime) -> Result<()> {
        self.handle().seek_time(to).await
    }

    /// The last message of each topic, of a partitioned one of each partition; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Kind `Timeout` where a topic can't be subscribed to again within the client's operation time-out; `Closed`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn last_message_ids(&self) -> Result<Vec<(String, Option<MessageId>)>> {
        let core = &self.shared.core;
        let asking = core.open_parts()?.into_iter().map(|part| async move {
            let last = core.last(part).await?;
            Ok((core.topic(part).to_string(), last.id))
        });
        try_join_all(asking).await
    }
}

impl ConsumerHandle {
    /// Moves the subscription: the message with this id is the next one of its partition. [`MessageId::EARLIEST`] and [`MessageId::LATEST`], which is
    /// behind the last message, move all partitions. A subscription that others consume from is moved for them too.
    ///
    /// What is here and not handed out is thrown away, and what is handed out can't be settled any more: both come again if they are behind that place.
    /// So it is for what was acknowledged behind it. Returns when the consumer has subscribed again.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for an id that is of none of the topics, or of more than one. `Rejected` if the broker refuses, for instance since another one
    /// seeks; the consumer goes on where it was then, with what was not acknowledged. `Timeout`, `Closed`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have been done or not; what is handed out is stale in any case, and nothing is lost that is behind either place.
    pub async fn seek(&self, to: MessageId) -> Result<()> {
        let parts = parts_of(&self.core, to)?;
        seek_all(&self.core, parts, Start::at(to)).await
    }

    /// Moves the subscription to the first message that was sent at this time or later, in all partitions. As [`seek`](Self::seek).
    ///
    /// # Errors
    ///
    /// As [`seek`](Self::seek).
    ///
    /// # Cancel safety
    ///
    /// As [`seek`](Self::seek).
    pub async fn seek_time(&self, to: SystemTime) -> Result<()> {
        seek_all(&self.core, self.core.open_parts()?, Start::Time(to)).await
    }
}

async fn seek_all(core: &Core, parts: Vec<usize>, to: Start) -> Result<()> {
    let seeking = parts.into_iter().map(|part| core.seek(part, to));
    try_join_all(seeking).await.map(drop)
}

/// Which partitions an id is of.
fn parts_of(core: &Core, id: MessageId) -> Result<Vec<usize>> {
    let all = core.open_parts()?;
    if id == MessageId::EARLIEST || id == MessageId::LATEST || all.len() == 1 {
        return Ok(all);
    }
    let number = |part: &usize| {
        let name = TopicName::parse(&core.topic(*part)).ok();
        name.and_then(|name| name.number())
    };
    let own: Vec<_> = all
        .into_iter()
        .filter(|part| number(part) == id.partition())
        .collect();
    if own.len() == 1 {
        return Ok(own);
    }
    let message = format!("the id {id} is of {} of the consumer's topics", own.len());
    Err(invalid("seek", message))
}
