//! What is counted while the load runs, and how it is printed.

use std::time::{Duration, Instant};

use mq_core::{Clock as _, SystemClock};
use serde::Serialize;

use super::picture;
use super::times::{Latency, Times};
use crate::exit::Failure;
use crate::json::line;
use crate::output::Output;
use crate::plan::{Bench, Mode};

/// Counts from its start to its stop.
#[derive(Debug)]
pub(super) struct Meter {
    begun: Instant,
    cpu: Option<Duration>,
    messages: u64,
    latency: Times,
}

/// The result of a run.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    count: u64,
    /// The mean, where others chose the sizes.
    size: u64,
    seconds: f64,
    messages_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_us_per_message: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<Latency>,
    /// All latencies.
    #[serde(skip)]
    times: Times,
}

#[derive(Debug, Serialize)]
struct BenchLine<'a> {
    protocol: &'static str,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<usize>,
    batch: usize,
    #[serde(flatten)]
    figures: &'a Figures,
}

impl Meter {
    pub(super) fn start() -> Self {
        Self {
            begun: SystemClock.now(),
            cpu: cpu(),
            messages: 0,
            latency: Times::new(),
        }
    }

    /// One more message, whose latency nobody knows.
    pub(super) fn count(&mut self) {
        self.messages += 1;
    }

    /// One more message, and how long it took.
    pub(super) fn took(&mut self, elapsed: Duration) {
        self.messages += 1;
        self.latency.add(elapsed);
    }

    pub(super) const fn messages(&self) -> u64 {
        self.messages
    }

    /// Ends the measurement. `bytes`: of all bodies together.
    pub(super) fn stop(self, bytes: u64) -> Figures {
        let elapsed = SystemClock.now().duration_since(self.begun);
        let spent = cpu()
            .zip(self.cpu)
            .map(|(now, then)| now.saturating_sub(then));
        let seconds = elapsed.as_secs_f64();
        let messages = as_f64(self.messages);
        Figures {
            count: self.messages,
            size: bytes.checked_div(self.messages).unwrap_or_default(),
            seconds,
            messages_per_second: if seconds > 0.0 {
                messages / seconds
            } else {
                0.0
            },
            cpu_us_per_message: spent
                .filter(|_| self.messages > 0)
                .map(|spent| spent.as_secs_f64() * 1e6 / messages),
            peak_rss_bytes: peak_rss(),
            latency_us: self.latency.summary(),
            times: self.latency,
        }
    }
}

impl Figures {
    pub(super) fn print(
        &self,
        protocol: &'static str,
        plan: &Bench,
        output: &mut Output,
    ) -> Result<(), Failure> {
        if plan.json {
            return output.json(&line(&BenchLine {
                protocol,
                mode: plan.mode.name(),
                in_flight: in_flight(plan),
                batch: plan.batch,
                figures: self,
            }));
        }
        self.lines(plan)
            .iter()
            .try_for_each(|text| output.line(text))
    }

    /// Writes the files that were asked for.
    pub(super) fn save(&self, plan: &mut Bench) -> Result<(), Failure> {
        let title = format!("{}, latency", self.headline(plan));
        if let Some(sink) = plan.reports.histogram.take() {
            sink.write(&self.times.hgrm())?;
        }
        if let Some(sink) = plan.reports.svg.take() {
            sink.write(&picture::svg(&title, &self.times.points()))?;
        }
        Ok(())
    }

    fn headline(&self, plan: &Bench) -> String {
        let in_flight = match (in_flight(plan), plan.batch) {
            (None, _) => String::new(),
            (Some(n), 1) => format!(", {n} in flight"),
            (Some(n), batch) => format!(", {n} batches of {batch} in flight"),
        };
        format!(
            "{}: {} messages of {} bytes{in_flight}",
            plan.mode.name(),
            self.count,
            self.size
        )
    }

    fn lines(&self, plan: &Bench) -> Vec<String> {
        let mut lines = vec![
            self.headline(plan),
            format!(
                "{:.0} messages/s, in {:.2} s",
                self.messages_per_second, self.seconds
            ),
        ];
        if let Some(micros) = self.cpu_us_per_message {
            lines.push(format!("{micros:.1} us of CPU time a message"));
        }
        if let Some(bytes) = self.peak_rss_bytes {
            lines.push(format!("{} KiB of memory at the peak", bytes >> 10));
        }
        if let Some(Latency {
            p50,
            p99,
            p999,
            max,
        }) = self.latency_us
        {
            lines.push(format!(
                "latency in us: p50 {p50}, p99 {p99}, p99.9 {p999}, most {max}"
            ));
        }
        lines
    }
}

fn in_flight(plan: &Bench) -> Option<usize> {
    (plan.mode != Mode::Recv).then_some(plan.in_flight)
}

/// User and system time of the process so far.
#[cfg(unix)]
fn cpu() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::ProcessCPUTime);
    Some(Duration::new(
        u64::try_from(time.tv_sec).ok()?,
        u32::try_from(time.tv_nsec).ok()?,
    ))
}

#[cfg(not(unix))]
fn cpu() -> Option<Duration> {
    None
}

/// The most memory that the process has had, where the system tells.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
const fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_in_one_object() {
        let plan = crate::plan::tests::bench("bench send --topic t --in-flight 3 --json");
        let figures = Figures {
            count: 2,
            size: 128,
            seconds: 0.5,
            messages_per_second: 4.0,
            cpu_us_per_message: Some(1.5),
            peak_rss_bytes: None,
            latency_us: Some(Latency {
                p50: 1,
                p99: 2,
                p999: 3,
                max: 4,
            }),
            times: Times::new(),
        };
        let told = line(&BenchLine {
            protocol: "rocketmq",
            mode: plan.mode.name(),
            in_flight: in_flight(&plan),
            batch: plan.batch,
            figures: &figures,
        });
        assert_eq!(
            told,
            r#"{"protocol":"rocketmq","mode":"send","in_flight":3,"batch":1,"count":2,"size":128,"seconds":0.5,"messages_per_second":4.0,"cpu_us_per_message":1.5,"latency_us":{"p50":1,"p99":2,"p999":3,"max":4}}"#
        );
        assert_eq!(
            figures.lines(&plan)[0],
            "send: 2 messages of 128 bytes, 3 in flight"
        );
        let plan = crate::plan::tests::bench("bench send --topic t --in-flight 3 --batch 5");
        assert!(figures.lines(&plan)[0].ends_with(", 3 batches of 5 in flight"));
    }

    #[test]
    fn nothing_done_divides_by_nothing() {
        let figures = Meter::start().stop(0);
        assert_eq!((figures.count, figures.size), (0, 0));
        assert!(figures.cpu_us_per_message.is_none() && figures.latency_us.is_none());
    }
}
