//! Sending a message on its way to a later time.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytestring::ByteString;
use mq_core::{Clock as _, ErrorKind, SystemClock};

use super::arrived::{DELAY, DUE, forget_deaths};
use super::handle::{Made, ScheduledHandle, Way};
use super::set_up::DELAYED;
use super::{Scheduler, Sent, Shared, ladder, set_up};
use crate::conn::now;
use crate::error::{Error, ReplyCode, Result, invalid};
use crate::topology::{Piece, Queue};
use crate::{Message, Receipt, SendError};

/// A message to deliver later: await it for the receipt. Made by [`Scheduler::deliver_after`] and [`Scheduler::deliver_at`].
#[must_use = "nothing is sent until it is awaited"]
pub struct Deliver {
    scheduler: Scheduler,
    message: Message,
    when: When,
    cancellable: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    After(Duration),
    At(SystemTime),
}

impl When {
    /// From now: how long, and which time that is. Read once, so that both agree.
    fn from(self, now: SystemTime) -> (Duration, SystemTime) {
        match self {
            Self::After(delay) => (delay, now.checked_add(delay).unwrap_or(now)),
            Self::At(time) => (time.duration_since(now).unwrap_or_default(), time),
        }
    }
}

impl Deliver {
    pub(super) const fn new(scheduler: Scheduler, message: Message, when: When) -> Self {
        Self {
            scheduler,
            message,
            when,
            cancellable: false,
        }
    }

    /// It waits in a queue of its own, exact to the millisecond, and [`Scheduler::cancel`] can take it back. Default no.
    ///
    /// Such a queue costs a node about 65 KB of memory, an open file, and 3 ms of CPU to make: good for 10 000 at a time, where the node may open so many
    /// files, and not for more. It goes by itself two minutes after the message has. A thousand that are due in the same millisecond took a node 3 s.
    pub const fn cancellable(mut self) -> Self {
        self.cancellable = true;
        self
    }
}

impl IntoFuture for Deliver {
    type Output = Sent;
    type IntoFuture = Pin<Box<dyn Future<Output = Sent> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(deliver(self))
    }
}

impl fmt::Debug for Deliver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliver")
            .field("message", &self.message)
            .field("when", &self.when)
            .field("cancellable", &self.cancellable)
            .finish_non_exhaustive()
    }
}

async fn deliver(asked: Deliver) -> Sent {
    let Deliver {
        scheduler,
        mut message,
        when,
        cancellable,
    } = asked;
    let shared = &*scheduler.shared;
    let plan = match Plan::new(shared, &message, when, cancellable) {
        Ok(plan) => plan,
        Err(error) => return Err(SendError::new(error, message)),
    };
    plan.stamp(&mut message);
    let sent = match plan.send(shared, message).await {
        // Somebody has deleted the ladder, or the broker is another one.
        Err(stopped) if plan.lacks_the_way(shared, &stopped).await => {
            plan.again(shared, stopped.failed).await
        }
        sent => sent,
    };
    match sent.map_err(|stopped| stopped.failed) {
        Ok(receipt) => {
            let handle = plan.handle(receipt.unique_id());
            Ok(receipt.of_scheduled(handle))
        }
        Err(mut failed) => {
            plan.unstamp(&mut failed.message);
            Err(failed)
        }
    }
}

/// How a message travels.
struct Plan {
    target: ByteString,
    /// The target in a routing key.
    word: ByteString,
    delay: Duration,
    /// The same in the ladder's units.
    ticks: u32,
    due_ms: u64,
    way: Way,
}

impl Plan {
    fn new(shared: &Shared, message: &Message, when: When, cancellable: bool) -> Result<Self> {
        check(message)?;
        let (delay, due) = when.from(SystemClock.wall());
        let ticks = ladder::ticks(delay)?;
        let way = if delay.is_zero() {
            Way::AtOnce
        } else if cancellable {
            Way::Timer(shared.new_timer())
        } else if shared.plugin {
            short_enough(delay)?;
            Way::Exchange
        } else {
            Way::Ladder
        };
        Ok(Self {
            target: message.routing_key().into(),
            word: ladder::word(message.routing_key())?,
            delay,
            ticks,
            due_ms: since_epoch(due),
            way,
        })
    }

    fn stamp(&self, message: &mut Message) {
        let headers = message.properties_mut().headers.get_or_insert_default();
        forget_deaths(headers);
        headers.insert(DUE, i64::try_from(self.due_ms).unwrap_or(i64::MAX));
        if self.way == Way::Exchange {
            headers.insert(DELAY, i64::try_from(millis(self.delay)).unwrap_or(i64::MAX));
        }
    }

