//! What a request may hold, checked before it is sent; each refusal carries the code with which the service would answer.
//!
//! Limits that the service sets a queue (its message size, how long it keeps messages) are left to the service.

use std::time::Duration;

use super::ErrorCode;

/// Why a request would be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The service's code for it.
    pub code: ErrorCode,
    /// What is wrong, in one line.
    pub message: String,
}

impl Refusal {
    /// A refusal by `code`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Checks the name of a queue.
///
/// # Errors
///
/// [`ErrorCode::QUEUE_NAME_FORMAT`].
pub fn queue_name(name: &str) -> Result<(), Refusal> {
    well_formed(name, "queue", ErrorCode::QUEUE_NAME_FORMAT)
}

/// Checks the name of a topic.
///
/// # Errors
///
/// [`ErrorCode::TOPIC_NAME_FORMAT`].
pub fn topic_name(name: &str) -> Result<(), Refusal> {
    well_formed(name, "topic", ErrorCode::TOPIC_NAME_FORMAT)
}

/// Checks the name of a subscription.
///
/// # Errors
///
/// [`ErrorCode::SUBSCRIPTION_NAME_FORMAT`].
pub fn subscription_name(name: &str) -> Result<(), Refusal> {
    well_formed(name, "subscription", ErrorCode::SUBSCRIPTION_NAME_FORMAT)
}

fn well_formed(name: &str, what: &str, code: ErrorCode) -> Result<(), Refusal> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if begins && name.len() <= MAX_NAME && name.chars().all(known) {
        return Ok(());
    }
    let shown: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME)
        .collect();
    let message = format!("\"{shown}\" is not a {what} name");
    Err(Refusal::new(code, message))
}

/// Checks a body: at least one byte, at most `max`.
///
/// # Errors
///
/// [`ErrorCode::EMPTY_BODY`], [`ErrorCode::BODY_TOO_LARGE`].
pub fn body(body: &str, max: usize) -> Result<(), Refusal> {
    if body.is_empty() {
        return Err(Refusal::new(ErrorCode::EMPTY_BODY, "the body is empty"));
    }
    if body.len() > max {
        let message = format!("the body has {} bytes, over {max}", body.len());
        return Err(Refusal::new(ErrorCode::BODY_TOO_LARGE, message));
    }
    Ok(())
}

/// A delay in whole seconds, rounded up: a message never comes early.
///
/// # Errors
///
/// [`ErrorCode::DELAY_OUT_OF_RANGE`] for more seconds than the wire has room for; how long a queue takes is for the service to say.
pub fn delay_seconds(delay: Duration) -> Result<u32, Refusal> {
    let over = || {
        let message = format!("a delay of {} s is out of range", delay.as_secs());
        Refusal::new(ErrorCode::DELAY_OUT_OF_RANGE, message)
    };
    seconds_up(delay).ok_or_else(over)
}

/// How long a receive waits, in whole seconds, rounded up.
///
/// # Errors
///
/// [`ErrorCode::OUT_OF_RANGE`] over 30 seconds.
pub fn wait_seconds(wait: Duration) -> Result<u32, Refusal> {
    let seconds = seconds_up(wait).filter(|seconds| *seconds <= MAX_WAIT_SECONDS);
    seconds.ok_or_else(|| {
        let message = format!("a receive can't wait for more than {MAX_WAIT_SECONDS} s");
        Refusal::new(ErrorCode::OUT_OF_RANGE, message)
    })
}

/// A visibility timeout, in whole seconds, rounded up.
///
/// # Errors
///
/// [`ErrorCode::OUT_OF_RANGE`] for less than 1 second or more than 12 hours.
pub fn visibility_seconds(timeout: Duration) -> Result<u32, Refusal> {
    within(timeout, "a visibility timeout", 1..=MAX_VISIBILITY_SECONDS)
}

