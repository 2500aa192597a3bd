//! Sets of UIDs: pure arithmetic, no server in sight.
//!
//! A mailbox of a hundred thousand messages is a handful of runs, so a set stays small where a
//! list of UIDs would not. Left out on purpose: UIDNEXT and every other shortcut past comparing
//! whole sets.
//!
//! Guarantee: the runs are ascending and neither touch nor overlap, so equal sets are equal values.

use std::fmt;

/// A set of UIDs as sorted runs that neither touch nor overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UidSet {
    runs: Vec<(u32, u32)>,
}

impl UidSet {
    /// The runs, ascending, both ends included.
    pub fn runs(&self) -> &[(u32, u32)] {
        &self.runs
    }

    /// Whether no UID is in it.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many UIDs are in it.
    pub fn len(&self) -> usize {
        self.runs
            .iter()
            .map(|&(begin, end)| (end - begin) as usize + 1)
            .sum()
    }

    /// A set of the given runs, which may touch, overlap and stand in any order. A run whose end
    /// lies before its begin holds nothing.
    pub fn from_runs(runs: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut sorted: Vec<_> = runs
            .into_iter()
            .filter(|(begin, end)| begin <= end)
            .collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (begin, end) in sorted {
            match merged.last_mut() {
                Some(last) if begin <= last.1.saturating_add(1) => last.1 = last.1.max(end),
                _ => merged.push((begin, end)),
            }
        }
        Self { runs: merged }
    }

    /// What is in `self` or in `other`.
    pub(super) fn union(&self, other: &Self) -> Self {
        Self::from_runs(self.runs.iter().chain(&other.runs).copied())
    }

    /// What is in `self` and not in `other`.
    pub fn difference(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        let mut holes = other.runs.iter().copied().peekable();
        for &(begin, end) in &self.runs {
            let mut next = Some(begin);
            while let (Some(from), Some(&(hole_begin, hole_end))) = (next, holes.peek()) {
                if hole_begin > end {
                    break;
                }
                if hole_begin > from {
                    left.push((from, hole_begin - 1));
                }
                if hole_end >= end {
                    next = None;
                } else {
                    next = Some(from.max(hole_end + 1));
                    holes.next();
                }
            }
            if let Some(from) = next {
                left.push((from, end));
            }
        }
        Self { runs: left }
    }

    /// Whether `uid` is in it.
    pub(super) fn contains(&self, uid: u32) -> bool {
        let after = self.runs.partition_point(|&(begin, _)| begin <= uid);
        after
            .checked_sub(1)
            .and_then(|run| self.runs.get(run))
            .is_some_and(|&(_, end)| uid <= end)
    }

    /// The highest UID in it.
    pub fn highest(&self) -> Option<u32> {
        self.runs.last().map(|&(_, end)| end)
    }

    /// What lies below `uid`.
    pub(super) fn below(&self, uid: u32) -> Self {
        self.difference(&Self::from_runs([(uid, u32::MAX)]))
    }

    /// The UID with `smaller` ones below it.
    pub(super) fn nth(&self, smaller: usize) -> Option<u32> {
        let mut smaller = u32::try_from(smaller).ok()?;
        for &(begin, end) in &self.runs {
            if smaller <= end - begin {
                return Some(begin + smaller);
            }
            smaller -= end - begin + 1;
        }
        None
    }

    /// The `count` smallest UIDs, or all where there are fewer.
    pub(super) fn first(&self, count: u32) -> Self {
        let mut left = count;
        let mut runs = Vec::new();
        for &(begin, end) in &self.runs {
            let Some(last) = left.checked_sub(1) else {
                break;
            };
            let end = end.min(begin.saturating_add(last));
            left -= end - begin + 1;
            runs.push((begin, end));
        }
        Self { runs }
    }
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        Self::from_runs(uids.into_iter().map(|uid| (uid, uid)))
    }
}

