//! What a dossier's chain is given at the moment of writing: the time and fresh salts. Salts are drawn in blocks, a system call for each would cost more than
//! hashing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::consent::chain::Salt;
use crate::consent::dossier::Dossier;
use crate::consent::{Clock, Timestamp};

use super::StoreError;
use super::front::Front;

/// How many salts are drawn at a time.
const BLOCK: usize = 64;

/// The moment up to which checkpoints speak, in seconds; clones are the same.
///
/// Nothing is stamped at or before it, though the clock be set back: what a checkpoint covers is never added to.
#[derive(Clone, Debug, Default)]
pub(super) struct Floor(Arc<Marks>);

#[derive(Debug, Default)]
struct Marks {
    covered: AtomicU32,
    /// The latest moment at which anything was stamped, in seconds. It may lie ahead of the clock.
    stamped: AtomicU32,
}

impl Floor {
    /// Notes that a checkpoint speaks about a moment.
    pub(super) fn raise(&self, moment: u32) {
        self.0.covered.fetch_max(moment, Ordering::Relaxed);
    }

    /// The latest moment at which anything was stamped, in seconds; 0 if nothing was.
    pub(super) fn stamped(&self) -> u32 {
        self.0.stamped.load(Ordering::Relaxed)
    }

    /// The time to stamp with.
    fn after(&self, now: Timestamp) -> Timestamp {
        let at = match self.0.covered.load(Ordering::Relaxed) {
            // No checkpoint is known.
            0 => now,
            covered => now.max(Timestamp::from_secs(u64::from(covered).saturating_add(1))),
        };
        self.0.stamped.fetch_max(at.as_secs_u32(), Ordering::Relaxed);
        at
    }
}

/// A supply of time and salts.
pub(super) struct Stamps {
    clock: Clock,
    floor: Floor,
    salts: Vec<Salt>,
}

impl Stamps {
    /// For writes to the store behind a front.
    pub(super) fn of(front: &Front) -> Self {
        Self::new(front.cache.clock(), front.floor.clone())
    }

    const fn new(clock: Clock, floor: Floor) -> Self {
        Self { clock, floor, salts: Vec::new() }
    }

    /// Gives everything that a dossier learnt its entry; what is written must be sealed.
    pub(super) fn seal(&mut self, dossier: &mut Dossier) -> Result<(), StoreError> {
        let at = self.floor.after(self.clock.now());
        dossier.seal(at, || self.salt())
    }

    fn salt(&mut self) -> Result<Salt, StoreError> {
        if self.salts.is_empty() {
            let mut block = [0; BLOCK * size_of::<Salt>()];
            getrandom::fill(&mut block).map_err(StoreError::Randomness)?;
            self.salts.extend(block.as_chunks().0);
        }
        // The block was just filled: only a failure of the system could leave none.
        self.salts.pop().ok_or(StoreError::Randomness(getrandom::Error::UNEXPECTED))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_salt_is_given_twice() {
        let mut stamps = Stamps::new(Clock::System, Floor::default());
        let salts: HashSet<Salt> = (0..1000).map(|_| stamps.salt().unwrap()).collect();
        assert_eq!(salts.len(), 1000);
    }

    #[test]
    fn nothing_is_stamped_into_what_a_checkpoint_covers() {
        let floor = Floor::default();
        let at = Timestamp::from_secs;
        assert_eq!(floor.after(at(7)), at(7));
        floor.raise(10);
        floor.raise(5);
        for (now, stamped) in [(3, 11), (10, 11), (11, 11), (12, 12)] {
            assert_eq!(floor.clone().after(at(now)), at(stamped), "{now}");
            assert_eq!(u64::from(floor.stamped()), stamped);
        }
    }
}
