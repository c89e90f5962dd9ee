//! What every decoder answers when bytes can't be what they claim to be.

use std::borrow::Cow;

/// Bytes that break the protocol, with the field that broke it.
///
/// The connection they came from can't be trusted any longer. Never holds content from the wire, only names, sizes and codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {field}: {reason}")]
pub struct Malformed {
    /// The field, by its name in the protocol.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: Cow<'static, str>,
}

impl Malformed {
    /// A field that is wrong for `reason`.
    pub fn new(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }
}
