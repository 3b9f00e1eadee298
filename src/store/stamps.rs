//! What a dossier's chain is given at the moment of writing: the time and fresh salts. Salts are drawn in blocks, a system call for each would cost more than
//! hashing.

use crate::consent::Clock;
use crate::consent::chain::Salt;
use crate::consent::dossier::Dossier;

use super::StoreError;

/// How many salts are drawn at a time.
const BLOCK: usize = 64;

/// A supply of time and salts.
pub(super) struct Stamps {
    clock: Clock,
    salts: Vec<Salt>,
}

impl Stamps {
    pub(super) const fn new(clock: Clock) -> Self {
        Self { clock, salts: Vec::new() }
    }

    /// Gives everything that a dossier learnt its entry; what is written must be sealed.
    pub(super) fn seal(&mut self, dossier: &mut Dossier) -> Result<(), StoreError> {
        let at = self.clock.now();
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
        let mut stamps = Stamps::new(Clock::System);
        let salts: HashSet<Salt> = (0..1000).map(|_| stamps.salt().unwrap()).collect();
        assert_eq!(salts.len(), 1000);
    }
}
