//! Latencies: their summary, their distribution as text, and points to draw.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The parts of a distribution that are looked at first, in us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) max: u64,
}

/// Times in us, to three digits.
#[derive(Debug)]
pub(super) struct Times(Option<Histogram<u64>>);

/// So large a part of the messages took at most so long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// From 0 to 1.
    pub(super) part: f64,
    pub(super) micros: u64,
    /// How many messages those are.
    pub(super) count: u64,
}

impl Times {
    pub(super) fn new() -> Self {
        // It fails with digits that there are not.
        Self(Histogram::new(DIGITS).ok())
    }

    pub(super) fn add(&mut self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        if let Some(times) = &mut self.0 {
            // It grows as it must.
            let _ = times.record(micros);
        }
    }

    pub(super) fn summary(&self) -> Option<Latency> {
        let times = self.0.as_ref().filter(|times| !times.is_empty())?;
        Some(Latency {
            p50: times.value_at_quantile(0.5),
            p99: times.value_at_quantile(0.99),
            p999: times.value_at_quantile(0.999),
            max: times.max(),
        })
    }

    /// The distribution from the quickest to the slowest, in steps that become finer towards the slowest.
    pub(super) fn points(&self) -> Vec<Point> {
        let mut count = 0;
        let steps = self.0.iter().flat_map(|times| times.iter_quantiles(STEPS));
        steps
            .map(|step| {
                count += step.count_since_last_iteration();
                Point {
                    part: step.quantile_iterated_to(),
                    micros: step.value_iterated_to(),
                    count,
                }
            })
            .collect()
    }

    /// The text that the plotter of `HdrHistogram` reads (`.hgrm`); values in us.
    // HdrHistogram/HdrHistogram: AbstractHistogram.outputPercentileDistribution
    pub(super) fn hgrm(&self) -> String {
        let mut text = format!(
            "{:>12} {:>14} {:>10} {:>14}\n\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        // Writing to a String does not fail.
        for point in self.points() {
            let Point {
                part,
                micros,
                count,
            } = point;
            let _ = write!(text, "{micros:>8}.000 {part:.12} {count:>10}");
            if part < 1.0 {
                let _ = write!(text, " {:>14.2}", 1.0 / (1.0 - part));
            }
            text.push('\n');
        }
        let empty = Histogram::<u64>::new(DIGITS).ok();
        if let Some(times) = self.0.as_ref().or(empty.as_ref()) {
            let (mean, spread) = (times.mean(), times.stdev());
            let _ = writeln!(
                text,
                "#[Mean    = {mean:>12.3}, StdDeviation   = {spread:>12.3}]"
            );
            let _ = writeln!(
                text,
                "#[Max     = {:>8}.000, Total count    = {:>12}]",
                times.max(),
                times.len()
            );
            let _ = writeln!(
                text,
                "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
                times.buckets(),
                SUB_BUCKETS
            );
        }
        text
    }
}

/// Significant digits.
const DIGITS: u8 = 3;
/// What three digits take: the next power of two above 2 × 10³.
const SUB_BUCKETS: u32 = 2048;
/// Steps until the rest is half as large, as Java's default.
const STEPS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn thousand() -> Times {
        let mut times = Times::new();
        (1..=1000).for_each(|micros| times.add(Duration::from_micros(micros)));
        times
    }

    #[test]
    fn parts_of_a_known_distribution() {
        assert_eq!(Times::new().summary(), None);
        let mut times = thousand();
        let expected = Latency {
            p50: 500,
            p99: 990,
            p999: 999,
            max: 1000,
        };
        assert_eq!(times.summary(), Some(expected));
        times.add(Duration::from_secs(3600));
        let most = times.summary().unwrap().max;
        assert!((3_599_000_000..=3_604_000_000).contains(&most), "{most}");
    }

    /// As the Java library prints it; the plotter takes lines of four numbers, and the last of three.
    #[test]
    fn the_distribution_is_written_as_the_plotter_reads_it() {
        let text = thousand().hgrm();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "       Value     Percentile TotalCount 1/(1-Percentile)",
                "",
                "       1.000 0.000000000000          1           1.00",
            ]
        );
        let half = "     500.000 0.500000000000        500           2.00";
        assert!(lines.contains(&half), "{text}");
        assert_eq!(
            lines[lines.len() - 4..],
            [
                "    1000.000 1.000000000000       1000",
                "#[Mean    =      500.500, StdDeviation   =      288.675]",
                "#[Max     =     1000.000, Total count    =         1000]",
                "#[Buckets =            1, SubBuckets     =         2048]",
            ]
        );
        for line in &lines[2..lines.len() - 4] {
            let numbers: Vec<f64> = line
                .split_whitespace()
                .map(|word| word.parse().unwrap())
                .collect();
            assert_eq!(numbers.len(), 4, "{line}");
        }
    }

    #[test]
    fn nothing_measured_is_an_empty_distribution() {
        let text = Times::new().hgrm();
        assert!(text.contains("Total count    =            0"), "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
