//! What the driver of the connection has of a partition: it is filled, answered and lost.

use super::super::Receipt;
use super::super::batch::Op;
use super::super::gate::Ended;
use super::Part;
use crate::conn::{Lane, Outbox, now};
use crate::error::{Error, refused};
use crate::proto::{self, Incoming, Malformed, api};

impl Part {
    fn finish(&self, ended: Vec<Ended>, freed: &[usize]) {
        if let Some(gate) = self.gate.upgrade()
            && !(ended.is_empty() && freed.is_empty())
        {
            gate.finish(ended, freed);
        }
    }

    fn settle(&self, receipt: &proto::Receipt) {
        let mut state = self.state();
        // Of a lane before this one.
        if state.channel.is_none() {
            return;
        }
        let op = match state.flight.front().map(Op::first) {
            Some(first) if first == receipt.sequence_id => state.flight.pop_front(),
            // A copy that was written before the connection was lost. apache/pulsar: ProducerImpl.ackReceived
            _ => None,
        };
        self.wake(&mut state);
        drop(state);
        let Some(op) = op else {
            tracing::debug!(topic = %self.topic, sequence = receipt.sequence_id, "a receipt of what is not under way");
            return;
        };
        let (mut ended, mut freed) = (Vec::new(), Vec::new());
        let batch = op.slots.len() > 1;
        for (at, slot) in op.slots.into_iter().enumerate() {
            freed.push(slot.cost);
            let at = batch.then(|| i32::try_from(at).unwrap_or(i32::MAX));
            let told = Receipt::new(&self.topic, receipt, at, slot.sequence_id(), op.sent);
            if let Some(answer) = slot.answer {
                ended.push((answer, Ok(told)));
            }
        }
        self.finish(ended, &freed);
    }

    /// The broker did not take what was sent.
    // apache/pulsar: ClientCnx.handleSendError, ProducerImpl.recoverChecksumError, recoverNotAllowedError, terminated
    fn refused(&self, told: &api::CommandSendError) {
        let error = refused(told.error, &told.message).into_builder();
        let error = error.operation("send").build();
        let mut state = self.state();
        let code = api::ServerError::try_from(told.error);
        let is_its_own = matches!(
            code,
            Ok(api::ServerError::NotAllowedError
                | api::ServerError::TopicTerminatedError
                | api::ServerError::IncompatibleSchema)
        );
        let first = state.flight.front().map(Op::first);
        if is_its_own && first == Some(told.sequence_id) {
            let op = state.flight.pop_front();
            drop(state);
            let (mut ended, mut freed) = (Vec::new(), Vec::new());
            if let Some(op) = op {
                op.fail(&error, &mut ended, &mut freed);
            }
            self.finish(ended, &freed);
            return;
        }
        // Whatever it was, all that is in flight is behind it: it goes again, in its order.
        state.broken.get_or_insert(error);
        let freed = state.lose();
        drop(state);
        self.finish(Vec::new(), &freed);
        self.changed.notify_one();
    }
}

impl Lane for Part {
    fn fill(&self, out: &mut Outbox) -> bool {
        let mut state = self.state();
        (state.told, state.told_later) = (false, false);
        if state.channel.is_none() {
            return false;
        }
        let (mut ended, mut freed) = (Vec::new(), Vec::new());
        let at = now();
        while !out.is_full() && state.is_ready(self.batching.linger, Some(at)) {
            if state.line.is_empty() {
                state.close_batch();
                state.hurry = false;
            }
            let Some(mut op) = state.line.pop_front() else {
                break;
            };
            freed.extend(op.drop_abandoned());
            if op.slots.is_empty() {
                continue;
            }
            match op.write(self.id, &state.common, out) {
                Ok(()) => state.flight.push_back(op),
                Err(error) => op.fail(&error, &mut ended, &mut freed),
            }
        }
        let more = state.is_ready(self.batching.linger, Some(at));
        if !more {
            self.wake(&mut state);
        }
        drop(state);
        self.finish(ended, &freed);
        more
    }

    fn incoming(&self, incoming: Incoming) -> Result<(), Malformed> {
        match incoming {
            Incoming::Receipt(receipt) => self.settle(&receipt),
            Incoming::Command(command) => {
                if let Some(error) = &command.send_error {
                    self.refused(error);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn lost(&self, _: &Error) {
        let mut state = self.state();
        let freed = state.lose();
        drop(state);
        self.finish(Vec::new(), &freed);
        self.changed.notify_one();
    }
}
