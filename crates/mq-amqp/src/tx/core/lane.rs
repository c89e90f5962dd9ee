//! What the driver asks of a transaction, and tells it.

use super::state::{Decision, Phase, Published, State, Step};
use super::{Core, words};
use crate::conn::{Lane, Outbox};
use crate::consumer::{Arrival, CHUNK, has_offset};
use crate::error::Error;
use crate::proto::{
    BasicAck, BasicDeliver, BasicRecover, BasicReject, BasicReturn, Content, Incoming, Malformed,
    Method, Properties, TxCommit, TxRollback,
};
use crate::publisher::words::unroutable;
use crate::tx::Unroutable;

impl Lane for Core {
    fn fill(&self, channel: u16, out: &mut Outbox) -> bool {
        let mut state = self.state();
        state.dirty = false;
        if state.channel.is_none() {
            return false;
        }
        while !out.is_full() {
            let Some(step) = state.line.pop_front() else {
                break;
            };
            match step {
                Step::Publish(published) => {
                    let head = &published.head;
                    let body = published.message.body();
                    out.content(channel, head.method(), head.header(), body);
                    if head.mandatory() {
                        state.written.push_back(*published);
                    }
                }
                Step::Settle(tag, decision) => out.method(channel, &settle(tag, decision)),
                Step::Commit => {
                    out.method(channel, &TxCommit {}.into());
                    state.phase = Phase::Asked;
                }
                Step::Rollback => {
                    out.method(channel, &TxRollback {}.into());
                    if self.consumes() {
                        out.method(channel, &BasicRecover { requeue: true }.into());
                    }
                    state.phase = Phase::RollingBack;
                }
            }
        }
        out.is_full() && !state.line.is_empty()
    }

    fn incoming(&self, incoming: Incoming) -> Result<(), Malformed> {
        let mut state = self.state();
        // What comes late is nobody's.
        if state.phase == Phase::Over {
            return Ok(());
        }
        match incoming {
            Incoming::Content(Method::BasicDeliver(deliver), content) => {
                return self.delivered(&mut state, deliver, content);
            }
            Incoming::Content(Method::BasicReturn(told), content) => {
                return came_back(&mut state, &told, &content);
            }
            Incoming::Method(Method::TxCommitOk(_)) if state.phase == Phase::Asked => {
                state.applied();
            }
            Incoming::Method(Method::TxRollbackOk(_)) if state.phase == Phase::RollingBack => {
                state.phase = if self.consumes() {
                    Phase::Recovering
                } else {
                    Phase::Idle
                };
            }
            // What came before it is back in the queue; what comes from now on is not. (rabbit_channel: basic.recover_async)
            Incoming::Method(Method::BasicRecoverOk(_)) if state.phase == Phase::Recovering => {
                state.ready.clear();
                state.phase = Phase::Idle;
            }
            Incoming::Method(Method::BasicCancel(_)) => state.cancelled = true,
            Incoming::Method(method) | Incoming::Content(method, _) => {
                let reason = format!("nobody waits for {}", method.name());
                return Err(Malformed::new("method", reason));
            }
        }
        Ok(())
    }

    fn all_taken(&self) -> bool {
        self.changed.notify_one();
        false
    }

    fn has_asked(&self, answer: &Method) -> bool {
        matches!(
            answer,
            Method::TxCommitOk(_) | Method::TxRollbackOk(_) | Method::BasicRecoverOk(_)
        )
    }

    fn blamed(&self, method: (u16, u16)) {
        self.state().blamed = Some(method);
    }

    fn lost(&self, why: &Error) {
        let mut state = self.state();
        let why = match state.phase {
            Phase::Asked if !is_earlier(state.blamed) => words::lost_after(why),
            _ => words::lost_before(why),
        };
        state.end(why);
        drop(state);
        self.changed.notify_one();
    }

    fn publishes(&self) -> bool {
        true
    }
}

impl Core {
    const fn consumes(&self) -> bool {
        self.limits.prefetch > 0
    }

    fn delivered(
        &self,
        state: &mut State,
        deliver: BasicDeliver,
        content: Content,
    ) -> Result<(), Malformed> {
        let tag = deliver.delivery_tag;
        if tag != state.last_tag + 1 {
            let reason = format!("{tag} does not follow the one before");
            return Err(Malformed::new("delivery tag", reason));
        }
        state.last_tag = tag;
        state.streams |= has_offset(&content);
        let mut bound = if self.consumes() {
            usize::from(self.limits.prefetch) * 2 + 16
        } else {
            0
        };
        if state.streams {
            bound += CHUNK;
        }
        if state.ready.len() >= bound {
            let reason = format!("more than {bound} wait, whatever the prefetch");
            return Err(Malformed::new("deliveries", reason));
        }
        state.ready.push_back(Arrival::new(deliver, content));
        Ok(())
    }
}

fn settle(tag: u64, decision: Decision) -> Method {
    match decision {
        Decision::Ack => BasicAck {
            delivery_tag: tag,
            multiple: false,
        }
        .into(),
        Decision::Reject | Decision::Release => BasicReject {
            delivery_tag: tag,
            requeue: decision == Decision::Release,
        }
        .into(),
    }
}

/// No queue takes a message. A server says so before it answers the commit.
// rabbit_channel: deliver_to_queues, in the order of the publishes
fn came_back(state: &mut State, told: &BasicReturn, content: &Content) -> Result<(), Malformed> {
    let id = Properties::decode(content.properties.clone())
        .ok()
        .and_then(|properties| properties.message_id);
    let fits = |published: &Published| {
        published.exchange == told.exchange
            && published.message.routing_key() == &*told.routing_key
            && published.message.message_id() == id.as_deref()
    };
    let same = |published: &Published| fits(published) && *published.message.body() == content.body;
    let all = |published: &Published| {
        same(published) && published.head.properties() == content.properties
    };
    // Ids are the user's, and may not be the only ones of their kind: the likest is taken.
    let at = state.written.iter().position(all);
    let at = at.or_else(|| state.written.iter().position(same));
    let at = at.or_else(|| state.written.iter().position(fits));
    let Some(published) = at.and_then(|at| state.written.remove(at)) else {
        let reason = "a message came back that was not published";
        return Err(Malformed::new("return", reason));
    };
    let unrouted = Unroutable {
        exchange: published.exchange,
        message: published.message,
    };
    state.returned.push((unrouted, unroutable(told)));
    Ok(())
}

/// Whether a method was written before `tx.commit`, so that the server never came to that one. Some closes have no method at all.
// rabbit_channel: handle_exception; rabbit_binary_generator: map_exception, {0, 0} for none
fn is_earlier(blamed: Option<(u16, u16)>) -> bool {
    blamed.is_some_and(|method| method != (0, 0) && method != TX_COMMIT)
}

const TX_COMMIT: (u16, u16) = (90, 20);
