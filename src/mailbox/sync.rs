//! Sets of UIDs: pure arithmetic, no server in sight.

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
        todo!()
    }

    /// A set of the given runs, which may touch, overlap and stand in any order.
    pub fn from_runs(_runs: impl IntoIterator<Item = (u32, u32)>) -> Self {
        todo!()
    }

    /// What is in `self` and not in `other`.
    pub fn difference(&self, _other: &Self) -> Self {
        todo!()
    }
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        Self::from_runs(uids.into_iter().map(|uid| (uid, uid)))
    }
}
