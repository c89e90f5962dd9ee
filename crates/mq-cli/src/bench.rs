//! `mq … bench`: load on a topic, and what it cost.
//!
//! ```text
//!  send   numbered bodies ─► batches ─► as many at a time as --in-flight says ─► latency: until the broker has stored it
//!  recv   what is in the topic, acknowledged as it comes
//!  both   send, and receive what was sent                                         latency: until it is received
//! ```

mod figures;
mod picture;
mod sink;
mod times;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use mq_core::{Clock as _, Outcome, SystemClock};

use self::figures::{Figures, Meter};
pub(crate) use self::sink::Sink;
use crate::adapter::{Broker, Delivery, Failed, Outgoing, Sent, Settle, Subscription};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Output, say};
use crate::plan::{Bench, Mode};
use crate::recv::{passed, settle, too_few};
use crate::send::{Tally, at_rate};

pub(crate) async fn bench(
    broker: &Broker,
    mut plan: Bench,
    interrupt: Interrupt,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (exit, figures) = match plan.mode {
        Mode::Send => send(broker, &plan, interrupt).await,
        Mode::Recv => recv(broker, &plan, interrupt).await?,
        Mode::Both => both(broker, &plan, interrupt).await?,
    };
    // First what can't fail.
    figures.print(broker.protocol(), &plan, output)?;
    figures.save(&mut plan)?;
    Ok(exit)
}

async fn send(broker: &Broker, plan: &Bench, interrupt: Interrupt) -> (Exit, Figures) {
    let run = Run::default();
    let mut meter = Meter::start();
    let tally = send_load(broker, plan, &run, interrupt, |elapsed| meter.took(elapsed)).await;
    let size = meter.messages() * u64::try_from(plan.size).unwrap_or(u64::MAX);
    (tally.exit(), meter.stop(size))
}

async fn recv(
    broker: &Broker,
    plan: &Bench,
    interrupt: Interrupt,
) -> Result<(Exit, Figures), Failure> {
    let subscription = broker.consume(&plan.consume).await?;
    let mut meter = Meter::start();
    let mut bytes = 0;
    let ended = recv_load(&subscription, plan, interrupt, &mut meter, &mut bytes).await;
    let figures = meter.stop(bytes);
    subscription.close().await;
    Ok((ended?, figures))
}

async fn recv_load(
    subscription: &Subscription,
    plan: &Bench,
    interrupt: Interrupt,
    meter: &mut Meter,
    bytes: &mut u64,
) -> Result<Exit, Failure> {
    let begun = SystemClock.now();
    let mut stop = pin!(interrupt.wanted());
    while meter.messages() < plan.count {
        let delivery = tokio::select! {
            biased;
            () = &mut stop => return Ok(Exit::Done),
            received = subscription.recv() => received?,
            () = passed(begun, Some(plan.timeout)) => None,
        };
        let Some(Delivery { message, acker, .. }) = delivery else {
            return Ok(late(begun, meter.messages(), plan.count));
        };
        *bytes += u64::try_from(message.body.len()).unwrap_or_default();
        settle(acker, Settle::Ack).await;
        meter.count();
    }
    Ok(Exit::Done)
}

async fn both(
    broker: &Broker,
    plan: &Bench,
    interrupt: Interrupt,
) -> Result<(Exit, Figures), Failure> {
    let subscription = broker.consume(&plan.consume).await?;
    let run = Run::default();
    let mut meter = Meter::start();
    let ended = send_and_recv(broker, &subscription, plan, &run, interrupt, &mut meter).await;
    let size = meter.messages() * u64::try_from(plan.size).unwrap_or(u64::MAX);
    let figures = meter.stop(size);
    subscription.close().await;
    Ok((ended?, figures))
}

async fn send_and_recv(
    broker: &Broker,
    subscription: &Subscription,
    plan: &Bench,
    run: &Run,
    interrupt: Interrupt,
    meter: &mut Meter,
) -> Result<Exit, Failure> {
    let begun = SystemClock.now();
    let mut sending = pin!(send_load(broker, plan, run, interrupt, |_| ()));
    let mut sent: Option<Tally> = None;
    loop {
        if let Some(tally) = &sent
            && run.none_is_missing()
        {
            return Ok(tally.exit());
        }
        let delivery = tokio::select! {
            tally = &mut sending, if sent.is_none() => {
                sent = Some(tally);
                continue;
            }
            received = subscription.recv() => received?,
            () = passed(begun, Some(plan.timeout)) => None,
        };
        let Some(Delivery { message, acker, .. }) = delivery else {
            return Ok(late(begun, meter.messages(), plan.count));
        };
        // Others may use the topic, and a message may come twice.
        if let Some(elapsed) = run.received(&message.body) {
            meter.took(elapsed);
        }
        settle(acker, Settle::Ack).await;
    }
}