/// A time in whole seconds, rounded up, that has to lie in a range.
fn within(
    time: Duration,
    what: &str,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32, Refusal> {
    let seconds = seconds_up(time).filter(|seconds| range.contains(seconds));
    seconds.ok_or_else(|| {
        let message = format!("{what} is {} to {} s", range.start(), range.end());
        Refusal::new(ErrorCode::OUT_OF_RANGE, message)
    })
}

fn seconds_up(duration: Duration) -> Option<u32> {
    let more = u64::from(duration.subsec_nanos() > 0);
    u32::try_from(duration.as_secs().checked_add(more)?).ok()
}

/// Checks how many messages are asked for.
///
/// # Errors
///
/// [`ErrorCode::BATCH_SIZE`] for none, or more than 16.
pub fn batch_count(count: usize) -> Result<(), Refusal> {
    if (1..=MAX_BATCH).contains(&count) {
        return Ok(());
    }
    let message = format!("{count} messages at a time, expected 1 to {MAX_BATCH}");
    Err(Refusal::new(ErrorCode::BATCH_SIZE, message))
}

/// Checks a message's tags.
///
/// # Errors
///
/// [`ErrorCode::TOO_MANY_TAGS`], or [`ErrorCode::OUT_OF_RANGE`] for a tag that is empty or longer than 16 characters.
pub fn tags(tags: &[impl AsRef<str>]) -> Result<(), Refusal> {
    if tags.len() > MAX_TAGS {
        let message = format!("{} tags, over {MAX_TAGS}", tags.len());
        return Err(Refusal::new(ErrorCode::TOO_MANY_TAGS, message));
    }
    let bad = |tag: &str| tag.is_empty() || tag.chars().count() > MAX_TAG;
    if tags.iter().any(|tag| bad(tag.as_ref())) {
        let message = format!("a tag has 1 to {MAX_TAG} characters");
        return Err(Refusal::new(ErrorCode::OUT_OF_RANGE, message));
    }
    Ok(())
}

/// Checks a routing or binding key.
///
/// # Errors
///
/// [`ErrorCode::OUT_OF_RANGE`] over 64 bytes, [`ErrorCode::TOO_MANY_DOTS`] over 15 dots.
pub fn routing_key(key: &str) -> Result<(), Refusal> {
    if key.len() > MAX_KEY {
        let message = format!("the key has {} bytes, over {MAX_KEY}", key.len());
        return Err(Refusal::new(ErrorCode::OUT_OF_RANGE, message));
    }
    if key.matches('.').count() > MAX_DOTS {
        let message = format!("the key has more than {MAX_DOTS} dots");
        return Err(Refusal::new(ErrorCode::TOO_MANY_DOTS, message));
    }
    Ok(())
}

/// Items in one request.
pub const MAX_BATCH: usize = 16;
/// The longest long poll.
pub const MAX_WAIT_SECONDS: u32 = 30;
/// The largest body that any queue or topic of the service takes, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;

/// The longest visibility timeout.
pub const MAX_VISIBILITY_SECONDS: u32 = 12 * 3600;

const MAX_NAME: usize = 64;
/// Tags of a message, and filter tags or binding keys of a subscription.
pub const MAX_TAGS: usize = 5;
const MAX_TAG: usize = 16;
const MAX_KEY: usize = 64;
const MAX_DOTS: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> ErrorCode {
        result.unwrap_err().code
    }

    #[test]
    fn names() {
        let long = "a".repeat(65);
        for bad in ["", "1a", "-a", "a b", "a.b", "队列", "a\n", long.as_str()] {
            assert_eq!(code(queue_name(bad)), ErrorCode::QUEUE_NAME_FORMAT, "{bad}");
            assert_eq!(code(topic_name(bad)), ErrorCode::TOPIC_NAME_FORMAT, "{bad}");
            assert_eq!(
                code(subscription_name(bad)),
                ErrorCode::SUBSCRIPTION_NAME_FORMAT,
                "{bad}"
            );
        }
        for good in ["a", "A-1_b", &long[..64]] {
            assert_eq!(queue_name(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn bodies() {
        assert_eq!(code(body("", 4)), ErrorCode::EMPTY_BODY);
        assert_eq!(code(body("中文", 5)), ErrorCode::BODY_TOO_LARGE);
        assert_eq!(body("中文", 6), Ok(()));
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (millis, seconds) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
            let delay = Duration::from_millis(millis);
            assert_eq!(delay_seconds(delay), Ok(seconds));
            assert_eq!(wait_seconds(delay), Ok(seconds));
        }
        let longest = Duration::from_secs(u64::from(u32::MAX));
        assert_eq!(delay_seconds(longest), Ok(u32::MAX));
        assert_eq!(
            code(delay_seconds(Duration::MAX)),
            ErrorCode::DELAY_OUT_OF_RANGE
        );
        assert_eq!(wait_seconds(Duration::from_secs(30)), Ok(30));
        let over = Duration::from_millis(30_001);
        assert_eq!(code(wait_seconds(over)), ErrorCode::OUT_OF_RANGE);
    }

    #[test]
    fn counts_tags_and_keys() {
        for bad in [0, 17] {
            assert_eq!(code(batch_count(bad)), ErrorCode::BATCH_SIZE);
        }
        assert_eq!(batch_count(16), Ok(()));
        let many = |count: usize, tag: &str| vec![tag.to_owned(); count];
        assert_eq!(tags(&many(5, "一二三四五六七八九十一二三四五六")), Ok(()));
        assert_eq!(code(tags(&many(6, "a"))), ErrorCode::TOO_MANY_TAGS);
        assert_eq!(code(tags(&many(1, ""))), ErrorCode::OUT_OF_RANGE);
        assert_eq!(
            code(tags(&many(1, &"a".repeat(17)))),
            ErrorCode::OUT_OF_RANGE
        );
        assert_eq!(routing_key(&"a.".repeat(15)), Ok(()));
        assert_eq!(code(routing_key(&".".repeat(16))), ErrorCode::TOO_MANY_DOTS);
        assert_eq!(code(routing_key(&"a".repeat(65))), ErrorCode::OUT_OF_RANGE);
    }
}
