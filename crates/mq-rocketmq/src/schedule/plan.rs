//! A schedule in the words of a dialect: which properties, and what was promised.

use std::time::SystemTime;

use mq_core::ErrorKind;

use super::{Dialect, Schedule, Way, ceil_ms, to_ms};
use crate::error::{Error, Result, invalid};
use crate::proto::message::properties::{KEY_END, VALUE_END};
use crate::proto::{DECIMAL, decimal};

/// What travels of a schedule. Made once a message, and the same for every attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) way: Way,
    /// When it is due by our clock, in ms since 1970; `None` for a level.
    pub(crate) due_ms: Option<i64>,
    /// Whether that was past when the message was packed.
    pub(crate) is_past: bool,
    /// Whether it may go only to a broker that is known to have timers.
    pub(crate) needs_timers: bool,
    what: What,
    also_start: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Level(u8),
    At(i64),
    After(i64),
}

impl Plan {
    /// # Errors
    ///
    /// Kind `Unsupported`: the dialect has no exact times. Kind `Invalid`: beyond what the dialect allows.
    pub(crate) fn new(schedule: Schedule, dialect: Dialect, now: SystemTime) -> Result<Self> {
        let (what, due) = match schedule {
            Schedule::Level(level) => return Ok(Self::level(level)),
            Schedule::At(time) => (to_ms(time).map(What::At), Some(time)),
            Schedule::After(delay) => (ceil_ms(delay).map(What::After), now.checked_add(delay)),
        };
        let due_ms = due.and_then(to_ms).ok_or_else(too_far)?;
        let what = what.ok_or_else(too_far)?;
        let now_ms = to_ms(now).unwrap_or_default();
        let (way, longest) = match dialect {
            Dialect::Apache4 => return Err(no_timers("a broker of 4.x")),
            Dialect::Auto | Dialect::Apache5 => (Way::Timer, None),
            Dialect::HuaweiDms => (Way::Start, Some(LONGEST_DMS)),
            Dialect::Tdmq => (Way::Start, Some(LONGEST_TDMQ)),
        };
        if let Some(days) = longest
            && due_ms.saturating_sub(now_ms) > days.saturating_mul(DAY_MS)
        {
            let found = format!(
                "the time is more than {days} days ahead, which \"{dialect}\" does not take"
            );
            return Err(invalid("schedule", found));
        }
        Ok(Self {
            way,
            due_ms: Some(due_ms),
            is_past: due_ms <= now_ms,
            needs_timers: dialect == Dialect::Auto,
            what,
            also_start: dialect == Dialect::Auto,
        })
    }

    const fn level(level: u8) -> Self {
        Self {
            way: Way::Level,
            due_ms: None,
            is_past: false,
            needs_timers: false,
            what: What::Level(level),
            also_start: false,
        }
    }

    /// The level, if that is how the time was given.
    pub(crate) const fn level_number(&self) -> Option<u8> {
        match self.what {
            What::Level(level) => Some(level),
            What::At(_) | What::After(_) => None,
        }
    }

    /// Whether the broker is told a length of time instead of a time.
    pub(crate) const fn is_relative(&self) -> bool {
        matches!((self.way, self.what), (Way::Timer, What::After(_)))
    }

    /// How many bytes its properties have at most.
    pub(crate) const MOST: usize = 96;

    /// Appends its properties to others.
    pub(crate) fn append(&self, properties: &mut String) {
        let mut add = |name: &str, value: i64| {
            properties.push_str(name);
            properties.push(KEY_END);
            properties.push_str(decimal(&mut [0; DECIMAL], value));
            properties.push(VALUE_END);
        };
        match (self.way, self.what) {
            (_, What::Level(level)) => add(DELAY, level.into()),
            // By the broker's clock: ours may be wrong, and then the message would be early or late by the difference.
            (Way::Timer, What::After(ms)) => add(TIMER_DELAY, ms),
            (Way::Timer, What::At(ms)) => add(TIMER_DELIVER, ms),
            (Way::Start | Way::Level, _) => {}
        }
        if let Some(due) = self.due_ms
            && (self.also_start || self.way == Way::Start)
        {
            add(START_DELIVER, due);
        }
    }
}

