//! What a request may hold, checked before it is sent: a refusal names field, value and bound.

use std::fmt;
use std::ops::RangeInclusive;

use super::ControlCode;
use crate::proto::limits;

/// Why a request would be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field's name on the wire.
    pub field: &'static str,
    /// The service's code for it.
    pub code: ControlCode,
    /// What is wrong: field, value and bound, in one line.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Refusal {
    /// A value that can't be.
    pub fn value(field: &'static str, why: impl fmt::Display) -> Self {
        Self {
            field,
            code: ControlCode::INVALID_PARAMETER_VALUE,
            message: format!("{field} {why}"),
        }
    }

    /// A value that has to be given.
    pub fn missing(field: &'static str, why: impl fmt::Display) -> Self {
        Self {
            field,
            code: ControlCode::MISSING_PARAMETER,
            message: format!("{field} is missing: {why}"),
        }
    }
}

/// Checks the name of a queue, topic or subscription.
///
/// # Errors
///
/// Not a letter and then letters, digits, `-` and `_`, up to 64 of them.
pub fn name(field: &'static str, name: &str) -> Result<(), Refusal> {
    limits::queue_name(name).map_err(|_| {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let length = name.chars().count();
        let why = format!(
            "\"{shown}\" ({length} characters) is not a letter and then letters, digits, - and _, up to 64 in all"
        );
        Refusal::value(field, why)
    })
}

/// Checks a number that may be given.
///
/// # Errors
///
/// It is out of its range.
pub fn within(
    field: &'static str,
    value: Option<u64>,
    range: RangeInclusive<u64>,
    unit: &str,
) -> Result<(), Refusal> {
    match value {
        Some(value) if !range.contains(&value) => {
            let blank = if unit.is_empty() { "" } else { " " };
            let (least, most) = (range.start(), range.end());
            let why = format!("is {value}{blank}{unit}, expected {least} to {most}{blank}{unit}");
            Err(Refusal::value(field, why))
        }
        _ => Ok(()),
    }
}

/// Checks tags: their number, and how long each is.
///
/// # Errors
///
/// More than 5, one that is empty, or one that has more than `longest` characters.
pub fn tags(field: &'static str, tags: &[String], longest: usize) -> Result<(), Refusal> {
    at_most_five(field, tags)?;
    for (at, tag) in tags.iter().enumerate() {
        let length = tag.chars().count();
        if length == 0 || length > longest {
            let why = format!("{at} has {length} characters, expected 1 to {longest}");
            return Err(Refusal::value(field, why));
        }
    }
    Ok(())
}

/// Checks binding keys.
///
/// # Errors
///
/// More than 5, one that is empty, or has more than 64 bytes or 15 dots.
pub fn keys(field: &'static str, keys: &[String]) -> Result<(), Refusal> {
    at_most_five(field, keys)?;
    for (at, key) in keys.iter().enumerate() {
        let (bytes, dots) = (key.len(), key.matches('.').count());
        if bytes == 0 || bytes > 64 {
            let why = format!("{at} has {bytes} bytes, expected 1 to 64");
            return Err(Refusal::value(field, why));
        }
        if dots > 15 {
            let why = format!("{at} has {dots} dots, expected up to 15");
            return Err(Refusal::value(field, why));
        }
    }
    Ok(())
}

/// Checks a message's body.
///
/// # Errors
///
/// It is empty, or has more than 1 MiB.
pub fn body(field: &'static str, body: &str) -> Result<(), Refusal> {
    let bytes = body.len();
    if (1..=limits::MAX_BODY).contains(&bytes) {
        return Ok(());
    }
    let why = format!("has {bytes} bytes, expected 1 to {}", limits::MAX_BODY);
    Err(Refusal::value(field, why))
}

/// Checks where a subscription delivers to, and how a message looks there.
///
/// # Errors
///
/// A protocol that is neither `queue` nor `http`; no queue's name, or no URL; a queue with another format than `SIMPLIFIED`.
pub fn target(protocol: &str, endpoint: &str, format: Option<&str>) -> Result<(), Refusal> {
    match protocol {
        "queue" => {
            name("Endpoint", endpoint)?;
            if format != Some("SIMPLIFIED") {
                let given = format.unwrap_or("not given");
                let why = format!("is {given}, expected SIMPLIFIED for a queue");
                return Err(Refusal::value("NotifyContentFormat", why));
            }
            Ok(())
        }
        "http" => limits::push_url(endpoint).map_err(|refusal| {
            // Not repeated: a URL may carry a password.
            Refusal::value(
                "Endpoint",
                format!("is not a URL to push to: {}", refusal.message),
            )
        }),
        _ => Err(Refusal::value("Protocol", "is neither queue nor http")),
    }
}

fn at_most_five(field: &'static str, of: &[String]) -> Result<(), Refusal> {
    let (count, most) = (of.len(), limits::MAX_TAGS);
    if count <= most {
        return Ok(());
    }
    let why = format!("has {count} entries, expected up to {most}");
    Err(Refusal::value(field, why))
}
