//! How a `Key_Shared` subscription spreads its keys.

use std::ops::RangeInclusive;

use crate::error::{Result, invalid};
use crate::proto::api::{IntRange, KeySharedMeta, KeySharedMode};

/// Which keys a consumer of a key-shared subscription has.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyShared {
    /// Empty: the broker divides them.
    pub(super) ranges: Vec<RangeInclusive<u16>>,
    pub(super) out_of_order: bool,
}

impl KeyShared {
    /// # Errors
    ///
    /// Kind `Invalid`: a range is empty, or overlaps with another one.
    // apache/pulsar: KeySharedPolicySticky.validate
    pub(super) fn check(&self) -> Result<()> {
        let mut ranges: Vec<_> = self.ranges.iter().collect();
        ranges.sort_by_key(|range| *range.start());
        if ranges.iter().any(|range| range.is_empty()) {
            return Err(invalid("consumer", "a range of key hashes is empty"));
        }
        let pairs = ranges.iter().zip(ranges.iter().skip(1));
        if let Some((range, next)) = pairs
            .into_iter()
            .find(|(one, next)| one.end() >= next.start())
        {
            let message = format!("the ranges of key hashes {range:?} and {next:?} overlap");
            return Err(invalid("consumer", message));
        }
        Ok(())
    }

    pub(super) fn wire(&self) -> KeySharedMeta {
        let mode = if self.ranges.is_empty() {
            KeySharedMode::AutoSplit
        } else {
            KeySharedMode::Sticky
        };
        let ranges = self.ranges.iter().map(|range| IntRange {
            start: i32::from(*range.start()),
            end: i32::from(*range.end()),
        });
        KeySharedMeta {
            key_shared_mode: mode.into(),
            hash_ranges: ranges.collect(),
            allow_out_of_order_delivery: Some(self.out_of_order),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    fn ranges_are_neither_empty_nor_overlapping() {
        let of = |ranges: &[RangeInclusive<u16>]| KeyShared {
            ranges: ranges.to_vec(),
            out_of_order: false,
        };
        assert!(of(&[]).check().is_ok());
        assert!(of(&[2000..=65535, 0..=1000]).check().is_ok());
        assert!(of(&[1000..=2000, 0..=1000]).check().is_err());
        assert!(of(&[0..=9, 5..=4]).check().is_err());
        let meta = of(&[0..=1000, 2000..=65535]).wire();
        assert_eq!(meta.key_shared_mode(), KeySharedMode::Sticky);
        assert_eq!(
            meta.hash_ranges[1],
            IntRange {
                start: 2000,
                end: 65_535
            }
        );
        assert_eq!(of(&[]).wire().key_shared_mode(), KeySharedMode::AutoSplit);
    }
}
