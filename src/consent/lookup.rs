//! What the store answered when asked about a recipient.

use super::record::GateRecord;

/// The answer to a lookup. Not a `Result`: a store that cannot answer is a fact for the policy, not an error to pass up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The recipient's record.
    Found(GateRecord),
    /// The store answered that it has no record.
    Absent,
    /// The store did not answer, too late, or with something that is no record.
    Unavailable,
    /// The same, and this record of before is remembered for what it withdraws. Nothing in it permits anything any more.
    Remembered(GateRecord),
}

/// Where the answer came from; a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This process's cache.
    Cache,
    /// The store itself.
    Store,
}

impl Source {
    /// Both sources.
    pub const ALL: [Self; 2] = [Self::Cache, Self::Store];

    /// The name as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Store => "store",
        }
    }
}
