//! What the driver asks of a publisher, and tells it.

use std::collections::VecDeque;

use mq_core::Outcome;

use super::Core;
use super::state::{Resolved, Slot};
use crate::conn::{Lane, Outbox};
use crate::error::Error;
use crate::proto::{FRAME_OVERHEAD, Incoming, Malformed, Method};
use crate::publisher::words::{blames, headers_too_large};

impl Lane for Core {
    fn fill(&self, channel: u16, out: &mut Outbox) -> bool {
        let mut state = self.state();
        state.dirty = false;
        // On a channel that does not confirm, what is written would never be settled, or settled by another's confirm.
        if state.channel.is_none() {
            return false;
        }
        let mut resolved = Resolved::new();
        while !out.is_full() && (state.probes == 0 || state.flight.is_empty()) {
            let Some(mut slot) = state.line.pop_front() else {
                break;
            };
            let Some(message) = &slot.message else {
                continue;
            };
            if slot.head.header().len() + FRAME_OVERHEAD > out.frame_max() {
                let error = headers_too_large(slot.head.header().len(), out.frame_max());
                state.release(slot.cost, false);
                slot.fail(error, &mut resolved);
                continue;
            }
            if let Some(replies) = &self.replies {
                replies.asked(message);
            }
            out.content(
                channel,
                slot.head.method(),
                slot.head.header(),
                message.body(),
            );
            slot.sent = slot.sent.saturating_add(1);
            state.flight.push_back(slot);
        }
        let more = out.is_full() && !state.line.is_empty();
        if !resolved.is_empty() {
            self.finish(state, resolved);
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
                if let Some(replies) = &self.replies {
                    replies.came(deliver, content);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn lost(&self, why: &Error) {
        let mut state = self.state();
        (state.begun, state.channel) = (None, None);
        let mut resolved = Resolved::new();
        let mut again: VecDeque<Slot> = VecDeque::new();
        let mut left: Vec<Slot> = state
            .flight
            .drain(..)
            .filter(|slot| slot.message.is_some())
            .collect();
        if blames(why) {
            if left.len() == 1 {
                for slot in left.drain(..) {
                    state.release(slot.cost, slot.abandoned);
                    let error = why
                        .clone()
                        .into_builder()
                        .operation("send")
                        .outcome(Outcome::Rejected)
                        .build();
                    slot.fail(error, &mut resolved);
                }
                state.probes = state.probes.saturating_sub(1);
            } else if self.replies.is_none() {
                state.probes = left.len();
            }
        }
        if let Some(replies) = &self.replies {
            replies.lost();
            for slot in left.drain(..) {
                state.release(slot.cost, slot.abandoned);
                let error = why.clone().into_builder().outcome(Outcome::Unknown).build();
                slot.fail(error, &mut resolved);
            }
        }
        for mut slot in left {
            if slot.abandoned {
                state.release(slot.cost, true);
                continue;
            }
            slot.returned = None;
            again.push_back(slot);
        }
        again.append(&mut state.line);
        state.line = again;
        self.finish(state, resolved);
        self.changed.notify_one();
    }

    fn publishes(&self) -> bool {
        true
    }
}
