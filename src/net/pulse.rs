//! Periodic work in step: who asks for the time here does their work at the same moments, so that an idle thread wakes for all of it at once.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Ticks at once, and then at the multiples of a period since the process' first call of this. Ticks that were missed are left out.
/// The second tick comes any time up to a period after the first: this is no pause.
///
/// # Panics
/// If the period is zero, or outside of a runtime with timers.
///
/// # Cancel safety
/// [`Interval::tick`] is cancel-safe.
pub fn in_step(period: Duration) -> Interval {
    let mut ticks = interval_at(multiple_before(*START, Instant::now(), period), period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// The last multiple of a period since the start that is over.
fn multiple_before(start: Instant, now: Instant, period: Duration) -> Instant {
    let since = now.saturating_duration_since(start).as_nanos();
    let over = since.checked_rem(period.as_nanos()).unwrap_or_default();
    now.checked_sub(Duration::from_nanos(u64::try_from(over).unwrap_or_default())).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiple_is_counted_from_the_start() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let period = Duration::from_millis(100);
        for (now, multiple) in [(0, 0), (99, 0), (100, 100), (101, 100), (1250, 1200)] {
            assert_eq!(multiple_before(start, at(now), period), at(multiple), "{now}");
        }
    }

    #[tokio::test]
    async fn two_that_began_apart_tick_together() {
        let period = Duration::from_millis(40);
        let mut one = in_step(period);
        one.tick().await;
        tokio::time::sleep(Duration::from_millis(13)).await;
        let mut other = in_step(period);
        other.tick().await;
        for _ in 0..3 {
            // Each says when it was due, which a busy machine does not move by less than a period.
            let (first, second) = tokio::join!(one.tick(), other.tick());
            let apart = first.max(second).duration_since(first.min(second)).as_nanos();
            assert_eq!(apart % period.as_nanos(), 0, "{apart} ns apart");
        }
    }
}
