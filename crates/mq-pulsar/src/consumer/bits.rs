//! Which messages of an entry: a bit each, as acknowledgement sets have them.

/// A set of indexes below a size. Up to 64 of them take no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bits {
    Few(u64),
    Many(Box<[u64]>),
}

impl Bits {
    /// None of so many.
    pub(super) fn none(size: u32) -> Self {
        match words(size) {
            0 | 1 => Self::Few(0),
            many => Self::Many(vec![0; many].into()),
        }
    }

    /// All of so many.
    pub(super) fn all(size: u32) -> Self {
        let mut all = Self::none(size);
        let mut left = size;
        for word in all.words_mut() {
            *word = u64::MAX
                .checked_shr(64_u32.saturating_sub(left))
                .unwrap_or_default();
            left = left.saturating_sub(64);
        }
        all
    }

    /// Those of so many that an acknowledgement set names; an empty set names all.
    pub(super) fn of_ack_set(size: u32, set: &[i64]) -> Self {
        let mut named = Self::all(size);
        if set.is_empty() {
            return named;
        }
        // Java leaves out the words at the end in which nothing is set.
        let theirs = set.iter().copied().chain(std::iter::repeat(0));
        for (word, theirs) in named.words_mut().iter_mut().zip(theirs) {
            *word &= theirs.cast_unsigned();
        }
        named
    }

    /// As an acknowledgement set, without the words at the end in which nothing is set.
    // apache/pulsar: BitSetRecyclable.toLongArray
    pub(super) fn to_ack_set(&self) -> Vec<i64> {
        let words = self.words();
        let used = words.iter().rposition(|word| *word != 0);
        let used = used.map_or(0, |last| last + 1);
        words
            .iter()
            .take(used)
            .map(|word| word.cast_signed())
            .collect()
    }

    pub(super) fn has(&self, index: u32) -> bool {
        let word = self.words().get(index as usize / 64);
        word.is_some_and(|word| word & bit(index) != 0)
    }

    pub(super) fn set(&mut self, index: u32) {
        if let Some(word) = self.words_mut().get_mut(index as usize / 64) {
            *word |= bit(index);
        }
    }

    /// Takes one out; says whether it was in.
    pub(super) fn take(&mut self, index: u32) -> bool {
        let had = self.has(index);
        if let Some(word) = self.words_mut().get_mut(index as usize / 64) {
            *word &= !bit(index);
        }
        had
    }

    pub(super) fn clear(&mut self) {
        self.words_mut().fill(0);
    }

    /// Takes out what the other one has.
    pub(super) fn remove(&mut self, other: &Self) {
        for (word, other) in self.words_mut().iter_mut().zip(other.words()) {
            *word &= !other;
        }
    }

    /// Keeps what the other one has too.
    pub(super) fn keep(&mut self, other: &Self) {
        for (word, other) in self.words_mut().iter_mut().zip(other.words()) {
            *word &= other;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (word, other) in self.words_mut().iter_mut().zip(other.words()) {
            *word |= other;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words().iter().all(|word| *word == 0)
    }

    pub(super) fn count(&self) -> u32 {
        self.words().iter().map(|word| word.count_ones()).sum()
    }

    fn words(&self) -> &[u64] {
        match self {
            Self::Few(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Few(word) => std::slice::from_mut(word),
            Self::Many(words) => words,
        }
    }
}

const fn bit(index: u32) -> u64 {
    1 << (index % 64)
}

const fn words(size: u32) -> usize {
    size.div_ceil(64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_as_java_writes_them() {
        for (size, taken, set) in [
            (1, vec![], vec![1]),
            (10, vec![0], vec![0b11_1111_1110]),
            (10, vec![0, 9], vec![0b1_1111_1110]),
            (64, vec![], vec![-1]),
            (65, vec![], vec![-1, 1]),
            // BitSet.toLongArray: the last word is left out where it is empty.
            (65, vec![64], vec![-1]),
            (130, vec![128, 129], vec![-1, -1]),
            (3, vec![0, 1, 2], vec![]),
        ] {
            let mut bits = Bits::all(size);
            for index in taken {
                assert!(bits.take(index));
                assert!(!bits.take(index));
            }
            assert_eq!(bits.to_ack_set(), set, "of {size}");
            if !set.is_empty() {
                assert_eq!(Bits::of_ack_set(size, &set), bits);
            }
        }
    }

    #[test]
    fn a_set_of_another_size_names_nothing_beyond() {
        assert_eq!(Bits::of_ack_set(3, &[-1, -1]).count(), 3);
        assert_eq!(Bits::of_ack_set(100, &[1]).count(), 1);
        assert_eq!(Bits::of_ack_set(100, &[]).count(), 100);
        let mut few = Bits::none(3);
        few.set(200);
        assert!(few.is_empty() && !few.has(200));
    }
}
