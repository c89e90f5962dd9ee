//! What load there is to be.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{LONGEST_WAIT, duration, rate, usage};
use crate::adapter::{Consume, From};
use crate::args;
use crate::bench::{MARK, Sink};
use crate::exit::Failure;

#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) mode: Mode,
    /// Topic and group.
    pub(crate) consume: Consume,
    pub(crate) count: u64,
    pub(crate) size: usize,
    pub(crate) in_flight: usize,
    /// How many messages are sent at a time.
    pub(crate) batch: usize,
    pub(crate) rate: Option<NonZeroU32>,
    pub(crate) timeout: Duration,
    pub(crate) reports: Reports,
    pub(crate) json: bool,
}

/// The files that are written at the end.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    pub(crate) histogram: Option<Sink>,
    pub(crate) svg: Option<Sink>,
}

/// Which load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    Send,
    Recv,
    Both,
}

pub(super) fn plan(typed: args::Bench) -> Result<Bench, Failure> {
    check_recv(&typed)?;
    check_batch(&typed)?;
    if typed.mode == Mode::Both && typed.size < MARK {
        return Err(usage(format!(
            "--size is at least {MARK} with both, so that messages can be told apart"
        )));
    }
    let mut consume = Consume::new(typed.topic, typed.group);
    consume.ordered = typed.ordered;
    consume.sharing = typed.subscription_type;
    if typed.mode == Mode::Recv {
        consume.from = From::Earliest;
    }
    let timeout = duration("--timeout", Some(&typed.timeout))?;
    Ok(Bench {
        mode: typed.mode,
        consume,
        count: typed.count,
        size: typed.size,
        in_flight: typed.in_flight,
        batch: typed.batch,
        rate: typed.rate.as_deref().map(rate).transpose()?,
        reports: Reports {
            histogram: typed.histogram.map(|path| Sink::new("--histogram", path)),
            svg: typed.svg.map(|path| Sink::new("--svg", path)),
        },
        timeout: timeout.unwrap_or(LONGEST_WAIT),
        json: typed.json,
    })
}

/// What has no meaning where nothing is sent.
fn check_recv(typed: &args::Bench) -> Result<(), Failure> {
    if typed.mode != Mode::Recv {
        return Ok(());
    }
    if typed.rate.is_some() {
        return Err(usage("--rate is for sending"));
    }
    if typed.batch != 1 {
        return Err(usage("--batch is for sending"));
    }
    for (flag, file) in [("--histogram", &typed.histogram), ("--svg", &typed.svg)] {
        if file.is_some() {
            return Err(usage(format!(
                "{flag} shows latencies, and recv has none: take send or both"
            )));
        }
    }
    Ok(())
}

/// A batch is one request, or its latency would be that of several.
fn check_batch(typed: &args::Bench) -> Result<(), Failure> {
    let (batch, size) = (typed.batch, typed.size);
    if u64::try_from(batch).is_ok_and(|batch| batch > typed.count.max(1)) {
        return Err(usage(format!(
            "--batch {batch} is more than the --count of {} messages",
            typed.count
        )));
    }
    if batch > 1 && size.saturating_add(ENVELOPE).saturating_mul(batch) > LARGEST_REQUEST {
        return Err(usage(format!(
            "--batch {batch} of --size {size} does not fit into one request of 4 MiB, with {ENVELOPE} bytes a message for its properties"
        )));
    }
    Ok(())
}

impl Bench {
    /// CMQ's requests are smaller than RocketMQ's.
    pub(super) fn check_cmq_batch(&self) -> Result<(), Failure> {
        let fits = self.batch <= MOST_OF_CMQ && self.size <= LARGEST_OF_CMQ / self.batch;
        if self.batch > 1 && !fits {
            return Err(usage(format!(
                "--batch {} of --size {} does not fit into one request of CMQ's: {MOST_OF_CMQ} messages and 64 KiB",
                self.batch, self.size
            )));
        }
        Ok(())
    }
}

impl Reports {
    /// Opens them, and makes those that are not there.
    pub(super) fn open(&mut self) -> Result<(), Failure> {
        for sink in [&mut self.histogram, &mut self.svg].into_iter().flatten() {
            sink.open()?;
        }
        if let (Some(histogram), Some(svg)) = (&self.histogram, &self.svg)
            && histogram.is_same(svg)
        {
            return Err(usage("--histogram and --svg name the same file"));
        }
        Ok(())
    }
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Recv => "recv",
            Self::Both => "both",
        }
    }
}

const LARGEST_REQUEST: usize = 4 << 20;
const MOST_OF_CMQ: usize = 16;
const LARGEST_OF_CMQ: usize = 64 << 10;
/// More than the client adds to a message of a batch.
const ENVELOPE: usize = 128;
