//! One shard: receive, put in order, hand out one, delete it, and so on. One task, nothing shared.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use mq_core::{Outcome, later};
use tokio::sync::oneshot;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::consumer::{Core, GapDecision, now};
use super::delivery::{Decision, OrderedDelivery, OrderedHeld};
use super::envelope::Envelope;
use super::gap::SequenceGap;
use super::sequencer::{Continuity, Held, Offer, Rules, Sequencer, Stream};
use crate::consumer::{
    IDLE_PAUSE, LONGEST_PAUSE, Term, backoff, count, delete_until, expired, first_heard, is_final,
    wait_within,
};
use crate::error::Result;
use crate::proto::limits::MAX_BATCH;
use crate::queue::{Queue, ReceiptHandle, Received, Visibility};

/// A message that is held.
struct Message {
    received: Received,
    payload: String,
    term: Term,
}

struct Shard {
    core: Arc<Core>,
    queue: Queue,
    sequencer: Sequencer<Message>,
    foreign: VecDeque<Message>,
}

/// Serves one shard until the consumer stops or can't go on. The shards but the first begin when the service has answered once.
pub(super) fn serve(core: Arc<Core>, queue: Queue, first: bool) -> impl Future<Output = ()> + Send {
    // Made here: a closed client drops the task before it begins.
    let alive = Alive(Arc::clone(&core));
    async move {
        let _alive = alive;
        run(core, queue, first).await;
    }
}

async fn run(core: Arc<Core>, queue: Queue, first: bool) {
    let wall = u64::try_from(queue.shared().clock.wall_ms()).unwrap_or_default();
    let mut shard = Shard {
        sequencer: Sequencer::new(Rules {
            started_ms: wall,
            gap_after: Duration::ZERO,
            most_streams: core.options.most_streams,
        }),
        core: Arc::clone(&core),
        queue,
        foreign: VecDeque::new(),
    };
    let serving = async {
        if !first {
            first_heard(&core.heard).await;
        }
        if let Err(error) = shard.serve().await {
            tracing::error!(queue = shard.queue.name(), %error, "the ordered consumer ends");
            core.end(Some(error));
        }
    };
    tokio::select! {
        () = core.kill.cancelled() => {}
        () = serving => {}
    }
}