    /// As its sender gave it, but for its id.
    fn unstamp(&self, message: &mut Message) {
        message.set_routing_key(self.target.clone());
        let Some(headers) = &mut message.properties_mut().headers else {
            return;
        };
        headers.remove(DUE);
        headers.remove(DELAY);
        if headers.is_empty() {
            message.properties_mut().headers = None;
        }
    }

    async fn send(&self, shared: &Shared, mut message: Message) -> Result<Receipt, Stopped> {
        if let Err(error) = self.prepare(shared).await {
            let failed = SendError::new(error, message);
            return Err(Stopped {
                asked: Asked::Binding,
                failed,
            });
        }
        let (exchange, key) = match &self.way {
            Way::AtOnce => (ByteString::new(), self.target.clone()),
            Way::Ladder => (
                ladder::entry(self.ticks),
                ladder::key(self.ticks, &self.word),
            ),
            Way::Timer(name) => (ByteString::new(), name.clone().into()),
            Way::Exchange => (DELAYED.into(), self.word.clone()),
        };
        message.set_routing_key(key);
        // That exchange leads nowhere at first, and says so.
        let mandatory = self.way != Way::Exchange;
        let publisher = shared.publisher.to(exchange);
        let sent = publisher.send(message).mandatory(mandatory).await;
        let asked = match self.way {
            Way::AtOnce => Asked::Target,
            _ => Asked::Way,
        };
        sent.map_err(|failed| Stopped { asked, failed })
    }

    /// Makes what leads to the target, and what the message waits in if that is its own.
    async fn prepare(&self, shared: &Shared) -> Result<()> {
        if self.way == Way::AtOnce {
            return Ok(());
        }
        let mut pieces = Vec::new();
        let bound = shared.bound().get(&self.target).copied();
        let fresh = bound.is_some_and(|at| now() < at + FRESH);
        if !fresh {
            let binding = ladder::binding(self.target.clone(), &self.word);
            pieces.push(Piece::Binding(binding));
            if self.way == Way::Exchange {
                // It goes with either of the two, and what the plugin's exchange can't lead on is gone without a word.
                pieces.push(Piece::Binding(set_up::from_the_plugin()));
            }
        }
        if let Way::Timer(name) = &self.way {
            pieces.push(Piece::Queue(self.timer(name)));
        }
        if pieces.is_empty() {
            return Ok(());
        }
        shared.client.lay(&pieces).await?;
        if !fresh {
            let mut bound = shared.bound();
            if bound.len() >= MOST_BOUND {
                bound.clear();
            }
            bound.insert(self.target.clone(), now());
        }
        Ok(())
    }

    fn timer(&self, name: &str) -> Queue {
        Queue::classic(name.to_owned())
            .message_ttl(self.delay)
            .expires(self.delay + GRACE)
            .dead_letter_exchange(ladder::OUT)
            .dead_letter_routing_key(self.word.clone())
    }

    /// Whether what is missing is what leads to the target, and not that itself.
    async fn lacks_the_way(&self, shared: &Shared, stopped: &Stopped) -> bool {
        match stopped.asked {
            _ if !is_missing(&stopped.failed.error) => false,
            Asked::Target => false,
            Asked::Way => true,
            Asked::Binding => shared.client.queue(&self.target).await.is_ok(),
        }
    }

    async fn again(&self, shared: &Shared, failed: SendError) -> Result<Receipt, Stopped> {
        shared.bound().clear();
        let made = match set_up::whole_ladder(&shared.client, shared.quorum).await {
            Ok(()) if shared.plugin => set_up::plugin(&shared.client).await,
            made => made,
        };
        if let Err(error) = made {
            tracing::warn!(%error, "the ladder of scheduled messages is gone, and can't be made");
            let asked = Asked::Way;
            return Err(Stopped { asked, failed });
        }
        self.send(shared, *failed.message).await
    }

    fn handle(&self, id: &str) -> ScheduledHandle {
        ScheduledHandle::new(Made {
            target: self.target.to_string(),
            unique_id: id.to_owned(),
            due_ms: self.due_ms,
            way: self.way.clone(),
        })
    }
}

/// A send that failed.
struct Stopped {
    asked: Asked,
    failed: SendError,
}

/// What the broker was asked for: it tells by that, not by its words, what it is that is not there.
#[derive(Debug, Clone, Copy)]
enum Asked {
    /// To lead the last exchange to the target: each of them may be missing.
    Binding,
    /// To take the message on its way.
    Way,
    /// To put it into its target.
    Target,
}

