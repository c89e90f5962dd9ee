//! When a message is to be delivered, and how a broker is told.
//!
//! ```text
//!  Message::deliver_at │ deliver_after │ delay_level ─► Schedule
//!                                   Dialect, our clock ─► Plan ─► properties of the message
//!                       what the broker answers, Plan ─► ScheduledHandle ─► Producer::cancel
//! ```

mod handle;
mod plan;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

pub use self::handle::ScheduledHandle;
pub(crate) use self::handle::{Made, Way};
pub(crate) use self::plan::{DELAY, Plan, START_DELIVER, TIMER_DELAY, TIMER_DELIVER, no_timers};
use crate::error::{Error, Result, invalid};

/// When a message is to be delivered; set by [`Message::deliver_at`](crate::Message::deliver_at) and its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Schedule {
    /// At this time, or as soon as it is stored if the time is past.
    At(SystemTime),
    /// So long after it is stored.
    After(Duration),
    /// After the time that the broker has for this level, 1 to 18.
    Level(u8),
}

impl Schedule {
    /// Checks what depends on no broker.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Level(level) if !(1..=LEVELS).contains(&level) => Err(invalid(
                "check message",
                // A broker would deliver level 0 at once, and take level 19 for 18.
                format!("the delay level is {level}, there are 1 to {LEVELS}"),
            )),
            _ => Ok(()),
        }
    }
}

/// How time and cancellation travel: brokers that speak one protocol have different words for them.
///
/// | | exact time | the longest | cancel |
/// |---|---|---|---|
/// | Apache 4.x | an error: it would be ignored | | no |
/// | Apache 5.x | `TIMER_DELIVER_MS`, `TIMER_DELAY_MS` | the broker's `timerMaxDelaySec`, 3 days by default | recall (5.3.2), else a deletion |
/// | Huawei DMS | `__STARTDELIVERTIME` | 1 year; instances of 5.x: 7 days | `__CANCEL_SCHEDULED_MSG` |
/// | Tencent TDMQ | `__STARTDELIVERTIME` | 40 days | no |
///
/// Delay levels travel in the same way everywhere. Neither DMS nor TDMQ was reached by a test: what is said of them is what their
/// documents say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// An Apache broker, 4.x or 5.x by the version that it answers heartbeats with. It can't tell DMS or TDMQ from them: there, say so.
    ///
    /// To a 5.x broker the time goes in both properties, its own and `__STARTDELIVERTIME`, which it ignores. The first scheduled message
    /// to a broker waits until the broker was asked for its version, unless a heartbeat did so before.
    #[default]
    Auto,
    /// An Apache broker of 4.x: levels only.
    Apache4,
    /// An Apache broker of 5.x, without asking it. Said of a 4.x one it is noticed by the first answer: that message was delivered at once,
    /// which its error says (kind `Unsupported`, outcome `Unknown`), and later ones are not sent.
    Apache5,
    /// Huawei Cloud's Distributed Message Service. On any other broker its messages are delivered at once, cancellations too.
    HuaweiDms,
    /// Tencent Cloud's TDMQ. On any other broker its messages are delivered at once.
    Tdmq,
}

impl Dialect {
    /// As a URL has it: `auto`, `apache4`, `apache5`, `dms`, `tdmq`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Apache4 => "apache4",
            Self::Apache5 => "apache5",
            Self::HuaweiDms => "dms",
            Self::Tdmq => "tdmq",
        }
    }

    const ALL: [Self; 5] = [
        Self::Auto,
        Self::Apache4,
        Self::Apache5,
        Self::HuaweiDms,
        Self::Tdmq,
    ];
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Dialect {
    type Err = Error;

    /// # Errors
    ///
    /// Kind `Invalid`: there is no such dialect. Not retryable.
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            invalid(
                "read dialect",
                format!("\"dialect\" is one of {known}, not \"{text}\""),
            )
        })
    }
}

/// What became of a cancellation; from [`Producer::cancel`](crate::Producer::cancel).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cancel {
    /// The broker has recorded that the message is not to be delivered.
    Cancelled,
    /// The message's time has come: it is delivered, or about to be.
    TooLate,
    /// The broker has taken the cancellation, and never tells whether it found the message.
    Requested,
}

impl fmt::Display for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::TooLate => "too late",
            Self::Requested => "requested",
        })
    }
}

/// Time in ms since 1970, rounded up so that nothing is early; `None` beyond the year 292 million.
fn to_ms(time: SystemTime) -> Option<i64> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => ceil_ms(since),
        // All that is before 1970 is equally past.
        Err(_) => Some(0),
    }
}

fn ceil_ms(duration: Duration) -> Option<i64> {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).ok()
}

/// The version from which on a broker has timers of any time.
// apache/rocketmq: MQVersion, V5_0_0
pub(crate) const TIMERS: i32 = 413;
/// The version from which on a broker answers a scheduled send with what recalls it.
// apache/rocketmq: MQVersion, V5_3_2
pub(crate) const RECALLS: i32 = 477;
// apache/rocketmq: MessageStoreConfig.messageDelayLevel
const LEVELS: u8 = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_up() {
        let at = |nanos| to_ms(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
        assert_eq!(at(5_000_000), Some(5));
        assert_eq!(at(5_000_001), Some(6));
        assert_eq!(
            to_ms(SystemTime::UNIX_EPOCH - Duration::from_secs(9)),
            Some(0)
        );
        assert_eq!(ceil_ms(Duration::MAX), None);
    }

    #[test]
    fn levels_are_1_to_18() {
        for level in [0, 19, 255] {
            let error = Schedule::Level(level).check().unwrap_err();
            assert_eq!(error.kind(), mq_core::ErrorKind::Invalid);
            assert!(error.to_string().contains("1 to 18"), "{error}");
        }
        assert!(Schedule::Level(1).check().is_ok() && Schedule::Level(18).check().is_ok());
    }

    #[test]
    fn dialects_are_read_as_they_are_shown() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.to_string().parse::<Dialect>().unwrap(), dialect);
        }
        let error = "dsm".parse::<Dialect>().unwrap_err();
        assert!(error.to_string().contains("dms"), "{error}");
    }
}
