//! Half messages, which the TCP protocol alone has.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Action, Destination, Stored};
use crate::proto::Params;
use crate::proto::tcp::{Confirm, ConfirmItem, Packet, Send, cmd};

/// Puts a message into a queue that nobody receives until it is committed.
#[derive(Debug, Clone, Copy)]
pub struct SendHalf<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// At least one byte.
    pub body: &'a str,
    /// When the server asks first what became of it; as the queue was told if not given.
    pub first_query_interval: Option<i32>,
}

impl Action for SendHalf<'_> {
    const NAME: &'static str = "SendTransactionMessage";
    type Reply = Stored;

    fn params<'a>(&'a self, _to: &mut Params<'a>) {}

    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        let send = Send {
            queue: self.queue.to_owned(),
            body: Some(Bytes::copy_from_slice(self.body.as_bytes())),
            delay_seconds: None,
            transaction: Some(1),
            first_query_interval: self.first_query_interval,
        };
        let packet = Packet {
            send: Some(send),
            ..Packet::new(0, cmd::SEND)
        };
        Some((Destination::Queue(self.queue), Box::new(packet)))
    }

    fn unpack(answer: &Packet) -> Option<Stored> {
        super::send::stored(answer)
    }
}

/// Commits or rolls back a half message. The state that is confirmed is in the answer.
#[derive(Debug, Clone, Copy)]
pub struct ConfirmTransaction<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// Which message.
    pub message_id: u64,
    /// [`state::COMMIT`](crate::proto::tcp::state::COMMIT) or [`state::ROLLBACK`](crate::proto::tcp::state::ROLLBACK).
    pub state: i32,
}

impl Action for ConfirmTransaction<'_> {
    const NAME: &'static str = "ConfirmTransaction";
    /// Not confirmed, or not all: why is in the list.
    const ANSWERS: &'static [u64] = &[6040];
    type Reply = Confirmation;

    fn params<'a>(&'a self, _to: &mut Params<'a>) {}

    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        let item = ConfirmItem {
            message_id: self.message_id,
            state: self.state,
        };
        let confirm = Confirm {
            queue: self.queue.to_owned(),
            items: vec![item],
        };
        let packet = Packet {
            confirm: Some(confirm),
            ..Packet::new(0, cmd::TRANSACTION_CONFIRM)
        };
        Some((Destination::Queue(self.queue), Box::new(packet)))
    }

    fn unpack(answer: &Packet) -> Option<Confirmation> {
        let items = answer.confirmed.as_ref().map(|it| it.items.as_slice());
        let item = items.unwrap_or_default().first();
        Some(Confirmation {
            state: item.map(|it| it.state),
            code: item.and_then(|it| it.code),
            message: item.and_then(|it| it.message.clone()),
        })
    }
}

/// The answer to a confirmation. What the server left out is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// One of [`state`](crate::proto::tcp::state).
    pub state: Option<i32>,
    /// Why it is not the one that was asked for, as a module code.
    pub code: Option<i32>,
    /// Why, in words.
    pub message: Option<String>,
}
