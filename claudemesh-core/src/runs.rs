//! Sets of sequence numbers, kept as runs.
//!
//! Sequence numbers count up from 1 with few holes, so a set of millions is a handful of (first, last) pairs. The number of
//! runs is bounded: whoever scatters numbers on purpose is refused instead of fed memory.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

use crate::codec::definite;

/// The most runs a set holds.
pub const MAX_RUNS: usize = 4096;

/// A number cannot be put into the set. The set is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// Zero and `u64::MAX` are no sequence numbers.
    #[error("not a sequence number")]
    OutOfRange,
    /// It would make one run more than [`MAX_RUNS`].
    #[error("too many gaps between sequence numbers")]
    TooManyRuns,
}

/// A set of sequence numbers from 1 to `u64::MAX - 1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Inclusive, ascending; between two neighbours at least one number is missing.
    runs: Vec<(u64, u64)>,
}

impl Runs {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: Vec::new() }
    }

    /// Adds `seq`; `false` when it is in the set already.
    ///
    /// # Errors
    /// [`InsertError`] when the number is none, or the set would fall into too many runs.
    pub fn insert(&mut self, seq: u64) -> Result<bool, InsertError> {
        if seq == 0 || seq == u64::MAX {
            return Err(InsertError::OutOfRange);
        }
        let at = self.position(seq);
        if self.runs.get(at).is_some_and(|&(first, _)| first <= seq) {
            return Ok(false);
        }
        let joins_before = at > 0 && self.runs[at - 1].1 + 1 == seq;
        let joins_after = self.runs.get(at).is_some_and(|&(first, _)| seq + 1 == first);
        match (joins_before, joins_after) {
            (true, true) => {
                self.runs[at - 1].1 = self.runs[at].1;
                self.runs.remove(at);
            }
            (true, false) => self.runs[at - 1].1 = seq,
            (false, true) => self.runs[at].0 = seq,
            (false, false) if self.runs.len() == MAX_RUNS => return Err(InsertError::TooManyRuns),
            (false, false) => self.runs.insert(at, (seq, seq)),
        }
        Ok(true)
    }

    /// Whether `seq` is in the set.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        self.runs.get(self.position(seq)).is_some_and(|&(first, _)| first <= seq)
    }

    /// The index of the first run that ends at or after `seq`.
    fn position(&self, seq: u64) -> usize {
        self.runs.partition_point(|&(_, last)| last < seq)
    }

    /// The lowest number that is not in the set.
    #[must_use]
    pub fn lowest_missing(&self) -> u64 {
        match self.runs.first() {
            Some(&(1, last)) => last + 1,
            _ => 1,
        }
    }

    /// The highest number in the set.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        self.runs.last().map(|&(_, last)| last)
    }

    /// The missing ranges below the highest number, ascending.
    pub fn gaps(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        let ends = core::iter::once(0).chain(self.runs.iter().map(|&(_, last)| last));
        ends.zip(&self.runs).map(|(end, &(first, _))| end + 1..=first - 1).filter(|gap| !gap.is_empty())
    }

    /// The runs of the set, ascending.
    pub fn runs(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        self.runs.iter().map(|&(first, last)| first..=last)
    }

    /// The number of runs.
    #[must_use]
    pub fn len_runs(&self) -> usize {
        self.runs.len()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// `[* [first: uint, last: uint]]`
impl<C> Encode<C> for Runs {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(self.runs.len() as u64)?;
        for &(first, last) in &self.runs {
            e.array(2)?.u64(first)?.u64(last)?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Runs {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let len = definite(d.array()?)?;
        if len > MAX_RUNS as u64 {
            return Err(DecodeError::message("too many runs"));
        }
        let mut runs = Vec::new();
        // The lowest number the next run may start with, so that neighbours never touch.
        let mut lowest = 1;
        for _ in 0..len {
            if definite(d.array()?)? != 2 {
                return Err(DecodeError::message("a run has two ends"));
            }
            let (first, last) = (d.u64()?, d.u64()?);
            if first < lowest || last < first || last == u64::MAX {
                return Err(DecodeError::message("runs out of order"));
            }
            // The highest possible end leaves no room for another run; saturating makes that run fail the check above.
            lowest = last.saturating_add(2);
            runs.push((first, last));
        }
        Ok(Self { runs })
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::codec::{decode, encode};

    fn of(seqs: impl IntoIterator<Item = u64>) -> Runs {
        let mut runs = Runs::new();
        for seq in seqs {
            runs.insert(seq).unwrap();
        }
        runs
    }

    #[test]
    fn neighbours_merge() {
        let mut runs = of([1, 2, 5]);
        assert_eq!(runs.runs().collect::<Vec<_>>(), [1..=2, 5..=5]);
        assert_eq!(runs.insert(4), Ok(true));
        assert_eq!(runs.insert(3), Ok(true));
        assert_eq!(runs.insert(3), Ok(false));
        assert_eq!(runs.runs().collect::<Vec<_>>(), [1..=5]);
        assert_eq!((runs.lowest_missing(), runs.max(), runs.len_runs()), (6, Some(5), 1));
        assert!(Runs::new().is_empty() && Runs::new().lowest_missing() == 1 && Runs::new().max().is_none());
    }

    #[test]
    fn gaps_lie_below_the_highest() {
        assert_eq!(of([3, 4, 9]).gaps().collect::<Vec<_>>(), [1..=2, 5..=8]);
        assert_eq!(of([1, 2]).gaps().count(), 0);
        assert_eq!(Runs::new().gaps().count(), 0);
    }

    #[test]
    fn the_ends_of_the_number_range_hold() {
        let mut runs = Runs::new();
        assert_eq!(runs.insert(0), Err(InsertError::OutOfRange));
        assert_eq!(runs.insert(u64::MAX), Err(InsertError::OutOfRange));
        assert_eq!(runs.insert(u64::MAX - 1), Ok(true));
        assert!(!runs.contains(0) && !runs.contains(u64::MAX) && runs.contains(u64::MAX - 1));
        assert_eq!(decode::<Runs>(&encode(&runs)).unwrap(), runs);
    }

    #[test]
    fn scattered_numbers_are_refused_but_known_runs_still_grow() {
        let mut runs = of((0..MAX_RUNS as u64).map(|i| 2 * i + 2));
        assert_eq!(runs.len_runs(), MAX_RUNS);
        assert_eq!(runs.insert(1_000_000), Err(InsertError::TooManyRuns));
        assert!(!runs.contains(1_000_000));
        assert_eq!(decode::<Runs>(&encode(&runs)).unwrap(), runs);
        assert_eq!(runs.insert(2), Ok(false));
        assert_eq!(runs.insert(3), Ok(true));
        assert_eq!(runs.insert(1_000_000), Ok(true));
    }

    #[test]
    fn only_the_canonical_form_decodes() {
        let raw = |pairs: &[(u64, u64)]| {
            let mut e = Encoder::new(Vec::new());
            e.array(pairs.len() as u64).unwrap();
            for (first, last) in pairs {
                e.array(2).unwrap().u64(*first).unwrap().u64(*last).unwrap();
            }
            e.into_writer()
        };
        assert_eq!(decode::<Runs>(&raw(&[(1, 2), (4, 4)])).unwrap(), of([1, 2, 4]));
        assert_eq!(raw(&[(1, 2), (4, 4)]), encode(&of([1, 2, 4])));
        for bad in [
            &[(0, 1)][..],
            &[(3, 2)],
            &[(1, 2), (3, 4)],
            &[(1, 4), (2, 5)],
            &[(5, 6), (1, 2)],
            &[(1, u64::MAX)],
            &[(1, u64::MAX - 1), (u64::MAX, u64::MAX)],
        ] {
            assert!(decode::<Runs>(&raw(bad)).is_err(), "{bad:?}");
        }
        let many: Vec<(u64, u64)> = (0..=MAX_RUNS as u64).map(|i| (2 * i + 1, 2 * i + 1)).collect();
        assert!(decode::<Runs>(&raw(&many)).is_err());
        assert!(decode::<Runs>(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(decode::<Runs>(&[0x9f, 0xff]).is_err(), "indefinite length");
    }

    proptest! {
        #[test]
        fn runs_behave_like_a_set(seqs in prop::collection::vec(1u64..60, 0..80)) {
            let mut runs = Runs::new();
            let mut model = BTreeSet::new();
            for seq in seqs {
                prop_assert_eq!(runs.insert(seq).unwrap(), model.insert(seq));
            }
            for seq in 0..62 {
                prop_assert_eq!(runs.contains(seq), model.contains(&seq));
            }
            let max = model.last().copied();
            prop_assert_eq!(runs.max(), max);
            prop_assert_eq!(runs.lowest_missing(), (1..).find(|seq| !model.contains(seq)).unwrap());
            let missing: Vec<u64> = (1..max.unwrap_or(1)).filter(|seq| !model.contains(seq)).collect();
            prop_assert_eq!(runs.gaps().flatten().collect::<Vec<_>>(), missing);
            prop_assert_eq!(runs.runs().flatten().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(decode::<Runs>(&encode(&runs)).unwrap(), runs);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(runs) = decode::<Runs>(&bytes) {
                prop_assert!(decode::<Runs>(&encode(&runs)).unwrap() == runs);
            }
        }
    }
}