/// An exact time, and no broker that would keep it.
pub(crate) fn no_timers(broker: &str) -> Error {
    Error::builder(
        ErrorKind::Unsupported,
        format!("{broker} has no exact delivery times: it would deliver the message at once"),
    )
    .operation("schedule")
    .hint("use delay_level(1..=18), or a broker of 5.x; on Huawei DMS or Tencent TDMQ say so with dialect(…)")
    .build()
}

fn too_far() -> Error {
    invalid("schedule", "the time is too far ahead to be written")
}

// apache/rocketmq: MessageConst
pub(crate) const DELAY: &str = "DELAY";
pub(crate) const TIMER_DELIVER: &str = "TIMER_DELIVER_MS";
pub(crate) const TIMER_DELAY: &str = "TIMER_DELAY_MS";
/// Huawei's and Tencent's, once Alibaba's; unknown to `MessageConst`.
pub(crate) const START_DELIVER: &str = "__STARTDELIVERTIME";

const DAY_MS: i64 = 24 * 3600 * 1000;
/// Huawei's developer guide: up to one year. Its instances of 5.x take 7 days, and say so themselves.
const LONGEST_DMS: i64 = 365;
/// Tencent's documents of scheduled and delayed messages: 40 days.
const LONGEST_TDMQ: i64 = 40;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
    }

    fn text(schedule: Schedule, dialect: Dialect) -> String {
        let mut text = String::new();
        let plan = Plan::new(schedule, dialect, now()).unwrap();
        plan.append(&mut text);
        text.replace('\u{1}', "=").replace('\u{2}', ";")
    }

    #[test]
    fn each_dialect_has_its_words() {
        let at = Schedule::At(now() + Duration::from_micros(2500));
        let after = Schedule::After(Duration::from_micros(2500));
        let level = Schedule::Level(3);
        for (dialect, of_at, of_after) in [
            (
                Dialect::Auto,
                "TIMER_DELIVER_MS=1000000003;__STARTDELIVERTIME=1000000003;",
                "TIMER_DELAY_MS=3;__STARTDELIVERTIME=1000000003;",
            ),
            (
                Dialect::Apache5,
                "TIMER_DELIVER_MS=1000000003;",
                "TIMER_DELAY_MS=3;",
            ),
            (
                Dialect::HuaweiDms,
                "__STARTDELIVERTIME=1000000003;",
                "__STARTDELIVERTIME=1000000003;",
            ),
            (
                Dialect::Tdmq,
                "__STARTDELIVERTIME=1000000003;",
                "__STARTDELIVERTIME=1000000003;",
            ),
        ] {
            assert_eq!(text(at, dialect), of_at, "{dialect}");
            assert_eq!(text(after, dialect), of_after, "{dialect}");
            assert_eq!(text(level, dialect), "DELAY=3;", "{dialect}");
        }
        assert_eq!(text(level, Dialect::Apache4), "DELAY=3;");
        for exact in [at, after] {
            let error = Plan::new(exact, Dialect::Apache4, now()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert_eq!(error.outcome(), mq_core::Outcome::NotSent);
        }
    }

    #[test]
    fn what_is_past_is_known_and_what_is_too_far_is_refused() {
        let plan = |schedule, dialect| Plan::new(schedule, dialect, now());
        let day = Duration::from_secs(24 * 3600);
        assert!(plan(Schedule::At(now()), Dialect::Auto).unwrap().is_past);
        let soon = Schedule::At(now() + Duration::from_millis(1));
        assert!(!plan(soon, Dialect::Auto).unwrap().is_past);
        for (dialect, days) in [(Dialect::HuaweiDms, 365), (Dialect::Tdmq, 40)] {
            let last = Schedule::At(now() + day * days);
            assert!(plan(last, dialect).is_ok(), "{dialect}");
            let beyond = Schedule::After(day * days + Duration::from_millis(1));
            let error = plan(beyond, dialect).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{dialect}");
        }
        // There the broker knows its own limit.
        assert!(plan(Schedule::After(day * 400), Dialect::Auto).is_ok());
        let error = plan(Schedule::After(Duration::MAX), Dialect::Auto).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
