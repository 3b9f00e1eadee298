//! How much of its callers' bodies a worker holds at a time.
//!
//! What is held is given back when the last handle to a body is dropped, wherever that happens: refused, forwarded or abandoned.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// A worker's room for bodies that are read whole. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    held: Arc<AtomicUsize>,
    limit: usize,
}

/// Part of a budget, in use.
#[derive(Debug)]
pub(super) struct Held {
    budget: Budget,
    bytes: usize,
}

/// A body and its part of the budget.
struct Buffered {
    bytes: Bytes,
    _held: Held,
}

impl Budget {
    /// Room for so many bytes.
    pub fn of(limit: usize) -> Self {
        Self { held: Arc::default(), limit }
    }

    /// Part of the budget for so many bytes; `None` if there is no room.
    pub(super) fn hold(&self, bytes: usize) -> Option<Held> {
        self.hold_within(self.limit, bytes)
    }

    /// The same from the lower half of the budget, for bodies that need not be held: the upper half stays for sends.
    pub(super) fn hold_if_ample(&self, bytes: usize) -> Option<Held> {
        self.hold_within(self.limit / 2, bytes)
    }

    fn hold_within(&self, limit: usize, bytes: usize) -> Option<Held> {
        self.take(limit, bytes).then(|| Held { budget: self.clone(), bytes })
    }

    /// Whether so many bytes more stay within the limit; if so they are taken.
    fn take(&self, limit: usize, bytes: usize) -> bool {
        let grown = |held: usize| held.checked_add(bytes).filter(|held| *held <= limit);
        // A count, no lock: nothing else is ordered by it.
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }
}

impl Held {
    /// Whether the part could be made to cover so many bytes.
    pub(super) fn covers(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = self.budget.take(self.budget.limit, more);
        if taken {
            self.bytes += more;
        }
        taken
    }

    /// The bytes, with which this part of the budget is given back.
    pub(super) fn around(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Buffered { bytes, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Buffered {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back_with_the_last_handle() {
        let budget = Budget::of(10);
        let mut first = budget.hold(4).unwrap();
        assert!(budget.hold(7).is_none() && first.covers(3) && first.covers(10) && !first.covers(11));
        assert!(budget.hold(1).is_none() && budget.hold(0).is_some());
        let body = first.around(Bytes::from_static(b"0123456789"));
        let slice = body.slice(2..3);
        drop(body);
        assert!(budget.hold(1).is_none());
        assert_eq!(&slice[..], b"2");
        drop(slice);
        assert!(budget.hold(10).is_some());
    }

    #[test]
    fn bodies_that_need_not_be_held_leave_half_to_sends() {
        let budget = Budget::of(10);
        let upload = budget.hold_if_ample(5).unwrap();
        assert!(budget.hold_if_ample(1).is_none() && budget.hold(5).is_some());
        drop(upload);
        let _send = budget.hold(6).unwrap();
        assert!(budget.hold_if_ample(1).is_none() && budget.hold(usize::MAX).is_none());
    }
}