/// RFC 9051 §9 `sequence-set`: `1:3,7`. An empty set has none, and prints nothing.
impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (begin, end)) in self.runs.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match begin == end {
                true => write!(f, "{begin}")?,
                false => write!(f, "{begin}:{end}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(uids: &[u32]) -> UidSet {
        uids.iter().copied().collect()
    }

    fn uids(set: &UidSet) -> BTreeSet<u32> {
        set.runs().iter().flat_map(|&(b, e)| b..=e).collect()
    }

    /// Small numbers collide; the ends of the range are where arithmetic goes wrong.
    fn some_uids() -> impl Strategy<Value = Vec<u32>> {
        let uid = prop_oneof![8 => 0..60_u32, 1 => u32::MAX - 4..=u32::MAX];
        prop::collection::vec(uid, 0..50)
    }

    #[test]
    fn runs_that_touch_or_overlap_are_one() {
        let set = UidSet::from_runs([(7, 9), (1, 3), (4, 5), (8, 12), (20, 10)]);
        assert_eq!(set.runs(), [(1, 5), (7, 12)]);
        assert_eq!(set.len(), 11);
    }

    #[test]
    fn a_set_prints_as_a_sequence_set() {
        assert_eq!(set(&[9, 1, 2, 3, 7, 8]).to_string(), "1:3,7:9");
        assert_eq!(set(&[5]).to_string(), "5");
        assert_eq!(set(&[]).to_string(), "");
    }

    #[test]
    fn the_largest_uid_is_no_special_case() {
        let all = UidSet::from_runs([(0, u32::MAX)]);
        assert_eq!(all.difference(&all), UidSet::default());
        assert_eq!(
            all.difference(&set(&[u32::MAX])).runs(),
            [(0, u32::MAX - 1)]
        );
        assert_eq!(
            UidSet::from_runs([(5, u32::MAX), (u32::MAX, u32::MAX)]).runs(),
            [(5, u32::MAX)]
        );
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in_however_it_was_put_in(mut list in some_uids()) {
            let model: BTreeSet<u32> = list.iter().copied().collect();
            let one = set(&list);
            list.reverse();
            prop_assert_eq!(&one, &set(&list));
            prop_assert_eq!(&one, &UidSet::from_runs(one.runs().iter().copied()));
            prop_assert_eq!(uids(&one), model.clone());
            prop_assert_eq!(one.len(), model.len());
            prop_assert_eq!(one.is_empty(), model.is_empty());
            for pair in one.runs().windows(2) {
                prop_assert!(pair[0].1 + 1 < pair[1].0);
            }
            for uid in 0..61 {
                prop_assert_eq!(one.contains(uid), model.contains(&uid));
            }
        }

        #[test]
        fn a_difference_is_what_is_in_the_one_and_not_in_the_other(a in some_uids(), b in some_uids()) {
            let (a, b) = (set(&a), set(&b));
            let expected: UidSet = uids(&a).difference(&uids(&b)).copied().collect();
            prop_assert_eq!(a.difference(&b), expected);
        }

        #[test]
        fn below_a_uid_are_the_smaller_ones(list in some_uids(), uid in 0..60_u32) {
            let expected: UidSet = uids(&set(&list)).into_iter().filter(|&one| one < uid).collect();
            prop_assert_eq!(set(&list).below(uid), expected);
            prop_assert_eq!(set(&list).highest(), uids(&set(&list)).last().copied());
        }

        #[test]
        fn every_uid_is_found_by_its_place(list in some_uids()) {
            let set = set(&list);
            let found: Vec<u32> = (0..set.len()).filter_map(|n| set.nth(n)).collect();
            prop_assert_eq!(found, uids(&set).into_iter().collect::<Vec<_>>());
            prop_assert_eq!(set.nth(set.len()), None);
        }

        #[test]
        fn the_first_few_are_the_smallest(list in some_uids(), count in 0..60_u32) {
            let expected: UidSet = uids(&set(&list)).into_iter().take(count as usize).collect();
            prop_assert_eq!(set(&list).first(count), expected);
        }
    }
}
