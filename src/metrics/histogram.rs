//! A histogram of durations with fixed buckets, each twice as wide as the one before it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::cells::add;

/// The upper bounds are 1 µs, 2 µs, 4 µs and so on to 8.4 s; one more bucket takes what is longer.
const BOUNDS: usize = 24;

/// Durations counted by bucket, and their sum. Observing is two additions.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BOUNDS + 1],
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Observes, whoever else does.
    pub(super) fn observe(&self, took: Duration) {
        let nanos = nanos(took);
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Observes where no other thread does.
    pub(super) fn observe_alone(&self, took: Duration) {
        let nanos = nanos(took);
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            add(bucket, 1);
        }
        add(&self.sum_nanos, nanos);
    }
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

/// The first bucket whose bound is not below the duration, by the position of its highest bit.
fn bucket_of(nanos: u64) -> usize {
    let micros = nanos.div_ceil(1000);
    let bits = u64::BITS - micros.saturating_sub(1).leading_zeros();
    usize::try_from(bits).map_or(BOUNDS, |bits| bits.min(BOUNDS))
}

/// Histograms of several workers added up, for the page.
#[derive(Debug, Default)]
pub(super) struct Summed {
    counts: [u64; BOUNDS + 1],
    sum_nanos: u64,
}

impl Summed {
    pub(super) fn of<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut summed = Self::default();
        for histogram in histograms {
            for (to, from) in summed.counts.iter_mut().zip(&histogram.buckets) {
                *to += from.load(Ordering::Relaxed);
            }
            summed.sum_nanos = summed.sum_nanos.wrapping_add(histogram.sum_nanos.load(Ordering::Relaxed));
        }
        summed
    }

    /// The count is the sum of the buckets, so that a scrape in the middle of an observation is consistent in itself.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.sum_nanos).as_secs_f64()
    }

    /// Each bucket's upper bound in seconds with its own count.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = (0..BOUNDS).map(|bit| Duration::from_micros(1 << bit).as_secs_f64());
        bounds.chain([f64::INFINITY]).zip(self.counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        for (nanos, bucket) in [
            (0, 0),
            (1, 0),
            (1000, 0),
            (1001, 1),
            (2000, 1),
            (2001, 2),
            (1_048_576_000, 20),
            (1_048_576_001, 21),
        ] {
            assert_eq!(bucket_of(nanos), bucket, "{nanos}");
        }
        assert_eq!(bucket_of(8_388_608_000), BOUNDS - 1);
        assert_eq!(bucket_of(u64::MAX), BOUNDS);
    }

    #[test]
    fn workers_add_up() {
        let workers = [Histogram::default(), Histogram::default()];
        workers[0].observe_alone(Duration::from_micros(3));
        workers[1].observe_alone(Duration::from_millis(2));
        workers[1].observe(Duration::from_secs(3600));
        let summed = Summed::of(workers.iter());
        assert_eq!(summed.count(), 3);
        assert!((summed.seconds() - 3_600.002_003).abs() < 1e-9);
        assert_eq!(summed.buckets()[2], (0.000_004, 1));
        assert_eq!(summed.buckets().last().unwrap().1, 1);
    }
}
