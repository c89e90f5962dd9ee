//! `mq … send`: bodies from the command line, a file or stdin, to the broker, and a line for each.
//!
//! ```text
//!  source ─► rate ─► as many at a time as --in-flight says ─► results in order ─► stdout, failures told
//! ```

use std::num::NonZeroU32;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use mq_core::{Clock as _, Outcome, SystemClock};
use tokio::io::{AsyncReadExt as _, Stdin};

use crate::adapter::{Broker, Error, Failed, Outgoing, Sent};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::json::{FailedLine, SentLine, line};
use crate::output::{Output, say};
use crate::plan::{Send, Source};
use crate::split::Splitter;

pub(crate) async fn send(
    broker: &Broker,
    plan: Send,
    interrupt: Interrupt,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let begun = SystemClock.now();
    let source = bodies(plan.source).await?;
    let mut results = pin!(
        at_rate(source, plan.rate)
            .take_until(interrupt.wanted())
            .map(|body| one(broker, &plan.template, body))
            .buffered(plan.in_flight)
    );
    let mut tally = Tally::default();
    let mut ended = Ok(());
    while let Some(result) = results.next().await {
        let told = match result {
            Ok((result, elapsed)) => tally.tell(&result, elapsed, plan.json, output),
            Err(failure) => Err(failure),
        };
        // What is under way can't be called back: it is waited for by closing the broker.
        if told.is_err() {
            ended = told;
            break;
        }
    }
    tally.sum_up(begun);
    ended.map(|()| tally.exit())
}

type Attempt = (Result<Sent, Failed>, Duration);

async fn one(
    broker: &Broker,
    template: &Outgoing,
    body: Result<Bytes, Failure>,
) -> Result<Attempt, Failure> {
    let mut message = template.clone();
    message.body = body?;
    let begun = SystemClock.now();
    let result = broker.send(message).await;
    Ok((result, SystemClock.now().duration_since(begun)))
}

/// What became of the messages.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    sent: u64,
    failed: u64,
    unknown: u64,
    weak: u64,
    /// Were to be scheduled for a time that was past.
    at_once: u64,
    /// The code of the failures, if they all have one.
    exit: Option<Exit>,
}

impl Tally {
    fn tell(
        &mut self,
        result: &Result<Sent, Failed>,
        elapsed: Duration,
        json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        self.count(result);
        match result {
            Ok(sent) if json => output.json(&line(&SentLine::new(sent, elapsed))),
            Ok(sent) => output.line(&stored(sent)),
            Err(failed) if json => output.json(&line(&FailedLine::new(&failed.error))),
            Err(failed) => {
                self.tell_failure(failed);
                Ok(())
            }
        }
    }

    /// Tells of the failure that was counted last, unless there were many.
    pub(crate) fn tell_failure(&self, failed: &Failed) {
        if self.failed <= MOST_TOLD {
            say(format_args!("{:#} ({})", failed.error, fate(&failed.error)));
        }
        if self.failed == MOST_TOLD {
            say("further failures are only counted");
        }
    }

    pub(crate) fn count(&mut self, result: &Result<Sent, Failed>) {
        match result {
            Ok(sent) => {
                self.sent += 1;
                self.weak += u64::from(!sent.durable);
                self.at_once += u64::from(sent.at_once);
            }
            Err(failed) => {
                self.failed += 1;
                self.unknown += u64::from(failed.error.outcome() == Outcome::Unknown);
                let exit = Exit::of(&failed.error);
                self.exit = Some(match self.exit {
                    Some(other) if other != exit => Exit::Failed,
                    _ => exit,
                });
            }
        }
    }

    fn sum_up(&self, begun: Instant) {
        if self.weak > 0 {
            say(format_args!(
                "{} are stored, but were not flushed or replicated in time",
                self.weak
            ));
        }
        if self.at_once > 0 {
            say(format_args!(
                "{} delivered at once: the time was past",
                self.at_once
            ));
        }
        if self.sent + self.failed > 1 {
            say(self.summary(SystemClock.now().duration_since(begun)));
        }
    }

    fn summary(&self, elapsed: Duration) -> String {
        let failed = match (self.failed, self.unknown) {
            (0, _) => String::new(),
            (failed, 0) => format!(", {failed} failed"),
            (failed, unknown) => format!(", {failed} failed ({unknown} of them may be stored)"),
        };
        format!(
            "{} sent{failed} in {:.2} s",
            self.sent,
            elapsed.as_secs_f64()
        )
    }

    pub(crate) fn exit(&self) -> Exit {
        match (self.sent, self.failed, self.unknown) {
            (_, 0, _) => Exit::Done,
            (0, _, 0) => self.exit.unwrap_or(Exit::Failed),
            _ => Exit::Partial,
        }
    }
}

/// What became of a message that failed.
const fn fate(error: &Error) -> &'static str {
    match error.outcome() {
        Outcome::Rejected => "rejected",
        Outcome::NotSent => "not sent",
        _ => "may be stored",
    }
}

async fn bodies(source: Source) -> Result<BoxStream<'static, Result<Bytes, Failure>>, Failure> {
    match source {
        Source::Text { body, count } => Ok(repeated(body, count).map(Ok).boxed()),
        Source::File { path, count } => {
            let read = tokio::fs::read(&path).await;
            let body =
                read.map_err(|cause| Failure::Local(format!("read {}", path.display()), cause))?;
            Ok(repeated(body.into(), count).map(Ok).boxed())
        }
        Source::Stdin { delimiter } => Ok(pieces(tokio::io::stdin(), delimiter).boxed()),
    }
}

