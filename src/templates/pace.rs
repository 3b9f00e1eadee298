//! How fast an account may be read: what the provider says of its allowance, waits that grow, and a budget for look-ups.

use std::time::{Duration, Instant};

use crate::wire::cloud::listing::Usage;

/// From this share of the allowance on, whole lists wait: the rest is for callers, whose own reads share it.
const SHARED: u64 = 80;
/// From this share on, nothing is read.
const SPENT: u64 = 95;
/// How long to wait then, unless the provider says how long.
const RECOVERY: Duration = Duration::from_secs(300);
/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(3600);
/// Look-ups that may be made at once; after that one for each [`REFILL`]. The provider allows 200 calls an hour.
const BURST: u32 = 20;
const REFILL: Duration = Duration::from_secs(30);

/// One account's pace.
#[derive(Debug)]
pub(super) struct Pace {
    retry: Duration,
    failures: u32,
    /// No whole list before this.
    lists_after: Instant,
    /// Nothing at all before this.
    calls_after: Instant,
    budget: u32,
    refilled: Instant,
}

impl Pace {
    pub(super) fn new(retry: Duration, now: Instant) -> Self {
        Self { retry, failures: 0, lists_after: now, calls_after: now, budget: BURST, refilled: now }
    }

    /// Whether a whole list may be read now.
    pub(super) fn may_list(&self, now: Instant) -> bool {
        now >= self.lists_after && now >= self.calls_after
    }

    /// Takes a look-up from the budget, if there is one.
    pub(super) fn may_look_up(&mut self, now: Instant) -> bool {
        while self.budget < BURST && now.saturating_duration_since(self.refilled) >= REFILL {
            self.budget += 1;
            self.refilled += REFILL;
        }
        if self.budget == BURST {
            self.refilled = now;
        }
        if now < self.calls_after || self.budget == 0 {
            return false;
        }
        self.budget -= 1;
        true
    }

    /// An answer came; gives how long to wait before the next is asked for, if the allowance is used up.
    pub(super) fn answered(&mut self, now: Instant, usage: Usage) -> Option<Duration> {
        self.failures = 0;
        if usage.percent >= SPENT || !usage.regain.is_zero() {
            let wait = jittered(usage.regain.max(RECOVERY));
            self.calls_after = self.calls_after.max(now + wait);
            return Some(wait);
        }
        if usage.percent >= SHARED {
            self.lists_after = self.lists_after.max(now + jittered(RECOVERY));
        }
        None
    }

    /// The provider asked for patience: nothing is asked before it is over. Gives how long that is.
    pub(super) fn limited(&mut self, now: Instant, asked_for: Duration) -> Duration {
        let wait = jittered(self.grown().max(asked_for));
        self.calls_after = self.calls_after.max(now + wait);
        wait
    }

    /// A reading failed: another whole list waits. Gives how long.
    pub(super) fn failed_at(&mut self, now: Instant) -> Duration {
        let wait = jittered(self.grown());
        self.lists_after = self.lists_after.max(now + wait);
        wait
    }

    fn grown(&mut self) -> Duration {
        let doubled = self.retry.saturating_mul(1_u32.checked_shl(self.failures.min(20)).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        doubled.min(LONGEST)
    }
}

/// Up to a half longer, so that several nodes do not come at the same time; never shorter, for somebody may have asked for it.
pub(super) fn jittered(wait: Duration) -> Duration {
    let share = getrandom::u32().unwrap_or_default() % 512;
    wait.saturating_add(wait.saturating_mul(share) / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn usage(percent: u64) -> Usage {
        Usage { percent, regain: Duration::ZERO }
    }

    #[test]
    fn waits_double_up_to_an_hour_and_are_never_shorter_than_asked_for() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND, now);
        for round in 0..40 {
            let wait = pace.failed_at(now);
            let least = (SECOND * (1 << round.min(12))).min(LONGEST);
            assert!(wait >= least && wait <= least + least / 2, "{round}: {wait:?}");
        }
        assert!(pace.limited(now, 2 * LONGEST) >= 2 * LONGEST);
        assert_eq!(pace.answered(now, usage(10)), None);
        assert!(pace.failed_at(now) < 2 * SECOND, "an answer ends the growth");
    }

    #[test]
    fn a_nearly_used_allowance_is_left_to_the_callers() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND, now);
        assert!(pace.answered(now, usage(79)).is_none() && pace.may_list(now));
        assert!(pace.answered(now, usage(80)).is_none() && !pace.may_list(now) && pace.may_look_up(now));
        assert!(pace.answered(now, usage(95)).is_some() && !pace.may_look_up(now));
        let later = now + RECOVERY * 2;
        assert!(pace.may_list(later) && pace.may_look_up(later));
        let told = Usage { percent: 0, regain: 4 * RECOVERY };
        assert!(pace.answered(later, told).is_some() && !pace.may_look_up(later + 3 * RECOVERY));
    }

    #[test]
    fn look_ups_have_a_budget_that_fills_again() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND, now);
        assert_eq!((0..100).filter(|_| pace.may_look_up(now)).count(), 20);
        assert!(!pace.may_look_up(now + REFILL / 2));
        assert_eq!((0..100).filter(|_| pace.may_look_up(now + 3 * REFILL)).count(), 3);
        assert_eq!((0..100).filter(|_| pace.may_look_up(now + 1000 * REFILL)).count(), 20);
    }
}
