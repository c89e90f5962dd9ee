//! What a driver asks of a partition's subscription, and tells it.

use std::sync::Arc;

use bytestring::ByteString;

use super::{Core, GROUP, Part, Phase, State};
use crate::conn::{Lane, Outbox};
use crate::consumer::content::{Ready, Refused};
use crate::consumer::events::ConsumerEvent;
use crate::consumer::tracker::Told;
use crate::error::{Error, refused};
use crate::proto::api::{self, base_command};
use crate::proto::encode::{self, Ack, AckId};
use crate::proto::{Entry, Incoming, Malformed};

/// A subscription of one partition.
pub(in crate::consumer) struct PartLane {
    pub(in crate::consumer) core: Arc<Core>,
    pub(in crate::consumer) part: usize,
    pub(in crate::consumer) topic: ByteString,
    pub(in crate::consumer) epoch: u64,
    /// By its number on the connection.
    pub(in crate::consumer) consumer_id: u64,
}

impl Lane for PartLane {
    fn fill(&self, out: &mut Outbox) -> bool {
        let core = &self.core;
        let mut state = core.state();
        let running = state.phase == Phase::Running;
        let room = state.bytes < core.most_bytes;
        let Some(part) = self.part(&mut state) else {
            return false;
        };
        part.called = false;
        part.flush_at = None;
        self.acks(part, out);
        self.redeliveries(part, out);
        let permits = part.permits.owed;
        if running && room && (part.permits.fresh || permits >= core.batch()) {
            part.permits.fresh = false;
            part.permits.owed = 0;
            out.frame(|tail| encode::flow(tail, self.consumer_id, permits));
        }
        part.tracker.has_news()
    }

    fn incoming(&self, incoming: Incoming) -> Result<(), Malformed> {
        match incoming {
            Incoming::Message(entry) => self.entry(entry),
            Incoming::Command(command) => self.told(*command),
            _ => {}
        }
        Ok(())
    }

    fn all_taken(&self) -> bool {
        self.core.ready.notify_waiters();
        self.core.bury_those_in_front();
        let mut state = self.core.state();
        let batch = self.core.batch();
        // What was not handed out: discarded, known already, too old.
        self.part(&mut state)
            .is_some_and(|part| part.permits.owed >= batch || !part.discarded.is_empty())
    }

    fn lost(&self, why: &Error) {
        let (core, topic) = (&self.core, &self.topic);
        tracing::debug!(%topic, subscription = %core.subscription, reason = %why, "the subscription is gone");
        core.lose(self.part, self.epoch, "the subscription was lost");
    }
}

