//! Ext fields: the string map of a header, and how typed commands are written to it and read from it.

use std::{fmt, str::FromStr, sync::Arc};

use compact_str::CompactString;

use super::Malformed;

/// Takes the ext fields of a command, one by one, in the command's order.
pub trait FieldSink {
    /// A field with a text value.
    fn text(&mut self, key: &str, value: &str);

    /// A field with a number, written in decimal without allocating.
    fn int(&mut self, key: &str, value: i64) {
        self.text(key, decimal(&mut [0; DECIMAL], value));
    }

    /// A field with `true` or `false`.
    fn flag(&mut self, key: &str, value: bool) {
        self.text(key, if value { "true" } else { "false" });
    }
}

/// Something that can write itself as ext fields.
pub trait Fields {
    /// Hands every field that is present to `sink`. Two calls write the same fields in the same order,
    /// so that a signature made from the first holds for the second.
    fn fields(&self, sink: &mut dyn FieldSink);
}

/// No ext fields at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoFields;

impl Fields for NoFields {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

/// The ext fields of a decoded header, in the order they arrived in.
///
/// Of two fields with one key the later counts, as in a Java map. Most keys and values are short, and take no memory of their own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExtFields(Vec<(CompactString, CompactString)>);

impl ExtFields {
    /// No fields.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No fields yet, and room for as many as most headers have.
    pub(super) fn with_room() -> Self {
        Self(Vec::with_capacity(8))
    }

    /// Adds a field at the end.
    pub fn push(&mut self, key: impl Into<CompactString>, value: impl Into<CompactString>) {
        self.0.push((key.into(), value.into()));
    }

    /// The value of `key`, if present.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`Malformed`] if it is absent.
    pub fn required_text(&self, key: &'static str) -> Result<&str, Malformed> {
        self.text(key).ok_or_else(|| Malformed::missing(key))
    }

    /// The value of `key` as a number, if present and not empty.
    ///
    /// # Errors
    /// [`Malformed`] if it is not a decimal number that fits.
    pub fn int<T: FromStr>(&self, key: &'static str) -> Result<Option<T>, Malformed> {
        // apache/rocketmq: RocketMQSerializable reads an empty string as null.
        let Some(value) = self.text(key).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        value
            .parse()
            .map(Some)
            .map_err(|_| Malformed::new(key, 0, "not a number of the expected range"))
    }

    /// The value of `key` as a number.
    ///
    /// # Errors
    /// [`Malformed`] if it is absent or not a decimal number that fits.
    pub fn required_int<T: FromStr>(&self, key: &'static str) -> Result<T, Malformed> {
        self.int(key)?.ok_or_else(|| Malformed::missing(key))
    }

    /// The value of `key` as Java reads a boolean: `true` in any case is true, anything else false.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.text(key)
            .map(|value| value.eq_ignore_ascii_case("true"))
    }

    /// All fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FieldSink for ExtFields {
    fn text(&mut self, key: &str, value: &str) {
        self.push(key, value);
    }
}

impl Fields for ExtFields {
    fn fields(&self, sink: &mut dyn FieldSink) {
        for (key, value) in self.iter() {
            sink.text(key, value);
        }
    }
}

impl<K: Into<CompactString>, V: Into<CompactString>> FromIterator<(K, V)> for ExtFields {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        Self(
            iter.into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

/// Shows fields as a map; what proves an identity is not shown.
impl fmt::Debug for ExtFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |key: &str| !matches!(key, "Signature" | "SecurityToken" | "AccessKey");
        f.debug_map()
            .entries(
                self.iter()
                    .map(|(key, value)| (key, if shown(key) { value } else { "…" })),
            )
            .finish()
    }
}

/// A type that one ext field can hold. `Option` makes the field optional.
pub trait Field: Sized {
    /// Hands the field to `sink`; an absent optional one is left out.
    fn write(&self, key: &'static str, sink: &mut dyn FieldSink);

    /// Reads the field.
    ///
    /// # Errors
    /// [`Malformed`] if it is required and absent, or not of this type.
    fn read(ext: &ExtFields, key: &'static str) -> Result<Self, Malformed>;
}

macro_rules! field {
    ($type:ty, |$value:ident, $sink:ident, $key:ident| $write:expr, |$ext:ident| $read:expr) => {
        impl Field for $type {
            fn write(&self, $key: &'static str, $sink: &mut dyn FieldSink) {
                let $value = self;
                $write;
            }

            fn read(ext: &ExtFields, key: &'static str) -> Result<Self, Malformed> {
                Option::<Self>::read(ext, key)?.ok_or_else(|| Malformed::missing(key))
            }
        }

        impl Field for Option<$type> {
            fn write(&self, key: &'static str, sink: &mut dyn FieldSink) {
                if let Some(value) = self {
                    value.write(key, sink);
                }
            }

            fn read($ext: &ExtFields, $key: &'static str) -> Result<Self, Malformed> {
                $read
            }
        }
    };
}

field!(String, |value, sink, key| sink.text(key, value), |ext| Ok(
    ext.text(key).map(Into::into)
));
field!(
    Arc<str>,
    |value, sink, key| sink.text(key, value),
    |ext| Ok(ext.text(key).map(Into::into))
);
field!(bool, |value, sink, key| sink.flag(key, *value), |ext| Ok(
    ext.flag(key)
));
field!(
    i32,
    |value, sink, key| sink.int(key, i64::from(*value)),
    |ext| ext.int(key)
);
field!(i64, |value, sink, key| sink.int(key, *value), |ext| ext
    .int(key));

/// The longest decimal an `i64` can need: a sign and 19 digits.
pub(crate) const DECIMAL: usize = 20;

/// Writes `value` in decimal at the end of `buf`.
pub(crate) fn decimal(buf: &mut [u8; DECIMAL], value: i64) -> &str {
    let mut rest = value.unsigned_abs();
    let mut start = DECIMAL;
    for slot in buf.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        start -= 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        start = start.saturating_sub(1);
        if let Some(sign) = buf.get_mut(start) {
            *sign = b'-';
        }
    }
    buf.get(start..)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for value in [
            0,
            7,
            -1,
            10,
            1_234_567_890,
            i64::MAX,
            i64::MIN,
            i64::from(i32::MIN),
        ] {
            assert_eq!(decimal(&mut [0; DECIMAL], value), value.to_string());
        }
    }

    #[test]
    fn last_duplicate_counts() {
        let ext: ExtFields = [("a", "1"), ("b", "x"), ("a", "2")].into_iter().collect();
        assert_eq!(ext.int::<i32>("a"), Ok(Some(2)));
        assert_eq!(ext.int::<i32>("c"), Ok(None));
        assert_eq!(ext.int::<i32>("b").unwrap_err().field, "b");
        assert!(ext.required_int::<i32>("c").is_err());
    }

    #[test]
    fn debug_hides_proof_of_identity() {
        let ext: ExtFields = [("Signature", "s3cret"), ("topic", "t")]
            .into_iter()
            .collect();
        let shown = format!("{ext:?}");
        assert!(
            !shown.contains("s3cret") && shown.contains("topic"),
            "{shown}"
        );
    }
}
