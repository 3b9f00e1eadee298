//! Whether news of changes reaches this process, and since when without a gap.

use std::sync::atomic::{AtomicU64, Ordering};

/// The state of the stream that tells the cache what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Every change since the generation began has arrived or will.
    Live(Generation),
    /// Changes may be missed: what the cache holds proves nothing.
    Down(Generation),
}

/// Counts the gaps in the stream: a record fetched in an earlier generation may have changed unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(u64);

impl Generation {
    /// No live generation: what is kept under it is never served while the stream delivers.
    pub(super) const NEVER: Self = Self(0);
}

/// The stream's state as every lookup reads it: one word, live in the lowest bit, the generation above.
#[derive(Debug)]
pub(super) struct Link {
    word: AtomicU64,
}

const LIVE: u64 = 1;
const STEP: u64 = 2;

impl Link {
    /// A stream that has not delivered anything yet.
    pub(super) const fn down() -> Self {
        Self { word: AtomicU64::new(0) }
    }

    /// How the stream stands now.
    pub(super) fn state(&self) -> State {
        let word = self.word.load(Ordering::Acquire);
        let generation = Generation(word / STEP);
        if word & LIVE == LIVE { State::Live(generation) } else { State::Down(generation) }
    }

    /// The stream delivers from now on; what was fetched before counts no more.
    pub(super) fn go_live(&self) {
        self.step(LIVE);
    }

    /// The stream may have missed something.
    pub(super) fn go_down(&self) {
        self.step(0);
    }

    /// Everything fetched so far counts no more, though the stream goes on. A stream that is down stays down.
    pub(super) fn renew(&self) {
        let next = |word: u64| (word & LIVE == LIVE).then(|| word.wrapping_add(STEP));
        // An error says that the stream was down, where there is nothing to renew.
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }

    fn step(&self, live: u64) {
        let next = |word: u64| Some((word & !LIVE).wrapping_add(STEP) | live);
        // The closure always gives a value, so the update cannot fail.
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }
}

impl State {
    /// The generation, live or not.
    pub(super) const fn generation(self) -> Generation {
        match self {
            Self::Live(generation) | Self::Down(generation) => generation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_state_begins_a_generation() {
        let link = Link::down();
        let mut seen = vec![link.state().generation()];
        for step in [Link::go_live, Link::go_down, Link::go_live, Link::go_live] {
            step(&link);
            assert!(!seen.contains(&link.state().generation()));
            seen.push(link.state().generation());
        }
        assert!(matches!(link.state(), State::Live(_)));
        link.renew();
        assert!(matches!(link.state(), State::Live(now) if !seen.contains(&now)));
        link.go_down();
        let down = link.state();
        assert!(matches!(down, State::Down(_)));
        link.renew();
        assert_eq!(link.state(), down);
    }
}
