//! Which places sends still use whose entries will soon be too old: noted as they are used, so that they can be read again before a send has to wait for it.
//!
//! Each thread has notes of its own, which its own lane reads again: another thread's may reach another server than the sends that use them would ask.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use super::place::Place;

/// How many may wait in a thread. Who is used beyond that is asked for when the entry is too old.
const MOST: usize = 16_384;

/// The notes of a store.
#[derive(Debug)]
pub(super) struct Renewals {
    store: u64,
}

/// What waits in a thread, once each and the oldest note first.
#[derive(Default)]
struct Due {
    noted: HashSet<Place, ahash::RandomState>,
    order: VecDeque<Place>,
}

thread_local! {
    static DUE: RefCell<Vec<(u64, Due)>> = const { RefCell::new(Vec::new()) };
}

impl Default for Renewals {
    fn default() -> Self {
        static STORES: AtomicU64 = AtomicU64::new(0);
        Self { store: STORES.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Renewals {
    /// Notes that this thread uses a place.
    pub(super) fn note(&self, place: &Place) {
        self.with(|due| {
            if due.order.len() < MOST && !due.noted.contains(place) {
                due.noted.insert(place.clone());
                due.order.push_back(place.clone());
            }
        });
    }

    /// Hands over what this thread noted first, so many at most.
    pub(super) fn take(&self, most: usize) -> Vec<Place> {
        self.with(|due| {
            let taken: Vec<_> = due.order.drain(..most.min(due.order.len())).collect();
            for place in &taken {
                due.noted.remove(place);
            }
            taken
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Due) -> T) -> T {
        DUE.with_borrow_mut(|stores| {
            let known = stores.iter().position(|(store, _)| *store == self.store);
            let at = known.unwrap_or_else(|| {
                stores.push((self.store, Due::default()));
                stores.len().saturating_sub(1)
            });
            match stores.get_mut(at) {
                Some((_, due)) => act(due),
                // Not reached: it was found or put there.
                None => act(&mut Due::default()),
            }
        })
    }
}
