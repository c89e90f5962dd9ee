//! The channel of a slot: it publishes with confirms and consumes the slot's queue, so that whoever has lost the queue can't publish either.
//!
//! ```text
//!  publish, forward, ack ─► line ─(fill)─► flight ──confirmed──► who published hears; what was forwarded is acknowledged
//!  arrived ◄── deliveries                  └──returned, refused──► who published hears; what was forwarded stays
//! ```
//!
//! A lane is one life of a channel: what it could not do when it ends is answered, and done again on another one by who asked, if at all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytestring::ByteString;
use mq_core::Outcome;
use tokio::sync::{Notify, oneshot};

use super::outgoing::{Answer, Failed, Job, Outgoing, Publish, Then};
use crate::conn::{Connection, Key, Lane, Outbox};
use crate::error::{Error, Result};
use crate::proto::{
    BasicAck, BasicDeliver, BasicReturn, Content, FRAME_OVERHEAD, Incoming, Malformed, Method,
    Properties,
};
use crate::publisher::encode;
use crate::publisher::words::{blames, headers_too_large, nacked, unroutable};

/// Takes what a slot's queue delivers. Must not block.
pub(super) trait Taker: Send + Sync {
    fn arrived(&self, lane: &Arc<SlotLane>, deliver: BasicDeliver, content: Content);
    /// What was to end it is confirmed, and its half message is being acknowledged.
    fn ended(&self, lane: &SlotLane, tag: u64, id: &ByteString);
    /// It was not taken: the half message is still held.
    fn refused(&self, lane: &SlotLane, tag: u64, id: &ByteString);
    /// All that the lane had delivered is the broker's again. One of so many messages made the server close it.
    fn lost(&self, lane: &SlotLane, suspects: usize);
}

pub(super) struct SlotLane {
    /// The slot's queue.
    pub(super) queue: ByteString,
    /// Not the other way round: the taker knows lanes by what they have delivered.
    taker: Weak<dyn Taker>,
    me: Weak<Self>,
    state: Mutex<State>,
    /// It has ended, or the broker has cancelled its consumer.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    channel: Option<(Connection, Key)>,
    /// The driver was told that there is something to write.
    called: bool,
    line: VecDeque<Job>,
    flight: VecDeque<Option<Box<Publish>>>,
    /// The delivery tag of `flight`'s first.
    base: u64,
    cancelled: bool,
    /// The method for which the server closes the channel.
    blamed: Option<(u16, u16)>,
    ended: Option<Error>,
}

impl SlotLane {
    pub(super) fn new(queue: ByteString, taker: Weak<dyn Taker>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            queue,
            taker,
            me: Weak::clone(me),
            state: Mutex::new(State {
                base: 1,
                ..State::default()
            }),
            changed: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel confirms, and its queue is consumed.
    pub(super) fn opened(&self, connection: &Connection, key: Key) {
        let mut state = self.state();
        if state.ended.is_some() {
            return;
        }
        state.channel = Some((connection.clone(), key));
        state.wake();
    }

    /// Whether it can be written to, and the broker has not cancelled its consumer.
    pub(super) fn is_live(&self) -> bool {
        let state = self.state();
        state.ended.is_none() && !state.cancelled
    }

    /// Whether it has nothing to write and nothing under way.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.line.is_empty() && state.flight.is_empty()
    }

    /// Publishes; the answer comes when the broker has confirmed it. Dropped before it was written, it is not sent.
    pub(super) fn publish(&self, outgoing: Outgoing) -> Answer {
        self.send(outgoing, None)
    }

    /// Publishes and then acknowledges a delivery, whoever still waits for it.
    pub(super) fn forward(
        &self,
        outgoing: Outgoing,
        tag: u64,
        id: ByteString,
        ends: bool,
    ) -> Answer {
        self.send(outgoing, Some(Then { tag, id, ends }))
    }

