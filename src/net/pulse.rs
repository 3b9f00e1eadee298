//! Periodic work in step: who asks for the time here does their work at the same moments, so that an idle thread wakes for all of it at once.
//! What keeps connections alive and what has more to do take turns, so that no send stands behind both.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Whose moment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Proofs that somebody is there: they take little and are waited for.
    Heartbeat,
    /// Everything else.
    Work,
}

impl Turn {
    /// How long after the others' moment it comes: longer than their work takes, no multiple of a period.
    const fn after(self) -> Duration {
        match self {
            Self::Heartbeat => Duration::ZERO,
            Self::Work => Duration::from_millis(60),
        }
    }
}

/// Ticks at once, and then at its turn in each period since the process' first call of this. Ticks that were missed are left out.
/// The second tick comes any time up to a period after the first: this is no pause.
///
/// # Panics
/// If the period is zero, or outside of a runtime with timers.
///
/// # Cancel safety
/// [`Interval::tick`] is cancel-safe.
pub fn in_step(period: Duration, turn: Turn) -> Interval {
    let mut ticks = interval_at(turn_before(*START, Instant::now(), period, turn), period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// The last moment of a turn that is over; it may lie before the start.
fn turn_before(start: Instant, now: Instant, period: Duration, turn: Turn) -> Instant {
    // With a period more the first turn's moment is over as well.
    let since = now.saturating_duration_since(start).saturating_add(period);
    let over = rest(since.saturating_sub(rest(turn.after(), period)), period);
    now.checked_sub(over).unwrap_or(now)
}

/// What is left of a time after whole periods.
fn rest(of: Duration, period: Duration) -> Duration {
    let nanos = of.as_nanos().checked_rem(period.as_nanos()).unwrap_or_default();
    Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_counted_from_the_start() {
        let start = Instant::now();
        let at = |ms: i64| {
            let far = Duration::from_millis(ms.unsigned_abs());
            if ms < 0 { start - far } else { start + far }
        };
        let (long, short) = (Duration::from_millis(100), Duration::from_millis(40));
        for (period, turn, now, moment) in [
            (long, Turn::Heartbeat, 0, 0),
            (long, Turn::Heartbeat, 99, 0),
            (long, Turn::Heartbeat, 100, 100),
            (long, Turn::Heartbeat, 1250, 1200),
            (long, Turn::Work, 0, -40),
            (long, Turn::Work, 60, 60),
            (long, Turn::Work, 159, 60),
            (long, Turn::Work, 1250, 1160),
            (short, Turn::Work, 19, -20),
            (short, Turn::Work, 20, 20),
        ] {
            assert_eq!(turn_before(start, at(now), period, turn), at(moment), "{turn:?} at {now}");
        }
    }

    #[tokio::test]
    async fn two_that_began_apart_tick_together() {
        let period = Duration::from_millis(40);
        let mut one = in_step(period, Turn::Work);
        one.tick().await;
        tokio::time::sleep(Duration::from_millis(13)).await;
        let mut other = in_step(period, Turn::Work);
        other.tick().await;
        for _ in 0..3 {
            // Each says when it was due, which a busy machine does not move by less than a period.
            let (first, second) = tokio::join!(one.tick(), other.tick());
            let apart = first.max(second).duration_since(first.min(second)).as_nanos();
            assert_eq!(apart % period.as_nanos(), 0, "{apart} ns apart");
        }
    }
}
