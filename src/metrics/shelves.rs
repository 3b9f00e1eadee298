//! A list that grows while others read it without a lock: a reload adds tenants under the feet of the workers that count.

use std::sync::OnceLock;

/// How many places the first shelf has; each next one has twice as many.
const FIRST: usize = 16;
/// Enough for a million places.
const SHELVES: usize = 16;

/// Values by place, made when a place is first used.
#[derive(Debug, Default)]
pub(super) struct Shelves<T>([OnceLock<Box<[T]>>; SHELVES]);

impl<T: Default> Shelves<T> {
    /// The value at a place, if its shelf was ever used.
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        let (shelf, at) = locate(place);
        self.0.get(shelf)?.get()?.get(at)
    }

    /// The value at a place; `None` only past the last shelf.
    pub(super) fn get_or_make(&self, place: usize) -> Option<&T> {
        let (shelf, at) = locate(place);
        let size = FIRST.checked_shl(u32::try_from(shelf).ok()?)?;
        self.0.get(shelf)?.get_or_init(|| std::iter::repeat_with(T::default).take(size).collect()).get(at)
    }
}

/// The shelf of a place and where on it.
fn locate(place: usize) -> (usize, usize) {
    let shelf = (place / FIRST).saturating_add(1).ilog2();
    let before = FIRST.saturating_mul((1_usize << shelf).saturating_sub(1));
    (usize::try_from(shelf).unwrap_or(SHELVES), place.saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_place_has_a_value_of_its_own() {
        let shelves = Shelves::<u64>::default();
        assert!(shelves.get(5000).is_none());
        let seen: HashSet<_> =
            (0..5000).map(|p| std::ptr::from_ref(shelves.get_or_make(p).unwrap())).collect();
        assert!(seen.len() == 5000 && shelves.get(4999).is_some());
        assert!(shelves.get_or_make(usize::MAX).is_none() && shelves.get_or_make(1_000_000).is_some());
    }
}