    fn send(&self, outgoing: Outgoing, then: Option<Then>) -> Answer {
        let Outgoing {
            message,
            exchange,
            mandatory,
        } = outgoing;
        let (answer, answered) = oneshot::channel();
        let head = match encode::head(&message, &exchange, mandatory) {
            Ok(head) => head,
            Err(error) => {
                self.tell_of_refusal(then.as_ref());
                let _ = answer.send(Err(Failed::Refused(error)));
                return answered;
            }
        };
        let mut state = self.state();
        if let Some(why) = &state.ended {
            let _ = answer.send(Err(Failed::Lost(unsent(why))));
            return answered;
        }
        // While the broker blocks publishers nothing is written, and what nobody waits for any more would stay.
        if state.line.len() % PRUNED == PRUNED - 1 {
            state.line.retain(|job| !job.is_needless());
        }
        state.line.push_back(Job::Publish(Box::new(Publish {
            head,
            message,
            exchange,
            then,
            returned: None,
            answer,
        })));
        state.wake();
        answered
    }

    /// Acknowledges a delivery of this lane.
    pub(super) fn ack(&self, tag: u64) {
        let mut state = self.state();
        if state.ended.is_none() {
            state.line.push_back(Job::Ack(tag));
            state.wake();
        }
    }

    /// Nothing is written any more; who waits hears why.
    pub(super) fn end(&self, why: &Error) {
        let mut state = self.state();
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(why.clone());
        state.channel = None;
        let flight = std::mem::take(&mut state.flight);
        let line = std::mem::take(&mut state.line);
        let blamed = state.blamed;
        drop(state);
        let flight: Vec<_> = flight.into_iter().flatten().collect();
        let blamed = blames(why) && blamed == Some(PUBLISH);
        let alone = blamed && flight.len() == 1;
        if let Some(taker) = self.taker.upgrade() {
            let suspects = if blamed && !alone { flight.len() } else { 0 };
            taker.lost(self, suspects);
        }
        for publish in flight {
            let failed = match publish.returned {
                Some(error) => Failed::Refused(error),
                None if alone => Failed::Refused(why.clone()),
                None => {
                    let error = why.clone().into_builder().outcome(Outcome::Unknown);
                    Failed::Lost(error.build())
                }
            };
            let _ = publish.answer.send(Err(failed));
        }
        for job in line {
            if let Job::Publish(publish) = job {
                let _ = publish.answer.send(Err(Failed::Lost(unsent(why))));
            }
        }
        self.changed.notify_one();
    }

    fn settle(&self, tag: u64, multiple: bool, ack: bool) -> Result<(), Malformed> {
        let mut state = self.state();
        let last = tag.checked_sub(state.base).map(usize::try_from);
        let last = match last {
            None => return Ok(()),
            _ if state.channel.is_none() => return Ok(()),
            Some(Ok(last)) if last < state.flight.len() => last,
            Some(_) => {
                let reason = format!("{tag} is confirmed, and was not published");
                return Err(Malformed::new("delivery tag", reason));
            }
        };
        let first = if multiple { 0 } else { last };
        let range = state.flight.range_mut(first..=last);
        let settled: Vec<_> = range.filter_map(Option::take).collect();
        while state.flight.front().is_some_and(Option::is_none) {
            state.flight.pop_front();
            state.base += 1;
        }
        let mut told = Vec::with_capacity(settled.len());
        for publish in settled {
            let result = match publish.returned {
                Some(error) => Err(Failed::Refused(error)),
                None if ack => Ok(()),
                None => Err(Failed::Refused(nacked())),
            };
            if let (Ok(()), Some(then)) = (&result, &publish.then) {
                state.line.push_back(Job::Ack(then.tag));
            }
            told.push((publish.answer, publish.then, result));
        }
        state.wake();
        drop(state);
        for (answer, then, result) in told {
            if result.is_err() {
                self.tell_of_refusal(then.as_ref());
            } else if let (Some(then), Some(taker)) = (&then, self.taker.upgrade())
                && then.ends
            {
                taker.ended(self, then.tag, &then.id);
            }
            // Who waited may have gone.
            let _ = answer.send(result);
        }
        Ok(())
    }

