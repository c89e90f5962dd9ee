//! The lanes of a producer: one a key, which numbers its messages and sends them one after the other.
//!
//! ```text
//!  join ─► lane of the key ─► its task, while there is something: number, envelope, send ─► stored: the next number
//!                                 ├ rejected, not sent: the number is free again ─┐
//!                                 └ unknown: the number is taken until resolved ──┴► who waits behind it: not sent
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mq_core::{ErrorKind, Outcome};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::Ordered;
use super::envelope::{Envelope, MAX_NAME};
use super::producer::{OrderedMessage, OrderedReceipt};
use super::sequencer::Stream;
use crate::consumer::{LONGEST_PAUSE, backoff, begin};
use crate::error::{Error, Result, SendError, closed, refused};
use crate::proto::limits;
use crate::queue::Queue;

/// A message that is to be sent when it is its turn.
pub(super) struct Job {
    pub(super) message: OrderedMessage,
    pub(super) timeout: Option<Duration>,
    pub(super) done: oneshot::Sender<Result<OrderedReceipt, SendError<OrderedMessage>>>,
}

/// See the module.
pub(super) struct Lanes {
    ordered: Ordered,
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lanes: HashMap<Arc<str>, Lane>,
    /// Lanes by when they were last used.
    ages: BTreeMap<u64, Arc<str>>,
    uses: u64,
    last_epoch: u64,
    waiting: usize,
}

struct Lane {
    epoch: u64,
    next: u64,
    /// The next number may be taken already.
    unsure: bool,
    /// It has a task.
    busy: bool,
    line: VecDeque<Job>,
    used: u64,
}

