//! The channels of a connection: who waits on them for what.

use std::collections::VecDeque;
use std::sync::Arc;

use bytestring::ByteString;
use mq_core::{ErrorKind, Outcome};
use tokio::sync::oneshot;

use crate::conn::{Key, Lane, Outbox, Reply};
use crate::error::{Error, refused};
use crate::proto::{
    Assembler, ChannelClose, ChannelCloseOk, ChannelFlowOk, ChannelOpen, Frame, Incoming,
    Malformed, Method, ReplyCode,
};

/// Channels by their number, from 1 on.
pub(super) struct Channels {
    most: u16,
    slots: Vec<Option<Slot>>,
    /// Channels to open as soon as one that is being closed is closed.
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    serial: u64,
    lane: Arc<dyn Lane>,
    opened: oneshot::Sender<Result<u16, Error>>,
}

struct Slot {
    serial: u64,
    lane: Arc<dyn Lane>,
    assembler: Assembler,
    /// Who waits, and by which method.
    calls: VecDeque<((u16, u16), Reply)>,
    phase: Phase,
    /// The server has asked for a pause of contents.
    paused: bool,
}

enum Phase {
    Opening(oneshot::Sender<Result<u16, Error>>),
    Open,
    /// We have closed it; what still comes is not looked at. Who waits hears of its end by this being dropped.
    Closing {
        _closed: Option<oneshot::Sender<()>>,
    },
}

impl Channels {
    pub(super) fn new(most: u16) -> Self {
        Self {
            most,
            slots: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    fn slot(&mut self, key: Key) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::from(key.id).checked_sub(1)?)?;
        slot.as_mut().filter(|slot| slot.serial == key.serial)
    }

    pub(super) fn lane(&mut self, key: Key) -> Option<Arc<dyn Lane>> {
        let slot = self
            .slot(key)
            .filter(|slot| !matches!(slot.phase, Phase::Closing { .. }))?;
        Some(Arc::clone(&slot.lane))
    }

    /// Whether nothing may be published on the channel now.
    pub(super) fn is_paused(&mut self, key: Key) -> bool {
        self.slot(key).is_some_and(|slot| slot.paused)
    }

    pub(super) fn open(
        &mut self,
        serial: u64,
        lane: Arc<dyn Lane>,
        opened: oneshot::Sender<Result<u16, Error>>,
        out: &mut Outbox,
    ) {
        let free = self
            .slots
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.slots.len());
        let id = u16::try_from(free + 1).ok().filter(|id| *id <= self.most);
        let Some(id) = id else {
            let mut slots = self.slots.iter().flatten();
            if slots.any(|slot| matches!(slot.phase, Phase::Closing { .. })) {
                // Who has gone meanwhile waits no longer.
                self.waiting.retain(|waiting| !waiting.opened.is_closed());
                self.waiting.push_back(Waiting {
                    serial,
                    lane,
                    opened,
                });
            } else {
                let _ = opened.send(Err(none_left(self.most)));
            }
            return;
        };
        if free == self.slots.len() {
            self.slots.push(None);
        }
        if let Some(slot) = self.slots.get_mut(free) {
            *slot = Some(Slot {
                serial,
                lane,
                assembler: Assembler::default(),
                calls: VecDeque::new(),
                phase: Phase::Opening(opened),
                paused: false,
            });
        }
        out.method(
            id,
            &ChannelOpen {
                reserved_1: ByteString::new(),
            }
            .into(),
        );
    }

    pub(super) fn call(&mut self, key: Key, method: &Method, reply: Reply, out: &mut Outbox) {
        match self.slot(key) {
            Some(slot) if matches!(slot.phase, Phase::Open) => {
                slot.calls.push_back((method.id(), reply));
                out.method(key.id, method);
            }
            _ => drop(reply.send(Err(gone()))),
        }
    }

    pub(super) fn close(
        &mut self,
        key: Key,
        closed: Option<oneshot::Sender<()>>,
        out: &mut Outbox,
    ) {
        if let Some(slot) = self.slot(key)
            && matches!(slot.phase, Phase::Open)
        {
            close(slot, key.id, closed, out);
        }
    }

    /// Takes a frame; the answer is the channel whose lane may have something to write now.
    pub(super) fn take(
        &mut self,
        frame: Frame,
        most: u64,
        out: &mut Outbox,
    ) -> Result<Option<Key>, Malformed> {
        let id = frame.channel;
        let place = usize::from(id)
            .checked_sub(1)
            .and_then(|at| self.slots.get_mut(at));
        let Some(place) = place else {
            return Err(Malformed::new("channel", format!("{id} is not open")));
        };
        let Some(slot) = place else {
            return Err(Malformed::new("channel", format!("{id} is not open")));
        };
        let Some(incoming) = slot.assembler.take(frame, most)? else {
            return Ok(None);
        };
        match incoming {
            Incoming::Method(Method::ChannelClose(told)) => {
                out.method(id, &ChannelCloseOk {}.into());
                // If both close it at a time, each answers the other.
                if !matches!(slot.phase, Phase::Closing { .. })
                    && let Some(slot) = place.take()
                {
                    slot.lane.blamed((told.class_id, told.method_id));
                    slot.lost(&refused(told.reply_code, &told.reply_text));
                }
            }
            Incoming::Method(Method::ChannelCloseOk(_)) => {
                if !matches!(slot.phase, Phase::Closing { .. }) {
                    return Err(Malformed::new("method", "nobody has closed the channel"));
                }
                *place = None;
                if let Some(next) = self.waiting.pop_front() {
                    self.open(next.serial, next.lane, next.opened, out);
                }
            }
            _ if matches!(slot.phase, Phase::Closing { .. }) => {}
            Incoming::Method(Method::ChannelOpenOk(_)) => slot.opened(id, out),
            Incoming::Method(Method::ChannelFlow(flow)) => {
                slot.paused = !flow.active;
                let answer = ChannelFlowOk {
                    active: flow.active,
                };
                // Who asks again and again and reads no answer is not to fill our memory.
                if !out.is_full() {
                    out.method(id, &answer.into());
                }
            }
            incoming if slot.is_reply(&incoming) => slot.replied(incoming)?,
            incoming => {
                slot.lane.incoming(incoming)?;
                return Ok(Some(Key {
                    id,
                    serial: slot.serial,
                }));
            }
        }
        Ok(None)
    }

    /// How many wait for a channel.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self, why: &Error) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.opened.send(Err(why.clone()));
        }
        self.slots
            .drain(..)
            .flatten()
            .for_each(|slot| slot.lost(why));
    }
}