    fn tell_of_refusal(&self, then: Option<&Then>) {
        if let (Some(then), Some(taker)) = (then, self.taker.upgrade()) {
            taker.refused(self, then.tag, &then.id);
        }
    }

    /// A message came back that no queue takes. The broker says so before it confirms it.
    fn came_back(&self, told: &BasicReturn, content: &Content) {
        let properties = Properties::decode(content.properties.clone()).ok();
        let id = properties.and_then(|properties| properties.message_id);
        let mut state = self.state();
        let mut flying = state.flight.iter_mut().flatten();
        let publish = flying.find(|publish| {
            publish.head.mandatory()
                && publish.returned.is_none()
                && publish.exchange == told.exchange
                && publish.message.routing_key() == &*told.routing_key
                && publish.message.message_id() == id.as_deref()
        });
        match publish {
            Some(publish) => publish.returned = Some(unroutable(told)),
            None => {
                tracing::warn!(queue = %self.queue, "a message came back that is not under way");
            }
        }
    }
}

impl State {
    fn wake(&mut self) {
        if let Some((connection, key)) = &self.channel
            && !self.called
            && !self.line.is_empty()
        {
            connection.wake(*key);
            self.called = true;
        }
    }
}

impl Lane for SlotLane {
    fn fill(&self, channel: u16, out: &mut Outbox) -> bool {
        let mut state = self.state();
        state.called = false;
        if state.channel.is_none() {
            return false;
        }
        let mut too_large = Vec::new();
        while !out.is_full() {
            match state.line.pop_front() {
                None => break,
                Some(Job::Ack(tag)) => {
                    let ack = BasicAck {
                        delivery_tag: tag,
                        multiple: false,
                    };
                    out.method(channel, &ack.into());
                }
                Some(job) if job.is_needless() => {}
                Some(Job::Publish(publish)) => {
                    let (header, most) = (publish.head.header(), out.frame_max());
                    if header.len() + FRAME_OVERHEAD > most {
                        let error = headers_too_large(header.len(), most);
                        too_large.push((publish, error));
                        continue;
                    }
                    let body = publish.message.body();
                    out.content(channel, publish.head.method(), header, body);
                    state.flight.push_back(Some(publish));
                }
            }
        }
        let more = !state.line.is_empty();
        drop(state);
        for (publish, error) in too_large {
            self.tell_of_refusal(publish.then.as_ref());
            let _ = publish.answer.send(Err(Failed::Refused(error)));
        }
        more
    }

    fn incoming(&self, incoming: Incoming) -> Result<(), Malformed> {
        match incoming {
            Incoming::Method(Method::BasicAck(ack)) => {
                return self.settle(ack.delivery_tag, ack.multiple, true);
            }
            Incoming::Method(Method::BasicNack(nack)) => {
                return self.settle(nack.delivery_tag, nack.multiple, false);
            }
            Incoming::Content(Method::BasicReturn(told), content) => {
                self.came_back(&told, &content);
            }
            Incoming::Content(Method::BasicDeliver(deliver), content) => {
                if let (Some(taker), Some(me)) = (self.taker.upgrade(), self.me.upgrade()) {
                    taker.arrived(&me, deliver, content);
                }
            }
            Incoming::Method(Method::BasicCancel(_)) => {
                self.state().cancelled = true;
                self.changed.notify_one();
            }
            _ => {}
        }
        Ok(())
    }

    fn blamed(&self, method: (u16, u16)) {
        self.state().blamed = Some(method);
    }

    fn lost(&self, why: &Error) {
        self.end(why);
    }

    fn publishes(&self) -> bool {
        true
    }
}

/// Nothing of it left the process.
fn unsent(why: &Error) -> Error {
    let error = why.clone().into_builder().outcome(Outcome::NotSent);
    error.build()
}

/// `basic.publish`.
const PUBLISH: (u16, u16) = (60, 40);
/// So often it is looked for what nobody waits for.
const PRUNED: usize = 256;