fn repeated(body: Bytes, count: Option<u64>) -> impl Stream<Item = Bytes> + std::marker::Send {
    stream::iter((0..count.unwrap_or(1)).map(move |index| match count {
        Some(_) => numbered(&body, index),
        None => body.clone(),
    }))
}

/// The body with every `{i}` replaced by the index.
fn numbered(body: &Bytes, index: u64) -> Bytes {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body.as_ref();
    while let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        out.extend_from_slice(index.to_string().as_bytes());
        rest = rest.get(at + MARK.len()..).unwrap_or_default();
    }
    if out.is_empty() && rest.len() == body.len() {
        return body.clone();
    }
    out.extend_from_slice(rest);
    out.into()
}

fn pieces(stdin: Stdin, delimiter: Vec<u8>) -> impl Stream<Item = Result<Bytes, Failure>> {
    let state = Some((stdin, Splitter::new(delimiter)));
    stream::unfold(state, |state| async move {
        let (mut stdin, mut splitter) = state?;
        match next_piece(&mut stdin, &mut splitter).await {
            Ok(Some(piece)) => Some((Ok(piece), Some((stdin, splitter)))),
            Ok(None) => splitter.rest().map(|rest| (Ok(rest), None)),
            Err(failure) => Some((Err(failure), None)),
        }
    })
}

async fn next_piece(stdin: &mut Stdin, splitter: &mut Splitter) -> Result<Option<Bytes>, Failure> {
    let failed = |cause| Failure::Local("read stdin".to_owned(), cause);
    loop {
        let found = splitter.next().map_err(|_| {
            failed(std::io::Error::other(
                "32 MiB without a delimiter: that is no message",
            ))
        })?;
        if found.is_some() {
            return Ok(found);
        }
        let mut chunk = Vec::with_capacity(CHUNK);
        if stdin.read_buf(&mut chunk).await.map_err(failed)? == 0 {
            return Ok(None);
        }
        splitter.push(&chunk);
    }
}

/// The same, but no faster than so many a second.
pub(crate) fn at_rate<T>(
    source: impl Stream<Item = T>,
    rate: Option<NonZeroU32>,
) -> impl Stream<Item = T> {
    // Timers are good to a few milliseconds: what falls due in ten may go at once.
    let burst = |rate: NonZeroU32| NonZeroU32::new(rate.get() / 100).unwrap_or(NonZeroU32::MIN);
    let limiter = rate.map(|rate| {
        let quota = Quota::per_second(rate).allow_burst(burst(rate));
        std::sync::Arc::new(RateLimiter::direct(quota))
    });
    source.then(move |item| wait(limiter.clone(), item))
}

async fn wait<T>(limiter: Option<std::sync::Arc<DefaultDirectRateLimiter>>, item: T) -> T {
    if let Some(limiter) = limiter {
        limiter.until_ready().await;
    }
    item
}

const MARK: &[u8] = b"{i}";
const CHUNK: usize = 64 << 10;
const MOST_TOLD: u64 = 10;

/// Id, queue and, where there are any, offset.
fn stored(sent: &Sent) -> String {
    let mut line = format!("{}\t{}", sent.id, sent.queue);
    if let Some(offset) = sent.offset {
        line = format!("{line}\t{offset}");
    }
    line
}

#[cfg(test)]
mod tests {
    use mq_core::ErrorKind;

    use super::*;

    #[test]
    fn the_index_stands_wherever_its_mark_does() {
        let numbered = |text: &'static str| numbered(&Bytes::from_static(text.as_bytes()), 7);
        assert_eq!(numbered("a{i}b{i}"), "a7b7");
        assert_eq!(numbered("{i}"), "7");
        assert_eq!(numbered("{\"n\":{i}}"), "{\"n\":7}");
        assert_eq!(numbered("plain {} {j}"), "plain {} {j}");
    }

    fn failed(kind: ErrorKind, outcome: Outcome) -> Result<Sent, Failed> {
        let error = mq_rocketmq::Error::builder(kind, "no")
            .outcome(outcome)
            .build();
        Err(Failed {
            error: error.into(),
            message: Box::default(),
            id: None,
        })
    }

    fn sent() -> Sent {
        Sent {
            id: String::new(),
            topic: String::new(),
            queue: String::new(),
            offset: Some(0),
            durable: true,
            handle: None,
            at_once: false,
        }
    }

    #[test]
    fn exit_codes() {
        let auth = || failed(ErrorKind::Auth, Outcome::Rejected);
        let late = || failed(ErrorKind::Timeout, Outcome::NotSent);
        let unknown = || failed(ErrorKind::Timeout, Outcome::Unknown);
        for (results, exit) in [
            (vec![], Exit::Done),
            (vec![Ok(sent()), Ok(sent())], Exit::Done),
            (vec![Ok(sent()), auth()], Exit::Partial),
            (vec![auth(), auth()], Exit::Refused),
            (vec![late()], Exit::TimedOut),
            (vec![late(), auth()], Exit::Failed),
            (vec![unknown()], Exit::Partial),
        ] {
            let mut tally = Tally::default();
            for result in &results {
                tally.count(result);
            }
            assert_eq!(tally.exit(), exit, "{results:?}");
        }
    }
}