impl Shard {
    async fn serve(&mut self) -> Result<()> {
        while !self.core.stop.is_cancelled() {
            self.sequencer.gap_after(self.gap_after());
            self.sequencer.release_overdue(self.now());
            if let Some(turn) = self.sequencer.take(self.now()) {
                let place = (turn.stream, turn.seq);
                self.hand_out(turn.message, Some(place), turn.continuity)
                    .await;
            } else if let Some(message) = self.foreign.pop_front() {
                self.hand_out(message, None, Continuity::Foreign).await;
            } else if let Some(gap) = self.sequencer.gap(self.now()) {
                self.tell(&gap)?;
            } else {
                let core = Arc::clone(&self.core);
                tokio::select! {
                    () = core.stop.cancelled() => {}
                    received = self.receive() => received?,
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, gap: &SequenceGap) -> Result<()> {
        count(&self.core.tally.gaps, 1);
        let queue = self.queue.name();
        let (expected, found) = (gap.expected, gap.found);
        tracing::error!(queue, expected, found, "numbers of a key are missing");
        match self.core.decide(gap) {
            GapDecision::End => return Err(gap.clone().into_error(queue)),
            GapDecision::Wait => self.sequencer.wait(now(&self.queue), gap),
            GapDecision::Skip => self.sequencer.skip(gap),
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<()> {
        if self.sequencer.len() >= self.core.options.window {
            self.sequencer.release_farthest(self.now());
        }
        let room = self.core.options.window - self.sequencer.len();
        let wait = wait_within(self.core.options.wait, self.visibility().time);
        let mut pauses = backoff();
        loop {
            let error = match self.queue.take(room.min(MAX_BATCH), wait).await {
                Ok((begun, messages)) => {
                    self.core.heard.send_replace(true);
                    let idle = messages.is_empty() && wait.is_zero();
                    self.received(begun, messages).await;
                    if idle {
                        sleep(IDLE_PAUSE).await;
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            if is_final(&error, *self.core.heard.borrow()) {
                return Err(error);
            }
            if error.outcome() == Outcome::Unknown {
                // Messages may have been taken by it, and come again only later.
                self.sequencer.disturbed(self.now());
            }
            let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
            tracing::warn!(queue = self.queue.name(), %error, ?pause, "a receive failed; again after a pause");
            sleep(pause).await;
        }
    }

    async fn received(&mut self, begun: Instant, messages: Vec<Received>) {
        let now = self.now();
        if messages.is_empty() {
            self.sequencer.found_empty(now);
        }
        count(&self.core.tally.received, messages.len());
        self.queue.seen(&messages);
        let visibility = self.visibility();
        let mut twice = Vec::new();
        for received in messages {
            let term = Term::new(begun, now, visibility);
            let envelope = Envelope::read(received.body());
            let place = envelope.map(|it| (it.stream(), it.seq, it.payload.into_owned()));
            let Some((stream, seq, payload)) = place else {
                let payload = received.body().to_owned();
                self.foreign.push_back(Message {
                    received,
                    payload,
                    term,
                });
                continue;
            };
            let message = Message {
                received,
                payload,
                term,
            };
            // With less than a quarter of its time left, a message is better received anew.
            let keep_until = later(begun, visibility.time / 4 * 3);
            let id = message.received.message_id().to_owned();
            let handle = message.received.handle().clone();
            let held = Held {
                keep_until,
                fresh: self.is_fresh(&message.received),
                sent_ms: sent_ms(&message.received),
                message,
            };
            let offer = self.sequencer.offer(now, stream, seq, held);
            match offer {
                Offer::Held => {}
                // The same one came again before it was handled: it is held by its new handle, the old one is worth nothing.
                Offer::Twice(old)
                    if old.received.message_id() == id && *old.received.handle() != handle => {}
                // Handled, or a second copy of one that is held.
                Offer::Twice(old) => twice.push(old.received.handle().clone()),
            }
        }
        self.delete(&twice).await;
    }

    /// Whether no earlier consumer had it: it was never received before, or sent long after this one began. Services that don't count
    /// receives say 0.
    fn is_fresh(&self, received: &Received) -> bool {
        received.attempt() == 1 || self.sequencer.began_before(sent_ms(received))
    }

    /// Deletes what was handled before. What is not deleted comes again, and is deleted then.
    async fn delete(&self, twice: &[ReceiptHandle]) {
        if twice.is_empty() {
            return;
        }
        count(&self.core.tally.duplicates, twice.len());
        for error in self
            .queue
            .delete_batch(twice)
            .await
            .into_iter()
            .filter_map(Result::err)
        {
            tracing::debug!(queue = self.queue.name(), %error, "a duplicate was not deleted");
        }
    }

    async fn hand_out(
        &mut self,
        message: Message,
        place: Option<(Stream, u64)>,
        continuity: Continuity,
    ) {
        let term = message.term;
        let handle = message.received.handle().clone();
        let outcome = if self.now() < term.deadline {
            let key = place
                .as_ref()
                .map(|(stream, seq)| (stream.key.clone(), *seq));
            self.offer(message, key, continuity).await
        } else {
            Decision::Retry
        };
        match (outcome, place) {
            (Decision::Ack(done), place) => {
                count(&self.core.tally.handled, 1);
                if let Some((stream, seq)) = place {
                    self.sequencer.done(&stream, seq);
                }
                let result = if self.now() < term.over {
                    delete_until(&self.queue, &handle, &term).await
                } else {
                    Err(expired())
                };
                if let Err(error) = &result {
                    let queue = self.queue.name();
                    tracing::warn!(queue, %error, "a message was handled and not deleted");
                }
                // Nobody need wait for it.
                let _ = done.send(result);
            }
            (Decision::Retry, Some((stream, seq))) => {
                self.sequencer.undone(self.now(), &stream, seq);
            }
            (Decision::Retry, None) => {}
        }
    }

    /// Offers a message to receivers, and waits for their decision while its time runs.
    async fn offer(
        &self,
        message: Message,
        place: Option<(String, u64)>,
        continuity: Continuity,
    ) -> Decision {
        let expiry = CancellationToken::new();
        let held = OrderedHeld {
            received: message.received,
            payload: message.payload,
            place,
            continuity,
            deadline: message.term.deadline,
            give_up: message.term.give_up(),
            expiry: expiry.clone(),
        };
        let (settle, mut settled) = oneshot::channel();
        // What nobody took in its time would pile up.
        drop(self.core.ready.take_if(OrderedDelivery::is_over));
        drop(
            self.core
                .ready
                .push(vec![OrderedDelivery::new(held, settle)]),
        );
        let queue = self.queue.name();
        for (at, step) in message.term.steps() {
            tokio::select! {
                biased;
                decision = &mut settled => return decision.unwrap_or(Decision::Retry),
                () = sleep_until(at.into()) => {}
            }
            tracing::warn!(queue, "a message of an ordered shard {step}");
            if at >= message.term.deadline {
                expiry.cancel();
            }
        }
        Decision::Retry
    }

    fn now(&self) -> Instant {
        now(&self.queue)
    }

    fn visibility(&self) -> Visibility {
        self.queue.visibility(self.core.options.visibility)
    }

    fn gap_after(&self) -> Duration {
        let default = || self.visibility().time + Duration::from_secs(5);
        self.core.options.gap_after.unwrap_or_else(default)
    }
}

fn sent_ms(received: &Received) -> u64 {
    let sent = received.enqueued().duration_since(UNIX_EPOCH);
    sent.map_or(0, |it| it.as_millis().try_into().unwrap_or_default())
}

/// The shard runs as long as this lives.
struct Alive(Arc<Core>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.send_modify(|alive| *alive -= 1);
        // However it ended: a consumer that has lost a shard does not go on without it.
        self.0.end(None);
    }
}