impl Lanes {
    pub(super) fn new(ordered: Ordered) -> Self {
        Self {
            ordered,
            name: format!("{:016x}", fastrand::u64(..)),
            state: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Puts a message into the line of its key.
    pub(super) fn join(self: &Arc<Self>, job: Job) {
        let key: Arc<str> = job.message.key().into();
        let Some(queue) = self.ordered.queue_of(&key) else {
            return;
        };
        if key.len() > MAX_NAME {
            let long = format!("a key of {} bytes, over {MAX_NAME}", key.len());
            let error = Error::builder(ErrorKind::Invalid, long).operation(SEND);
            let hint = "use a shorter one, such as the hash of what you have";
            return fail(job, error.hint(hint).build(), None);
        }
        let fresh = self.fresh_epoch();
        let mut state = self.state();
        if state.waiting >= MOST_WAITING {
            drop(state);
            let full = format!("{MOST_WAITING} messages wait to be sent");
            // One that may have been stored keeps its number.
            let place = job.message.place;
            return fail(job, not_sent(ErrorKind::Busy, full), place);
        }
        state.waiting += 1;
        let lane = state.lane(&key, fresh);
        lane.line.push_back(job);
        let starts = !std::mem::replace(&mut lane.busy, true);
        drop(state);
        if starts {
            let queue = queue.clone();
            let shared = Arc::clone(queue.shared());
            begin(&shared, drive(Arc::clone(self), key, queue));
        }
    }

    pub(super) fn abandon(&self, key: &str) -> bool {
        let mut state = self.state();
        let idle = state.lanes.get(key).is_some_and(|lane| !lane.busy);
        if idle {
            // The next message makes it anew, with an epoch of its own.
            state.remove(key);
        }
        idle
    }

    fn fresh_epoch(&self) -> u64 {
        let clock = self.ordered.shards().first().map(|it| &it.shared().clock);
        let wall = clock.map_or(0, |clock| clock.wall_ms());
        u64::try_from(wall).unwrap_or_default()
    }

    /// The next message of a key, and its place; or why it has none. `None` when the line is empty, and the lane's task has to end.
    fn next(&self, key: &str) -> Option<(Job, Result<(u64, u64)>)> {
        let mut state = self.state();
        let lane = state.lanes.get_mut(key)?;
        let Some(job) = lane.line.pop_front() else {
            lane.busy = false;
            state.forget();
            return None;
        };
        let next = (lane.epoch, lane.next);
        let place = match job.message.place {
            Some(place) if lane.unsure && place == next => Ok(next),
            Some(_) => Err(not_sent(
                ErrorKind::Invalid,
                "the message's number has been passed since".to_owned(),
            )),
            None if lane.unsure => Err(not_sent(ErrorKind::Stale, UNSURE.to_owned())),
            None => Ok(next),
        };
        state.waiting -= 1;
        Some((job, place))
    }

    /// What became of the message with the next number. The answer is who waited behind one that failed.
    fn settled(&self, key: &str, stored: Result<(), Outcome>) -> VecDeque<Job> {
        let mut state = self.state();
        let Some(lane) = state.lanes.get_mut(key) else {
            return VecDeque::new();
        };
        match stored {
            Ok(()) => {
                lane.next += 1;
                lane.unsure = false;
                return VecDeque::new();
            }
            Err(outcome) => lane.unsure |= outcome == Outcome::Unknown,
        }
        let behind = std::mem::take(&mut lane.line);
        state.waiting -= behind.len();
        behind
    }

    /// The task of a lane ends before the end of its line. The answer is who waited.
    fn break_off(&self, key: &str) -> VecDeque<Job> {
        let mut state = self.state();
        let Some(lane) = state.lanes.get_mut(key) else {
            return VecDeque::new();
        };
        lane.busy = false;
        let left = std::mem::take(&mut lane.line);
        state.waiting -= left.len();
        left
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of a lane, from before it begins: however it ends, nobody waits for ever.
struct Driving {
    lanes: Arc<Lanes>,
    key: Arc<str>,
    /// It came to the end of the line, which is another task's from then on.
    over: bool,
}

impl Drop for Driving {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        for job in self.lanes.break_off(&self.key) {
            let place = job.message.place;
            fail(job, closed(SEND), place);
        }
    }
}

/// Sends what is in the line of a key, one after the other.
fn drive(lanes: Arc<Lanes>, key: Arc<str>, queue: Queue) -> impl Future<Output = ()> + Send {
    // Made here: a closed client drops the task before it begins.
    let driving = Driving {
        lanes,
        key,
        over: false,
    };
    async move {
        // The whole of it: a flag alone would be copied.
        let mut driving = driving;
        let (lanes, key) = (Arc::clone(&driving.lanes), Arc::clone(&driving.key));
        send_line(lanes, key, queue).await;
        driving.over = true;
    }
}

async fn send_line(lanes: Arc<Lanes>, key: Arc<str>, queue: Queue) {
    while let Some((job, place)) = lanes.next(&key) {
        let (epoch, seq) = match place {
            Ok(place) => place,
            Err(error) => {
                let kept = job.message.place;
                fail(job, error, kept);
                continue;
            }
        };
        let stream = Stream {
            producer: lanes.name.clone(),
            epoch,
            key: key.as_ref().into(),
        };
        let sent = send(&queue, &stream, seq, &job).await;
        let outcome = sent.as_ref().map(|_| ()).map_err(Error::outcome);
        let behind = lanes.settled(&key, outcome);
        match sent {
            Ok(message_id) => {
                // Nobody need wait for it.
                let _ = job.done.send(Ok(OrderedReceipt {
                    message_id,
                    shard: lanes.ordered.shard_of(&key),
                    epoch,
                    seq,
                }));
            }
            Err(error) => {
                let unknown = error.outcome() == Outcome::Unknown;
                fail(job, error, unknown.then_some((epoch, seq)));
            }
        }
        for job in behind {
            let (error, kept) = (
                not_sent(ErrorKind::Stale, BEHIND.to_owned()),
                job.message.place,
            );
            fail(job, error, kept);
        }
    }
}

/// Sends one, again with the same number while it is not known whether it was stored: consumers drop the second.
async fn send(queue: &Queue, stream: &Stream, seq: u64, job: &Job) -> Result<String> {
    let body = Envelope::new(stream, seq, job.message.body()).write();
    limits::body(job.message.body(), limits::MAX_BODY)
        .and_then(|()| limits::body(&body, limits::MAX_BODY))
        .map_err(|refusal| refused(SEND, refusal))?;
    let mut unsure = job.message.place.is_some();
    let mut pauses = backoff();
    let patience = job.timeout.unwrap_or_else(|| queue.shared().timeout());
    let clock = &queue.shared().clock;
    let deadline = mq_core::later(clock.now(), patience);
    loop {
        let left = deadline.saturating_duration_since(clock.now());
        let sent = queue.send(body.as_str()).resend_unknown(false);
        let failed = match sent.timeout(left).await {
            Ok(receipt) => return Ok(receipt.message_id().to_owned()),
            Err(failed) => failed.error,
        };
        unsure |= failed.outcome() == Outcome::Unknown;
        let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
        let fits = clock.now() + pause * 2 < deadline;
        if !unsure || !fits || failed.kind() == ErrorKind::Closed {
            let outcome = if unsure {
                Outcome::Unknown
            } else {
                failed.outcome()
            };
            return Err(failed.into_builder().outcome(outcome).build());
        }
        sleep(pause).await;
    }
}

fn fail(job: Job, error: Error, place: Option<(u64, u64)>) {
    let Job {
        mut message, done, ..
    } = job;
    message.place = place;
    // Nobody need wait for it.
    let _ = done.send(Err(SendError::new(error, message)));
}

fn not_sent(kind: ErrorKind, message: String) -> Error {
    Error::builder(kind, message)
        .operation(SEND)
        .hint("send what failed first, or abandon the key")
        .build()
}

impl State {
    /// The lane of a key; a new one has an epoch that none had before.
    fn lane(&mut self, key: &Arc<str>, wall: u64) -> &mut Lane {
        self.uses += 1;
        let used = self.uses;
        if !self.lanes.contains_key(key) {
            self.last_epoch = wall.max(self.last_epoch + 1);
        }
        let epoch = self.last_epoch;
        let lane = self.lanes.entry(Arc::clone(key)).or_insert_with(|| Lane {
            epoch,
            next: 1,
            unsure: false,
            busy: false,
            line: VecDeque::new(),
            used,
        });
        self.ages.remove(&lane.used);
        self.ages.insert(used, Arc::clone(key));
        lane.used = used;
        lane
    }

    fn remove(&mut self, key: &str) {
        if let Some(lane) = self.lanes.remove(key) {
            self.ages.remove(&lane.used);
        }
    }

    /// Forgets the lanes that were not used for longest, but for those with something under way or open.
    fn forget(&mut self) {
        while self.lanes.len() > MOST_KEYS {
            let idle = self.ages.values().find(|key| {
                let lane = self.lanes.get(*key);
                lane.is_some_and(|lane| !lane.busy && !lane.unsure)
            });
            let Some(key) = idle.map(Arc::clone) else {
                return;
            };
            self.remove(&key);
        }
    }
}

const MOST_WAITING: usize = 1024;
const MOST_KEYS: usize = 100_000;
const SEND: &str = "send in order";
const UNSURE: &str = "whether the message of this key before it was stored is not known";
const BEHIND: &str = "the message of this key before it failed";
