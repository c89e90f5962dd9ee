//! What the driver asks of a consumer, and tells it.

use super::{Arrival, Called, Core, Phase};
use crate::conn::{Lane, Outbox};
use crate::consumer::ledger::{Decision, Write};
use crate::consumer::options::STREAM_OFFSET;
use crate::error::Error;
use crate::proto::{
    BasicAck, BasicDeliver, BasicNack, Content, Incoming, Malformed, Method, Properties,
};

impl Lane for Core {
    fn fill(&self, channel: u16, out: &mut Outbox) -> bool {
        let mut state = self.state();
        state.called = Called::Not;
        state.ledger.write(|write| {
            let method: Method = match write {
                Write::Ack { tag, multiple } => BasicAck {
                    delivery_tag: tag,
                    multiple,
                }
                .into(),
                Write::Nack { tag, requeue } => BasicNack {
                    delivery_tag: tag,
                    multiple: false,
                    requeue,
                }
                .into(),
            };
            out.method(channel, &method);
        });
        false
    }

    fn incoming(&self, incoming: Incoming) -> Result<(), Malformed> {
        match incoming {
            Incoming::Content(Method::BasicDeliver(deliver), content) => {
                return self.delivered(deliver, content);
            }
            Incoming::Method(Method::BasicCancel(_)) => {
                self.state().cancelled = true;
                self.changed.notify_one();
            }
            _ => {}
        }
        Ok(())
    }

    fn all_taken(&self) -> bool {
        self.waiting.wake();
        // Acknowledgements have their own time: written after each read they would be a system call for a few messages.
        false
    }

    fn lost(&self, why: &Error) {
        let mut state = self.state();
        tracing::debug!(queue = %self.queue, reason = %why, "the consumer's channel is gone");
        state.renew();
        drop(state);
        self.settled.notify_one();
        self.changed.notify_one();
    }
}

impl Core {
    /// Whether a delivery of this epoch can't be settled any more.
    pub(in crate::consumer) fn is_stale(&self, epoch: u64) -> bool {
        let state = self.state();
        state.epoch != epoch || state.channel.is_none()
    }

    fn delivered(&self, deliver: BasicDeliver, content: Content) -> Result<(), Malformed> {
        let mut state = self.state();
        let tag = deliver.delivery_tag;
        if !state.ledger.delivered(tag) {
            let reason = format!("{tag} does not follow the one before");
            return Err(Malformed::new("delivery tag", reason));
        }
        let stream = *state
            .takes_nothing
            .get_or_insert_with(|| self.stream || has_offset(&content));
        let bound = if stream {
            self.bound + CHUNK
        } else {
            self.bound
        };
        if state.ready.len() > bound {
            let reason = format!("more than {bound} wait, whatever the prefetch");
            return Err(Malformed::new("deliveries", reason));
        }
        state.counts.received += 1;
        if let Some(size) = content.too_large {
            state.counts.too_large += 1;
            let decision = self.allowed(&state, Decision::Reject);
            state.ledger.settle(tag, decision);
            state.wake();
            tracing::error!(queue = %self.queue, size, "a message is larger than max_message_size; it was refused");
            return Ok(());
        }
        if state.phase != Phase::Running {
            let decision = self.allowed(&state, Decision::Requeue);
            state.ledger.settle(tag, decision);
            state.wake();
            return Ok(());
        }
        let epoch = state.epoch;
        state.ready.push_back(Arrival {
            epoch,
            deliver,
            content,
            handed: 0,
        });
        Ok(())
    }
}

/// A stream's messages come by whole chunks, whatever the prefetch, and a chunk counts its entries with 16 bits.
// rabbitmq-server 3.10: rabbit_stream_queue.erl, stream_entries; osiris_log.erl, the chunk header's NumEntries
pub(crate) const CHUNK: usize = 65_536;

/// Whether it has the header that each delivery of a stream has.
pub(crate) fn has_offset(content: &Content) -> bool {
    let properties = Properties::decode(content.properties.clone()).ok();
    let headers = properties.and_then(|properties| properties.headers);
    headers.is_some_and(|headers| headers.get(STREAM_OFFSET).is_some())
}
