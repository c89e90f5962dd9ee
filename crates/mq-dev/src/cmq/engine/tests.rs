//! The engine, told the time.

mod ends;
mod halves;
mod model;
mod receives;
mod refusals;
mod topics;

use std::time::Duration;

use mq_cmq::proto::ErrorCode;

use super::*;
use crate::cmq::spec::QueueSpec;

/// 2023-11-14T22:13:20Z.
const START: u64 = 1_700_000_000_000;

fn engine() -> Engine {
    Engine::new(START, 7, Limits::default())
}

fn with(specs: impl IntoIterator<Item = QueueSpec>) -> Engine {
    let mut engine = engine();
    for spec in specs {
        engine.create_queue(START, spec).unwrap();
    }
    engine
}

fn q() -> QueueSpec {
    QueueSpec::new("q").visibility(Duration::from_secs(10))
}

fn send(engine: &mut Engine, now: u64, queue: &str, body: &str) -> u64 {
    engine.send(now, queue, &[body], 0).unwrap()[0]
}

fn want(count: usize) -> Want {
    Want {
        count,
        visibility_seconds: None,
    }
}

fn take(engine: &mut Engine, now: u64, queue: &str, count: usize) -> Vec<Delivered> {
    match engine.receive(now, queue, want(count), Some(0)).unwrap() {
        Received::Now(messages) => messages,
        Received::Empty => Vec::new(),
        Received::Later(_) => panic!("waits"),
    }
}

fn bodies(messages: &[Delivered]) -> Vec<&str> {
    messages.iter().map(|message| &*message.body).collect()
}

fn wait(engine: &mut Engine, now: u64, queue: &str, seconds: u32) -> Waiter {
    match engine.receive(now, queue, want(1), Some(seconds)).unwrap() {
        Received::Later(waiter) => waiter,
        other => panic!("{other:?}"),
    }
}

/// Who was told what since the last time: bodies, or the code of an end.
fn told(engine: &mut Engine) -> Vec<(Waiter, String)> {
    let tell = |effect| match effect {
        Effect::Deliver(waiter, messages) => Some((waiter, bodies(&messages).join(" "))),
        Effect::End(waiter, code) => Some((waiter, code.number().to_string())),
        Effect::Push(_) | Effect::Ask(_) => None,
    };
    engine.take_effects().into_iter().filter_map(tell).collect()
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    result.unwrap_err().code
}