impl Slot {
    /// What answers a call; all else is the lane's.
    fn is_reply(&self, incoming: &Incoming) -> bool {
        let (Incoming::Method(method) | Incoming::Content(method, _)) = incoming;
        let told = matches!(
            method,
            Method::BasicDeliver(_)
                | Method::BasicReturn(_)
                | Method::BasicAck(_)
                | Method::BasicNack(_)
                | Method::BasicCancel(_)
        );
        !told && !self.lane.has_asked(method)
    }

    /// An answer, which is to be that of the oldest call.
    fn replied(&mut self, told: Incoming) -> Result<(), Malformed> {
        let (Incoming::Method(method) | Incoming::Content(method, _)) = &told;
        match self.calls.pop_front() {
            // Who asked may have gone.
            Some((asked, reply)) if method.answers(asked) => drop(reply.send(Ok(told))),
            Some(call) => {
                // It hears how the connection ends.
                self.calls.push_front(call);
                return Err(strange(method));
            }
            None => return Err(strange(method)),
        }
        Ok(())
    }

    fn opened(&mut self, id: u16, out: &mut Outbox) {
        if let Phase::Opening(opened) = std::mem::replace(&mut self.phase, Phase::Open)
            && opened.send(Ok(id)).is_err()
        {
            // Nobody waits for it any more.
            close(self, id, None, out);
        }
    }

    fn lost(self, why: &Error) {
        for (_, reply) in self.calls {
            let _ = reply.send(Err(why.clone()));
        }
        match self.phase {
            Phase::Opening(opened) => drop(opened.send(Err(why.clone()))),
            Phase::Open => self.lane.lost(why),
            Phase::Closing { .. } => {}
        }
    }
}

fn close(slot: &mut Slot, id: u16, closed: Option<oneshot::Sender<()>>, out: &mut Outbox) {
    slot.phase = Phase::Closing { _closed: closed };
    let method = ChannelClose {
        reply_code: ReplyCode::REPLY_SUCCESS.0,
        reply_text: ByteString::from_static("bye"),
        class_id: 0,
        method_id: 0,
    };
    out.method(id, &method.into());
}

/// An answer to nothing that was asked.
pub(super) fn strange(told: &Method) -> Malformed {
    Malformed::new("method", format!("nobody waits for {}", told.name()))
}

fn none_left(most: u16) -> Error {
    Error::builder(
        ErrorKind::Busy,
        format!("all {most} channels of the connection are in use"),
    )
    .code(ReplyCode::NOT_ALLOWED)
    .hint("close what is not needed, or use another client; the server's limit is channel_max")
    .build()
}

fn gone() -> Error {
    Error::builder(ErrorKind::Disconnected, "the channel is gone")
        .outcome(Outcome::NotSent)
        .build()
}
