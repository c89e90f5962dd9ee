//! One send on its way: owns the message until the broker has answered or the send has failed.

mod aim;
mod keys;

use std::sync::Arc;
use std::time::Instant;

use mq_core::{ErrorKind, Outcome, Retry, later};
use tokio::sync::oneshot;

use super::ending::{Ended, Failed, Hearing, Payload, Stored, tell};
use super::half::is_absent;
use super::lanes::{Entered, Lane, Left, Slot};
use super::pack::Packed;
use super::shared::ProducerShared;
use super::target::Target;
use super::timed;
use super::window::Entry;
use crate::auth::Hope;
use crate::conn::{Command, Done, Failure, QueueId, TopicRoute, Waiter, parse_reply};
use crate::error::{Error, Result, answer_error, closed};
use crate::proto::command::{SendBatch, SendMessage, SendReply};
use crate::proto::{Encoded, Frame, ResponseCode};

/// A send, from joining the line to its end.
pub(crate) struct Operation {
    producer: Arc<ProducerShared>,
    topic: Arc<str>,
    packed: Packed,
    born_at_ms: i64,
    deadline: Instant,
    oneway: bool,
    attempt: u32,
    /// An attempt ended without an answer: whatever the later ones say, the message may be stored.
    may_be_stored: bool,
    target: Target,
    /// Which keys the attempt was signed with.
    generation: u64,
    /// They were refused, and others may come.
    hope: Hope,
    /// When the attempt began.
    begun: Instant,
    /// Set until launched.
    head: Option<Encoded>,
    stage: Stage,
    /// Whose order it keeps. Then its broker is never changed.
    slot: Option<Slot>,
    payload: Option<Payload>,
    on_admission: Option<oneshot::Sender<()>>,
    on_end: Option<oneshot::Sender<Ended>>,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// In the producer's line.
    Waits,
    /// There was room. It may wait for its turn in its lane.
    Admitted,
    /// It was its turn.
    Goes,
}

/// What an operation is made of.
pub(crate) struct Plan {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Payload,
    pub(crate) packed: Packed,
    pub(crate) deadline: Instant,
    pub(crate) oneway: bool,
    pub(crate) lane: Option<Lane>,
}

impl Operation {
    /// Chooses a queue, joins its lane, and encodes.
    pub(crate) fn new(
        producer: Arc<ProducerShared>,
        plan: Plan,
        route: &TopicRoute,
    ) -> Result<(Box<Self>, Hearing), Failed> {
        let Plan {
            topic,
            payload,
            packed,
            deadline,
            oneway,
            lane,
        } = plan;
        let target = match Target::first(&producer, route, &topic, lane.as_ref()) {
            Ok(target) => target,
            Err(error) => return Err(Failed { error, payload }),
        };
        let (on_admission, admission) = oneshot::channel();
        let (on_end, end) = oneshot::channel();
        let mut operation = Box::new(Self {
            born_at_ms: producer.client.clock.wall_ms(),
            slot: lane.map(|lane| producer.lanes.join(lane)),
            producer,
            topic,
            packed,
            deadline,
            oneway,
            attempt: 1,
            may_be_stored: false,
            target,
            generation: 0,
            hope: Hope::None,
            begun: deadline,
            head: None,
            stage: Stage::Waits,
            payload: Some(payload),
            on_admission: Some(on_admission),
            on_end: Some(on_end),
        });
        operation.encode();
        Ok((operation, Hearing { admission, end }))
    }

    pub(super) const fn attempt(&self) -> u32 {
        self.attempt
    }

    fn encode(&mut self) {
        let identity = self.producer.client.connections.identity();
        let request = SendMessage {
            producer_group: Arc::clone(&self.producer.group),
            topic: Arc::clone(&self.topic),
            default_topic: Arc::clone(&self.producer.default_topic),
            default_queue_count: self.producer.new_topic_queues,
            queue_id: self.target.queue.id,
            sys_flag: self.packed.sys_flag.0,
            born_at_ms: self.born_at_ms,
            flag: self.packed.flag,
            properties: Some(self.packed.properties.clone()),
            reconsume_times: Some(0),
            unit_mode: Some(false),
            batch: Some(matches!(self.payload, Some(Payload::Batch(_)))),
            broker_name: Some(Arc::clone(&self.target.queue.broker)),
            ..SendMessage::default()
        };
        let body = &self.packed.body;
        let (head, generation) = if request.batch == Some(true) {
            identity.sign(&SendBatch(request), body, self.oneway)
        } else {
            identity.sign(&request, body, self.oneway)
        };
        (self.head, self.generation) = (Some(head), generation);
    }

