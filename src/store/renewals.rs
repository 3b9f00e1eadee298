//! Which places sends still use whose entries will soon be too old: noted as they are used, so that they can be read again before a send has to wait for it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError, TryLockError};

use super::place::Place;

/// How many may wait. Whoever is used beyond that is asked for when it is too old.
const MOST: usize = 16_384;

/// The places that are to be read again.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    due: Mutex<HashSet<Place, ahash::RandomState>>,
}

impl Renewals {
    /// Notes a place. Never waits: where somebody else is noting one, the next use of this one notes it.
    pub(super) fn note(&self, place: &Place) {
        let mut due = match self.due.try_lock() {
            Ok(due) => due,
            Err(TryLockError::Poisoned(due)) => due.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if due.len() < MOST && !due.contains(place) {
            due.insert(place.clone());
        }
    }

    /// Hands over what was noted, in no order, and so many at most.
    pub(super) fn take(&self, most: usize) -> Vec<Place> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.extract_if(|_| true).take(most).collect()
    }
}
