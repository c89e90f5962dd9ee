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
/// [`ErrorCode::DELAY_OUT_OF_RANGE`] for as long as the queue keeps messages and longer, where that is known (else it is for the service to say), or
/// more seconds than the wire has room for.
pub fn delay_seconds(delay: Duration, kept: Option<Duration>) -> Result<u32, Refusal> {
    let over = || {
        let message = format!("a delay of {} s is out of range", delay.as_secs());
        Refusal::new(ErrorCode::DELAY_OUT_OF_RANGE, message)
    };
    let seconds = seconds_up(delay).ok_or_else(over)?;
    // A message is kept from when it was sent: it would go in the moment in which it is visible.
    if let Some(kept) =
        kept.filter(|kept| seconds > 0 && Duration::from_secs(seconds.into()) >= *kept)
    {
        let kept = kept.as_secs();
        let message = format!("a delay of {seconds} s in a queue that keeps messages for {kept} s");
        return Err(Refusal::new(ErrorCode::DELAY_OUT_OF_RANGE, message));
    }
    Ok(seconds)
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

/// How long messages are kept, in whole seconds, rounded up. The older service takes 60 seconds and more, the current one 30 seconds to
/// 12 hours: what of that holds is for the service to say.
///
/// # Errors
///
/// [`ErrorCode::OUT_OF_RANGE`] for less than 30 seconds or more than 15 days.
pub fn retention_seconds(time: Duration) -> Result<u32, Refusal> {
    within(time, "a retention", 30..=MAX_RETENTION_SECONDS)
}

/// For how long deleted messages can be had again, in whole seconds, rounded up.
///
/// # Errors
///
/// [`ErrorCode::REWIND_OVER_RETENTION`] for more than messages are kept, where that is given; [`ErrorCode::OUT_OF_RANGE`] for more than 15 days.
pub fn rewind_seconds(time: Duration, retention: Option<Duration>) -> Result<u32, Refusal> {
    if retention.is_some_and(|kept| time > kept) {
        let message = "the rewind time is longer than messages are kept";
        return Err(Refusal::new(ErrorCode::REWIND_OVER_RETENTION, message));
    }
    within(time, "a rewind time", 0..=MAX_RETENTION_SECONDS)
}

/// Checks after how many receives a message is a dead letter.
///
/// # Errors
///
/// [`ErrorCode::OUT_OF_RANGE`] for 0, or more than 1000.
pub fn dead_letter_receives(count: u32) -> Result<(), Refusal> {
    if (1..=1000).contains(&count) {
        return Ok(());
    }
    let message = "a message is a dead letter after 1 to 1000 receives";
    Err(Refusal::new(ErrorCode::OUT_OF_RANGE, message))
}

/// The age of a dead letter, in whole seconds, rounded up.
///
/// # Errors
///
/// [`ErrorCode::OUT_OF_RANGE`] for less than 300 seconds, more than 12 hours, or not less than messages are kept, where that is given.
pub fn dead_letter_seconds(age: Duration, retention: Option<Duration>) -> Result<u32, Refusal> {
    if retention.is_some_and(|kept| age >= kept) {
        let message = "a message has to be a dead letter before it is too old to be kept";
        return Err(Refusal::new(ErrorCode::OUT_OF_RANGE, message));
    }
    within(
        age,
        "the age of a dead letter",
        300..=MAX_VISIBILITY_SECONDS,
    )
}

/// Checks the size of the largest body.
///
/// # Errors
///
/// [`ErrorCode::OUT_OF_RANGE`] for less than 1 KiB, or more than 1 MiB.
pub fn max_body(bytes: usize) -> Result<u64, Refusal> {
    if (1024..=MAX_BODY).contains(&bytes) {
        return Ok(bytes as u64);
    }
    let message = format!("the largest body is 1024 to {MAX_BODY} bytes");
    Err(Refusal::new(ErrorCode::OUT_OF_RANGE, message))
}

/// Checks the tags of a subscription.
///
/// # Errors
///
/// [`ErrorCode::TOO_MANY_FILTER_TAGS`], or as for [`tags`].
pub fn filter_tags(all: &[String]) -> Result<(), Refusal> {
    tags(all).map_err(|refusal| match refusal.code {
        ErrorCode::TOO_MANY_TAGS => Refusal::new(ErrorCode::TOO_MANY_FILTER_TAGS, refusal.message),
        _ => refusal,
    })
}

/// Checks the binding keys of a subscription.
///
/// # Errors
///
/// [`ErrorCode::TOO_MANY_BINDING_KEYS`] for more than 5, or as for [`routing_key`].
pub fn binding_keys(keys: &[String]) -> Result<(), Refusal> {
    if keys.len() > MAX_TAGS {
        let message = format!("{} binding keys, over {MAX_TAGS}", keys.len());
        return Err(Refusal::new(ErrorCode::TOO_MANY_BINDING_KEYS, message));
    }
    keys.iter().try_for_each(|key| routing_key(key))
}

/// Checks a queue that a subscription delivers to.
///
/// # Errors
///
/// [`ErrorCode::ENDPOINT_FORMAT`] for what is no name, [`ErrorCode::QUEUE_NEEDS_SIMPLIFIED`].
pub fn queue_target(name: &str, json: bool) -> Result<(), Refusal> {
    queue_name(name)
        .map_err(|refusal| Refusal::new(ErrorCode::ENDPOINT_FORMAT, refusal.message))?;
    if json {
        let message = "a queue gets bodies alone, not JSON";
        return Err(Refusal::new(ErrorCode::QUEUE_NEEDS_SIMPLIFIED, message));
    }
    Ok(())
}

/// Checks a URL that a subscription delivers to.
///
/// # Errors
///
/// [`ErrorCode::URL_WITH_BLANKS`], or [`ErrorCode::ENDPOINT_FORMAT`] for one that does not begin with `http://` or `https://` and a host.
pub fn push_url(url: &str) -> Result<(), Refusal> {
    if url.contains(char::is_whitespace) {
        let message = "the URL has blanks";
        return Err(Refusal::new(ErrorCode::URL_WITH_BLANKS, message));
    }
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) {
        return Ok(());
    }
    let message = "the URL does not begin with http:// or https:// and a host";
    Err(Refusal::new(ErrorCode::ENDPOINT_FORMAT, message))
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

/// The longest time that any version of the service keeps messages.
pub const MAX_RETENTION_SECONDS: u32 = 15 * 24 * 3600;
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
            assert_eq!(delay_seconds(delay, None), Ok(seconds));
            assert_eq!(wait_seconds(delay), Ok(seconds));
        }
        let longest = Duration::from_secs(u64::from(u32::MAX));
        assert_eq!(delay_seconds(longest, None), Ok(u32::MAX));
        assert_eq!(
            code(delay_seconds(Duration::MAX, None)),
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