    fn submit(mut self: Box<Self>) {
        let Some(head) = self.head.take() else { return };
        let (client, plan) = (&self.producer.client, self.packed.plan.as_ref());
        if let Err(error) = timed::may_go(client, plan, &self.target.endpoint) {
            return self.give_up(error);
        }
        self.begun = self.producer.client.clock.now();
        let (client, to) = (
            Arc::clone(&self.producer.client),
            self.target.endpoint.clone(),
        );
        let (body, oneway) = (self.packed.body.clone(), self.oneway);
        let patience = self.producer.attempt_timeout;
        let patience = patience.map(|most| later(self.begun, most));
        let deadline = patience.map_or(self.deadline, |until| until.min(self.deadline));
        client.connections.submit(
            &to,
            Command {
                head,
                body,
                deadline,
                oneway,
                waiter: self,
            },
        );
    }

    fn answered(mut self: Box<Self>, frame: &Frame) {
        let code = ResponseCode(frame.header.code);
        let endpoint = &self.target.endpoint;
        if super::Durability::of(code).is_none() {
            let error = answer_error(frame, "send", &endpoint.to_string());
            let (error, may_help) = timed::refine(error, frame, self.packed.plan.as_ref());
            // apache/rocketmq: DefaultMQProducer.retryResponseCodes; a refused login is never tried again.
            let elsewhere =
                code.is_retryable() || (self.slot.is_none() && RETRY_ELSEWHERE.contains(&code));
            let again = if error.kind() == ErrorKind::Auth {
                self.hopes_for_keys()
            } else {
                may_help.unwrap_or(elsewhere)
            };
            return self.failed(error, again);
        }
        let kept = timed::check_kept(
            &self.producer.client,
            self.packed.plan.as_ref(),
            frame,
            endpoint,
        );
        match kept.and_then(|()| parse_reply::<SendMessage>(frame, endpoint, "send")) {
            Ok(reply) => {
                if let Some(payload) = self.payload.take() {
                    let stored = self.stored(reply, code, payload);
                    self.end(Ok(Some(stored)));
                }
            }
            Err(error) => self.failed(error, false),
        }
    }

    fn stored(&self, mut reply: SendReply, code: ResponseCode, payload: Payload) -> Stored {
        let queue = QueueId {
            id: reply.queue_id,
            ..self.target.queue.clone()
        };
        let scheduled = match (&self.packed.plan, &payload) {
            (Some(plan), Payload::One(message)) => {
                let place = (&queue, &self.target.endpoint);
                let id = message.unique_id().unwrap_or_default();
                let client = &self.producer.client;
                let handle = timed::handle(client, plan, &mut reply, place, id, self.may_be_stored);
                Some(Box::new(handle))
            }
            _ => None,
        };
        Stored {
            reply,
            code,
            queue,
            payload,
            scheduled,
        }
    }

    /// Tries again where that can help and time allows, or ends.
    fn failed(mut self: Box<Self>, error: Error, again: bool) {
        self.may_be_stored |= error.outcome() == Outcome::Unknown;
        let again = again && (!self.packed.is_half() || is_absent(&error));
        let in_time = self.producer.client.clock.now() < self.deadline;
        if again && in_time && !self.oneway && self.attempt < self.producer.max_attempts {
            tracing::debug!(topic = %self.topic, attempt = self.attempt, %error, "send again");
            return super::retry::hand_over(self, error);
        }
        self.give_up(error);
    }

    /// Ends with `error`.
    pub(super) fn give_up(mut self: Box<Self>, error: Error) {
        if let Some(payload) = self.payload.take() {
            let mut told = error.into_builder();
            if self.attempt > 1 {
                told = told.attempts(self.attempt);
            }
            if self.may_be_stored {
                told = told.outcome(Outcome::Unknown);
            }
            let error = told.build();
            self.end(Err(Failed { error, payload }));
        }
    }