fn late(begun: Instant, came: u64, wanted: u64) -> Exit {
    let waited = SystemClock.now().duration_since(begun);
    say(too_few(came, Some(wanted), waited));
    Exit::TimedOut
}

/// Sends what the plan says; `took` hears of each that is stored.
async fn send_load(
    broker: &Broker,
    plan: &Bench,
    run: &Run,
    interrupt: Interrupt,
    mut took: impl FnMut(Duration),
) -> Tally {
    let mut results = pin!(
        at_rate(stream::iter(0..plan.count), plan.rate)
            .take_until(interrupt.wanted())
            .chunks(plan.batch)
            .map(|numbers| one(broker, plan, run, numbers))
            .buffer_unordered(plan.in_flight)
    );
    let mut tally = Tally::default();
    while let Some((numbers, batch, elapsed)) = results.next().await {
        for (number, result) in numbers.into_iter().zip(batch) {
            tally.count(&result);
            match &result {
                Ok(_) => {
                    took(elapsed);
                    if plan.mode == Mode::Send {
                        run.forget(number);
                    }
                }
                Err(failed) => {
                    tally.tell_failure(failed);
                    if failed.error.outcome() != Outcome::Unknown {
                        run.forget(number);
                    }
                }
            }
        }
    }
    tally
}

/// Sends a batch, or the one message that there is; says how long that took.
async fn one(broker: &Broker, plan: &Bench, run: &Run, numbers: Vec<u64>) -> Attempt {
    let begun = SystemClock.now();
    let message = |number| {
        let body = run.body(number, plan.size, begun);
        Outgoing::new(plan.consume.topic.as_str(), body)
    };
    let results = match *numbers {
        [number] if plan.batch == 1 => vec![broker.send(message(number)).await],
        _ => {
            let batch = numbers.iter().copied().map(message).collect();
            broker.send_batch(batch).await
        }
    };
    (numbers, results, SystemClock.now().duration_since(begun))
}

type Attempt = (Vec<u64>, Vec<Result<Sent, Failed>>, Duration);

/// The messages of one run that are expected, and since when.
#[derive(Debug)]
struct Run {
    id: [u8; 8],
    missing: Mutex<HashMap<u64, Instant>>,
}

impl Default for Run {
    fn default() -> Self {
        let started = SystemClock.wall_ms().unsigned_abs() << 20;
        Self {
            id: (started ^ u64::from(std::process::id())).to_be_bytes(),
            missing: Mutex::default(),
        }
    }
}

impl Run {
    /// Run and number, as far as they fit, and dots.
    fn body(&self, number: u64, size: usize, begun: Instant) -> Bytes {
        let mut body = Vec::with_capacity(size.max(MARK));
        body.extend_from_slice(&self.id);
        body.extend_from_slice(&number.to_be_bytes());
        body.resize(size, b'.');
        self.missing().insert(number, begun);
        body.into()
    }

    /// How long a message of this run was on its way; `None` for any other, and the second time.
    fn received(&self, body: &[u8]) -> Option<Duration> {
        let (id, rest) = body.split_first_chunk::<8>()?;
        let (number, _) = rest.split_first_chunk::<8>()?;
        if *id != self.id {
            return None;
        }
        let begun = self.missing().remove(&u64::from_be_bytes(*number))?;
        Some(SystemClock.now().duration_since(begun))
    }

    /// It will not come, or nobody waits for it.
    fn forget(&self, number: u64) {
        self.missing().remove(&number);
    }

    fn none_is_missing(&self) -> bool {
        self.missing().is_empty()
    }

    fn missing(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a body needs to be told from others.
pub(crate) const MARK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_run_counts_once_and_others_never() {
        let (run, other) = (
            Run::default(),
            Run {
                id: [0; 8],
                missing: Mutex::default(),
            },
        );
        let now = SystemClock.now();
        let body = run.body(7, 128, now);
        assert_eq!(body.len(), 128);
        assert!(run.received(&other.body(7, 128, now)).is_none());
        assert!(run.received(b"short").is_none());
        assert!(!run.none_is_missing());
        assert!(run.received(&body).is_some());
        assert!(run.none_is_missing());
        assert!(run.received(&body).is_none());
    }

    #[test]
    fn what_was_not_stored_is_not_waited_for() {
        let run = Run::default();
        let _ = run.body(1, MARK, SystemClock.now());
        run.forget(1);
        assert!(run.none_is_missing());
    }

    #[test]
    fn a_size_below_the_mark_is_kept() {
        assert_eq!(Run::default().body(1, 3, SystemClock.now()).len(), 3);
    }
}
