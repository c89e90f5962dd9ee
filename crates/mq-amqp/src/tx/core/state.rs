//! What a channel's transaction holds, and the steps from one place to the next.

use std::collections::{BTreeMap, VecDeque};

use bytestring::ByteString;

use super::words;
use crate::Message;
use crate::conn::{Connection, Key};
use crate::consumer::Arrival;
use crate::error::{Error, Result};
use crate::publisher::encode::Head;
use crate::tx::{CommitError, Unroutable};

/// How much a transaction may hold.
#[derive(Debug, Clone, Copy)]
pub(in crate::tx) struct Limits {
    pub(in crate::tx) messages: usize,
    pub(in crate::tx) bytes: usize,
    /// 0: it does not consume.
    pub(in crate::tx) prefetch: u16,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two transactions.
    #[default]
    Idle,
    /// Takes what is published and settled.
    Begun,
    /// The commit stands last in the line.
    Committing,
    /// It is written.
    Asked,
    /// The rollback stands in the line, alone.
    Undoing,
    /// It is written.
    RollingBack,
    /// It is answered, and what was received goes back.
    Recovering,
    /// The channel is not used any more.
    Over,
}

/// What is to be written next.
#[derive(Debug)]
pub(super) enum Step {
    Publish(Box<Published>),
    Settle(u64, Decision),
    Commit,
    Rollback,
}

#[derive(Debug)]
pub(super) struct Published {
    pub(super) exchange: ByteString,
    pub(super) message: Message,
    pub(super) head: Head,
}

/// What was decided of a message that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tx) enum Decision {
    Ack,
    /// To the dead letters, or nowhere.
    Reject,
    /// Back to the queue.
    Release,
}

#[derive(Default)]
pub(super) struct State {
    /// Until it is over.
    pub(super) channel: Option<(Connection, Key)>,
    pub(super) phase: Phase,
    /// The driver was told that there is something to write.
    pub(super) dirty: bool,
    pub(super) line: VecDeque<Step>,
    /// Written, and to be told of if no queue takes it.
    pub(super) written: VecDeque<Published>,
    pub(super) returned: Vec<(Unroutable, Error)>,
    /// Of the messages published in this transaction.
    pub(super) count: usize,
    pub(super) bytes: usize,
    /// Came, and was not received yet. By the order of tags, which is also that of `held`, and what is held is before it.
    pub(super) ready: VecDeque<Arrival>,
    /// Received by this transaction, and nothing decided.
    pub(super) held: BTreeMap<u64, Arrival>,
    /// How many this transaction has decided over.
    pub(super) settled: usize,
    pub(super) last_tag: u64,
    /// What came looks like a stream's.
    pub(super) streams: bool,
    /// The server has ended the consumer.
    pub(super) cancelled: bool,
    pub(super) blamed: Option<(u16, u16)>,
    /// What became of the last commit.
    pub(super) told: Option<Result<(), CommitError>>,
    /// Why it is over.
    pub(super) why: Option<Error>,
}

impl State {
    /// The channel, if it takes something for a transaction.
    pub(super) fn there(&self, operation: &'static str) -> Result<&(Connection, Key)> {
        let channel = self.channel.as_ref();
        channel.ok_or_else(|| self.failed(operation))
    }

    /// Why nothing can be done any more.
    pub(super) fn failed(&self, operation: &'static str) -> Error {
        let why = self.why.clone().unwrap_or_else(words::given_up);
        why.into_builder().operation(operation).build()
    }

    pub(super) fn decide(&mut self, tag: u64, decision: Decision) {
        self.settled += 1;
        self.line.push_back(Step::Settle(tag, decision));
        self.wake();
    }

    /// Nothing was done in this transaction.
    fn is_untouched(&self) -> bool {
        self.count == 0 && self.settled == 0 && self.held.is_empty()
    }

    /// Forgets what belongs to a transaction.
    pub(super) fn clear(&mut self) {
        self.line.clear();
        self.written.clear();
        self.returned.clear();
        self.held.clear();
        (self.count, self.bytes, self.settled) = (0, 0, 0);
    }

    /// The transaction is applied. What it has left undecided is received first by the next one.
    pub(super) fn applied(&mut self) {
        let returned = std::mem::take(&mut self.returned);
        for (_, mut arrival) in std::mem::take(&mut self.held).into_iter().rev() {
            arrival.handed = arrival.handed.saturating_add(1);
            self.ready.push_front(arrival);
        }
        self.clear();
        self.told = Some(words::judge(returned));
        self.phase = Phase::Idle;
    }

    /// Takes back what is not committed.
    pub(super) fn undo(&mut self) {
        match self.phase {
            Phase::Begun if self.is_untouched() => self.phase = Phase::Idle,
            // rabbit_channel: basic.recover_async has no answer to a queue that takes nothing back, as a stream, but a crash.
            Phase::Begun | Phase::Committing if self.streams => self.end(words::given_up()),
            Phase::Begun | Phase::Committing => {
                self.clear();
                self.phase = Phase::Undoing;
                self.line.push_back(Step::Rollback);
                self.wake();
            }
            // The server takes nothing but the channel's end before it has answered.
            Phase::Asked => self.end(words::given_up()),
            _ => {}
        }
    }

    /// Nothing is written any more.
    pub(super) fn end(&mut self, why: Error) {
        if self.phase == Phase::Over {
            return;
        }
        if matches!(self.phase, Phase::Committing | Phase::Asked) {
            let error = why.clone().into_builder().operation("commit").build();
            // Those of a commit that was answered alone are all that is missing.
            self.told = Some(Err(CommitError::new(error, Vec::new())));
        }
        self.clear();
        self.ready.clear();
        self.channel = None;
        self.phase = Phase::Over;
        self.why = Some(why);
    }

    pub(super) fn wake(&mut self) {
        if let Some((connection, key)) = &self.channel
            && !self.dirty
        {
            connection.wake(*key);
            self.dirty = true;
        }
    }
}
