//! When a tenant's grants end by what the tenant says, whatever their events say: wordings that were replaced, records from before evidence was asked for.
//!
//! Judged on read, so that a change of the configuration rewrites no record. A gate record holds the number of the wording that a grant was given to; numbers are
//! given out by the store, once for ever. What a node does not know it takes for old: between nodes with different configurations the stricter one is not undone
//! by the other's ignorance.

use std::collections::BTreeMap;

use super::record::Slot;
use super::time::Timestamp;

/// How many wording versions of a tenant can have a number; 0 stands for a version without one.
pub const MAX_WORDINGS: usize = 255;

/// Numbers of a slot's wording, 0 included.
const NUMBERS: usize = MAX_WORDINGS + 1;
/// An end that never comes.
const NEVER: u32 = u32::MAX;

/// What a tenant's configuration says about the end of its grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The listed wording versions, oldest first.
    pub wordings: Vec<Wording>,
    /// When grants without evidence end.
    pub legacy_until: Option<Timestamp>,
}

/// One listed version of the words that people agree to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wording {
    /// Its name, as `evidence.wording_version` has it.
    pub version: String,
    /// From when on grants to older, unlisted or unstated versions no longer hold.
    pub expires_older_at: Option<Timestamp>,
    /// From when on grants to this version no longer hold.
    pub ends_at: Option<Timestamp>,
}

/// The numbers that the store gave a tenant's wording versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordingNumbers(BTreeMap<String, u8>);

impl WordingNumbers {
    /// The number of a version; 0 if it has none.
    pub fn of(&self, version: Option<&str>) -> u8 {
        version.and_then(|version| self.0.get(version)).copied().unwrap_or_default()
    }

    /// The number for a version that has none yet, one above the highest; `None` when all are given out.
    pub fn next(&self) -> Option<u8> {
        self.0.values().max().map_or(Some(1), |highest| highest.checked_add(1))
    }

    /// Notes a version's number; 0 is nobody's.
    pub fn note(&mut self, version: String, number: u8) {
        if number != 0 {
            self.0.insert(version, number);
        }
    }
}

/// A tenant's terms, ready for judging: one array index for each grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    legacy_until: u32,
    /// When grants end, by the number of their wording; nothing where no wordings are listed.
    wordings: Option<Box<[u32; NUMBERS]>>,
}

impl Validity {
    /// Nothing ends but by what its own event says.
    pub const UNLIMITED: Self = Self { legacy_until: NEVER, wordings: None };

    /// Lays the terms out by number. A version whose number is not known is judged as an unlisted one.
    pub fn of(terms: &Terms, numbers: &WordingNumbers) -> Self {
        let wordings = (!terms.wordings.is_empty()).then(|| Box::new(ends(&terms.wordings, numbers)));
        Self { legacy_until: seconds(terms.legacy_until), wordings }
    }

    /// Whether a grant that its own event would let stand has ended.
    pub(super) fn has_ended(&self, slot: Slot, now: u32) -> bool {
        let wording = || self.wordings.as_ref().and_then(|ends| ends.get(usize::from(slot.wording)));
        (slot.legacy && self.legacy_until <= now) || wording().is_some_and(|end| *end <= now)
    }
}

fn ends(wordings: &[Wording], numbers: &WordingNumbers) -> [u32; NUMBERS] {
    let replaced = wordings.iter().map(|wording| seconds(wording.expires_older_at)).min();
    // Whatever is not listed here counts as older than everything that is.
    let mut ends = [replaced.unwrap_or(NEVER); NUMBERS];
    let mut younger = NEVER;
    for wording in wordings.iter().rev() {
        let number = numbers.of(Some(&wording.version));
        if let Some(end) = ends.get_mut(usize::from(number)).filter(|_| number != 0) {
            *end = younger.min(seconds(wording.ends_at));
        }
        younger = younger.min(seconds(wording.expires_older_at));
    }
    ends
}

fn seconds(at: Option<Timestamp>) -> u32 {
    at.map_or(NEVER, Timestamp::as_secs_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wording(version: &str, expires_older_at: Option<u64>, ends_at: Option<u64>) -> Wording {
        Wording {
            version: version.into(),
            expires_older_at: expires_older_at.map(Timestamp::from_secs),
            ends_at: ends_at.map(Timestamp::from_secs),
        }
    }

    fn numbers<const N: usize>(known: [(&str, u8); N]) -> WordingNumbers {
        let mut numbers = WordingNumbers::default();
        for (version, number) in known {
            numbers.note(version.into(), number);
        }
        numbers
    }

    fn ended(validity: &Validity, wording: u8, now: u32) -> bool {
        validity.has_ended(Slot { wording, ..Slot::default() }, now)
    }

    #[test]
    fn a_new_wording_ends_older_unlisted_and_unstated_ones_and_no_younger_one() {
        let wordings = vec![
            wording("v1", None, None),
            wording("v2", Some(100), None),
            wording("v3", Some(200), None),
            wording("v4", None, Some(150)),
        ];
        let terms = Terms { wordings, legacy_until: None };
        // Numbers are in the order in which versions were first listed, not in that of the table.
        let validity = Validity::of(&terms, &numbers([("v1", 3), ("v2", 1), ("v3", 2), ("v4", 9)]));
        let table = [(0, 100), (3, 100), (1, 200), (2, NEVER), (9, 150), (4, 100), (255, 100)];
        for (number, end) in table {
            assert!(!ended(&validity, number, end - 1), "{number}");
            assert!(ended(&validity, number, end), "{number}");
        }
    }

    #[test]
    fn a_node_that_does_not_know_a_number_is_stricter() {
        let terms = Terms { wordings: vec![wording("v2", Some(100), None)], legacy_until: None };
        let ignorant = Validity::of(&terms, &WordingNumbers::default());
        assert!(ended(&ignorant, 1, 100) && !ended(&ignorant, 1, 99));
    }

    #[test]
    fn without_wordings_only_legacy_grants_end() {
        let until = Terms { legacy_until: Some(Timestamp::from_secs(50)), ..Terms::default() };
        let validity = Validity::of(&until, &numbers([("v1", 1)]));
        let legacy = Slot { legacy: true, ..Slot::default() };
        assert!(validity.has_ended(legacy, 50) && !validity.has_ended(legacy, 49));
        assert!(!ended(&validity, 0, 50) && !Validity::UNLIMITED.has_ended(legacy, NEVER - 1));
    }

    #[test]
    fn numbers_are_given_out_upwards_and_never_twice() {
        let mut given = WordingNumbers::default();
        for expected in 1..=255 {
            assert_eq!(given.next(), Some(expected));
            given.note(format!("v{expected}"), expected);
        }
        assert_eq!(given.next(), None);
        assert_eq!((given.of(Some("v7")), given.of(Some("v256")), given.of(None)), (7, 0, 0));
    }
}