    fn end(self: Box<Self>, ended: Ended) {
        let how = match &ended {
            Err(failed) if self.slot.is_some() => Left::Failed(failed.error.clone()),
            _ => Left::Done,
        };
        self.leave(ended, how);
    }

    fn leave(mut self: Box<Self>, ended: Ended, how: Left) {
        let producer = Arc::clone(&self.producer);
        let (size, slot) = (self.size(), self.slot.take());
        // What is dropped below has told everybody, whether it still has its payload or not.
        let stage = std::mem::replace(&mut self.stage, Stage::Waits);
        tell(self.on_end.take(), ended, &producer);
        // First the result, then the room: a flush that sees the window empty sees every failure.
        drop(self);
        if stage >= Stage::Admitted {
            producer.window.release(size);
        }
        if let Some(slot) = slot {
            producer.left(&slot, stage == Stage::Goes, how);
        }
    }

    pub(super) fn shared(&self) -> &Arc<ProducerShared> {
        &self.producer
    }
}

impl Entry for Operation {
    fn size(&self) -> usize {
        self.packed.body.len() + self.packed.properties.len() + OVERHEAD
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn launch(mut self: Box<Self>) {
        self.stage = Stage::Admitted;
        if let Some(told) = self.on_admission.take() {
            // A send does not listen.
            let _ = told.send(());
        }
        let Some(slot) = self.slot.clone() else {
            return self.go();
        };
        let (producer, until) = (Arc::clone(&self.producer), self.deadline);
        match producer.lanes.enter(&slot, until, self) {
            Entered::Go(operation) => operation.go(),
            // Somebody is to look when its time is over.
            Entered::Waits => producer.window.changed.notify_one(),
            Entered::Overtaken(operation, cause) => operation.is_overtaken(cause),
        }
    }

    fn expire(self: Box<Self>) {
        let error = Error::builder(ErrorKind::Timeout, "no room in the window in time")
            .operation("send")
            .hint("the broker is slow or away, or the window is too small for the load")
            .build();
        self.give_up(error);
    }
}

impl Waiter for Operation {
    fn done(self: Box<Self>, result: Result<Done, Failure>) {
        self.target
            .learn(&self.producer.client, self.begun, &result);
        match result {
            Ok(Done::Reply(frame)) => self.answered(&frame),
            Ok(Done::Written) => self.end(Ok(None)),
            Err(failure) => {
                let again = matches!(
                    failure.kind,
                    ErrorKind::Connect
                        | ErrorKind::Disconnected
                        | ErrorKind::Busy
                        | ErrorKind::Timeout
                );
                let error = failure.into_error("send");
                // The same broker would be the same: its certificate is.
                let again = again && (error.retry() == Retry::Later || self.has_alternative());
                self.failed(error, again);
            }
        }
    }
}

impl Drop for Operation {
    /// Only an operation whose task was aborted still has its payload here, or one withdrawn from the line.
    fn drop(&mut self) {
        let slot = self.slot.take();
        let (size, goes) = (self.size(), self.stage == Stage::Goes);
        let payload = self.payload.take();
        let payload = payload.filter(|_| self.stage >= Stage::Admitted);
        let Some(payload) = payload else {
            if let Some(slot) = slot {
                self.producer.left(&slot, goes, Left::Gone);
            }
            return;
        };
        let mut told = closed("send", "client").into_builder();
        if goes {
            told = told.outcome(Outcome::Unknown);
        }
        let error = told.build();
        if let Some(slot) = slot {
            let how = Left::Failed(error.clone());
            self.producer.left(&slot, goes, how);
        }
        tell(
            self.on_end.take(),
            Err(Failed { error, payload }),
            &self.producer,
        );
        self.producer.window.release(size);
    }
}

// Beside those that say so themselves: the topic is not on this broker, the broker failed or accepts no writes.
const RETRY_ELSEWHERE: [ResponseCode; 3] = [
    ResponseCode::TOPIC_NOT_EXIST,
    ResponseCode::SYSTEM_ERROR,
    ResponseCode::NO_PERMISSION,
];
/// What an operation holds besides body and properties, roughly.
const OVERHEAD: usize = 512;
