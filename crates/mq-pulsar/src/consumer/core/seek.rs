//! Moving a subscription to another place, and where a reader goes on.

use std::time::SystemTime;

use mq_core::{Clock as _, ErrorKind, Retry, SystemClock};
use tokio::time::{Instant, timeout_at};

use super::{Core, Part, Phase};
use crate::conn::{Connection, Key, now};
use crate::consumer::tracker::Place;
use crate::error::{Error, Result, closed};
use crate::message_id::MessageId;
use crate::proto::api;

/// Where to go on, for what the broker keeps no place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::consumer) enum Start {
    Earliest,
    Latest,
    /// The first message that was sent then or later.
    Time(SystemTime),
    /// At this entry, and inside of it at this index.
    At(Place, u32),
}

/// What a subscription is made with.
pub(in crate::consumer) struct Prepared {
    pub(in crate::consumer) epoch: u64,
    pub(in crate::consumer) consumer_epoch: u64,
    pub(in crate::consumer) start: Option<api::MessageIdData>,
    pub(in crate::consumer) rollback: Option<u64>,
}

impl Start {
    pub(in crate::consumer) fn at(id: MessageId) -> Self {
        match id {
            MessageId::EARLIEST => Self::Earliest,
            MessageId::LATEST => Self::Latest,
            id => Self::At((id.ledger(), id.entry()), id.batch_index().unwrap_or(0)),
        }
    }

    pub(in crate::consumer) fn after(id: MessageId) -> Self {
        match (Self::at(id), id.batch_index()) {
            (Self::At(place, _), None) => Self::At(place, u32::MAX),
            (Self::At(place, index), Some(_)) => Self::At(place, index.saturating_add(1)),
            (start, _) => start,
        }
    }

    /// What the client itself has to leave out: the broker knows entries only.
    const fn inside(self) -> Option<(Place, u32)> {
        match self {
            Self::At(place, index) => Some((place, index)),
            _ => None,
        }
    }

    fn wire(self) -> api::MessageIdData {
        let (ledger_id, entry_id) = match self {
            // Of what begins at a time too: too much is better than too little.
            Self::Earliest | Self::Time(_) => {
                (MessageId::EARLIEST.ledger(), MessageId::EARLIEST.entry())
            }
            Self::Latest => (MessageId::LATEST.ledger(), MessageId::LATEST.entry()),
            Self::At((ledger, entry), _) => (ledger, entry),
        };
        api::MessageIdData {
            ledger_id,
            entry_id,
            ..api::MessageIdData::default()
        }
    }

    fn seek(self, consumer_id: u64) -> api::CommandSeek {
        let time = match self {
            Self::Time(time) => Some(millis(time)),
            _ => None,
        };
        api::CommandSeek {
            consumer_id,
            message_id: time.is_none().then(|| self.wire()),
            message_publish_time: time,
            ..api::CommandSeek::default()
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Part {
    /// What a reader's subscription begins with, as the broker has forgotten the last one.
    pub(super) fn begins(&mut self) -> (Option<api::MessageIdData>, Option<u64>) {
        let Some(start) = self.resume else {
            return (None, None);
        };
        self.tracker.begin_at(start.inside());
        // Sought just now the broker knows; later it is asked for by how long ago that is, in seconds.
        let sought = self.epoch == self.sought + 1;
        let rollback = match start {
            Start::Time(time) if !sought => {
                let ago = SystemClock.wall().duration_since(time).unwrap_or_default();
                Some(ago.as_secs() + 1)
            }
            _ => None,
        };
        (Some(start.wire()), rollback)
    }
}

/// Until the broker has moved a subscription, what the last one delivers is thrown away. Afterwards, in any case, another one is made.
struct Seeking<'a> {
    core: &'a Core,
    part: usize,
    epoch: u64,
}

impl Drop for Seeking<'_> {
    fn drop(&mut self) {
        // Most brokers have closed it already.
        self.core
            .lose(self.part, self.epoch, "the subscription was moved");
    }
}

impl Core {
    /// Moves the subscription of a partition. What is here and what is handed out is nobody's from then on.
    ///
    /// # Errors
    ///
    /// What the broker refuses; kind `Closed`; kind `Timeout`.
    pub(in crate::consumer) async fn seek(&self, part: usize, to: Start) -> Result<()> {
        let deadline = now() + self.within;
        loop {
            let (connection, consumer_id) = self.linked(part, deadline).await?;
            let Some(seeking) = self.begin_seek(part, to, consumer_id) else {
                continue;
            };
            let asked = connection.ask(to.seek(consumer_id)).await;
            drop(seeking);
            match asked {
                Ok(_) => break,
                // It may be there already: once more does no harm.
                Err(error) if lost(&error) && now() < deadline => {}
                Err(error) => return Err(error.into_builder().operation("seek").build()),
            }
        }
        self.linked(part, deadline).await?;
        if to == Start::Latest {
            self.pin_latest(part).await?;
        }
        Ok(())
    }

