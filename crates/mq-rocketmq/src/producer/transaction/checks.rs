//! The producer's own task: asks the checker for what brokers want to know, several at a time, and answers them.
//!
//! ```text
//!  broker ─ 39 ─► open ─► bounded channel ─► this task ─► a task a question: checker ─► end (37) ─► broker
//!            guard lives: "undecided"              what is dropped: "undecided"
//! ```

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::checked::CheckedMessage;
use super::end::{Decision, leave_open, settle};
use super::open::{Next, Place};
use super::{Shared, Verdict, Work};
use crate::client::{Checks, Question};

impl Checks for Shared {
    fn has(&self, unique_id: &str) -> bool {
        self.open.place(unique_id).is_some()
    }

    fn asked(&self, question: Question) {
        let asked = &question.asked;
        let place = Place {
            topic: (&*question.message.topic).into(),
            broker: asked.broker_name.clone().unwrap_or_else(|| "".into()),
            half_offset: asked.half_offset,
            physical_offset: asked.physical_offset,
            asked_by: Some(question.from.clone()),
        };
        let id = question.unique_id.clone();
        tracing::debug!(peer = %question.from, unique_id = id, "a broker asks about a half message");
        let work = match self.open.asked(&id, place.clone()) {
            Next::Running => return,
            Next::Undecided => Work::LeaveOpen(id.clone(), place),
            Next::Check => Work::Check(Box::new(question)),
        };
        if let Err(refused) = self.work.try_send(work)
            && matches!(refused.into_inner(), Work::Check(_))
        {
            self.open.end(&id);
            tracing::warn!(group = %self.producer.group, "too many half messages are asked about; the broker will ask again");
        }
    }
}

/// Starts the task; it ends with the last clone of the producer.
pub(super) fn start(shared: &Arc<Shared>, work: mpsc::Receiver<Work>) {
    let tasks = Arc::clone(&shared.producer.client.tasks);
    tasks.spawn(serve(
        Arc::downgrade(shared),
        shared.check_concurrency,
        work,
    ));
}

async fn serve(shared: Weak<Shared>, most: usize, mut work: mpsc::Receiver<Work>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = running.join_next() => {}
            next = work.recv(), if running.len() < most => {
                let (Some(next), Some(shared)) = (next, shared.upgrade()) else { break };
                match next {
                    Work::LeaveOpen(id, place) => leave_open(&shared, &id, &place),
                    Work::Check(question) => drop(running.spawn(check(shared, question))),
                }
            }
        }
    }
}

async fn check(shared: Arc<Shared>, question: Box<Question>) {
    let verdict = ask(&shared, &question).await;
    let id = &question.unique_id;
    // The last question's place: the broker may have asked again meanwhile.
    let Some(place) = shared.open.place(id) else {
        return;
    };
    let producer = &shared.producer;
    let decision = match verdict {
        Verdict::Commit => Decision::Commit,
        Verdict::Rollback => Decision::Rollback,
        Verdict::Unknown => {
            leave_open(&shared, id, &place);
            shared.open.end(id);
            return;
        }
    };
    let ended = settle(&shared, id, &place, decision).await;
    if let Err(error) = ended {
        tracing::warn!(group = %producer.group, unique_id = id, %error, "a check-back could not be answered; the broker will ask again");
    }
}

async fn ask(shared: &Shared, question: &Question) -> Verdict {
    let group = &shared.producer.group;
    let (id, limit) = (&question.unique_id, shared.check_timeout);
    let checked = CheckedMessage::new(question, &shared.producer.client);
    if let Some(reason) = checked.undecoded() {
        tracing::warn!(%group, unique_id = id, reason, "a half message can't be decompressed");
    }
    let asking = AssertUnwindSafe(async { (shared.checker)(checked).await });
    match tokio::time::timeout(limit, asking.catch_unwind()).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => {
            tracing::error!(%group, unique_id = id, "the checker panicked; the broker will ask again");
            Verdict::Unknown
        }
        Err(_) => {
            tracing::warn!(%group, unique_id = id, ?limit, "the checker took too long; the broker will ask again");
            Verdict::Unknown
        }
    }
}
