//! `mq … recv`: prints what comes, and acknowledges what was printed.
//!
//! ```text
//!  recv ─► print ─► ack           written: settled
//!             └──── release       not written (closed pipe): as if it had never come
//! ```

use std::pin::pin;
use std::time::{Duration, Instant};

use mq_core::{Clock as _, ErrorKind, SystemClock};

use crate::adapter::{Acker, Broker, Delivery, Incoming, Settle, Subscription};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::json::{ReceivedLine, line};
use crate::output::{Output, hung_up, say};
use crate::plan::{Recv, Show};

pub(crate) async fn recv(
    broker: &Broker,
    plan: Recv,
    interrupt: Interrupt,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let subscription = tokio::select! {
        joined = broker.consume(&plan.consume) => joined?,
        () = interrupt.clone().wanted() => return Ok(Exit::Done),
    };
    warn_of_absence(broker, &plan.consume.topic).await;
    let mut held = Held::default();
    let ended = print_all(&subscription, &plan, interrupt, output, &mut held).await;
    held.release().await;
    subscription.close().await;
    ended
}

/// Waiting for a topic to be created is allowed, and is what a mistyped name looks like. Of a queue that is missing CMQ's consumer says so and ends.
async fn warn_of_absence(broker: &Broker, topic: &str) {
    if matches!(broker, Broker::RocketMq(_))
        && let Err(error) = broker.describe(topic).await
        && error.kind() == ErrorKind::NotFound
    {
        say(format_args!(
            "{topic} does not exist; waiting for somebody to create it"
        ));
    }
}

async fn print_all(
    subscription: &Subscription,
    plan: &Recv,
    interrupt: Interrupt,
    output: &mut Output,
    held: &mut Held,
) -> Result<Exit, Failure> {
    let begun = SystemClock.now();
    let mut last = begun;
    let mut printed = 0;
    let mut stop = pin!(interrupt.wanted());
    let mut closed = pin!(hung_up());
    let late = |printed| {
        let waited = SystemClock.now() - begun;
        say(too_few(printed, plan.count, waited));
        Exit::TimedOut
    };
    // Fewer than were asked for is not done.
    let short = |printed| plan.count.map_or(Exit::Done, |_| late(printed));
    while plan.count.is_none_or(|count| printed < count) {
        let delivery = tokio::select! {
            biased;
            () = &mut stop => return Ok(Exit::Done),
            () = &mut closed => return Err(Failure::ClosedPipe),
            received = subscription.recv() => received?,
            () = passed(begun, plan.timeout) => return Ok(late(printed)),
            () = passed(last, plan.idle) => return Ok(short(printed)),
        };
        let Some(Delivery { message, acker, .. }) = delivery else {
            return Ok(short(printed));
        };
        if let Err(failure) = print(&message, &plan.show, output) {
            held.keep(acker);
            return Err(failure);
        }
        printed += 1;
        last = SystemClock.now();
        if plan.ack {
            settle(acker, Settle::Ack).await;
        } else {
            held.keep(acker);
        }
    }
    Ok(Exit::Done)
}

pub(crate) fn too_few(printed: u64, count: Option<u64>, waited: Duration) -> String {
    let wanted = count.map_or_else(String::new, |count| format!(" of {count}"));
    let seconds = waited.as_secs_f64();
    format!("timed out after {seconds:.1} s; messages received: {printed}{wanted}")
}

/// Messages that are given back at the end.
#[derive(Default)]
struct Held(Vec<Acker>);

impl Held {
    fn keep(&mut self, acker: Acker) {
        self.0.push(acker);
    }

    async fn release(self) {
        for acker in self.0 {
            settle(acker, Settle::Release).await;
        }
    }
}

pub(crate) async fn settle(acker: Acker, decision: Settle) {
    // The queue may have moved to another member: the message is printed there once more.
    if let Err(error) = acker.settle(decision).await {
        say(error);
    }
}

fn print(message: &Incoming, show: &Show, output: &mut Output) -> Result<(), Failure> {
    match show {
        Show::Json => output.json(&line(&ReceivedLine::new(message))),
        Show::Text(format) => {
            if let Some(reason) = &message.undecoded {
                say(format_args!(
                    "{} of {} stands as it came: {reason}",
                    message.id, message.queue
                ));
            }
            let mut text = Vec::with_capacity(message.body.len() + 64);
            format.write(message, output.guard(), &mut text);
            output.bytes(&text)
        }
    }
}

/// Resolves when `limit` has passed since `from`; never without a limit.
pub(crate) async fn passed(from: Instant, limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep_until((from + limit).into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_is_told_with_numbers() {
        for (count, told) in [
            (Some(5), "timed out after 2.0 s; messages received: 3 of 5"),
            (None, "timed out after 2.0 s; messages received: 3"),
        ] {
            assert_eq!(too_few(3, count, Duration::from_millis(2004)), told);
        }
    }
}
