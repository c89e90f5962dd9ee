//! How many messages a second a consumer takes.

use std::time::Duration;

/// How many messages a second a consumer takes, how many at once after a pause, and how long one waits to be taken.
///
/// A consumer without handlers to spare is not limited by it: what can't be handled is not taken, whatever the rate allows.
///
/// ```
/// use std::time::Duration;
/// use mq_core::RateLimit;
///
/// let limit = RateLimit::per_second(200).wait(Duration::from_secs(3));
/// assert_eq!((limit.rate(), limit.at_once()), (200, 20));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it limits nothing until a consumer is built with it"]
pub struct RateLimit {
    rate: u32,
    burst: Option<u32>,
    wait: Option<Duration>,
}

impl RateLimit {
    /// So many messages a second, evenly. 0 is refused by the consumer's `build`.
    pub const fn per_second(count: u32) -> Self {
        Self {
            rate: count,
            burst: None,
            wait: None,
        }
    }

    /// How many may be taken at once when none were for a while; default a tenth of a second's, at least 1. In a second with such a burst
    /// as many more than the rate are taken. Few make the rate lower than asked for: timers have a grain of a millisecond or two, which a burst
    /// makes up for. 0 is refused by the consumer's `build`.
    pub const fn burst(mut self, count: u32) -> Self {
        self.burst = Some(count);
        self
    }

    /// How long a message waits to be taken, from when somebody could take it, before it is delivered again later instead. Default: as long
    /// as it takes, which is what to want unless an old message is worth less than another attempt.
    pub const fn wait(mut self, time: Duration) -> Self {
        self.wait = Some(time);
        self
    }

    /// How many messages a second.
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// How many may be taken at once.
    pub const fn at_once(&self) -> u32 {
        match self.burst {
            Some(count) => count,
            None if self.rate < 20 => 1,
            None => self.rate / 10,
        }
    }

    /// How long a message waits; `None`: as long as it takes.
    pub const fn longest_wait(&self) -> Option<Duration> {
        self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_a_tenth_of_a_second_and_never_none() {
        for (rate, burst) in [
            (1, 1),
            (19, 1),
            (20, 2),
            (200, 20),
            (u32::MAX, u32::MAX / 10),
        ] {
            assert_eq!(RateLimit::per_second(rate).at_once(), burst, "{rate}");
        }
        assert_eq!(RateLimit::per_second(200).burst(1).at_once(), 1);
    }
}