impl PartLane {
    /// The partition, if this is its subscription still.
    fn part<'a>(&self, state: &'a mut State) -> Option<&'a mut Part> {
        let part = state.parts.get_mut(self.part);
        part.filter(|part| part.epoch == self.epoch)
    }

    /// What the broker says besides messages.
    fn told(&self, command: api::BaseCommand) {
        let mut state = self.core.state();
        let Some(part) = self.part(&mut state) else {
            return;
        };
        if let Some(answer) = command.ack_response {
            let result = answer.error.map_or(Ok(()), |code| {
                let error = refused(code, answer.message());
                Err(error.into_builder().operation("settle").build())
            });
            part.receipts.answered(answer.request_id(), &result);
            drop(state);
            self.core.settled.notify_waiters();
        } else if let Some(change) = command.active_consumer_change {
            part.activate(Some(change.is_active()), &self.core.events);
        } else if command.reached_end_of_topic.is_some() {
            let topic = part.topic.to_string();
            let _ = self.core.events.send(ConsumerEvent::EndOfTopic { topic });
        }
    }

    fn entry(&self, entry: Entry) {
        let (core, place) = (&self.core, (entry.id.ledger, entry.id.entry));
        let (theirs, id) = (entry.consumer_epoch, entry.id);
        let opened = Ready::open(entry, &self.topic, self.part);
        let mut state = core.state();
        let running = state.phase == Phase::Running;
        let topic = &self.topic;
        let (ready, wanted) = match opened {
            Ok(opened) => opened,
            Err(refused) => {
                let counts = &mut state.counts;
                match &refused {
                    Refused::Broken(_) => counts.broken += 1,
                    Refused::Unreadable(_) => counts.unreadable += 1,
                }
                let Some(part) = self.part(&mut state) else {
                    return;
                };
                part.permits.owed += 1;
                match refused {
                    Refused::Broken(invalid) => {
                        tracing::error!(%topic, ledger = id.ledger, entry = id.entry, %invalid, "an entry is broken; it is discarded");
                        let error = invalid.validation_error();
                        part.discarded.push((place, error));
                    }
                    Refused::Unreadable(why) => {
                        tracing::error!(%topic, ledger = id.ledger, entry = id.entry, %why, "a message can't be read; it stays unacknowledged");
                    }
                }
                return;
            }
        };
        let Some(part) = self.part(&mut state) else {
            return;
        };
        let came = wanted.count();
        if self.epoch <= part.sought {
            return;
        }
        // Sent before the broker was asked for everything again; it comes once more.
        // apache/pulsar: ConsumerImpl.isValidConsumerEpoch
        if theirs.is_some_and(|theirs| theirs < part.consumer_epoch) {
            part.permits.owed += came;
            return;
        }
        if !running {
            return;
        }
        let fresh = part.tracker.arrived(place, ready.head.size, wanted);
        part.permits.owed += came.saturating_sub(fresh.count());
        if !fresh.is_empty() {
            state.bytes += ready.bytes;
            let beyond = core.is_beyond(ready.head.redelivered);
            state.put(ready, beyond);
        } else if part.tracker.has_news() {
            part.wake();
        }
    }

    fn acks(&self, part: &mut Part, out: &mut Outbox) {
        let told = part.tracker.flush(self.core.sets, GROUP);
        let (cumulative, single): (Vec<_>, Vec<_>) = told.into_iter().partition(|it| it.cumulative);
        let mut ack = |ids: &[AckId], cumulative, validation_error, request_id| {
            let ack = Ack {
                consumer_id: self.consumer_id,
                cumulative,
                ids,
                validation_error,
                request_id,
                ..Ack::default()
            };
            out.frame(|tail| encode::ack(tail, &ack));
        };
        for upto in cumulative {
            let number = part.receipts.ask(std::slice::from_ref(&upto));
            ack(&[ack_id(upto)], true, None, number);
        }
        if !single.is_empty() {
            let number = part.receipts.ask(&single);
            let ids: Vec<_> = single.into_iter().map(ack_id).collect();
            ack(&ids, false, None, number);
        }
        for ((ledger, entry), error) in part.discarded.drain(..) {
            let id = AckId {
                ledger,
                entry,
                ..AckId::default()
            };
            ack(&[id], false, Some(error), None);
        }
    }

    // apache/pulsar: ConsumerImpl.redeliverUnacknowledgedMessages
    fn redeliveries(&self, part: &mut Part, out: &mut Outbox) {
        let places: Vec<_> = std::mem::take(&mut part.again.places).into_iter().collect();
        for some in places.chunks(GROUP) {
            let ids = some.iter().map(|(ledger, entry)| api::MessageIdData {
                ledger_id: *ledger,
                entry_id: *entry,
                ..api::MessageIdData::default()
            });
            out.command(&redeliver(self.consumer_id, ids.collect(), None));
        }
        if std::mem::take(&mut part.again.all) {
            let epoch = Some(part.consumer_epoch);
            out.command(&redeliver(self.consumer_id, Vec::new(), epoch));
        }
    }
}

fn redeliver(
    consumer_id: u64,
    message_ids: Vec<api::MessageIdData>,
    consumer_epoch: Option<u64>,
) -> api::BaseCommand {
    api::BaseCommand {
        r#type: base_command::Type::RedeliverUnacknowledgedMessages.into(),
        redeliver_unacknowledged_messages: Some(api::CommandRedeliverUnacknowledgedMessages {
            consumer_id,
            message_ids,
            consumer_epoch,
        }),
        ..api::BaseCommand::default()
    }
}

fn ack_id(told: Told) -> AckId {
    let (ledger, entry) = told.place;
    AckId {
        ledger,
        entry,
        ack_set: told.left.unwrap_or_default(),
        batch_size: None,
    }
}