    fn begin_seek(&self, at: usize, to: Start, consumer_id: u64) -> Option<Seeking<'_>> {
        let mut state = self.state();
        let part = state.parts.get_mut(at)?;
        let linked = part.link.as_ref().map(|(_, key)| *key);
        if linked != Some(Key::Consumer(consumer_id)) {
            return None;
        }
        part.sought = part.epoch;
        part.tracker.restart(to.inside());
        part.receipts.lost("the subscription was moved");
        part.again.forget();
        part.flush_at = None;
        if part.resume.is_some() {
            part.resume = Some(to);
        }
        let epoch = part.epoch;
        state.purge(at, |_| true);
        drop(state);
        self.settled.notify_waiters();
        let part = at;
        let core = self;
        Some(Seeking { core, part, epoch })
    }

    /// The partitions of a consumer that is not closed.
    ///
    /// # Errors
    ///
    /// Kind `Closed`.
    pub(in crate::consumer) fn open_parts(&self) -> Result<Vec<usize>> {
        if self.phase() == Phase::Running {
            return Ok(self.parts());
        }
        Err(closed("seek", "consumer"))
    }

    /// A partition's subscription, when there is one: its connection, and its number there.
    ///
    /// # Errors
    ///
    /// Kind `Closed`; kind `Timeout`.
    pub(in crate::consumer) async fn linked(
        &self,
        at: usize,
        deadline: Instant,
    ) -> Result<(Connection, u64)> {
        loop {
            let changed = self.ready.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.state();
                if state.phase != Phase::Running {
                    return Err(closed("seek", "consumer"));
                }
                let part = state.parts.get(at);
                if let Some((connection, Key::Consumer(id))) =
                    part.and_then(|part| part.link.as_ref())
                {
                    return Ok((connection.clone(), *id));
                }
            }
            if timeout_at(deadline, changed).await.is_err() {
                let message = format!("{} is not subscribed to", self.topic(at));
                return Err(Error::builder(ErrorKind::Timeout, message).build());
            }
        }
    }

    /// The last message of a partition, and what its subscription has no need of any more.
    ///
    /// # Errors
    ///
    /// As [`seek`](Self::seek).
    pub(in crate::consumer) async fn last(&self, at: usize) -> Result<Last> {
        let deadline = now() + self.within;
        loop {
            let (connection, consumer_id) = self.linked(at, deadline).await?;
            let ask = api::CommandGetLastMessageId {
                consumer_id,
                ..api::CommandGetLastMessageId::default()
            };
            match connection.ask(ask).await {
                Ok(answer) => return Ok(Last::of(answer.get_last_message_id_response)),
                Err(error) if lost(&error) && now() < deadline => {
                    // The lane hears of it by itself; until then this would be asked in a circle.
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => {
                    return Err(error.into_builder().operation("last_message_id").build());
                }
            }
        }
    }

    /// Whether there is something to receive of a partition: told from what was handed out last.
    pub(in crate::consumer) async fn has_more(&self, at: usize) -> Result<bool> {
        let last = self.last(at).await?;
        let Some(id) = last.id else {
            return Ok(false);
        };
        let resume = self.state().parts.get(at).and_then(|part| part.resume);
        let place = (id.ledger(), id.entry());
        let more = match (resume, last.done) {
            (Some(Start::At(start, first)), _) => {
                (place, id.batch_index().unwrap_or(0)) >= (start, first)
            }
            (_, Some(done)) => done < (place.0.cast_signed(), place.1.cast_signed()),
            (start, None) => start == Some(Start::Earliest),
        };
        Ok(more)
    }

    /// A reader that begins with what comes next: from where that was at first, should it have to subscribe again.
    ///
    /// # Errors
    ///
    /// As [`seek`](Self::seek).
    pub(in crate::consumer) async fn pin_latest(&self, at: usize) -> Result<()> {
        let waits = |part: &Part| part.resume == Some(Start::Latest);
        if !self.state().parts.get(at).is_some_and(waits) {
            return Ok(());
        }
        let done = self.last(at).await?.done;
        let mut state = self.state();
        if let Some((ledger, entry)) = done
            && let Some(part) = state.parts.get_mut(at).filter(|part| waits(part))
        {
            let place = (ledger.cast_unsigned(), entry.cast_unsigned());
            part.resume = Some(Start::At(place, u32::MAX));
        }
        Ok(())
    }

    /// Whether something waits to be handed out.
    pub(in crate::consumer) fn has_ready(&self) -> bool {
        !self.state().ready.is_empty()
    }
}

/// What a broker answers when it is asked for the last message.
pub(in crate::consumer) struct Last {
    pub(in crate::consumer) id: Option<MessageId>,
    /// Ledger and entry, −1 for none: everything up to there is done with.
    done: Option<(i64, i64)>,
}

impl Last {
    fn of(answer: Option<api::CommandGetLastMessageIdResponse>) -> Self {
        let Some(answer) = answer else {
            let (id, done) = (None, None);
            return Self { id, done };
        };
        let id = answer.last_message_id;
        let known = id.entry_id.cast_signed() >= 0;
        let at = |id: &api::MessageIdData| {
            MessageId::at(id.ledger_id, id.entry_id, id.partition(), id.batch_index())
        };
        let done = answer.consumer_mark_delete_position;
        Self {
            id: known.then(|| at(&id)),
            done: done.map(|done| (done.ledger_id.cast_signed(), done.entry_id.cast_signed())),
        }
    }
}

/// Whether another subscription may do better.
fn lost(error: &Error) -> bool {
    error.retry() == Retry::Later && error.kind() != ErrorKind::Rejected
}

const AGAIN: std::time::Duration = std::time::Duration::from_millis(50);
