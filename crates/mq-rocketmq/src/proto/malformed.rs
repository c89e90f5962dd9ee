//! What every decoder answers when bytes can't be what they claim to be.

use std::borrow::Cow;

/// Bytes that break the protocol, with the field that broke it.
///
/// The connection they came from can't be trusted any longer: frames have no resynchronisation mark.
/// Never holds content from the wire, only names, sizes and codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {field} at byte {offset}: {reason}")]
pub struct Malformed {
    /// The field, by its name in the protocol.
    pub field: &'static str,
    /// Where it begins, counted from the first byte of what was decoded; 0 for a field inside JSON or of the ext fields.
    pub offset: usize,
    /// What is wrong with it.
    pub reason: Cow<'static, str>,
}

impl Malformed {
    /// A field that begins at `offset` and is wrong for `reason`.
    pub fn new(field: &'static str, offset: usize, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field,
            offset,
            reason: reason.into(),
        }
    }

    pub(crate) fn missing(field: &'static str) -> Self {
        Self::new(field, 0, "required, but absent")
    }

    /// serde's messages quote the offending text, so only place and kind are kept.
    pub(crate) fn json(field: &'static str, error: &serde_json::Error) -> Self {
        let kind = match error.classify() {
            serde_json::error::Category::Data => "JSON of another shape than expected",
            serde_json::error::Category::Eof => "JSON ends too early",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "not JSON",
        };
        Self::new(
            field,
            0,
            format!("{kind} (line {}, column {})", error.line(), error.column()),
        )
    }
}