/// An exchange or queue is not there (404), or no queue takes a message (312). A virtual host that is gone is another code.
fn is_missing(error: &Error) -> bool {
    let codes = [ReplyCode::NOT_FOUND, ReplyCode::NO_ROUTE];
    error.kind() == ErrorKind::NotFound && error.code().is_some_and(|code| codes.contains(code))
}

/// What would have a message come early, or elsewhere too.
fn check(message: &Message) -> Result<()> {
    let properties = message.properties();
    if properties.expiration.is_some() {
        let what = "an expiration of the message's own would end its delay early";
        return Err(invalid("schedule", what));
    }
    let copies = |name| {
        let headers = properties.headers.as_ref();
        headers.is_some_and(|headers| headers.get(name).is_some())
    };
    if copies("CC") || copies("BCC") {
        let what = "a message with CC or BCC can't be scheduled: it has one queue";
        return Err(invalid("schedule", what));
    }
    Ok(())
}

// rabbitmq-delayed-message-exchange: README, "Limitations"
fn short_enough(delay: Duration) -> Result<()> {
    if millis(delay) > u64::from(u32::MAX) {
        let what = format!("the delayed exchange keeps nothing for {delay:?}, at most 49 days");
        return Err(invalid("schedule", what));
    }
    Ok(())
}

fn since_epoch(time: SystemTime) -> u64 {
    // All that is before 1970 is equally past.
    millis(
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

/// Rounded up, so that nothing is early.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A target that was bound so recently is taken to be bound still.
const FRESH: Duration = Duration::from_secs(5);
const MOST_BOUND: usize = 10_000;
/// How much longer than its message a timer queue lives.
const GRACE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Table;

    #[test]
    fn what_would_be_early_or_elsewhere_is_refused() {
        let plain = Message::new("q", "x");
        assert!(check(&plain).is_ok());
        let mut refused = vec![plain.clone().expires_after(Duration::from_secs(1))];
        refused.push(plain.clone().header("CC", "other"));
        refused.push(plain.header("BCC", "other"));
        for message in refused {
            let error = check(&message).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn a_time_that_is_past_has_no_delay() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_nanos(5_000_000_001);
        let before = now - Duration::from_secs(1);
        assert_eq!(When::At(before).from(now), (Duration::ZERO, before));
        let (delay, due) = When::After(Duration::from_millis(1)).from(now);
        assert_eq!(delay, Duration::from_millis(1));
        assert_eq!(since_epoch(due), 5_002);
        assert_eq!(since_epoch(SystemTime::UNIX_EPOCH - delay), 0);
    }

    #[test]
    fn a_message_that_failed_is_as_it_was_given() {
        let plan = Plan {
            target: "q".into(),
            word: "q".into(),
            delay: Duration::from_secs(1),
            ticks: 10,
            due_ms: 1000,
            way: Way::Exchange,
        };
        let given = Message::new("q", "x");
        let mut message = given.clone();
        plan.stamp(&mut message);
        message.set_routing_key(ladder::key(10, "q"));
        plan.unstamp(&mut message);
        assert_eq!(message, given);
        let mut message = given.header("x-death", Table::new()).header("own", 1_i32);
        plan.stamp(&mut message);
        let headers = message.properties().headers.as_ref().unwrap();
        let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["own", DUE, DELAY]);
    }

    #[test]
    fn what_is_missing_is_told_by_its_code_and_not_by_words() {
        let words = "no queue 'q' in vhost '/'";
        for (kind, code, missing) in [
            (ErrorKind::NotFound, Some(ReplyCode::NOT_FOUND), true),
            (ErrorKind::NotFound, Some(ReplyCode::NO_ROUTE), true),
            // A virtual host that is gone.
            (ErrorKind::NotFound, Some(ReplyCode::NOT_ALLOWED), false),
            (ErrorKind::NotFound, None, false),
            // A node that is away.
            (ErrorKind::Busy, Some(ReplyCode::NOT_FOUND), false),
            (ErrorKind::Auth, Some(ReplyCode::ACCESS_REFUSED), false),
        ] {
            let error = Error::builder(kind, words);
            let error = match code {
                Some(code) => error.code(code).build(),
                None => error.build(),
            };
            assert_eq!(is_missing(&error), missing, "{kind:?} {code:?}");
        }
    }

    #[test]
    fn the_delayed_exchange_has_its_own_limit() {
        assert!(short_enough(Duration::from_millis(u32::MAX.into())).is_ok());
        assert!(short_enough(Duration::from_secs(50 * 24 * 3600)).is_err());
    }
}
